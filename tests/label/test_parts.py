"""Agreement by part against the krippendorff library and hand-made units."""

from __future__ import annotations

import json
import random
from typing import Any

import krippendorff
import numpy as np
import polars as pl
import pytest

from scalekit.label import LabelError, Task, agreement, agreement_by_part, judged_parts
from scalekit.label.tasks import Criterion, Value

VALUES = (Value("billing"), Value("login"), Value("other"))
CRITERIA = (Criterion("clear"), Criterion("correct", low=0, high=2))
PEOPLE = ("ana", "ben", "cem")


def table(answers: dict[tuple[str, str], Any]) -> pl.DataFrame:
    rows = [
        {
            "item_id": item,
            "annotator": who,
            "value": answer if isinstance(answer, str) else json.dumps(answer),
        }
        for (item, who), answer in answers.items()
    ]
    return pl.DataFrame(rows)


def library(values: dict[tuple[str, str], float], level: str) -> float:
    """Alpha by the krippendorff package, from a matrix of annotators and units."""
    units = sorted({unit for unit, _ in values})
    grid = [[values.get((u, p), np.nan) for u in units] for p in PEOPLE]
    return float(krippendorff.alpha(reliability_data=grid, level_of_measurement=level))


def test_a_rubric_is_measured_by_criterion_on_an_ordinal_scale() -> None:
    chance = random.Random(1)
    task = Task("r", "rubric", criteria=CRITERIA)
    answers = {}
    for n in range(40):
        base = chance.randint(1, 4)
        for who in chance.sample(PEOPLE, 2):
            points = {"clear": base + chance.randint(0, 1), "correct": chance.randint(0, 2)}
            answers[f"i{n}", who] = points
    found = agreement_by_part(table(answers), task, samples=50)
    for name in ("clear", "correct"):
        own = {key: float(points[name]) for key, points in answers.items()}
        assert found.parts[name].alpha.value == pytest.approx(library(own, "ordinal"), abs=1e-9)
    assert found.table["part"].to_list() == ["correct", "clear"]  # agreed on least first
    assert found.table["level"].unique().to_list() == ["ordinal"]
    assert "Agreement on r" in found.to_html()


def test_multi_label_is_a_yes_or_no_for_each_value() -> None:
    chance = random.Random(2)
    task = Task("m", "multi", VALUES)
    answers = {
        (f"i{n}", who): [v.name for v in VALUES if chance.random() < (0.9 if n % 2 else 0.2)]
        for n in range(30)
        for who in PEOPLE
    }
    found = agreement_by_part(table(answers), task, samples=50)
    for value in task.names:
        own = {key: float(value in given) for key, given in answers.items()}
        assert found.parts[value].alpha.value == pytest.approx(library(own, "nominal"), abs=1e-9)


def test_a_preference_is_a_side_and_a_signed_strength() -> None:
    chance = random.Random(3)
    task = Task("p", "pair")
    sides = {"first": -1, "second": 1, "tie": 0}
    answers = {}
    for n in range(40):
        for who in PEOPLE:
            side = chance.choice(["first", "first", "second", "tie"] if n % 2 else ["second"])
            strength = 0 if side == "tie" else chance.randint(1, 3)
            answers[f"i{n}", who] = {"preferred": side, "strength": strength}
    found = agreement_by_part(table(answers), task, samples=50)
    side = {key: float(sides[a["preferred"]]) for key, a in answers.items()}
    strong = {key: float(sides[a["preferred"]] * a["strength"]) for key, a in answers.items()}
    assert found.parts["preferred"].alpha.value == pytest.approx(library(side, "nominal"))
    assert found.parts["strength"].alpha.value == pytest.approx(library(strong, "ordinal"))


def test_turns_are_items_of_their_own_and_choices_are_what_they_were() -> None:
    task = Task("u", "turns", VALUES)
    answers = {
        ("c1", "ana"): {"1": "login", "3": "other"},
        ("c1", "ben"): {"1": "login", "3": "billing"},
        ("c2", "ana"): {"1": "other"},
        ("c2", "ben"): {"1": "other"},
    }
    codes = {name: float(n) for n, name in enumerate(task.names)}
    own = {(f"{i}#{t}", w): codes[v] for (i, w), a in answers.items() for t, v in a.items()}
    found = agreement_by_part(table(answers), task, samples=50)
    assert found.parts["turn"].alpha.value == pytest.approx(library(own, "nominal"))

    simple = table({("i1", "ana"): "login", ("i1", "ben"): "login", ("i2", "ana"): "other",
                    ("i2", "ben"): "billing"})  # fmt: skip
    choice = Task("c", values=VALUES)
    again = agreement_by_part(simple, choice).parts["value"]
    assert again.table.equals(agreement(simple, values=choice.names).table)


def test_spans_are_measured_by_word() -> None:
    task = Task("s", "span", VALUES)
    items = [{"item_id": "i1", "text": "My café bill is wrong"}]
    answers = {
        ("i1", "ana"): [{"start": 3, "end": 12, "label": "billing"}],
        ("i1", "ben"): [{"start": 8, "end": 12, "label": "billing"}],
    }
    long = judged_parts(table(answers), task, items)
    said = {(u, w): v for u, _, w, v, _ in long.rows()}
    assert [said[f"i1@{at}", "ana"] for at in (0, 3, 8, 13, 16)] == [
        "(none)", "billing", "billing", "(none)", "(none)",
    ]  # fmt: skip
    assert said["i1@3", "ben"] == "(none)"
    own = {key: float(value == "billing") for key, value in said.items()}
    found = agreement_by_part(table(answers), task, items)
    assert found.parts["word"].alpha.value == pytest.approx(library(own, "nominal"))


def test_what_can_not_be_measured_says_why() -> None:
    with pytest.raises(LabelError, match="no chance-corrected agreement; have the texts compared"):
        agreement_by_part(table({("i1", "ana"): "a text"}), Task("t", "text"))
    spans = table({("i1", "ana"): []})
    with pytest.raises(LabelError, match="needs items="):
        agreement_by_part(spans, Task("s", "span", VALUES))
    with pytest.raises(LabelError, match="row 1: value: item 'i1' is not among the items"):
        agreement_by_part(spans, Task("s", "span", VALUES), [{"item_id": "x", "text": "y"}])
    wrong = table({("i1", "ana"): {"clear": 1, "correct": 1}, ("i1", "ben"): {"clear": 9}})
    with pytest.raises(LabelError, match="labels, row 2: value: no points for 'correct'"):
        agreement_by_part(wrong, Task("r", "rubric", criteria=CRITERIA))
    one = table({("i1", "ana"): ["login"]})
    found = agreement_by_part(one, Task("m", "multi", VALUES)).table
    assert found["alpha"].null_count() == 3
    assert (found["undefined because"] != "").all()
