from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scalekit.specify import Problem, Spec, gate, problems, sentences


def draft(**more: Any) -> dict[str, Any]:
    return {
        "name": "triage",
        "behaviour": "Name the one intent of each customer message.",
        "categories": [{"name": "billing", "share": 0.6}, {"name": "returns", "share": 0.4}],
        "examples": [
            {"text": "Where is my invoice?", "category": "billing"},
            {"text": "I send it back", "category": "returns", "kind": "edge", "note": "no refund"},
        ],
        **more,
    }


def found(**more: Any) -> dict[str, str]:
    return {p.field: p.reason for p in problems(draft(**more))}


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 0),
        ("   ", 0),
        ("Name the intent", 1),
        ("Name the intent.", 1),
        ("Name the intent. Answer politely.", 2),
        ("Name the intent. Answer politely", 2),
        ("Is it billing? Then say so!", 2),
        ("Name it, e.g. billing, i.e. the first, etc. as before.", 1),
        ("Ask Dr. Smith vs. Mr. Jones.", 1),
        ("Version 2.5 of the model names it.", 1),
        ("Wait... then name it.", 1),
        ("Say “yes.” Then stop.", 2),
        ("First\nline only.", 1),
        ("给出每条消息的意图。", 1),
        ("给出每条消息的意图。礼貌地回答。", 2),
        ("संदेश का आशय बताओ। विनम्रता से उत्तर दो।", 2),
        ("ما هو القصد؟ أجب بأدب.", 2),
        ("Say which law of the U.S. Congress a message is about.", 1),
        ("The label is no. Then answer with a reason.", 2),
    ],
)
def test_sentences_by_hand(text: str, count: int) -> None:
    assert sentences(text) == count


@settings(deadline=None)
@given(st.lists(st.sampled_from(["Alpha beta", "Gamma delta", "It works"]), min_size=1, max_size=6))
def test_sentences_add_up(parts: list[str]) -> None:
    assert sentences(". ".join(parts) + ".") == len(parts)


def test_a_good_draft_has_no_problems() -> None:
    assert problems(draft()) == []


@pytest.mark.parametrize(
    ("change", "field", "reason"),
    [
        ({"behaviour": "Name the intent of a message. Answer it politely."}, "behaviour",
         "one sentence is needed, these are 2"),
        ({"behaviour": "Classify."}, "behaviour", "too short"),
        ({"behaviour": ""}, "behaviour", "write something here"),
        ({"behaviour": " \t "}, "behaviour", "write something here"),
        ({"examples": []}, "examples", "write at least one by hand"),
        ({"examples": [{"text": "a", "category": "refund"}]}, "examples[0].category",
         "unknown category 'refund'; there are billing, returns"),
        ({"examples": [{"text": "a b", "category": "billing"},
                       {"text": "A  b!", "category": "returns"}]},
         "examples[1].text", "says the same as example 1"),
        ({"examples": [{"text": "a", "category": "billing", "kind": "edge"}]}, "examples[0].note",
         "say why this edge case"),
        ({"categories": [{"name": "a", "share": 1.0}]}, "categories", "at least two categories"),
        ({"categories": [{"name": "a", "share": 60}, {"name": "b", "share": 40}]},
         "categories[0].share", "at most 1: 0.5 is half, or 50 %; got 60"),
        ({"categories": [{"name": "a", "share": 60}, {"name": "b", "share": 40}]},
         "categories", "add up to 100.00, they must make 1: divide each by 100, which gives"),
        ({"categories": [{"name": "a", "share": "60%"}, {"name": "b", "share": 0.4}]},
         "categories[0].share", "0.5 is half, or 50 %; got '60%'"),
        ({"categories": {"a": 0.5, "b": 0.5}}, "categories", "a list is needed"),
        ({"categories": [{"name": "a", "share": 0}, {"name": "b", "share": 1}]},
         "categories[0].share", "must be above 0"),
        ({"categories": [{"name": "billing", "share": 0.6}, {"name": "returns", "share": 0.6}]},
         "categories", "up to 1.20, they must make 1: divide each by 1.2, which gives 0.5, 0.5"),
        ({"categories": [{"name": "billing", "share": 0.6}, {"name": "billing", "share": 0.4}]},
         "categories[1].name", "'billing' stands here twice"),
        ({"rubric": [{"name": "r", "text": "t", "depth": "deep"}]}, "rubric[0].depth", "surface"),
        ({"rubric": [{"name": "r", "text": "t", "depth": [0.9, 0.1]}]}, "rubric[0]",
         "depth goes from a lower"),
        ({"rubric": [{"name": "r", "text": "t", "depth": "middle", "pass_example": "x",
                      "fail_example": "x"}]}, "rubric[0].fail_example", "the same as the example"),
        ({"rubric": [{"name": "r", "text": "t", "depth": "middle"},
                     {"name": "r", "text": "u", "depth": "middle"}]}, "rubric[1].name", "twice"),
        ({"metrics": [{"target": 0.8, "margin": 0.02}, {"target": 0.9, "margin": 0.02}]},
         "metrics[1].name", "twice"),
        ({"task": "guess"}, "task", "choice"),
        ({"colour": "red"}, "colour", "there is no such field; there are name, behaviour,"),
        ({"instruction": "Read it."}, "instruction", "did you mean 'instructions'?"),
        ({"examples": [{"text": "a", "category": "billing", "notes": "b"}]}, "examples[0].notes",
         "did you mean 'note'?"),
    ],
)  # fmt: skip
def test_each_flaw_is_named_at_its_field(change: dict[str, Any], field: str, reason: str) -> None:
    got = found(**change)
    assert field in got, got
    assert reason in got[field]


def test_all_flaws_are_named_at_once() -> None:
    examples = [{"text": "x", "category": "c1"}, {"text": "y", "category": "c2"}]
    got = found(behaviour="One here. Two there.", examples=examples)
    assert set(got) == {"behaviour", "examples[0].category", "examples[1].category"}


@pytest.mark.parametrize(("one", "other"), [("👍", "👎"), ("की", "का")])
def test_examples_that_differ_in_their_signs_are_not_called_the_same(one: str, other: str) -> None:
    examples = [{"text": t, "category": "billing"} for t in (one, other)]
    assert found(examples=examples) == {}


@pytest.mark.parametrize("bad", [None, [], "text", 3])
def test_what_is_no_draft_is_a_problem_not_a_crash(bad: Any) -> None:
    assert [p.field for p in problems(bad)] == ["spec"]
    assert isinstance(problems(bad)[0], Problem)


def test_the_gate_opens_for_a_whole_spec_only() -> None:
    whole = draft(
        rubric=[{"name": "r", "text": "t", "depth": "middle"}],
        metrics=[{"target": 0.8, "margin": 0.02}],
        instructions="Decide by what is asked.",
    )
    assert gate(Spec(**whole), examples_per_category=1).passed
    assert not gate(Spec(**whole), examples_per_category=2).passed
    for lacking in ("rubric", "metrics", "instructions"):
        judged = gate(
            Spec(**{k: v for k, v in whole.items() if k != lacking}), examples_per_category=1
        )
        assert len(judged.failed) == 1
        assert judged.send_back_to == "specify"
    ideal = [{**e, "kind": "ideal"} for e in whole["examples"]]
    assert [
        c.name for c in gate(Spec(**{**whole, "examples": ideal}), examples_per_category=1).failed
    ] == ["edge cases written down"]
    flawed = gate(Spec(**{**whole, "behaviour": "One here. Two there."}), examples_per_category=1)
    assert flawed.failed[0].evidence is not None
    assert flawed.failed[0].evidence["field"].to_list() == ["behaviour"]
