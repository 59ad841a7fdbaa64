from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from scalekit.specify import Category, Criterion, Example, Metric, Spec, SpecError, diff, read_spec

anything = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
named = anything.filter(lambda t: t.strip())
interval = st.tuples(st.floats(0, 1), st.floats(0, 1)).filter(lambda p: p[0] < p[1])
specs = st.builds(
    Spec,
    name=named,
    behaviour=named,
    categories=st.lists(
        st.builds(Category, name=named, description=anything, share=st.floats(1e-9, 1)),
        min_size=2,
        max_size=4,
    ),
    examples=st.lists(
        st.builds(
            Example,
            text=named,
            category=named,
            kind=st.sampled_from(["ideal", "edge"]),
            note=anything,
        ),
        max_size=3,
    ),
    rubric=st.lists(
        st.builds(
            Criterion,
            name=named,
            text=named,
            kind=st.sampled_from(["must", "should", "must-not"]),
            points=st.integers(1, 10**6),
            pass_example=anything,
            depth=st.sampled_from(["surface", "middle", "concept"]) | interval,
        ),
        max_size=2,
    ),
    metrics=st.lists(
        st.builds(
            Metric,
            name=st.just("accuracy"),
            target=st.floats(1e-9, 1),
            margin=st.floats(0, 0.99),
        ),
        max_size=2,
    ),
    setting=anything,
    assumptions=st.lists(anything, max_size=3),
    instructions=anything,
)


def small(**more: Any) -> Spec:
    categories = [{"name": "yes", "share": 0.5}, {"name": "no", "share": 0.5}]
    return Spec(**{"name": "n", "behaviour": "b", "categories": categories, **more})


def stored(content: str | bytes, folder: Path) -> Path:
    path = folder / "spec.yaml"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@settings(deadline=None, max_examples=150)
@example(small(instructions="one\x85two"))
@example(small(instructions="one\u2028two\u2029 three\n\n four: - #"))
@example(small(instructions="a\r\nb\tc\x00\ufeff\u200b\u202e🙂", name="2026-10-02", setting="null"))
@given(specs)
def test_a_spec_comes_back_from_its_file_as_it_was(spec: Spec) -> None:
    with tempfile.TemporaryDirectory() as folder:
        back = read_spec(stored(spec.to_yaml(), Path(folder)))
    assert back == spec
    assert back.digest == spec.digest
    assert back.to_yaml() == spec.to_yaml()
    assert diff(spec, back).is_empty()


def test_the_digest_changes_with_any_field_and_not_with_the_unicode_form() -> None:
    base = small(instructions="caf\u00e9")
    assert small(instructions="cafe\u0301").digest == base.digest
    changed = [
        small(instructions="cafe"),
        small(instructions="caf\u00e9", setting="x"),
        small(instructions="caf\u00e9", metrics=[{"target": 0.8, "margin": 0.02}]),
        small(instructions="caf\u00e9", metrics=[{"target": 0.8, "margin": 0.03}]),
    ]
    assert len({base.digest, *(s.digest for s in changed)}) == 5


WHOLE = small().to_yaml()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        pytest.param(WHOLE.replace("scalekit_spec: 1", "scalekit_spec: 2"),
                     "written in spec format 2, this scalekit reads up to 1; update", id="newer"),
        pytest.param("a: [", "not readable as YAML", id="not YAML"),
        pytest.param(b"name: caf\xe9", "not readable as YAML", id="not UTF-8"),
        pytest.param("", "a mapping of fields is needed, found NoneType", id="empty"),
        pytest.param("- a", "a mapping of fields is needed, found list", id="a list"),
        pytest.param("!!python/object/apply:os.getcwd []", "not readable as YAML", id="code"),
        pytest.param(WHOLE.replace("name: 'no'", "name: no"), r"categories\[1\]\.name", id="no"),
        pytest.param(WHOLE.replace("share: 0.5", "share: 50%", 1), r"categories\[0\]\.share",
                     id="a percentage"),
        pytest.param(WHOLE.replace("share: 0.5", "share: .nan", 1), r"categories\[0\]\.share",
                     id="not a number"),
        pytest.param(WHOLE + "categorys: []\n", "categorys", id="a misspelt field"),
        pytest.param(WHOLE + "1: x\n", "1", id="a field that is a number"),
        pytest.param(WHOLE.replace("behaviour: b\n", ""), "behaviour", id="a missing field"),
        pytest.param(WHOLE + "examples:\n- {text: lost, category: 'no'}\n", "examples",
                     id="a field given twice, of which one would be lost"),
    ],
)  # fmt: skip
def test_a_bad_file_is_refused_by_file_and_field(
    tmp_path: Path, content: str | bytes, said: str
) -> None:
    path = stored(content, tmp_path)
    with pytest.raises(SpecError, match=rf"(?s)spec\.yaml.*{said}"):
        read_spec(path)


def test_a_missing_file_says_how_to_write_one(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"no spec here yet; write one with project\.specify\.edit"):
        read_spec(tmp_path / "spec.yaml")


@pytest.mark.parametrize("place", [".", "file/spec.yaml"])
def test_a_path_that_is_no_file_is_named(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SpecError, match=tmp_path.name):
        read_spec(tmp_path / place)


@pytest.mark.parametrize("depth", [(0.5, 0.5), (0.6, 0.4), (-0.1, 0.5), (0.5, 1.1), "deep", (0.1,)])
def test_a_depth_that_is_no_interval_is_refused(depth: Any) -> None:
    with pytest.raises(ValidationError, match="depth"):
        Criterion(name="n", text="t", depth=depth)


def test_named_depths_cover_the_model_and_overlap_at_their_borders() -> None:
    found = {
        d: Criterion(name="n", text="t", depth=d).interval for d in ("surface", "middle", "concept")
    }
    assert found["surface"][0] == 0
    assert found["concept"][1] == 1
    assert found["surface"][1] > found["middle"][0]
    assert found["middle"][1] > found["concept"][0]
    assert Criterion(name="n", text="t", depth=(0.2, 0.4)).interval == (0.2, 0.4)


def test_the_tables_count_examples_and_number_the_handwritten() -> None:
    examples = [
        {"text": "a", "category": "yes"},
        {"text": "b", "category": "yes", "kind": "edge", "note": "why"},
        {"text": "c", "category": "yes"},
    ]
    spec = small(examples=examples)
    assert spec.table["ideal examples"].to_list() == [2, 0]
    assert spec.table["edge cases"].to_list() == [1, 0]
    assert spec.handwritten["item_id"].to_list() == [f"handwritten-00{i}" for i in (1, 2, 3)]
    assert spec.handwritten["kind"].to_list() == ["ideal", "edge", "ideal"]
    assert small().handwritten.columns == spec.handwritten.columns


def test_the_view_escapes_what_people_wrote() -> None:
    evil = "<script>alert(1)</script><img src=x onerror=alert(1)>"
    spec = Spec(
        name=evil,
        behaviour=evil,
        categories=({"name": evil, "share": 0.5, "description": evil}, {"name": "b", "share": 0.5}),
        rubric=({"name": evil, "text": evil, "depth": "middle"},),
    )
    assert "<script" not in spec.to_html()
    assert "<img" not in spec.to_html()
    assert spec.to_html().count("&lt;script&gt;") >= 6
