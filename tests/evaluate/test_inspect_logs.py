"""Logs of inspect_ai, written here from the description of their format, and items for it."""

from __future__ import annotations

import json
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest

from scalekit.evaluate.inspect_logs import (
    InspectLogError,
    number,
    read_inspect_log,
    write_inspect_dataset,
)
from scalekit.frames import FrameError
from scalekit.intervals import wilson

LONG = "The answer, at length, is as follows. " * 10
HEADER: dict[str, Any] = {
    "version": 2,
    "status": "success",
    "eval": {
        "run_id": "run-1",
        "created": "2026-11-20T08:00:00+00:00",
        "task": "tickets",
        "task_version": 3,
        "model": "house/small",
        "dataset": {"name": "desk", "location": "desk.jsonl", "samples": 4},
        "config": {"epochs": 2},
        "revision": {"type": "git", "origin": "o", "commit": "abc123", "dirty": True},
        "packages": {"inspect_ai": "0.3.285"},
    },
}


def sample(item: int | str, epoch: int, value: Any = "C", **more: Any) -> dict[str, Any]:
    output = {"choices": [{"message": {"role": "assistant", "content": "refund it"}}]}
    return {
        "id": item, "epoch": epoch, "input": "My parcel is broken.", "target": "refund",
        "output": output, "metadata": {"set": "dev"},
        "scores": {"match": {"value": value, "answer": "refund", "history": []}}, **more,
    }  # fmt: skip


SAMPLES = [
    sample("t1", 1), sample("t1", 2, "I"), sample("t2", 1, "P"), sample("t2", 2, True),
    sample(3, 1, "0.25"), sample(3, 2, float("nan")),
    sample("t4", 1, scores={}, error={"message": "TimeoutError()", "traceback": "…"}),
]  # fmt: skip


def as_json(path: Path, samples: list[dict[str, Any]], header: Any = HEADER) -> Path:
    path.write_text(json.dumps({**header, "samples": samples}), encoding="utf-8")
    return path


def as_zip(path: Path, members: dict[str, Any]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, json.dumps(content))
    return path


def as_zstandard_zip(path: Path, members: dict[str, Any]) -> Path:
    """Write a zip archive with method 93, each member in two frames, as the zip format says."""
    codec, whole, directory = pa.Codec("zstd"), b"", b""
    for name, content in members.items():
        plain = json.dumps(content).encode()
        middle = len(plain) // 2
        packed = b"".join(codec.compress(p).to_pybytes() for p in (plain[:middle], plain[middle:]))
        sizes = (zlib.crc32(plain), len(packed), len(plain), len(name))
        extra = b"\x99\x99\x02\x00hi"  # in the local header alone
        local = struct.pack("<4s5HLLL2H", b"PK\3\4", 63, 0, 93, 0, 33, *sizes, len(extra))
        place = (0, 0, 0, 0, 0, len(whole))
        entry = struct.pack("<4s6HLLL5HLL", b"PK\1\2", 63, 63, 0, 93, 0, 33, *sizes, *place)
        directory += entry + name.encode()
        whole += local + name.encode() + extra + packed
    counts = (len(members), len(members), len(directory), len(whole), 0)
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, *counts)
    path.write_bytes(whole + directory + end)
    return path


def members(header: Any = HEADER) -> dict[str, Any]:
    own = {f"samples/{s['id']}_epoch_{s['epoch']}.json": s for s in SAMPLES}
    return {"_journal/start.json": HEADER, **own, "summaries.json": [], "header.json": header}


def test_the_three_forms_say_the_same(tmp_path: Path) -> None:
    plain = read_inspect_log(as_json(tmp_path / "log.json", SAMPLES))
    zipped = read_inspect_log(as_zip(tmp_path / "log.eval", members()))
    packed = read_inspect_log(as_zstandard_zip(tmp_path / "packed.eval", members()))
    for other in (zipped, packed):
        assert other.results.equals(plain.results)
        assert other.run == plain.run
        assert other.errors.drop("where").equals(plain.errors.drop("where"))
    assert plain.errors["where"].to_list() == ["samples[6]"]
    assert packed.errors.rows() == [("t4", 1, "TimeoutError()", "samples/t4_epoch_1.json")]


def test_results_are_numbers_with_what_they_came_from(tmp_path: Path) -> None:
    found = read_inspect_log(as_json(tmp_path / "log.json", SAMPLES))
    assert found.results["score"].to_list() == [1, 0, 0.5, 1, 0.25, None]
    assert found.results["item_id"].to_list() == ["t1", "t1", "t2", "t2", "3", "3"]
    assert set(found.results["set"]) == {"dev"}
    assert set(found.results["prediction"]) == {"refund"}
    row = found.table.row(0, named=True)
    assert (row["items"], row["epochs"], row["unscored"]) == (3, 2, 1)
    assert row["mean"] == pytest.approx((0.5 + 0.75 + 0.25) / 3)
    assert found.run["revision"] == "abc123 (with changes that are not committed)"
    assert found.run["packages"] == "inspect_ai 0.3.285"
    told = found.to_html()
    assert "1 sample failed" in told
    assert "house/small" in told


def test_the_interval_is_wilsons_where_items_are_right_or_wrong(tmp_path: Path) -> None:
    own = [sample(n, 1, "C" if n < 15 else "I") for n in range(20)]
    row = read_inspect_log(as_json(tmp_path / "log.json", own)).table.row(0, named=True)
    assert (row["from"], row["to"]) == pytest.approx(wilson(15, 20))


