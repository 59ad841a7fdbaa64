"""What all widgets have: one module, a throttled summary, two outputs also without a front end."""

from __future__ import annotations

import itertools
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from scalekit.widgets.base import HERE, Throttle, script, style

CELL = """
import polars as pl, tempfile
from pathlib import Path
from scalekit.label import LabelSession, Task
from scalekit.specify import problems
from scalekit.widgets import Labeler, SpecWriter

items = pl.DataFrame({"item_id": ["i0"], "text": ["<b>x</b>"]})
session = LabelSession(Path(tempfile.mkdtemp()), "ana", Task.choice("triage", ["yes"]), ["i0"])
display(Labeler(items, session))
display(SpecWriter({"name": "triage"}, problems, lambda d: None, lambda d: ""))
"""


@pytest.mark.parametrize("name", ["labeler", "spec_writer", "stepper"])
def test_a_widget_is_one_module_without_relative_imports_or_addresses(name: str) -> None:
    source = script(name)
    assert 'from "./' not in source
    assert source.count("export default") == 1
    assert source.count("export class Outbox") == 1
    for text in (source, style(name)):
        assert "http://" not in text.replace("plain http", "")
        assert "https://" not in text
    assert "innerHTML" not in source
    assert "randomUUID(" not in source


def test_style_rules_stay_inside_the_widgets() -> None:
    for sheet in HERE.glob("*.css"):
        selectors = [line for line in sheet.read_text().splitlines() if line.endswith("{")]
        outside = [s for s in selectors if "sk-" not in s and not s.strip().startswith("@")]
        assert not outside, sheet.name


def test_throttle_calls_at_once_then_seldom_and_always_at_last() -> None:
    times: list[float] = []
    requests = 0
    done = threading.Event()

    def note() -> None:
        times.append(time.monotonic())
        if requests == 50:
            done.set()

    throttle = Throttle(note, interval=0.2)
    while requests < 50:
        requests += 1
        throttle.request()
        time.sleep(0.01)
    assert done.wait(5)  # the last request was answered
    assert 2 <= len(times) <= 10
    assert all(later - earlier > 0.15 for earlier, later in itertools.pairwise(times))


def test_scalekit_alone_needs_no_widget_library() -> None:
    code = "import sys, scalekit; print({'ipywidgets', 'anywidget'} & set(sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "set()"


def executed(folder: Path) -> list[Any]:
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(CELL)])
    client = NotebookClient(
        notebook,
        kernel_name="python3",
        store_widget_state=False,
        resources={"metadata": {"path": str(folder)}},
    )
    return list(client.execute().cells[0].outputs)


def test_without_a_front_end_both_outputs_are_there_and_the_same_each_time(tmp_path: Path) -> None:
    outputs = executed(tmp_path)
    said = [o["data"] for o in outputs]
    assert [sorted(d) for d in said] == [
        ["application/vnd.jupyter.widget-view+json", "text/plain"],
        ["text/html", "text/plain"],
    ] * 2
    assert said[0]["text/plain"] == "[Labeler: interactive; what is saved stands below]"
    assert "0 of 1 labelled" in said[1]["text/html"]
    assert "Draft of triage" in said[3]["text/html"]
    again = [o["data"] for o in executed(tmp_path)]
    for data in (*said, *again):
        data.pop("application/vnd.jupyter.widget-view+json", None)
    assert said == again
