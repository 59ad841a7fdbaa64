"""Diagnosis: each rule, the abstention, and the gate."""

from __future__ import annotations

import polars as pl
import pytest

from scalekit.evaluate import Diagnosis, Measured, contamination, diagnose, gate, wilson

CLEAN = contamination(
    pl.DataFrame({"item_id": ["t"], "text": ["one two three four five"]}),
    pl.DataFrame({"item_id": ["r"], "text": ["six seven eight nine ten"]}),
)


def cells(rows: list[tuple[str, str, int, int]]) -> pl.DataFrame:
    found = []
    for name, category, right, n in rows:
        low, high = wilson(right, n)
        cell = {"right": right, "n": n, "accuracy": right / n, "from": low, "to": high}
        found.append({"set": name, "category": category, **cell})
    return pl.DataFrame(found)


def measured(categories: list[tuple[str, str, int, int]] = (), **sets: tuple[int, int]) -> Measured:  # type: ignore[assignment]
    whole = cells([(name, "", *score) for name, score in sets.items()])
    parts = cells(list(categories)) if categories else whole.clear()
    return Measured(whole.drop("category"), parts, pl.DataFrame())


def findings(found: Diagnosis) -> list[tuple[str, str]]:
    return [(f.finding, f.stage) for f in found.findings]


def test_a_leak_comes_first() -> None:
    leaks = contamination(
        pl.DataFrame({"item_id": ["t"], "text": ["where is my order now"]}),
        pl.DataFrame({"item_id": ["r"], "text": ["Where is my order now?"], "batch_id": ["web"]}),
    )
    found = diagnose(measured(dev=(10, 100), train=(100, 100)), target=0.8, leaks=leaks)
    assert findings(found)[0] == ("contamination", "collect")
    assert "web" in found.findings[0].evidence
    assert found.stage == "collect"


def test_dev_surely_above_handwritten_is_another_target() -> None:
    found = diagnose(measured(dev=(95, 100), handwritten=(10, 30)), target=0.8)
    assert findings(found) == [("wrong target", "specify")]


def test_dev_a_little_above_handwritten_is_not_told_apart() -> None:
    assert diagnose(measured(dev=(85, 100), handwritten=(22, 30)), target=0.8).findings == ()


def test_knowing_its_own_examples_but_no_new_ones_asks_for_more() -> None:
    found = diagnose(measured(dev=(40, 100), train=(99, 100)), target=0.8)
    assert findings(found) == [("too few examples", "collect")]


def test_not_knowing_even_its_own_examples_is_the_task_or_the_model() -> None:
    found = diagnose(measured(dev=(40, 100), train=(50, 100)), target=0.8)
    assert findings(found) == [("not learned", "specify")]


@pytest.mark.parametrize(
    ("alpha", "support", "expected"),
    [
        ({"a": 0.4}, {"a": 100, "b": 100, "c": 100}, ("inconsistent labels", "label")),
        ({"a": 0.9}, {"a": 10, "b": 100, "c": 100}, ("weak coverage", "collect")),
        ({"a": 0.9}, {"a": 100, "b": 100, "c": 100}, ("weak category", "audit")),
        ({}, {}, ("weak category", "audit")),
    ],
)
def test_a_weak_category_is_explained(
    alpha: dict[str, float], support: dict[str, int], expected: tuple[str, str]
) -> None:
    weak = measured([("dev", "a", 5, 50), ("dev", "b", 49, 50)], dev=(90, 100))
    found = diagnose(weak, target=0.8, alpha=alpha, support=support)
    assert findings(found) == [expected]


def test_a_category_that_may_reach_the_target_is_not_accused() -> None:
    # 6 of 10: Wilson's interval reaches 0.83.
    assert diagnose(measured([("dev", "a", 6, 10)], dev=(85, 100)), target=0.8).findings == ()


def test_what_cannot_be_told_is_said() -> None:
    found = diagnose(measured(dev=(80, 100)), target=0.8)
    assert "not resolvable" in found.unresolved
    assert "around it" in found.unresolved
    assert found.stage is None
    assert "No stage stands out" in found.to_html()


def judged(sealed_hits: int = 0, **sets: tuple[int, int]):
    scores = measured(**sets)
    found = diagnose(scores, target=0.8)
    return gate(found, scores, CLEAN, target=0.8, sealed_hits=sealed_hits)


def test_the_gate_opens_on_target_with_the_sealed_set_agreeing() -> None:
    assert judged(dev=(85, 100), sealed=(82, 100)).passed


@pytest.mark.parametrize(
    ("sets", "closed"),
    [
        ({"dev": (79, 100), "sealed": (79, 100)}, "target reached on dev"),
        ({"dev": (85, 100)}, "the sealed set agrees with dev"),
        # Newcombe: 0.80 - 0.60 - sqrt((0.80 - 0.711)^2 + (0.691 - 0.60)^2) = 0.07 > 0.
        ({"dev": (80, 100), "sealed": (60, 100)}, "the sealed set agrees with dev"),
    ],
)
def test_the_gate_names_what_is_missing(sets: dict[str, tuple[int, int]], closed: str) -> None:
    assert [c.name for c in judged(**sets).failed] == [closed]


def test_a_small_loss_on_the_sealed_set_is_no_reason() -> None:
    # 0.80 - 0.72 - sqrt((0.80 - 0.711)^2 + (0.799 - 0.72)^2) = -0.04 < 0.
    assert judged(dev=(80, 100), sealed=(72, 100)).passed


def test_one_sealed_hit_closes_the_gate() -> None:
    found = judged(1, dev=(85, 100), sealed=(85, 100))
    assert [c.measured for c in found.failed] == ["1 leak"]


def test_nothing_measured_closes_the_gate() -> None:
    assert not judged(train=(1, 1)).passed
