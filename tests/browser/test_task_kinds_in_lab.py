"""Each kind of task in JupyterLab, answered by keys alone; and what only a mouse can do."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lab import Notebook

from scalekit.label import read_events

ROOT = ".sk-labeler"
SAVED = f'{ROOT} .sk-saved[data-state="saved"]'
VALUES = "values=(Value('person'), Value('place'), Value('date'))"
TEXT = "On 3 May 👩‍💻 Ada met Charles in London."
CHAT = [
    {"role": "user", "content": "Where is it?"},
    {"role": "assistant", "content": "On its way."},
    {"role": "user", "content": "Really?"},
    {"role": "assistant", "content": "<b>Yes.</b>"},
]

Open = Callable[..., Notebook]


def started(
    open_notebook: Open, folder: Path, task: str, item: dict[str, Any], count: int = 2
) -> Notebook:
    """Open a labeler of *count* items alike, with the focus on it."""
    rows = [{"item_id": f"item-{n}", **item} for n in range(count)]
    notebook = open_notebook(f"""
import polars as pl
from pathlib import Path
from scalekit.label import Criterion, LabelSession, Task, Value
from scalekit.widgets import Labeler
items = pl.DataFrame({rows!r})
session = LabelSession(Path({str(folder)!r}) / "events", "ana", {task}, items["item_id"])
Labeler(items, session)
""")
    notebook.run_all()
    notebook.page.wait_for_selector(SAVED)
    notebook.page.click(f"{ROOT} .sk-head")
    return notebook


def labelled(notebook: Notebook, folder: Path, count: int) -> list[Any]:
    """Wait until *count* labels are on disk and return them, in order."""
    notebook.page.wait_for_selector(f"{ROOT} .sk-progress:text-matches('^{count} of')")
    notebook.page.wait_for_selector(SAVED)
    assert notebook.cell_count() == 1  # no key reached the notebook
    acts = [j.event for j in read_events(folder / "events") if j.event.kind == "label"]
    assert all(act.data["by"] == "key" for act in acts)
    return [act.data["value"] for act in acts]


def test_multi_label(open_notebook: Open, folder: Path) -> None:
    notebook = started(open_notebook, folder, f"Task('t', 'multi', {VALUES})", {"text": "x"})
    notebook.press(["3", "2", "1", "2", "Enter", "Enter"])
    assert labelled(notebook, folder, 2) == ['["person","date"]', "[]"]
    notebook.press(["ArrowLeft"])
    looking = notebook.page.inner_text(f"{ROOT} .sk-looking")
    assert "You said: none of them" in looking
    notebook.press(["1", "Enter"])
    labelled(notebook, folder, 2)
    notebook.press(["u"])
    assert "Taken back: person" in notebook.page.inner_text(f"{ROOT} .sk-status")


def test_a_preference(open_notebook: Open, folder: Path) -> None:
    item = {"prompt": "why?", "first": "because", "second": "why not"}
    notebook = started(open_notebook, folder, "Task('t', 'pair')", item, 4)
    for key in ("1", "4", "7", "1"):
        notebook.press([key])
    answers = [json.loads(v) for v in labelled(notebook, folder, 4)]
    shown = [j.event.data["shown_first"] for j in read_events(folder / "events")]
    assert sorted(shown) == ["first", "first", "second", "second"]
    other = {"first": "second", "second": "first"}
    assert answers == [
        {"preferred": shown[0], "strength": 3},
        {"preferred": "tie", "strength": 0},
        {"preferred": other[shown[2]], "strength": 3},
        {"preferred": shown[3], "strength": 3},
    ]


def test_rubric_scores(open_notebook: Open, folder: Path) -> None:
    of = "Criterion('clear'), Criterion('kind', '', -1, 1), Criterion('true', '', 0, 2)"
    task = f"Task('t', 'rubric', criteria=({of}))"
    notebook = started(open_notebook, folder, task, {"text": "x"})
    notebook.press(["4", "Enter"])  # not complete: nothing is saved
    assert "2 of 3 still open" in notebook.page.inner_text(f"{ROOT} .sk-missing")
    notebook.press(["1", "0", "ArrowUp", "ArrowUp", "5", "Enter"])
    notebook.press(["1", "3", "2", "Enter"])
    assert labelled(notebook, folder, 2) == [
        '{"clear":5,"kind":-1,"true":0}',
        '{"clear":1,"kind":1,"true":2}',
    ]


def test_spans_by_word_and_by_mouse(open_notebook: Open, folder: Path) -> None:
    notebook = started(open_notebook, folder, f"Task('t', 'span', {VALUES})", {"text": TEXT})
    page = notebook.page
    ada = ["ArrowRight", "ArrowRight", "Shift+ArrowRight", "3", "ArrowRight", "1", "Enter"]
    notebook.press(ada)
    page.wait_for_selector(f"{ROOT} .sk-progress:text-matches('^1 of')")
    page.get_by_text(TEXT).wait_for()
    # Drag over " London": the space before it is not a part of the mark.
    page.evaluate(
        """() => {
        const node = document.querySelector('.sk-marked').firstChild;
        const at = node.data.indexOf(' London');
        getSelection().setBaseAndExtent(node, at, node, at + 7);
    }"""
    )
    notebook.press(["2", "ArrowLeft", "1", "Delete", "Enter"])
    first, second = [json.loads(v) for v in labelled(notebook, folder, 2)]
    points = [*TEXT]
    named = [("".join(points[s["start"] : s["end"]]), s["label"]) for s in first]
    assert named == [("3 May", "date"), ("Ada", "person")]
    assert second == []  # ← chose the last word, London; Delete took its mark off
    page.keyboard.press("[")
    page.keyboard.press("[")
    marks = page.locator(f"{ROOT} .sk-mark")
    assert marks.all_inner_texts() == ["3 May", "Ada"]
    assert page.inner_text(f"{ROOT} .sk-marked") == TEXT


def test_free_text_and_what_was_begun_outlives_a_reload(open_notebook: Open, folder: Path) -> None:
    item = {"text": "Where is it?", "draft": "Look for it."}
    notebook = started(open_notebook, folder, "Task('t', 'text')", item)
    page = notebook.page
    notebook.press(["Enter", "End"])
    page.keyboard.type(" We help: d d x 0 0.")
    page.keyboard.press("Control+Enter")
    page.wait_for_selector(f"{ROOT} .sk-progress:text-matches('^1 of')")
    page.keyboard.type("Half a ")  # the field has the focus again
    notebook.saved()
    notebook.reload()
    page.wait_for_selector(SAVED)
    page.wait_for_function(
        "document.querySelector('.sk-writing textarea').value.includes('Half a')"
    )
    page.click(f"{ROOT} .sk-head")
    notebook.press(["Enter", "Control+Enter"])
    first, second = labelled(notebook, folder, 2)
    assert first == "Look for it. We help: d d x 0 0."
    assert second in ("Half a Look for it.", "Look for it.Half a ")


def test_turns_of_a_conversation(open_notebook: Open, folder: Path) -> None:
    task = f"Task('t', 'turns', {VALUES}, roles=('assistant',))"
    notebook = started(open_notebook, folder, task, {"messages": CHAT})
    said = notebook.page.locator(f"{ROOT} .sk-said").all_inner_texts()
    assert said == [turn["content"] for turn in CHAT]  # markup is text
    notebook.press(["1", "Enter", "2", "Enter"])
    notebook.press(["1", "1", "ArrowUp", "3", "Enter"])
    assert labelled(notebook, folder, 2) == [
        '{"1":"person","3":"place"}',
        '{"1":"date","3":"person"}',
    ]


@pytest.mark.parametrize("content", ["code", "image"])
def test_code_and_images(open_notebook: Open, folder: Path, content: str) -> None:
    if content == "code":
        item = {"text": "def f():\n    return '<b>'", "language": "python"}
    else:
        from PIL import Image

        Image.new("RGB", (40, 30), (200, 80, 20)).save(folder / "a.png")
        item = {"image": str(folder / "a.png")}
    notebook = started(open_notebook, folder, f"Task('t', 'choice', {VALUES})", item)
    page = notebook.page
    if content == "code":
        assert page.inner_text(f"{ROOT} .sk-code").rstrip() == item["text"]
        assert page.locator(f"{ROOT} .sk-token-keyword").count() == 2
    else:
        size = page.eval_on_selector(
            f"{ROOT} .sk-image", "n => n.decode().then(() => n.naturalWidth)"
        )
        assert size == 40
    notebook.press(["1", "2"])
    assert labelled(notebook, folder, 2) == ["person", "place"]


def test_the_adjudicator_decides_by_key_and_keeps_the_rule(
    open_notebook: Open, folder: Path
) -> None:
    notebook = open_notebook(f"""
