"""Crossings of two columns, against counting by hand and scipy's expected frequencies."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest
from scipy.stats.contingency import expected_freq

from scalekit.audit import crossings
from scalekit.frames import FrameError

ROWS = st.lists(
    st.tuples(st.sampled_from(["a", "b", None]), st.sampled_from(["x", "y", "z"])), max_size=60
)


@given(ROWS)
def test_cells_are_counted_and_expected_as_in_a_contingency_table(
    rows: list[tuple[str | None, str]],
) -> None:
    frame = pl.DataFrame(rows, schema={"category": pl.String, "tier": pl.String}, orient="row")
    found = crossings(frame)
    known = [(r, c) for r, c in rows if r is not None]
    if not known:
        assert found.table.is_empty()
        return
    of_row = sorted({r for r, _ in known})
    of_column = sorted({c for _, c in known})
    counts = [[known.count((r, c)) for c in of_column] for r in of_row]
    assert found.table["items"].to_list() == [n for row in counts for n in row]
    assert found.table["expected"].to_list() == pytest.approx(
        expected_freq(counts).ravel().tolist()
    )
    assert found.table["items"].sum() == len(known)
    for cell in found.table.to_dicts():
        total = sum(r == cell["category"] for r, _ in known)
        interval = binomtest(cell["items"], total).proportion_ci(method="wilson")
        assert (cell["from"], cell["to"]) == pytest.approx(tuple(interval))
        assert (cell["status"] == "missing") == (cell["items"] == 0)
        assert (cell["still needed"] > 0) <= (cell["status"] != "ok")


def test_a_category_of_one_source_alone_is_a_gap_in_the_other() -> None:
    rows = [("late", "helpdesk")] * 40 + [("late", "forum")] * 40 + [("broken", "helpdesk")] * 40
    rows += [("broken", "forum")] * 3
    frame = pl.DataFrame(rows, schema=["category", "source"], orient="row")
    found = crossings(frame, column="source")
    # By hand: forum has 43 of 123, so 15.03 of broken's 43 are expected; half of that is 7.5.
    assert found.gaps.rows() == [("broken", "forum", "thin", 3, 5)]
    assert crossings(frame, column="source", at_least=41).gaps["still needed"].sum() == 41 * 4 - 123
    assert found.plot().data[0].z[0][0] == 3
    assert "To be collected next" in found.to_html()
    with pytest.raises(FrameError, match="channel"):
        crossings(frame, column="channel")
