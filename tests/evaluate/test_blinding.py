"""What a panel is shown: nobody's name, each model on each side as often, the key apart."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scalekit.evaluate.blinding import panel_items, panel_sides
from scalekit.frames import FrameError
from scalekit.label import Criterion, Task
from scalekit.widgets.content import check_content

MODELS = ("alder", "birch", "cedar")


def outputs(n: int = 10, models: tuple[str, ...] = MODELS) -> pl.DataFrame:
    return pl.DataFrame(
        [
            {"item_id": f"q{i}", "model": m, "prompt": f"ask {i}", "output": f"{m[0]} says {i}"}
            for i in range(n)
            for m in models
        ]
    )


def test_pairs_are_every_two_and_name_nobody() -> None:
    found = panel_items(outputs(), kind="pair")
    assert len(found.table) == len(found.key) == 30
    assert found.table.columns == ["item_id", "prompt", "first", "second"]
    told = json.dumps(found.table.to_dicts())
    assert not any(model in told for model in MODELS)
    check_content(found.table, Task("better", "pair"))
    for shown, who in zip(found.table.to_dicts(), found.key.to_dicts(), strict=True):
        number = who["prompt_id"][1:]
        assert shown["prompt"] == f"ask {number}"
        assert shown["first"] == f"{who['first_name'][0]} says {number}"
        assert shown["second"] == f"{who['second_name'][0]} says {number}"
    assert found.models == list(MODELS)
    assert "30 items from 10 prompts and 3 models" in found.to_html()


@settings(max_examples=25, deadline=None)
@given(n=st.integers(1, 9), seed=st.integers(0, 99), who=st.sampled_from(["ana", "ben"]))
def test_sides_are_balanced_for_every_two_models_and_every_panelist(
    n: int, seed: int, who: str
) -> None:
    found = panel_items(outputs(n), seed=seed)
    sides = panel_sides(found, who)
    assert set(sides["item_id"]) == set(found.table["item_id"])
    joined = found.key.join(sides, on="item_id")
    left = pl.when(pl.col("side") == "first").then("first_name").otherwise("second_name")
    for _, own in joined.group_by(
        pl.min_horizontal("first_name", "second_name").alias("one"),
        pl.max_horizontal("first_name", "second_name").alias("other"),
    ):
        for counted in (own["first_name"], own.select(left.alias("left"))["left"]):
            times = Counter(counted.to_list())
            assert abs(2 * max(times.values()) - n) <= 1
    assert panel_sides(panel_items(outputs(n), seed=seed), who).equals(sides)


def test_panelists_see_different_sides_and_another_seed_another_draw() -> None:
    found = panel_items(outputs(20))
    ana, ben = panel_sides(found, "ana"), panel_sides(found, "ben")
    assert ana.sort("item_id")["side"].to_list() != ben.sort("item_id")["side"].to_list()
    other = panel_items(outputs(20), seed=1)
    assert set(other.table["item_id"]).isdisjoint(found.table["item_id"])


def test_the_same_text_twice_is_not_shown() -> None:
    frame = outputs(4, ("alder", "birch")).with_columns(
        output=pl.when(pl.col("item_id") == "q2").then(pl.lit("same")).otherwise("output")
    )
    found = panel_items(frame)
    assert len(found.table) == 3
    assert found.same.rows() == [("q2", "alder", "birch")]
    assert "1 pair with the same output twice" in found.to_html()
    with pytest.raises(FrameError, match=r"no prompt has two outputs to compare \(4 pairs"):
        panel_items(frame.with_columns(output=pl.lit("x")))


def test_all_against_one() -> None:
    found = panel_items(outputs(), against="birch")
    assert len(found.table) == 20
    assert all("birch" in row[2:] for row in found.key.iter_rows())
    with pytest.raises(FrameError, match="no model is 'oak'; there are alder, birch, cedar"):
        panel_items(outputs(), against="oak")


def test_single_outputs_carry_what_was_asked_and_equal_ones_are_judged_once() -> None:
    frame = outputs(3).with_columns(
        output=pl.when(pl.col("item_id") == "q1").then(pl.lit("same")).otherwise("output")
    )
    found = panel_items(frame, kind="rubric")
    assert len(found.table) == 7
    assert len(found.key) == 9
    shared = found.key.group_by("item_id").len().filter(pl.col("len") == 3)["item_id"][0]
    row = found.table.filter(pl.col("item_id") == shared).row(0, named=True)
    assert json.loads(row["messages"]) == [
        {"role": "user", "content": "ask 1"},
        {"role": "assistant", "content": "same"},
    ]
    assert not any(model in json.dumps(found.table.to_dicts()) for model in MODELS)
    check_content(found.table, Task("good", "rubric", criteria=(Criterion("clear"),)))


def test_conversations_and_outputs_alone() -> None:
    turns = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "yes?"}]
    rows = [{"item_id": 1, "model": m, "messages": turns, "output": f"{m[0]}!"} for m in MODELS[:2]]
    found = panel_items(rows)
    assert json.loads(found.table["messages"][0]) == turns
    single = panel_items(rows, kind="rubric")
    assert [len(json.loads(m)) for m in single.table["messages"]] == [3, 3]
    bare = panel_items(
        [{k: r[k] for k in ("item_id", "model", "output")} for r in rows], kind="rubric"
    )
    assert set(bare.table["text"]) == {"a!", "b!"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"output": None}, "1 row without output, first item 'q' of model 'a'"),
        ({"model": "b"}, "'b' answers 'q' twice"),
    ],
)
def test_unsound_outputs_are_named(change: dict[str, Any], said: str) -> None:
    rows = [{"item_id": "q", "model": m, "output": m} for m in ("a", "b")]
    with pytest.raises(FrameError, match=said):
        panel_items([rows[0] | change, rows[1]])


def test_what_is_not_known_is_refused() -> None:
    with pytest.raises(FrameError, match="must be pair or rubric"):
        panel_items(outputs(), kind="choice")  # type: ignore[arg-type]
    with pytest.raises(FrameError, match="there is none"):
        panel_items(outputs().clear())
    with pytest.raises(FrameError, match="'output' is missing"):
        panel_items(outputs().drop("output"))
