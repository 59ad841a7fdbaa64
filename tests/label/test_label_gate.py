"""The gate of Label."""

from __future__ import annotations

import polars as pl
import pytest

from scalekit.gates import Gate
from scalekit.label import agreement, gate, majority

LIMITS = {"alpha": 0.667, "worst_value_alpha": 0.667, "max_tied": 0.02, "kappa": 0.4}


def table(rows: list[tuple[str, ...]], seconds: dict[str, float] | None = None) -> pl.DataFrame:
    people = ("ana", "ben", "chloe")
    return pl.DataFrame(
        [
            {
                "item_id": f"i{n}",
                "annotator": who,
                "value": v,
                "seconds": (seconds or {}).get(who, 9.0),
            }
            for n, row in enumerate(rows)
            for who, v in zip(people, row, strict=False)
        ]
    )


def judged(labels: pl.DataFrame, items: int, annotators: int = 3) -> Gate:
    measured, votes = agreement(labels, samples=200), majority(labels)
    return gate(measured, votes, items=items, annotators=annotators, **LIMITS)


def closed(found: Gate) -> list[str]:
    return [c.name for c in found.failed]


AGREED = [("x", "x", "x"), ("y", "y", "y")] * 20


def test_full_agreement_opens_the_gate() -> None:
    assert judged(table(AGREED), 40).passed


def test_an_item_with_too_few_labels_closes_it() -> None:
    found = judged(table([*AGREED[:-1], ("x", "x")]), 40)
    assert closed(found) == ["every item labelled often enough"]
    assert found.failed[0].measured == "39 of 40 items"


def test_an_item_nobody_labelled_closes_it() -> None:
    assert closed(judged(table(AGREED), 41)) == ["every item labelled often enough"]


def test_luck_on_a_small_sample_does_not_open_it() -> None:
    few = table([("x", "x", "x"), ("y", "y", "y"), ("x", "y", "x"), ("y", "y", "y")])
    found = judged(few, 4)
    assert agreement(few).alpha.value is not None
    assert "agreement" in closed(found)


def test_ties_close_it_above_two_in_a_hundred() -> None:
    rows = [*AGREED * 3, ("x", "y"), ("x", "y")]  # 2 of 122 = 1.6 %
    assert "ties resolved" not in closed(judged(table(rows), 122, 2))
    assert "ties resolved" in closed(judged(table([*rows, ("x", "y")]), 123, 2))  # 2.4 %


def test_a_careless_annotator_closes_it_and_is_the_evidence() -> None:
    rows = [("x", "x", v) for v in "xy" * 10] + [("y", "y", v) for v in "yx" * 10]
    found = judged(table(rows, {"chloe": 2.0}), 40)
    check = next(c for c in found.failed if c.name == "nobody careless")
    assert check.evidence is not None
    assert check.evidence["annotator"].to_list() == ["chloe"]


@pytest.mark.parametrize("labels", [table(AGREED).clear(), table([("x", "x", "x")] * 40)])
def test_without_labels_or_with_one_value_it_is_closed_and_not_an_error(
    labels: pl.DataFrame,
) -> None:
    found = judged(labels, 40)
    assert not found.passed
    assert "agreement" in closed(found)
