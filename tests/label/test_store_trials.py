"""The label store under stress: a hundred kills, eight annotators at once, a clock set back."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from scalekit import journal
from scalekit.journal import verify
from scalekit.label import LabelSession, Task, fold, labels_of, read_events

TASK = Task.choice("category", ("x", "y"))
pytestmark = pytest.mark.skipif(os.name != "posix", reason="fork and SIGKILL are POSIX")

KILLS = """
import json, os, random, signal, sys, time
from pathlib import Path
from scalekit.label import LabelSession, Task

folder, rounds = Path(sys.argv[1]), int(sys.argv[2])
task = Task.choice("category", ("x", "y"))
draw = random.Random(20260301)

def work(round, pipe):
    items = [f"r{round}-i{n}" for n in range(10_000)]
    session = LabelSession(folder, "ana", task, items)
    for n, item in enumerate(items):
        act = {"id": f"{round}-{n}", "kind": "label", "item": item, "value": draw.choice("xy")}
        event = session.record(act)
        os.write(pipe, f"{item} {event.data['value']}\\n".encode())

for round in range(rounds):
    read, write = os.pipe()
    draw.random()
    child = os.fork()
    if not child:
        os.close(read)
        work(round, write)
        os._exit(0)
    os.close(write)
    seen = os.read(read, 1)  # it has begun
    time.sleep(draw.uniform(0, 0.12))
    os.kill(child, signal.SIGKILL)
    while more := os.read(read, 65536):
        seen += more
    os.close(read)
    os.waitpid(child, 0)
    print(json.dumps(seen.decode()), flush=True)
"""


def test_a_hundred_kills_lose_no_acknowledged_label(tmp_path: Path) -> None:
    command = [sys.executable, "-c", KILLS, str(tmp_path), "100"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    rounds = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(rounds) == 100
    on_disk: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for judgement in read_events(tmp_path):
        data = judgement.event.data
        on_disk[data["item"].split("-")[0]].append((data["item"], data["value"]))
    total = 0
    for number, seen in enumerate(rounds):
        acknowledged = [tuple(line.split()) for line in seen.split("\n")[:-1]]
        written = on_disk[f"r{number}"]
        assert written[: len(acknowledged)] == acknowledged  # all of them, in their order
        assert len(written) <= len(acknowledged) + 1  # the one whose answer was on its way
        total += len(acknowledged)
    assert total > 500
    for path in tmp_path.rglob("*.jsonl"):
        verify(path)
    session = LabelSession(tmp_path, "ana", TASK, ["r0-i0"])  # and work goes on
    session.record({"id": "z", "kind": "label", "item": "r0-i0", "value": "y"})
    assert fold(read_events(tmp_path))["ana", "r0-i0"]["label"].event.data["value"] == "y"


ANNOTATOR = """
import sys
from pathlib import Path
from scalekit.label import LabelSession, Task

folder, name, count = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
items = [f"i{n}" for n in range(count)]
session = LabelSession(folder, name, Task.choice("category", ("x", "y")), items)
print("ready", flush=True)
sys.stdin.readline()
for n, item in enumerate(items):
    value = "xy"[(n * len(name)) % 2]
    session.record({"id": f"{n}", "kind": "label", "item": item, "value": value})
"""


def test_eight_annotators_at_once_on_one_folder(tmp_path: Path) -> None:
    names, count = [f"a{'b' * n}" for n in range(8)], 150
    running = [
        subprocess.Popen(
            [sys.executable, "-c", ANNOTATOR, str(tmp_path), name, str(count)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        for name in names
    ]  # fmt: skip
    for process in running:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in running:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in running:
        process.communicate()
        assert process.returncode == 0
    labels = labels_of(read_events(tmp_path))
    expected = sorted(
        (f"i{n}", name, "xy"[(n * len(name)) % 2]) for name in names for n in range(count)
    )
    assert sorted(labels.select("item_id", "annotator", "value").rows()) == expected
    assert all(verify(path) for path in tmp_path.rglob("*.jsonl"))


class Clock(datetime):
    """A clock that is set back by an hour at every look: the real one can't be set in a test."""

    looks = 0

    @classmethod
    def now(cls, tz: Any = None) -> Any:
        cls.looks += 1
        return datetime(2026, 3, 1, 12, tzinfo=UTC) - timedelta(hours=cls.looks)


def test_a_clock_that_goes_back_leaves_a_sessions_order_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = LabelSession(tmp_path, "ana", TASK, ["i0", "i1"])
    monkeypatch.setattr(journal, "datetime", Clock)
    acts = [
        {"id": "1", "kind": "label", "item": "i0", "value": "x"},
        {"id": "2", "kind": "label", "item": "i0", "value": "y"},
        {"id": "3", "kind": "label", "item": "i1", "value": "x"},
        {"id": "4", "kind": "undo", "item": "i1", "reverses": "3"},
    ]
    for act in acts:
        session.record(act)
    assert [j.event.data["id"] for j in read_events(tmp_path)] == ["1", "2", "3", "4"]
    assert labels_of(read_events(tmp_path)).select("item_id", "value").rows() == [("i0", "y")]
    assert all(verify(path) for path in tmp_path.rglob("*.jsonl"))
