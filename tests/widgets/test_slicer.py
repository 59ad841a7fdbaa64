"""The slicer's Python half, driven by messages as its front end sends them."""

from __future__ import annotations

import base64
import re
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from scalekit.audit import SliceBook, item_map
from scalekit.journal import JournalError, read
from scalekit.widgets import Slicer


def items(count: int = 40) -> pl.DataFrame:
    rows = [
        {
            "item_id": f"i{n}",
            "text": ("the parcel came late" if n < 10 else "a wrong invoice") + f" {n}",
            "category": "delivery" if n < 10 else "billing",
        }
        for n in range(count)
    ]
    return pl.DataFrame(rows)


def make(folder: Path, book: SliceBook | None = None, **more: Any) -> Slicer:
    return Slicer(item_map(items()), book or SliceBook(folder / "slices.jsonl"), by="ana", **more)


def bits(places: Iterable[int], count: int = 40) -> str:
    chosen = np.zeros(count, bool)
    chosen[list(places)] = True
    return base64.b64encode(np.packbits(chosen, bitorder="little").tobytes()).decode()


def say(slicer: Slicer, kind: str, **fields: Any) -> dict[str, Any]:
    return slicer._reply({"id": "m1", "kind": kind, **fields})


def test_the_points_are_the_places_and_groups_of_the_map(tmp_path: Path) -> None:
    slicer = make(tmp_path)
    raw = slicer.points
    count, columns = slicer.config["count"], slicer.config["columns"]
    assert len(raw) == count * (4 + len(columns))
    x, y = np.frombuffer(raw, "<u2", 2 * count).reshape(2, count) / 65_535 * 2 - 1
    assert x == pytest.approx(slicer.map.table["x"].to_numpy(), abs=1e-4)
    assert -y == pytest.approx(slicer.map.table["y"].to_numpy(), abs=1e-4)
    codes = np.frombuffer(raw, np.uint8, count, 4 * count)
    names = [group["name"] for group in columns[0]["groups"]]
    assert [names[c] for c in codes] == slicer.map.table["category"].to_list()
    assert [g["count"] for g in columns[0]["groups"]] == [30, 10]


def test_a_slice_is_on_disk_when_it_is_acknowledged_and_kept_once(tmp_path: Path) -> None:
    slicer = make(tmp_path)
    for _ in range(2):
        reply = say(slicer, "save", name="late", chosen=bits(range(10)))
        assert reply == {"reply": "m1", "slices": [{"name": "late", "count": 10}]}
    events = read(tmp_path / "slices.jsonl")
    assert [e.data["item_ids"] for e in events] == [[f"i{n}" for n in range(10)]]
    assert events[0].data["by"] == "ana"


def test_a_choice_is_described_at_once(tmp_path: Path) -> None:
    marks = pl.DataFrame({"item_id": ["i0", "i1"], "rule": ["personal-data"] * 2})
    slicer = make(tmp_path, marks=marks)
    look = say(slicer, "look", chosen=bits(range(10)))["look"]
    assert {"parcel", "late", "came"} <= set(look["words"])
    assert look["rows"][0] == ("category", "delivery", 1.0, 0.25, "more")
    assert ("category", "billing", 0.0, 0.75, "fewer") in look["rows"]
    assert look["examples"][0] == "the parcel came late 0"
    assert len(look["examples"]) == 5
    assert say(slicer, "look", chosen=bits([]))["look"]["rows"] == []


def test_texts_come_when_asked_for_and_are_cut(tmp_path: Path) -> None:
    given = items().with_columns(pl.lit("x" * 9_000).alias("text"))
    slicer = Slicer(item_map(given), SliceBook(tmp_path / "slices.jsonl"))
    found = say(slicer, "texts", places=[3, 99, -1, "4"])["texts"]
    assert list(found) == ["3"]
    assert found["3"][0] == "i3"
    assert len(found["3"][1]) == 400
    assert len(str(slicer.config)) < 3_000


def test_a_kept_slice_comes_back(tmp_path: Path) -> None:
    book = SliceBook(tmp_path / "slices.jsonl")
    book.save("some", ["i3", "i39", "gone"])
    slicer = make(tmp_path, book)
    assert slicer.config["slices"] == [{"name": "some", "count": 2}]
    assert say(slicer, "recall", name="some")["chosen"] == bits([3, 39])
    assert "no slice 'none'" in say(slicer, "recall", name="none")["error"]


@pytest.mark.parametrize(
    ("kind", "fields", "reason"),
    [
        ("save", {"name": " ", "chosen": bits([1])}, "needs a name"),
        ("save", {"name": "x", "chosen": bits([])}, "holds no item"),
        ("save", {"name": "x", "chosen": bits([1], 400)}, "run the cell again"),
        ("save", {"name": "x", "chosen": "§"}, "not readable"),
        ("erase", {}, "does not know 'erase'"),
    ],
)
def test_a_wrong_message_is_refused_for_good(
    tmp_path: Path, kind: str, fields: dict[str, Any], reason: str
) -> None:
    reply = say(make(tmp_path), kind, **fields)
    assert reason in reply["error"]
    assert reply["final"] is True
    assert not (tmp_path / "slices.jsonl").exists()


def test_a_full_disk_may_be_tried_again(tmp_path: Path) -> None:
    class FullDisk(SliceBook):
        full = True

        def save(self, *given: Any, **more: Any) -> None:
            if self.full:
                raise JournalError("the disk is full")
            super().save(*given, **more)

    book = FullDisk(tmp_path / "slices.jsonl")
    slicer = make(tmp_path, book)
    reply = say(slicer, "save", name="late", chosen=bits([1]))
    assert reply == {"reply": "m1", "error": "the disk is full", "final": False}
    book.full = False
    assert "error" not in say(slicer, "save", name="late", chosen=bits([1]))


def test_slices_kept_in_two_threads_are_all_there(tmp_path: Path) -> None:
    slicer = make(tmp_path)
    slicer.send = lambda _: None

    def burst(start: int) -> None:
        for n in range(start, 20, 2):
            message = {"id": f"a{n}", "kind": "save", "name": f"s{n}", "chosen": bits([n])}
            slicer._receive(slicer, message, [])

    threads = [threading.Thread(target=burst, args=(start,)) for start in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    kept = SliceBook(tmp_path / "slices.jsonl").ids()
    assert kept == {name: [f"i{name[1:]}"] for name in kept}
    assert len(kept) == 20


def test_the_static_view_shows_the_picture_and_what_is_on_disk(tmp_path: Path) -> None:
    slicer = make(tmp_path)
    assert "No slice is named yet" in slicer.to_html()
    attack = "<script>x</script>"
    say(slicer, "save", name=attack, chosen=bits(range(10)))
    html = slicer.to_html()
    assert "Map · 40 items, 1 slice" in re.sub("<[^>]+>", "", html)
    assert "data:image/png;base64," in html
    assert "delivery 100% (whole 25%)" in html
    assert "parcel" in html
    assert "<script" not in html
    assert attack.replace("<", "&lt;").replace(">", "&gt;") in html


def test_a_map_of_nothing_opens(tmp_path: Path) -> None:
    slicer = Slicer(item_map(items().head(0)), SliceBook(tmp_path / "slices.jsonl"))
    assert slicer.config["count"] == 0
    assert "0 items" in slicer.to_html()
