"""Answers to each kind of task: one text form, or a refusal that says what is wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalekit.label import LabelError, LabelSession, Task, labels_of, read_events
from scalekit.label.tasks import Criterion, Value

NAMES = ("billing", "login", "sonst, 'ä'")
VALUES = tuple(Value(n) for n in NAMES)
CHOICE, MULTI = Task("c", values=VALUES), Task("m", "multi", VALUES)
PAIR, TEXT = Task("p", "pair"), Task("t", "text")
RUBRIC = Task("r", "rubric", criteria=(Criterion("clear"), Criterion("correct", low=0, high=1)))
SPAN, TURNS = Task("s", "span", VALUES), Task("u", "turns", VALUES)

SPANS = st.lists(
    st.builds(
        lambda start, size, label: {"start": start, "end": start + size, "label": label},
        st.integers(0, 40), st.integers(1, 9), st.sampled_from(NAMES),
    ),
    max_size=6,
)  # fmt: skip
PAIRS = st.one_of(
    st.builds(
        lambda side, strength: {"preferred": side, "strength": strength},
        st.sampled_from(["first", "second"]),
        st.integers(1, 3),
    ),
    st.just({"preferred": "tie", "strength": 0}),
)
ANSWERS = st.one_of(
    st.tuples(st.just(CHOICE), st.sampled_from(NAMES)),
    st.tuples(st.just(MULTI), st.lists(st.sampled_from(NAMES), unique=True)),
    st.tuples(st.just(PAIR), PAIRS),
    st.tuples(
        st.just(RUBRIC),
        st.fixed_dictionaries({"clear": st.integers(1, 5), "correct": st.integers(0, 1)}),
    ),
    st.tuples(st.just(SPAN), SPANS),
    st.tuples(st.just(TEXT), st.text(min_size=1).filter(str.strip)),
    st.tuples(
        st.just(TURNS),
        st.dictionaries(st.integers(0, 99).map(str), st.sampled_from(NAMES), min_size=1),
    ),
)


@given(ANSWERS)
def test_a_stored_answer_is_read_back_and_stored_alike(asked: tuple[Task, Any]) -> None:
    task, answer = asked
    stored = task.encode(answer)
    assert task.encode(stored) == stored  # as it comes from a file
    assert task.encode(task.decode(stored)) == stored
    read = task.decode(stored)
    if task in (MULTI, SPAN):
        assert {json.dumps(a, sort_keys=True) for a in read} == {
            json.dumps(a, sort_keys=True) for a in answer
        }
    else:
        assert read == answer


def test_a_preference_without_a_strength_is_of_the_least() -> None:
    assert PAIR.decode(PAIR.encode({"preferred": "second"}))["strength"] == 1


@given(st.permutations(NAMES), SPANS, st.randoms())
def test_the_order_in_which_parts_are_given_does_not_matter(
    names: list[str], spans: list[Any], chance: Any
) -> None:
    assert MULTI.encode(names) == MULTI.encode(list(NAMES))
    shuffled = [*spans]
    chance.shuffle(shuffled)
    assert SPAN.encode(shuffled) == SPAN.encode(spans)
    turns = {str(n): name for n, name in enumerate(names)}
    again = dict(reversed(turns.items()))
    assert TURNS.encode(again) == TURNS.encode(turns)


@pytest.mark.parametrize(
    ("task", "answer", "why"),
    [
        (CHOICE, "refund", "'refund' is not one of billing"),
        (CHOICE, None, "is not one of"),
        (MULTI, "billing", "is a list"),
        (MULTI, ["billing", "refund"], "'refund'"),
        (MULTI, ["billing", "billing"], "a name of its own"),
        (PAIR, {"preferred": "left"}, "must be first or second or tie"),
        (PAIR, {"preferred": "first", "strength": "2"}, "strength must be a whole number"),
        (PAIR, {"preferred": "first", "strength": 4}, "got 4"),
        (PAIR, {"preferred": "tie", "strength": 1}, "from 0 to 0"),
        (Task("p", "pair", ties=False), {"preferred": "tie"}, "must be first or second"),
        (RUBRIC, {"clear": 4}, "no points for 'correct'"),
        (RUBRIC, {"clear": 4, "correct": 2}, "from 0 to 1"),
        (RUBRIC, {"clear": True, "correct": 1}, "got True"),
        (RUBRIC, {"clear": 4, "correct": 1, "kind": 2}, "no criterion 'kind'"),
        (SPAN, [{"start": 3, "end": 3, "label": "login"}], "end must be a whole number from 4"),
        (SPAN, [{"start": 0, "end": 11, "label": "login"}], "from 1 to 10"),
        (SPAN, [{"start": 0, "end": 2, "label": "x"}], "'x' is not one of"),
        (SPAN, [{"start": 0, "end": 2}], "a span has start, end and label"),
        (TEXT, "  \n", "the answer is empty"),
        (TURNS, {}, "no turn is labelled"),
        (TURNS, {"10": "login"}, "there is no turn 10; the conversation has 10"),
        (TURNS, {"01": "login"}, "named by its place"),
    ],
)
def test_what_is_no_answer_is_refused(task: Task, answer: Any, why: str) -> None:
    with pytest.raises(LabelError) as refused:
        task.encode(answer, length=10)
    assert why in str(refused.value)


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda: Task("c"), "a choice task needs values"),
        (lambda: Task("r", "rubric"), "needs criteria"),
        (lambda: Task("x", "ranking"), "a task is one of choice"),  # type: ignore[arg-type]
        (lambda: Task("c", values=(Value("a"), Value("a"))), "a name of its own"),
        (lambda: Task("r", "rubric", criteria=(Criterion("a", low=3, high=3),)), "under high"),
        (lambda: Task("p", "pair", strength=0), "1 to 5 levels"),
    ],
)
def test_a_task_that_lacks_what_its_kind_needs_is_refused(make: Any, why: str) -> None:
    with pytest.raises(LabelError, match=why):
        make()


def test_a_session_keeps_answers_in_their_one_form(tmp_path: Path) -> None:
    session = LabelSession(tmp_path, "ana", SPAN, {"i0": 10})
    spans = [{"start": 4, "end": 6, "label": "login"}, {"end": 2, "start": 0, "label": "billing"}]
    act = {"id": "1", "kind": "label", "item": "i0", "value": spans}
    session.record(act)
    session.record({**act, "value": spans[::-1]})  # sent again, said in another order
    beyond = [{"start": 0, "end": 11, "label": "login"}]
    with pytest.raises(LabelError, match="refused: end must be a whole number from 1 to 10"):
        session.record({**act, "id": "2", "value": beyond})
    session.close()
    (row,) = labels_of(read_events(tmp_path)).to_dicts()
    assert SPAN.decode(row["value"]) == [
        {"start": 0, "end": 2, "label": "billing"},
        {"start": 4, "end": 6, "label": "login"},
    ]


def test_names_in_place_of_values_are_refused_with_what_to_write() -> None:
    with pytest.raises(LabelError, match=r"'good' is no Value.*Task\.choice\('q', \[…\]\)"):
        Task("q", values=("good", "bad"))  # type: ignore[arg-type]


def test_a_session_takes_its_folder_as_text_too(tmp_path: Path) -> None:
    task = Task.choice("q", ["good", "bad"])
    session = LabelSession(str(tmp_path), "ana", task, ["i1"])
    session.record({"id": "1", "kind": "label", "item": "i1", "value": "good"})
    session.close()
    assert labels_of(read_events(tmp_path))["value"].to_list() == ["good"]
