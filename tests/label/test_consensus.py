"""Majority vote, ties, and what the annotators outvote."""

from __future__ import annotations

from collections import Counter
from math import log2

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalekit.frames import FrameError
from scalekit.label import against_given, majority

VOTES = st.lists(
    st.tuples(st.sampled_from("abc"), st.sampled_from("uvwx"), st.sampled_from("123")),
    min_size=1,
    unique_by=lambda v: v[:2],
)


def table(votes: list[tuple[str, str, str]]) -> pl.DataFrame:
    return pl.DataFrame(votes, schema=["item_id", "annotator", "value"], orient="row")


@given(votes=VOTES, left_out=st.sets(st.sampled_from("uvwx"), max_size=2))
def test_majority_is_a_plain_count(votes: list[tuple[str, str, str]], left_out: set[str]) -> None:
    found = {r["item_id"]: r for r in majority(table(votes), leave_out=left_out).to_dicts()}
    counts: dict[str, Counter[str]] = {}
    for item, who, value in votes:
        if who not in left_out:
            counts.setdefault(item, Counter())[value] += 1
    assert set(found) == set(counts)
    for item, given_ in counts.items():
        best = max(given_.values())
        winners = [v for v, n in given_.items() if n == best]
        n = sum(given_.values())
        row = found[item]
        assert row["tied"] == (len(winners) > 1)
        assert row["value"] == (winners[0] if len(winners) == 1 else None)
        assert (row["votes"], row["n"]) == (best, n)
        assert row["share"] == pytest.approx(best / n)
        entropy = -sum(c / n * log2(c / n) for c in given_.values())
        assert row["entropy"] == pytest.approx(entropy, abs=1e-12)


def test_no_votes_give_an_empty_table() -> None:
    assert majority(table([]).cast(pl.String)).is_empty()


def test_against_given_needs_three_quarters_and_no_tie() -> None:
    votes = [("a", w, "x") for w in "1234"]
    votes += [("b", w, v) for w, v in zip("1234", "xxxy", strict=True)]
    votes += [("c", w, v) for w, v in zip("1234", "xxyy", strict=True)]
    votes += [("d", w, "y") for w in "1234"]
    votes += [("e", w, v) for w, v in zip("123", "xxy", strict=True)]
    items = pl.DataFrame(
        {"item_id": list("abcde"), "text": list("abcde"), "category": list("yyyyy")}
    )
    found = against_given(majority(table(votes)), items)
    assert found["item_id"].to_list() == ["a", "b"]  # 4 of 4, 3 of 4; 2 of 3 is too few
    assert found["annotators say"].to_list() == ["x", "x"]


def test_missing_column_is_named() -> None:
    with pytest.raises(FrameError, match="annotator"):
        majority(pl.DataFrame({"item_id": ["a"], "value": ["x"]}))