import polars as pl
from pathlib import Path
from scalekit.label import Task
from scalekit.label.adjudication import AdjudicationSession, disputed
from scalekit.widgets import Adjudicator
items = pl.DataFrame({{"item_id": ["a", "b"], "text": ["one <b>order</b>", "two"]}})
rows = [(i, w, v) for i in "ab" for w, v in (("ana", "person"), ("ben", "place"))]
labels = pl.DataFrame(rows, schema=["item_id", "annotator", "value"], orient="row")
task = Task.choice("t", ["person", "place"])
session = AdjudicationSession(Path({str(folder)!r}) / "events", "mia", task, items["item_id"])
Adjudicator(items, disputed(labels), session)
""")
    notebook.run_all()
    page = notebook.page
    page.wait_for_selector(SAVED)
    page.click(f"{ROOT} .sk-head")
    assert page.locator(f"{ROOT} .sk-vote").count() == 2
    notebook.press(["Enter"])
    said = page.get_by_text("choose the value that holds")  # written anew, a moment later
    said.wait_for()
    assert said.count() == 1
    notebook.press(["2"])
    assert "choose the value" not in page.inner_text(ROOT)
    notebook.press(["Shift+E", "Enter"])
    page.keyboard.type("d d x: one order is place.")
    notebook.press(["Enter"])
    page.wait_for_selector(f"{ROOT} .sk-progress:text-matches('^1 of')")
    notebook.press(["1", "Shift+G", "=", "Enter"])  # the same rule once more
    page.wait_for_selector(f"{ROOT} .sk-progress:text-matches('^2 of')")
    page.wait_for_selector(SAVED)
    assert notebook.cell_count() == 1
    acts = [j.event.data for j in read_events(folder / "events")]
    decided = [(a["item"], a["value"], a["reason"], a["rule"]) for a in acts]
    assert decided == [
        ("a", "place", "edge case", "d d x: one order is place."),
        ("b", "person", "guideline gap", "d d x: one order is place."),
    ]
    assert "All 2 items are decided" in page.inner_text(f"{ROOT} .sk-text")
