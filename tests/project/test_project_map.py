"""The map in a project: opened on what the audit kept; slices as files, and what they lead to."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import scalekit as sk
from scalekit.frames import FrameError
from scalekit.journal import verify


def choose(slicer: Any, name: str, ids: list[str]) -> None:
    chosen = np.isin(slicer.map.table["item_id"].to_list(), ids)
    bits = base64.b64encode(np.packbits(chosen, bitorder="little").tobytes()).decode()
    reply = slicer._reply({"id": name, "kind": "save", "name": name, "chosen": bits})
    assert "error" not in reply, reply


def test_a_slice_named_on_the_map_goes_on_to_labelling(ready: Any) -> None:
    slicer = ready.audit.map()
    kept = ready.audit.items()
    assert slicer.map.table["item_id"].to_list() == kept["item_id"].to_list()
    assert slicer.map.columns[:4] == ["category", "batch_id", "source", "tier"]
    assert ready.audit.slices == []
    wanted = kept.filter(pl.col("category") == "billing")["item_id"].to_list()
    choose(slicer, "money", wanted)

    again = sk.Project(ready.folder.root)
    assert again.audit.slices == ["money"]
    found = again.audit.slice("money")
    assert found.item_ids == wanted
    top = found.table.row(0, named=True)
    assert (top["column"], top["value"], top["share"], top["says"]) == (
        "category", "billing", 1.0, "more",
    )  # fmt: skip
    assert found.statistics.lengths.height == 2
    assert verify(again.folder / "audit/slices.jsonl")

    again.label.invite("ana")
    labeler = again.label.open("ana", item_ids=found.item_ids[:5])
    assert labeler.config["total"] == 5
    assert len(found.review(10)) == 10
    assert found.request(0.5)["still needed"].sum() > 0


def test_what_was_masked_is_nowhere_on_the_map(ready: Any) -> None:
    masked = ready.audit.report().findings("personal-data")
    originals = ready.audit.report().items.filter(
        pl.col("item_id").is_in(masked["item_id"].to_list()) & pl.col("kept")
    )
    assert len(originals)
    slicer = ready.audit.map()
    shown = str(slicer.config) + slicer.to_html() + slicer.map.plot().to_json()
    shown += str([slicer._texts([n]) for n in range(len(slicer.map.table))])
    for original, text in originals.select("original", "text").iter_rows():
        assert text.split("\n")[0][:40] in shown
        for word in set(original.split()) - set(text.split()):
            assert word == "-" or len(word) < 6 or f" {word} " not in shown


def test_more_columns_to_colour_by(ready: Any) -> None:
    ids = ready.audit.item_ids()
    scores = [{"item_id": i, "score": n / 10} for n, i in enumerate(ids)][:-3]
    slicer = ready.audit.map(also=scores, by="score")
    assert slicer.map.by == "score"
    assert slicer.map.groups().names[-1] == "(none)"
    assert slicer.map.groups().counts[-1] == 3
    with pytest.raises(FrameError, match="'item_id' is missing"):
        ready.audit.map(also=[{"score": 1}])


def test_a_map_of_the_same_items_is_not_laid_out_again(
    ready: Any, add: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = ready.audit.map().map

    def never(*_: Any, **__: Any) -> Any:
        raise AssertionError("laid out again")

    with monkeypatch.context() as patch:
        patch.setattr("scalekit.audit.map.layout", never)
        again = ready.audit.map(by="tier").map
        assert again.table.select("x", "y").equals(first.table.select("x", "y"))
        assert again.method == first.method
        with pytest.raises(AssertionError, match="laid out again"):
            ready.audit.map(seed=1)
    add(ready, "synthetic_delivery.jsonl")
    ready.collect.gate()
    ready.audit.run()
    assert len(ready.audit.map().map.table) > len(first.table)


def test_without_an_audit_there_is_no_map_and_no_slice(tmp_path: Path) -> None:
    project = sk.Project(tmp_path / "p")
    for act in (project.audit.map, lambda: project.audit.slice("x")):
        with pytest.raises(FrameError, match="no audit has run yet"):
            act()
    assert project.audit.slices == []
