"""The labeler in JupyterLab: every key becomes one label on disk, and none reaches the notebook."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

from lab import Notebook

from scalekit.label import labels_of, read_events

VALUES = ("billing", "delivery", "returns")
ROOT = ".sk-labeler"
SAVED = f'{ROOT} .sk-saved[data-state="saved"]'

Open = Callable[..., Notebook]


def labelling(folder: Path, texts: list[str], session: str = "LabelSession") -> str:
    """Return a cell that labels *texts*, going on after what lies in *folder* already."""
    return f"""
import polars as pl
from pathlib import Path
from scalekit.journal import JournalError
from scalekit.label import LabelSession, Task, Value, labels_of, read_events
from scalekit.widgets import Labeler

class FullDisk(LabelSession):
    def record(self, act):
        if Path({str(folder / "full")!r}).exists():
            raise JournalError("the disk is full")
        return super().record(act)

events = Path({str(folder)!r}) / "events"
items = pl.DataFrame({{"text": {texts!r}}}).with_row_index("item_id", offset=1)
items = items.with_columns(pl.format("item-{{}}", pl.col("item_id")).alias("item_id"))
labelled = labels_of(read_events(events)) if events.exists() else pl.DataFrame({{"item_id": []}})
left = items.filter(~pl.col("item_id").is_in(labelled["item_id"].to_list()))
values = tuple(Value(v, f"about {{v}}") for v in {VALUES!r})
session = {session}(events, "ana", Task("triage", values=values), items["item_id"])
Labeler(left, session, guidelines="Look twice.", done=labelled.height)
"""


def started(open_notebook: Open, *cells: str) -> Notebook:
    """Open a notebook, run it, and give the labeler the focus."""
    notebook = open_notebook(*cells)
    notebook.run_all()
    notebook.page.wait_for_selector(f"{ROOT} .sk-text")
    notebook.page.wait_for_selector(SAVED)
    notebook.page.click(f"{ROOT} .sk-text")
    return notebook


def recorded(folder: Path) -> list[tuple[str, str]]:
    """Return (item, value) of each label on disk, in the order they were written."""
    acts = [j.event for j in read_events(folder / "events")]
    return [(e.data["item"], e.data["value"]) for e in acts if e.kind == "label"]


def wait_for_count(notebook: Notebook, count: int) -> None:
    notebook.page.wait_for_selector(f"{ROOT} .sk-progress:text-matches('^{count} of')")
    notebook.page.wait_for_selector(SAVED)


def test_twenty_labels_in_one_burst_and_no_key_for_the_notebook(
    folder: Path, open_notebook: Open
) -> None:
    notebook = started(open_notebook, labelling(folder, [f"text {i}" for i in range(25)]), "1 + 1")
    kernel = notebook.kernel_pid()
    keys = [str(1 + i % 3) for i in range(20)]
    notebook.page.click(f"{ROOT} .sk-text")
    notebook.press(keys)
    wait_for_count(notebook, 20)
    expected = [(f"item-{i + 1}", VALUES[i % 3]) for i in range(20)]
    assert recorded(folder) == expected

    notebook.press(["d", "d", "x", "0", "0", "b", "a", "z", "m", "ArrowDown", "Escape"])
    notebook.page.click(f"{ROOT} .sk-tool:has-text('Guidelines')")
    notebook.press(["d", "d", "x", "i", "i", "b"])
    assert notebook.cell_count() == 2
    assert notebook.page.query_selector(".jp-Dialog") is None
    assert notebook.kernel_pid() == kernel
    assert recorded(folder) == expected
    notebook.page.wait_for_selector(".jp-RenderedHTML:has-text('20 of 25 labelled')")
    assert "20 of 25 labelled" in str(notebook.saved().cells[0].outputs)


def hears(notebook: Notebook) -> bool:
    """Whether the labeler has the focus, and says so."""
    page = notebook.page
    focused = page.evaluate(f"document.querySelector('{ROOT}').contains(document.activeElement)")
    assert page.is_visible(f"{ROOT} .sk-keys-on") == focused
    assert page.is_visible(f"{ROOT} .sk-keys-off") != focused
    ring = page.eval_on_selector(ROOT, "n => getComputedStyle(n).outlineStyle")
    assert (ring == "solid") == focused
    return bool(focused)


def test_keys_are_heard_once_the_cell_is_run_and_shift_enter_goes_on(
    folder: Path, open_notebook: Open
) -> None:
    notebook = open_notebook(labelling(folder, ["one", "two"]), "1 + 1", "2 + 2")
    page = notebook.page
    page.click(".jp-Cell >> nth=0 >> .jp-InputPrompt")
    page.keyboard.press("Shift+Enter")
    page.wait_for_selector(SAVED)
    assert hears(notebook)
    notebook.press(["1", "d", "d", "x"])  # in the next cell, d d would delete it, 1 change it
    wait_for_count(notebook, 1)
    assert recorded(folder) == [("item-1", "billing")]
    box = page.locator(ROOT).bounding_box()
    assert box["y"] + box["height"] <= page.viewport_size["height"]  # the labels are in sight
    page.keyboard.press("Shift+Enter")
    page.wait_for_selector(".jp-Cell >> nth=1 >> .jp-OutputArea-output:has-text('2')")
    assert [c.cell_type for c in notebook.saved().cells] == ["code"] * 3
    assert not hears(notebook)
    page.click(f"{ROOT} .sk-keys-off")
    assert hears(notebook)
    notebook.press(["2", "Escape"])
    assert not hears(notebook)

    notebook.saved()
    notebook.reload()
    page.wait_for_selector(SAVED)
    page.click(".jp-Cell >> nth=1 >> .jp-InputPrompt")
    assert not hears(notebook)  # nobody ran it now


def test_the_focus_is_not_taken_from_what_somebody_writes_or_out_of_sight(
    folder: Path, open_notebook: Open
) -> None:
    cell = labelling(folder, ["one", "two"])
    notebook = open_notebook(f"import time; time.sleep(1)\n{cell}", "")
    page = notebook.page
    page.click(".jp-Cell >> nth=0 >> .jp-InputPrompt")
    page.keyboard.press("Shift+Enter")
    page.click(".jp-Cell >> nth=1 >> .cm-content")
    page.keyboard.type("1 + 1")
    page.wait_for_selector(SAVED)
    assert not hears(notebook)
    page.keyboard.type(" + 1")
    assert notebook.saved().cells[1].source == "1 + 1 + 1"
    assert recorded(folder) == []

    page.keyboard.press("Escape")
    below = open_notebook(f"print('\\n' * 100)\n{cell}", "")
    page.click(".jp-Cell:visible >> nth=0 >> .jp-InputPrompt")
    page.keyboard.press("Control+Enter")
    page.wait_for_selector(f".jp-NotebookPanel:visible {SAVED}", state="attached")
    assert below.page.evaluate("!document.activeElement.closest('.sk-root')")


def test_undo_and_escape_do_what_they_seem_to(folder: Path, open_notebook: Open) -> None:
    notebook = started(open_notebook, labelling(folder, ["one", "two"]))
    page = notebook.page
    undo = page.locator(f"{ROOT} .sk-tool:has-text('Undo')")
    assert undo.is_disabled()
    notebook.press(["1"])
    assert undo.is_enabled()
    notebook.press(["u"])
    assert undo.is_disabled()
    notebook.press(["g"])
    assert page.is_visible(f"{ROOT} .sk-guide")
    notebook.press(["Escape"])
    assert not page.is_visible(f"{ROOT} .sk-guide")
    assert hears(notebook)
    notebook.press(["Escape"])
    assert not hears(notebook)


def test_a_burst_of_a_hundred_loses_none(folder: Path, open_notebook: Open) -> None:
    notebook = started(open_notebook, labelling(folder, [f"text {i}" for i in range(100)]))
    notebook.press(["1", "2", "3", "2"] * 25)
    wait_for_count(notebook, 100)
    labels = recorded(folder)
    assert labels == [(f"item-{i + 1}", VALUES[(0, 1, 2, 1)[i % 4]]) for i in range(100)]
    assert "All 100 items are labelled" in notebook.page.inner_text(f"{ROOT} .sk-text")


def test_undo_skip_flag_note_and_going_back(folder: Path, open_notebook: Open) -> None:
    notebook = started(open_notebook, labelling(folder, ["one", "two", "three", "four"]))
    page = notebook.page
    notebook.press("12u")
    assert page.inner_text(f"{ROOT} .sk-text") == "two"
    notebook.press("3sfn")
    page.keyboard.type("which of d d is it?")
    page.keyboard.press("Control+Enter")
    notebook.press("1")
    assert "3 items labelled, 1 skipped" in page.inner_text(f"{ROOT} .sk-text")
    page.click(f"{ROOT} .sk-revisit")
    page.wait_for_selector(f"{ROOT} .sk-text:text-is('three')")
    notebook.press(["2", "ArrowLeft", "ArrowLeft"])
    assert "You said: billing" in page.inner_text(f"{ROOT} .sk-looking")
    notebook.press(["2"])
    wait_for_count(notebook, 4)

    labels = labels_of(read_events(folder / "events"))
    found = dict(labels.select("item_id", "value").iter_rows())
    assert found == {
        "item-1": "billing",
        "item-2": "returns",
        "item-3": "delivery",
        "item-4": "delivery",
    }
    kinds = " ".join(j.event.kind for j in read_events(folder / "events"))
    assert kinds == "label label undo label skip flag note label label label"
    page.wait_for_selector("text=which of d d is it?")  # in the summary beside the widget


def test_markup_in_items_and_notes_is_shown_as_text(folder: Path, open_notebook: Open) -> None:
    attack = "<img src=x onerror='window.hacked=1'><script>window.hacked=1</script>"
    notebook = started(open_notebook, labelling(folder, [attack, "two"]))
    page = notebook.page
    assert page.inner_text(f"{ROOT} .sk-text") == attack
    notebook.press("fn")
    page.keyboard.type(attack)
    page.keyboard.press("Control+Enter")
    page.wait_for_selector(".jp-RenderedHTML td:has-text('onerror')")
    assert page.inner_text(f"{ROOT} .sk-remark").endswith(attack)
    assert (
        page.query_selector(f"{ROOT} img, .jp-OutputArea td img, .jp-OutputArea td script") is None
    )
    assert page.evaluate("window.hacked") is None


def test_a_full_disk_is_said_and_the_label_is_kept(folder: Path, open_notebook: Open) -> None:
    notebook = started(open_notebook, labelling(folder, ["one", "two", "three"], "FullDisk"))
    (folder / "full").touch()
    notebook.press("12")
    banner = notebook.page.wait_for_selector(f"{ROOT} .sk-banner:visible:has-text('NOT SAVED')")
    assert "the disk is full" in banner.inner_text()
    assert recorded(folder) == []
    (folder / "full").unlink()
    wait_for_count(notebook, 2)
    assert recorded(folder) == [("item-1", "billing"), ("item-2", "delivery")]
    assert not notebook.page.is_visible(f"{ROOT} .sk-banner")


def test_a_reloaded_page_goes_on_and_can_still_undo(folder: Path, open_notebook: Open) -> None:
    notebook = started(open_notebook, labelling(folder, [f"text {i}" for i in range(9)]))
    notebook.press("123")
    wait_for_count(notebook, 3)
    notebook.saved()
    notebook.reload()
    notebook.page.wait_for_selector(SAVED)
    wait_for_count(notebook, 3)
    notebook.page.click(f"{ROOT} .sk-text")
    notebook.press("u2")
    wait_for_count(notebook, 3)
    assert labels_of(read_events(folder / "events"))["value"].to_list() == [
        "billing",
        "delivery",
        "delivery",
    ]


def test_a_killed_kernel_costs_no_label(folder: Path, open_notebook: Open) -> None:
    cell = labelling(folder, [f"text {i}" for i in range(60)])
    notebook = started(open_notebook, cell)
    page = notebook.page
    notebook.press(["1"] * 15)
    pid = notebook.kernel_pid()
    page.click(f"{ROOT} .sk-text")
    notebook.press(["2"] * 5)
    # Stopped first: else JupyterLab's dialog may take the focus before the last key.
    os.kill(pid, signal.SIGSTOP)
    notebook.press(["3"] * 5)
    os.kill(pid, signal.SIGKILL)
    kept = page.evaluate(
        "Object.entries(localStorage).filter(([k]) => k.startsWith('scalekit/labels'))"
        ".map(([, text]) => JSON.parse(text).item)"
    )
    on_disk = {item for item, _ in recorded(folder)}
    pressed = {f"item-{i + 1}" for i in range(25)}
    assert len(kept) >= 5
    assert pressed - set(kept) <= on_disk  # what was called saved is saved

    banner = page.wait_for_selector(f"{ROOT} .sk-banner:visible:has-text('NOT SAVED')")
    assert "run this cell again" in banner.inner_text()
    page.wait_for_selector(".jp-Dialog")
    page.keyboard.press("Enter")  # "the kernel died and is restarted"
    notebook.wait_for_kernel()
    notebook.run_all()
    wait_for_count(notebook, 25)
    page.click(f"{ROOT} .sk-text")
    notebook.press("1")
    wait_for_count(notebook, 26)
    values = dict(labels_of(read_events(folder / "events")).select("item_id", "value").iter_rows())
    wanted = ["billing"] * 15 + ["delivery"] * 5 + ["returns"] * 5 + ["billing"]
    assert values == {f"item-{i + 1}": value for i, value in enumerate(wanted)}


def test_a_hundred_thousand_items_open_at_once_and_no_request_leaves_this_machine(
    folder: Path, open_notebook: Open
) -> None:
    cell = labelling(folder, []).replace('{"text": []}', '{"text": ["word " * 40] * 100_000}')
    notebook = started(open_notebook, cell)
    assert "0 of 100,000" in notebook.page.inner_text(f"{ROOT} .sk-progress")
    notebook.press("1")
    wait_for_count(notebook, 1)
    assert len(notebook.desk.requests) > 10
    assert notebook.desk.foreign_requests() == []