def test_a_scorer_of_several_parts_an_edit_and_an_attachment(tmp_path: Path) -> None:
    score = {"value": {"clear": 4, "kind": 0}, "answer": None, "history": [{"value": "C"}]}
    long = sample(
        "a", 1, scores={"rubric": score, "both": {"value": [1, 0]}},
        output={"completion": "attachment://f00"}, attachments={"f00": LONG},
        target=["x", "y"], metadata={},
    )  # fmt: skip
    found = read_inspect_log(as_json(tmp_path / "log.json", [long]))
    assert found.results["scorer"].to_list() == ["rubric/clear", "rubric/kind", "both/0", "both/1"]
    assert set(found.results["prediction"]) == {LONG}
    assert found.results["target"][0] == '["x", "y"]'
    assert found.results["set"][0] == "desk"
    assert found.results["edited"].to_list() == [True, True, False, False]
    assert "Scores of 1 sample were edited after the run" in found.to_html()


def test_a_run_that_was_cut_off_or_marked_invalid_says_so(tmp_path: Path) -> None:
    own = members()
    del own["header.json"], own["summaries.json"]
    own["_journal/start.json"] = {k: v for k, v in HEADER.items() if k != "status"}
    found = read_inspect_log(as_zip(tmp_path / "cut.eval", own))
    assert len(found.results) == 6
    assert "did not finish (started)" in found.to_html()
    bad = read_inspect_log(as_json(tmp_path / "log.json", [], {**HEADER, "invalidated": True}))
    assert "marked invalid" in bad.to_html()
    assert bad.table.is_empty()


def test_what_is_no_log_is_named_with_its_place(tmp_path: Path) -> None:
    with pytest.raises(InspectLogError, match="no such file"):
        read_inspect_log(tmp_path / "none.json")
    broken = tmp_path / "broken.json"
    broken.write_text('{"eval": {},\n "samples": [}')
    with pytest.raises(InspectLogError, match=r"broken.json: not JSON at line 2, column 14"):
        read_inspect_log(broken)
    broken.write_text('{"version": 2}')
    with pytest.raises(InspectLogError, match="no field 'eval'"):
        read_inspect_log(broken)
    with pytest.raises(InspectLogError, match=r"samples\[0\]: no id or epoch"):
        read_inspect_log(as_json(broken, [{"id": 1}]))
    with pytest.raises(InspectLogError, match=r"neither header.json nor"):
        read_inspect_log(as_zip(tmp_path / "other.eval", {"a.json": 1}))
    log = as_zstandard_zip(tmp_path / "log.eval", members())
    whole = log.read_bytes()
    log.write_bytes(whole[:-30])
    with pytest.raises(InspectLogError, match="cut off or damaged"):
        read_inspect_log(log)
    at = whole.index(b"samples/t2_epoch_1.json") + len("samples/t2_epoch_1.json") + 6 + 12
    log.write_bytes(whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :])
    with pytest.raises(InspectLogError, match=r"samples/t2_epoch_1.json: (cut off|not readable)"):
        read_inspect_log(log)


@pytest.mark.parametrize(
    ("value", "score"),
    [("C", 1), ("I", 0), ("P", 0.5), ("N", 0), ("Yes", 1), ("false", 0), ("2.5", 2.5), (3, 3),
     (True, 1), ("good", None), ("nan", None), (float("nan"), None), (None, None)],
)  # fmt: skip
def test_values_count_as_inspect_ai_counts_them(value: Any, score: float | None) -> None:
    assert number(value) == score


def test_items_are_written_whole_and_come_back(tmp_path: Path) -> None:
    items = pl.DataFrame(
        {
            "item_id": [1, 2],
            "text": ["[not a list] broken\u2028parcel", "second"],
            "category": ["refund", None],
            "set": ["dev", "dev"],
            "batch_id": ["b1", None],
        }
    )
    path = write_inspect_dataset(items, tmp_path / "items.jsonl")
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n")[:-1]]
    assert rows[0] == {
        "id": "1",
        "input": "[not a list] broken\u2028parcel",
        "target": "refund",
        "metadata": {"set": "dev", "batch_id": "b1"},
    }
    assert rows[1]["target"] == ""
    assert rows[1]["metadata"] == {"set": "dev"}


def test_conversations_choices_and_several_targets(tmp_path: Path) -> None:
    turns = [{"role": "user", "content": "hi"}]
    items = [
        {"item_id": "a", "messages": turns, "answer": ["x", "y"], "choices": ["x", "y", "z"]},
        {"item_id": "b", "messages": turns, "answer": ["z"], "choices": ["x", "z"]},
    ]
    path = write_inspect_dataset(items, tmp_path / "items.jsonl", target="answer")
    row = json.loads(path.read_text().splitlines()[0])
    assert row == {
        "id": "a", "input": turns, "target": ["x", "y"], "choices": ["x", "y", "z"], "metadata": {},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"text": ""}, "'1' has no input"),
        ({"messages": '[{"role": "user"}]'}, "'1': each message needs role and content"),
        ({"messages": '[{"role": "poet", "content": "x"}]'}, "role 'poet' is not one of"),
    ],
)
def test_items_without_an_input_are_named(
    tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    row = {"item_id": "1", "text": "x", "category": "a"} | change
    with pytest.raises(FrameError, match=said):
        write_inspect_dataset([row], tmp_path / "items.jsonl")
    assert not (tmp_path / "items.jsonl").exists()


def test_a_name_and_ids_that_inspect_ai_takes(tmp_path: Path) -> None:
    row = {"item_id": "1", "text": "x", "category": "a"}
    with pytest.raises(FrameError, match=r"ends in .jsonl"):
        write_inspect_dataset([row], tmp_path / "items.json")
    with pytest.raises(FrameError, match="'item_id' repeat"):
        write_inspect_dataset([row, row], tmp_path / "items.jsonl")
    with pytest.raises(FrameError, match="'answer' is missing"):
        write_inspect_dataset([row], tmp_path / "items.jsonl", target="answer")
