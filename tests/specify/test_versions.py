from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scalekit.specify import Spec, diff

name = st.sampled_from(["a", "b", "c", "d" * 60])
share = st.sampled_from([0.1, 0.4, 0.5])
note = st.sampled_from(["", "x", "–"])
specs = st.builds(
    Spec,
    name=name,
    behaviour=name,
    categories=st.lists(
        st.fixed_dictionaries({"name": name, "share": share, "description": note}),
        min_size=2, max_size=4, unique_by=lambda c: c["name"],
    ),
    examples=st.lists(
        st.fixed_dictionaries({"text": name, "category": name, "note": note}),
        max_size=3, unique_by=lambda e: e["text"],
    ),
    metrics=st.lists(
        st.fixed_dictionaries({"target": share, "margin": share}), max_size=1
    ),
    assumptions=st.lists(name, max_size=2),
    setting=note,
)  # fmt: skip


def small(**more: Any) -> Spec:
    categories = [{"name": "yes", "share": 0.5}, {"name": "no", "share": 0.5}]
    return Spec(**{"name": "n", "behaviour": "b", "categories": categories, **more})


def in_any_order(spec: Spec) -> dict[str, Any]:
    plain = spec.model_dump(mode="json")
    for key in ("categories", "examples", "rubric", "metrics"):
        plain[key] = sorted(plain[key], key=repr)
    return plain


@settings(deadline=None)
@given(specs)
def test_a_spec_does_not_differ_from_itself(spec: Spec) -> None:
    assert diff(spec, spec).is_empty()
    assert diff(spec, spec).columns == ["field", "before", "after"]


@settings(deadline=None, max_examples=200)
@given(specs, specs)
def test_no_change_goes_unsaid_and_moving_is_none(old: Spec, new: Spec) -> None:
    assert diff(old, new).is_empty() == (in_any_order(old) == in_any_order(new))


@settings(deadline=None)
@given(specs, specs)
def test_the_way_back_is_the_same_change_turned_round(old: Spec, new: Spec) -> None:
    there = {(f, b, a) for f, b, a in diff(old, new).rows()}
    assert {(f, a, b) for f, b, a in diff(new, old).rows()} == there


@pytest.mark.parametrize(
    ("old", "new", "rows"),
    [
        ({"setting": "x"}, {"setting": "y"}, [("setting", "x", "y")]),
        ({"assumptions": ["p"]}, {"assumptions": ["p", "q"]}, [("assumptions", "p", "p | q")]),
        (
            {"examples": [{"text": "t", "category": "yes"}]},
            {"examples": [{"text": "t", "category": "no"}]},
            [("examples[t].category", "yes", "no")],
        ),
        (
            {},
            {"examples": [{"text": "t", "category": "no"}]},
            [("examples[t]", "–", "text: t\ncategory: no\nkind: ideal")],
        ),
        (
            {"metrics": [{"target": 0.8, "margin": 0.1}]},
            {"metrics": [{"target": 0.9, "margin": 0.1}]},
            [("metrics[accuracy].target", "0.8", "0.9")],
        ),
    ],
)
def test_changes_by_hand(old: dict[str, Any], new: dict[str, Any], rows: list[Any]) -> None:
    assert diff(small(**old), small(**new)).rows() == rows


def test_of_parts_with_one_name_none_vanishes_unsaid() -> None:
    criterion = {"name": "r", "text": "first", "depth": "middle"}
    both = small(rubric=[criterion, {**criterion, "text": "second"}])
    assert not diff(both, small(rubric=[{**criterion, "text": "second"}])).is_empty()
    assert not diff(small(rubric=[{**criterion, "text": "second"}]), both).is_empty()
