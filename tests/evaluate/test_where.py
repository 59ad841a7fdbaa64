"""Where it regressed: domain by domain, between two tables of results."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest
from scipy.stats import binom, binomtest, false_discovery_control

from scalekit.evaluate.where import regressed_domains
from scalekit.figures import figure_png
from scalekit.frames import FrameError


def results(cells: dict[str, tuple[int, int, int, int]]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return two tables of results: both right, lost, gained, both wrong in each domain."""
    rows = []
    for domain, counts in cells.items():
        for (a, b), n in zip([(1, 1), (1, 0), (0, 1), (0, 0)], counts, strict=True):
            rows += [(f"{domain}{len(rows)}-{i}", domain, a, b) for i in range(n)]
    whole = pl.DataFrame(rows, schema=["item_id", "domain", "a", "b"], orient="row")
    return (
        whole.select("item_id", "domain", score="a"),
        whole.select("item_id", score="b").sample(fraction=1, shuffle=True, seed=0),
    )


def test_domains_that_regressed_by_mcnemar_and_benjamini_hochberg() -> None:
    cells = {"x": (60, 25, 5, 10), "y": (70, 10, 11, 9), "z": (50, 14, 6, 30)}
    found = regressed_domains(*results(cells))
    table = found.table.filter(pl.col("domain") != "(overall)")
    # Half the chance of just this outcome is taken off the exact p-value.
    mid_p = [
        binomtest(a, a + b, 0.5, "greater").pvalue - binom.pmf(a, a + b, 0.5) / 2
        for _, a, b, _ in cells.values()
    ]
    assert table["p"].to_list() == pytest.approx(mid_p)
    assert table["q"].to_list() == pytest.approx(list(false_discovery_control(mid_p)))
    assert found.regressed == ("x", "z")
    assert found.overall
    assert table["change"].to_list() == pytest.approx([-20, 1, -8])
    assert "worse in x, z" in found.to_html()
    figure_png(found.plot())


def test_small_domains_stand_together_and_one_alone_is_not_tested() -> None:
    cells = {"x": (70, 10, 10, 10), "y": (2, 12, 0, 1), "z": (3, 11, 0, 1)}
    found = regressed_domains(*results(cells))
    assert found.merged == ("y", "z")
    assert set(found.table["domain"]) == {"x", "2 smaller domains", "(overall)"}
    assert found.regressed == ("y", "z")
    alone = regressed_domains(*results({"x": (70, 10, 10, 10), "y": (2, 12, 0, 1)}))
    assert alone.table.filter(domain="y").select("p", "q", "regressed").row(0) == (
        None, None, False,
    )  # fmt: skip
    assert "Under 20 items" in alone.to_html()


def test_without_a_regression_it_says_what_is_not_ruled_out() -> None:
    found = regressed_domains(*results({"x": (80, 5, 6, 9)}))
    assert (found.regressed, found.overall) == ((), False)
    assert "is not ruled out" in found.to_html()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t.head(5), "stands in one table only"),
        (lambda t: pl.concat([t, t.head(1)]), "repeat"),
        (lambda t: t.with_columns(score=pl.lit(0.5)), "neither 0 nor 1"),
        (lambda t: t.drop("score"), "'score' is missing"),
    ],
)
def test_results_that_do_not_pair_are_refused(change: Any, said: str) -> None:
    a, b = results({"x": (10, 5, 5, 5)})
    with pytest.raises(FrameError, match=said):
        regressed_domains(a, change(b))
