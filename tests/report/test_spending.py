"""The cost of an accepted task: by hand, summed without loss, and honest on what is missing."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import t

from scalekit.frames import FrameError
from scalekit.label import cost
from scalekit.report import Amount, amortised, entered, measured, task_cost, time_by_part

LABELS = pl.DataFrame(
    [("i1", "ana", 30.0, 1), ("i2", "ana", 90.0, 1), ("g1", "ana", 60.0, 1),
     ("i1", "ben", 120.0, 2), ("i2", "ben", 40.0, 0)],
    schema=["item_id", "annotator", "seconds", "round"], orient="row",
)  # fmt: skip
RATES = {"ana": 18.0, "ben": 36.0}
NUMBER = st.floats(0, 1e6, allow_nan=False)


def times() -> dict[str, Amount]:
    return {a.part: a for a in time_by_part(LABELS, RATES, gold=["g1"], source="label/events")}


def test_time_is_split_by_hand_and_nothing_is_lost() -> None:
    # 30 s and 90 s at 18 an hour; 60 s on gold and 40 s of the qualification; 120 s of round 2.
    found = times()
    assert found["labour"].cost == pytest.approx(0.15 + 0.45)
    assert found["gold"].cost == pytest.approx(0.30 + 0.40)
    assert found["rework"].cost == pytest.approx(1.20)
    whole = cost(LABELS, RATES).table.row(0, named=True)["cost"]
    assert sum(a.cost for a in found.values()) == pytest.approx(whole)


def test_the_interval_is_students_of_the_mean_label_times_the_labels() -> None:
    labour = times()["labour"]
    half = t.ppf(0.975, 1) * 0.15 * 2**0.5 / 2**0.5  # of .15 and .45: deviation .15 * sqrt(2)
    assert labour.high == pytest.approx(2 * (0.30 + half))
    assert labour.low == 0.0
    rework = times()["rework"]
    assert (rework.low, rework.high) == pytest.approx((1.2, 1.2))
    assert "no interval" in rework.assumption


def test_a_task_has_all_its_parts_and_names_those_without_a_figure() -> None:
    amounts = [
        *times().values(),
        entered("tools", 4.0, source="invoice 12"),
        entered("tools", 1.0, source="invoice 13"),
        amortised("setup", 30.0, uses=3, source="timesheet"),
    ]
    found = task_cost(amounts, 2, unit="preference pair", currency="EUR")
    total = 0.60 + 0.70 + 1.20 + 5.0 + 10.0
    assert found.total == pytest.approx(total)
    assert found.per_accepted == pytest.approx(total / 2)
    assert found.missing == ["review", "panel", "compute"]
    assert found.table.filter(part="tools")["source"][0] == "invoice 12; invoice 13"
    assert found.table["share"].sum() == pytest.approx(1)
    assert found.interval[0] < found.per_accepted < found.interval[1]
    shown = found.to_html()
    assert "at least EUR 8.75 per accepted preference pair" in shown
    assert "No figure for review, panel, compute." in shown
    assert "30.00 spread evenly over 3 projects" in shown


@given(st.lists(NUMBER, min_size=1, max_size=6), st.integers(1, 1000))
def test_amounts_add_up_and_widths_add_in_squares(values: list[float], accepted: int) -> None:
    amounts = [Amount("tools", v, v, v + n, "entered", "s", "a") for n, v in enumerate(values)]
    found = task_cost(amounts, accepted)
    assert found.total == pytest.approx(sum(values))
    width = sum(n**2 for n in range(len(values))) ** 0.5
    assert found.interval[1] * accepted - found.total == pytest.approx(width, abs=1e-6)
    assert found.interval[0] <= found.per_accepted * (1 + 1e-9)


def test_what_can_not_be_costed_is_refused() -> None:
    with pytest.raises(ValueError, match="part 'lunch' is not one of"):
        entered("lunch", 3.0, source="s")
    with pytest.raises(ValueError, match="must be 0 or more"):
        entered("tools", -1.0, source="s")
    with pytest.raises(ValueError, match="say where the amount is from"):
        entered("tools", 1.0, source=" ")
    with pytest.raises(ValueError, match="uses must be 1 or more"):
        amortised("setup", 1.0, uses=0, source="s")
    with pytest.raises(FrameError, match="no task was accepted"):
        task_cost([entered("tools", 1.0, source="s")], 0)
    with pytest.raises(FrameError, match="no amounts"):
        task_cost([], 3)
    untimed = LABELS.with_columns(pl.lit(None, pl.Float64).alias("seconds"))
    with pytest.raises(ValueError, match="no label has a time"):
        measured("labour", cost(untimed, RATES), source="s")
    with pytest.raises(FrameError, match="round"):
        time_by_part(LABELS.drop("round"), RATES, source="s")


def test_the_picture_shows_the_known_parts() -> None:
    drawn = task_cost([entered("tools", 4.0, source="s")], 2, currency="€").plot()
    assert list(drawn.data[0].y) == ["tools"]
    assert list(drawn.data[0].x) == [2.0]
