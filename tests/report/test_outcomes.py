"""The four outcomes: each against its own oracle, and savings only where quality holds."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy.stats import ttest_rel

from scalekit.evaluate.paired import tango
from scalekit.frames import FrameError
from scalekit.intervals import newcombe
from scalekit.report import Amount, Cycle, TaskCost, four_outcomes, task_cost
from scalekit.report.outcomes import mover


def scores(values: Any, start: int = 0) -> pl.DataFrame:
    ids = [str(n + start) for n in range(len(values))]
    return pl.DataFrame({"item_id": ids, "score": list(values)})


def spent(value: float, width: float = 0.0, *, accepted: int = 100, **more: Any) -> TaskCost:
    total = value * accepted
    half = width * accepted
    amount = Amount("labour", total, total - half, total + half, "measured", "s", "a")
    return task_cost([amount], accepted, **more)


def row(outcome: str, before: Cycle, after: Cycle, **more: Any) -> dict[str, Any]:
    return four_outcomes(before, after, **more).table.filter(outcome=outcome).row(0, named=True)


GOOD: dict[str, Any] = {"agreement": (0.8, 0.78, 0.82), "gold": (20, 1000)}


def test_nothing_measured_is_said_four_times() -> None:
    found = four_outcomes(Cycle("one"), Cycle("two"))
    assert found.table["verdict"].to_list() == ["not measured"] * 4
    assert not found.quality
    assert "before/after, not randomised" in found.to_html()


def test_uplift_on_shared_items_is_paired_and_ignores_their_order() -> None:
    rng = np.random.default_rng(1)
    a = rng.integers(0, 2, 300).astype(float)
    b = np.where(rng.random(300) < 0.1, 1.0, a)
    mixed = scores(b).sample(fraction=1, shuffle=True, seed=3)
    found = row("benchmark uplift", Cycle("a", scores(a)), Cycle("b", mixed))
    low, high = tango(0, int((b > a).sum()), 300)
    assert (found["from"], found["to"]) == pytest.approx((float(low), float(high)))
    assert found["better by"] == pytest.approx(b.mean() - a.mean())
    assert found["verdict"] == "better"
    back = row("benchmark uplift", Cycle("b", mixed), Cycle("a", scores(a)))
    assert (back["from"], back["to"]) == pytest.approx((-float(high), -float(low)))
    assert back["verdict"] == "worse"


def test_graded_uplift_is_scipys_paired_t() -> None:
    rng = np.random.default_rng(2)
    a, b = rng.random(50) / 2, rng.random(50) / 2 + 0.05
    found = row("benchmark uplift", Cycle("a", scores(a)), Cycle("b", scores(b)))
    expected = ttest_rel(b, a).confidence_interval()
    assert (found["from"], found["to"]) == pytest.approx((expected.low, expected.high))
    pairs = {str(n): n // 2 for n in range(50)}
    wide = row("benchmark uplift", Cycle("a", scores(a)), Cycle("b", scores(b)), cluster=pairs)
    assert wide["compared"] == "paired, t on 25 units"


def test_items_that_are_not_the_same_are_not_paired() -> None:
    a, b = Cycle("a", scores([1.0, 0.0] * 50)), Cycle("b", scores([1.0] * 80 + [0.0] * 20, 500))
    found = row("benchmark uplift", a, b)
    assert (found["from"], found["to"]) == pytest.approx(newcombe(80, 100, 50, 100))
    assert found["compared"].startswith("not the same items")
    half = Cycle("c", scores([1.0] * 100, 50))
    with pytest.raises(FrameError, match="50 items are in both cycles, of 100 and 100"):
        four_outcomes(a, half)
    with pytest.raises(FrameError, match="graded scores need pairs"):
        four_outcomes(a, Cycle("d", scores([0.5] * 10, 900)))
    with pytest.raises(FrameError, match="repeat"):
        four_outcomes(a, Cycle("d", pl.concat([scores([1.0]), scores([1.0])])))


def test_errors_and_escalations_are_shares_with_newcombes_interval() -> None:
    a = Cycle("a", gold=(60, 400), escalated=(30, 1000))
    b = Cycle("b", gold=(20, 400), escalated=(24, 2000))
    found = row("task-error reduction", a, b)
    assert (found["from"], found["to"]) == pytest.approx(newcombe(60, 400, 20, 400))
    assert found["verdict"] == "better"
    found = row("escalation reduction", a, b)
    low, high = newcombe(30, 1000, 24, 2000)
    assert (found["before"], found["after"]) == (30, 12)
    assert (found["from"], found["to"]) == pytest.approx((1000 * low, 1000 * high))
    assert row("escalation reduction", a, Cycle("b", escalated=(0, 0)))["verdict"] == "not measured"


def test_a_saving_counts_only_where_quality_is_not_inferior() -> None:
    def verdict(**later: Any) -> str:
        before = Cycle("a", cost=spent(1.0, 0.1), **GOOD)
        return str(
            row("cost reduction", before, Cycle("b", cost=spent(0.5, 0.1), **later))["verdict"]
        )

    assert verdict(**GOOD) == "better"
    lost = "not counted: quality not shown to be non-inferior"
    assert verdict(**{**GOOD, "gold": (60, 1000)}) == lost
    assert verdict(**{**GOOD, "agreement": (0.7, 0.68, 0.72)}) == lost
    assert verdict(**{**GOOD, "gold": (1, 50)}) == lost, "too few to show it"
    assert verdict(gold=(20, 1000)) == lost, "agreement was not measured"
    dearer = Cycle("b", cost=spent(2.0, 0.1))
    assert row("cost reduction", Cycle("a", cost=spent(1.0, 0.1)), dearer)["verdict"] == "worse"


def test_costs_that_are_not_comparable_are_refused() -> None:
    one = Cycle("a", cost=spent(1.0, currency="EUR"))
    with pytest.raises(FrameError, match="per task in EUR and per task in USD"):
        four_outcomes(one, Cycle("b", cost=spent(1.0, currency="USD")))
    tools = Amount("tools", 1, 1, 1, "entered", "s", "a")
    more = task_cost([Amount("labour", 1, 1, 1, "measured", "s", "a"), tools], 1, currency="EUR")
    with pytest.raises(FrameError, match="tools is known of one cycle only"):
        four_outcomes(one, Cycle("b", cost=more))


def test_movers_interval_is_newcombes_when_given_wilsons() -> None:
    from scalekit.intervals import wilson

    a, b = (30, 100), (55, 120)
    found = mover((0.3, *wilson(*a)), (55 / 120, *wilson(*b)))
    assert found[1:] == pytest.approx(newcombe(*a, *b))


def test_the_picture_has_what_was_measured() -> None:
    a = Cycle("a", gold=(60, 400), cost=spent(1.0, 0.1))
    drawn = four_outcomes(a, Cycle("b", gold=(20, 400), cost=spent(0.5, 0.1))).plot()
    assert list(drawn.data[0].y) == ["cost reduction", "task-error reduction"]
    assert list(drawn.data[0].x) == pytest.approx([50, 100 * 40 / 60])
