"""Diagnosis: each rule, the abstention, and the gate."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from scalekit.evaluate import Diagnosis, Measured, contamination, diagnose, gate, wilson
from scalekit.evaluate.error_factors import ErrorFactors

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
    assert findings(found)[0] == ("contamination", "audit")
    assert "web" in found.findings[0].evidence
    assert found.stage == "audit"


def test_dev_surely_above_handwritten_is_another_target() -> None:
    found = diagnose(measured(dev=(95, 100), handwritten=(10, 30)), target=0.8, leaks=CLEAN)
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


def factors(
    support: tuple[float, float] = (0.0, 0.0),
    surprise: tuple[float, float] = (0.0, 0.0),
    conflicts: int = 0,
    pairs: int = 0,
    spread: float = 0.05,
) -> ErrorFactors:
    rows = [
        {
            **{"factor": name, "z": z, "gap": gap, "from": gap - spread},
            **{"error there": 0.2 + gap, "error elsewhere": 0.2},
        }
        for name, (z, gap) in (("support", support), ("surprise", surprise))
    ]
    twice = pl.DataFrame({"item_id": [f"c{i}" for i in range(conflicts)]})
    nothing = pl.DataFrame()
    return ErrorFactors(pl.DataFrame(rows), nothing, nothing, twice, pairs, 0)


STRONG, WEAK_Z, SMALL_GAP = (5.0, 0.3), (2.9, 0.3), (5.0, 0.14)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (factors(support=STRONG), ["weak coverage"]),
        (factors(surprise=STRONG), ["inconsistent labels"]),
        (factors(support=WEAK_Z, surprise=SMALL_GAP), []),
        (factors(support=STRONG, spread=0.2), ["weak coverage"]),
        (factors(support=STRONG, spread=0.22), []),
        (
            factors(support=(5.0, 0.3), surprise=(6.0, 0.3)),
            ["inconsistent labels", "weak coverage"],
        ),
        (
            factors(support=(6.0, 0.3), surprise=(5.0, 0.3)),
            ["weak coverage", "inconsistent labels"],
        ),
        # 8 of 40: Wilson's lower end is 0.105; 7 of 40: 0.087.
        (factors(conflicts=8, pairs=40), ["inconsistent labels"]),
        (factors(conflicts=7, pairs=40), []),
    ],
)
def test_factors_fire_at_their_thresholds_the_surer_first(
    given: ErrorFactors, expected: list[str]
) -> None:
    found = diagnose(measured(dev=(85, 100)), target=0.8, factors=given)
    assert [f.finding for f in found.findings] == expected


def test_what_was_hard_in_the_last_release_is_no_fault_of_this_one() -> None:
    given = factors(support=(5.0, 0.3), surprise=(5.0, 0.12))
    last = {"support": 0.27, "surprise": 0.06}
    found = diagnose(measured(dev=(85, 100)), target=0.8, factors=given, last_gaps=last)
    assert findings(found) == [("inconsistent labels", "label")]


def test_a_category_without_training_items_needs_no_test() -> None:
    weak = measured([("dev", "a", 45, 50), ("dev", "b", 4, 5)], dev=(49, 55))
    found = diagnose(weak, target=0.8, support={"a": 200}, factors=factors(surprise=STRONG))
    assert [f.finding for f in found.findings] == ["weak coverage", "inconsistent labels"]
    assert "no training item of 'b'" in found.findings[0].evidence


@pytest.mark.parametrize(("there", "fires"), [(9, True), (10, False)])
def test_a_handwritten_miss_where_training_is_thin(there: int, fires: bool) -> None:
    given = measured([("handwritten", "a", 3, 4), ("handwritten", "b", 4, 4)], dev=(85, 100))
    found = diagnose(given, target=0.8, support={"a": there, "b": 5})
    assert [f.finding for f in found.findings] == ["weak coverage"] * fires
    if fires:
        assert "1 of 4 handwritten examples of a are missed, with 9" in found.findings[0].evidence


@pytest.mark.parametrize(
    ("right", "interval", "fires"),
    [(60, (0.6, 0.8), True), (60, (0.67, 0.8), False), (78, (0.6, 0.8), False)],
)
def test_alpha_counts_by_its_lower_end_where_dev_is_under_target(
    right: int, interval: tuple[float, float], fires: bool
) -> None:
    found = diagnose(measured(dev=(right, 100)), target=0.8, alpha_interval=interval)
    assert [f.finding for f in found.findings] == ["inconsistent labels"] * fires


def test_an_overlap_that_moves_nothing_comes_last() -> None:
    copied = pl.DataFrame({"item_id": ["d0"], "text": ["where is my order now"]})
    other = [f"alpha{i} beta{i} gamma{i} delta{i}" for i in range(1, 60)]
    dev = pl.concat(
        [copied, pl.DataFrame({"item_id": [f"d{i}" for i in range(1, 60)], "text": other})]
    )
    leaks = contamination(dev, copied.with_columns(item_id=pl.lit("t")))
    score = [1] * 48 + [0] * 12
    results = pl.DataFrame({"item_id": dev["item_id"], "set": "dev", "score": score})
    scores = measured(dev=(48, 60), train=(60, 60))
    found = diagnose(Measured(scores.sets, scores.categories, results), target=0.9, leaks=leaks)
    assert [f.finding for f in found.findings] == ["not learned", "overlap"]
    # One right of one, 47 of 59 others: 48 of 60 ways to draw it.
    assert "p = 0.8 (Fisher)" in found.findings[1].evidence
    assert "dev 0.80 with them, 0.80 without" in found.findings[1].evidence
    assert "where is my order now" in found.to_html()


def test_without_a_search_for_overlap_a_gap_to_handwritten_is_not_the_spec() -> None:
    found = diagnose(measured(dev=(95, 100), handwritten=(10, 30)), target=0.8)
    assert findings(found) == [("inflated", "audit")]


def test_a_fresh_seal_that_scores_surely_lower_shows_inflation() -> None:
    given = measured(dev=(85, 100), sealed=(170, 200))
    found = diagnose(given, target=0.8, leaks=CLEAN, fresh_sealed=(140, 200))
    assert findings(found) == [("inflated", "audit")]
    assert diagnose(given, target=0.8, leaks=CLEAN, fresh_sealed=(160, 200)).findings == ()


def test_the_wrong_target_is_what_nothing_else_explains() -> None:
    given = measured(dev=(95, 100), handwritten=(10, 30))
    found = diagnose(given, target=0.8, leaks=CLEAN, factors=factors(support=STRONG))
    assert findings(found) == [("weak coverage", "collect")]


def test_the_missed_handwritten_examples_stand_beside_the_sentence() -> None:
    scores = measured(dev=(95, 100), handwritten=(1, 12))
    rows = {"item_id": [f"h{i}" for i in range(12)], "set": "handwritten", "score": [1] + [0] * 11}
    results = pl.DataFrame({**rows, "prediction": "b", "category": "a"})
    texts = pl.DataFrame({"item_id": rows["item_id"], "text": [f"example {i}" for i in range(12)]})
    given = Measured(scores.sets, scores.categories, results)
    found = diagnose(given, target=0.8, leaks=CLEAN, handwritten=texts, sentence="Name the queue.")
    assert "“Name the queue.”" in found.findings[0].evidence
    assert found.findings[0].shown[0]["text"].to_list() == [f"example {i}" for i in range(1, 12)]


def test_when_nothing_fires_the_detectable_effect_is_said() -> None:
    # (1.960 + 0.842) * sqrt(0.1 / 600) = 3.6 points.
    found = diagnose(measured(dev=(540, 600)), target=0.8)
    assert "under 3.6 points" in found.unresolved
    assert "from 15 points on" in found.unresolved
    # 3 * sqrt(0.25 * (1/20 + 1/80)) = 37.5 points.
    assert "from 38 points on" in diagnose(measured(dev=(50, 100)), target=0.3).unresolved


def _benchmark() -> Any:
    place = Path(__file__).parents[1] / "benchmarks" / "diagnosis.py"
    spec = importlib.util.spec_from_file_location("diagnosis_benchmark", place)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["diagnosis_benchmark"] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("case", ["none", "coverage", "inconsistent", "contamination"])
def test_planted_faults_are_named(case: str) -> None:
    planted = _benchmark()
    right = [planted.diagnosed(case, seed)[0] == planted.CASES[case] for seed in range(3)]
    assert sum(right) >= 2
