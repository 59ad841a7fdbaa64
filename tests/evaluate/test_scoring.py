"""Scorers: cases worked by hand, laws, and what they refuse."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalekit.evaluate.scoring import (
    CATEGORY,
    Scorer,
    custom,
    exact_match,
    numeric_match,
    rubric_points,
    token_f1,
)
from scalekit.frames import FrameError


def score(scorer: Scorer, answer: str, right: Any) -> float:
    return float(scorer([answer], pl.DataFrame({"answer": [right]}))[0])


@pytest.mark.parametrize(
    ("answer", "right", "expected"),
    [
        ("The Eiffel Tower.", "eiffel tower", 1),
        ("  an  Eiffel\nTower ", "Eiffel tower!", 1),
        ("Eiffel Tower in Paris", "Eiffel Tower", 0),
        ("Paris", ["Lyon", "paris"], 1),
        ("theatre", "atre", 0),  # an article is a word, not letters
        ("the", "a", 1),  # nothing is left of both
    ],
)
def test_exact_match(answer: str, right: Any, expected: float) -> None:
    assert score(exact_match(), answer, right) == expected


def test_exact_match_letter_for_letter() -> None:
    assert score(exact_match(normalise=False), "Paris", "paris") == 0
    assert score(exact_match(normalise=False), "Paris", "Paris") == 1


@pytest.mark.parametrize(
    ("answer", "right", "expected"),
    [
        ("in the city of Paris", "Paris", 2 * (1 / 4) / (1 / 4 + 1)),
        (
            "Paris Paris",
            "Paris",
            2 * (1 / 2) / (1 / 2 + 1),
        ),  # counted as often as it is there
        ("Lyon", "Paris", 0),
        ("Lyon", ["Paris", "Lyon, France"], 2 / 3),
        ("", "Paris", 0),
        ("", "", 1),
        ("the", "Paris", 0),
    ],
)
def test_token_f1(answer: str, right: Any, expected: float) -> None:
    assert score(token_f1(), answer, right) == pytest.approx(expected)


@given(st.text(), st.text())
def test_token_f1_mirrors_and_knows_its_own(a: str, b: str) -> None:
    assert score(token_f1(), a, b) == score(token_f1(), b, a)
    assert score(token_f1(), a, a) == 1
    assert 0 <= score(token_f1(), a, b) <= 1
    assert score(exact_match(), a, b) <= score(token_f1(), a, b)


@pytest.mark.parametrize(
    ("answer", "right", "expected"),
    [
        ("So the answer is 42.", "42", 1),
        ("#### 1,234", "1234", 1),
        ("3 boxes of 4, so 12", "12", 1),
        ("12, not 13", "12", 0),
        ("-7", "7", 0),
        ("−7 degrees", "-7", 1),
        ("it costs $0.50", ".5", 1),
        ("2.0", "2", 1),
        ("1e3", "1000", 1),
        ("from 10-5", "5", 1),
        ("version 1.2.3 of model A4", "1.2", 1),
        ("none", "4", 0),
        ("1,2,3", "3", 1),
        ("0.1", "0.10000000000000001", 0),
        ("42", 42, 1),
        ("99", "100", 0),
    ],
)
def test_numeric_match(answer: str, right: Any, expected: float) -> None:
    assert score(numeric_match(), answer, right) == expected


def test_numeric_match_within_a_tolerance() -> None:
    assert score(numeric_match(tolerance="0.01"), "99", "100") == 1
    assert score(numeric_match(tolerance="0.01"), "98.9", "100") == 0
    with pytest.raises(FrameError, match="no number: 'many'"):
        score(numeric_match(), "4", "many")


RUBRIC = pl.DataFrame(
    [
        {"item_id": "i1", "criterion": "names the dose", "points": 5},
        {"item_id": "i1", "criterion": "says to see a doctor", "points": 3},
        {"item_id": "i1", "criterion": "invents a drug", "points": -10},
        {"item_id": "i2", "criterion": "asks back", "points": 2},
    ]
)
ITEMS = pl.DataFrame({"item_id": ["i2", "i1"], "text": ["?", "??"]})


def met(*which: str) -> Any:
    return lambda rows: [row["criterion"] in which for row in rows]


@pytest.mark.parametrize(
    ("which", "expected"),
    [
        ((), [0, 0]),
        (("names the dose", "asks back"), [1, 5 / 8]),
        (("names the dose", "invents a drug"), [0, 0]),
        (("names the dose", "says to see a doctor"), [0, 1]),
    ],
)
def test_rubric_points(which: tuple[str, ...], expected: list[float]) -> None:
    found = rubric_points(RUBRIC, judge=met(*which), version="1")(["x", "y"], ITEMS)
    assert found.to_list() == pytest.approx(expected)


def test_the_judge_sees_text_answer_and_criterion() -> None:
    seen: list[dict[str, Any]] = []
    rubric_points(RUBRIC, judge=lambda rows: seen.extend(rows) or [True] * 4, version="1")(
        ["two", "one"], ITEMS
    )
    assert {"item_id": "i2", "text": "?", "answer": "two", "criterion": "asks back"} in seen
    assert len(seen) == 4


def verdicts(*rows: tuple[str, str, bool]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=["item_id", "criterion", "met"], orient="row")


PANEL = verdicts(
    ("i1", "names the dose", True), ("i1", "names the dose", True),
    ("i1", "names the dose", False), ("i1", "says to see a doctor", True),
    ("i1", "says to see a doctor", False), ("i1", "invents a drug", False),
    ("i2", "asks back", True),
)  # fmt: skip


def test_of_a_panel_more_than_half_decide() -> None:
    found = rubric_points(RUBRIC, verdicts=PANEL)(["x", "y"], ITEMS)
    assert found.to_list() == pytest.approx([1, 5 / 8])


def test_verdicts_on_other_answers_do_not_count() -> None:
    answer = pl.col("item_id").replace_strict({"i1": "y", "i2": "x"}).alias("answer")
    of = PANEL.with_columns(answer)
    assert rubric_points(RUBRIC, verdicts=of)(["x", "y"], ITEMS)[0] == 1
    with pytest.raises(FrameError, match="3 of 4 criteria of these answers have none"):
        rubric_points(RUBRIC, verdicts=of)(["x", "another"], ITEMS)


def test_what_a_rubric_must_have() -> None:
    with pytest.raises(ValueError, match="either judge= or verdicts="):
        rubric_points(RUBRIC)
    with pytest.raises(ValueError, match="version="):
        rubric_points(RUBRIC, judge=met())
    with pytest.raises(FrameError, match="no criterion with positive points, first 'i1'"):
        rubric_points(RUBRIC.filter(pl.col("points") != 5, pl.col("points") != 3), verdicts=PANEL)
    with pytest.raises(FrameError, match="same criterion twice"):
        rubric_points(pl.concat([RUBRIC, RUBRIC]), verdicts=PANEL)
    with pytest.raises(FrameError, match="1 items have no criteria"):
        rubric_points(RUBRIC.head(3), verdicts=PANEL)(["x", "y"], ITEMS)
    with pytest.raises(ValueError, match="as many booleans"):
        rubric_points(RUBRIC, judge=lambda rows: [0.5] * len(rows), version="1")(["x", "y"], ITEMS)


def test_the_protocol_names_what_decides_the_score() -> None:
    alike = [
        (exact_match(), exact_match("other column")),
        (numeric_match(), numeric_match(tolerance="0")),
        (rubric_points(RUBRIC, verdicts=PANEL), rubric_points(RUBRIC[::-1], verdicts=PANEL)),
        (custom("f", lambda a, r: 0.5, version="1"), custom("f", lambda a, r: 0.7, version="1")),
    ]
    assert all(a.protocol == b.protocol for a, b in alike)
    different = [
        CATEGORY,
        exact_match(),
        exact_match(normalise=False),
        token_f1(),
        numeric_match(),
        numeric_match(tolerance="0.1"),
        rubric_points(RUBRIC, verdicts=PANEL),
        rubric_points(RUBRIC, judge=met(), version="1"),
        rubric_points(RUBRIC, judge=met(), version="2"),
        rubric_points(RUBRIC.with_columns(pl.col("points") + 1), verdicts=PANEL),
        custom("f", lambda a, r: 0.5, version="1"),
        custom("f", lambda a, r: 0.5, version="2"),
    ]
    assert len({s.protocol for s in different}) == len(different)


def test_scores_that_are_none_are_refused() -> None:
    items = pl.DataFrame({"answer": ["a", None]})
    with pytest.raises(FrameError, match="1 have no 'answer'"):
        exact_match()(["a", "b"], items)
    with pytest.raises(ValueError, match=r"score of 1\.5, between 0 and 1"):
        custom("f", lambda a, r: 1.5, version="1")(["a", "b"], items)
    with pytest.raises(ValueError, match=r"score of 0\.5, 0 or 1"):
        custom("f", lambda a, r: 0.5, version="1", graded=False)(["a", "b"], items)
    with pytest.raises(ValueError, match="1 scores for 2 answers"):
        Scorer("f", lambda a, i: [1.0], ())(["a", "b"], items)
    with pytest.raises(ValueError, match="say version="):
        custom("f", eval("lambda a, r: 0.5"))
    with pytest.raises(FrameError, match="a list of texts, got 4"):
        score(exact_match(), "4", 4)
