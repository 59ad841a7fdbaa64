"""The stepper in JupyterLab: every control by key, live while it runs, static when saved."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from lab import Notebook

GOVERN = str(Path(__file__).parents[1] / "govern")
ROOT = ".sk-stepper"
CELL = f"""
import sys; sys.path.insert(0, {GOVERN!r})
import tempfile, torch
from pathlib import Path
import small_run
from scalekit.widgets import Stepper
torch.set_num_threads(1)
run = small_run.begin(Path(tempfile.mkdtemp()) / "run", epochs=400, batch=16)
stepper = Stepper(run)
stepper
"""

Open = Callable[..., Notebook]


AT = """([root, said]) =>
    document.querySelector(`${root} .sk-where`).textContent === said &&
    document.querySelector(`${root} .sk-pace`).dataset.running === "false"
"""


def at(notebook: Notebook, update: str) -> None:
    """Wait until the run stands still at *update*: only then are all keys taken."""
    notebook.page.wait_for_function(AT, arg=[ROOT, f"update {update} of 1,200"])


def test_every_control_by_key_and_the_kernel_stays_free(open_notebook: Open) -> None:
    notebook = open_notebook(CELL, "6 * 7")
    notebook.run_all()
    page = notebook.page
    page.wait_for_selector(f"{ROOT} .sk-empty:visible")
    page.click(f"{ROOT} .sk-where")
    cells = notebook.cell_count()
    page.keyboard.press("s")
    at(notebook, "1")
    page.keyboard.press("k")
    page.wait_for_selector(f"{ROOT} >> text=this state is kept")
    page.keyboard.press("ArrowRight")
    at(notebook, "2")
    page.wait_for_selector(f"{ROOT} >> text=back goes to 1")
    page.keyboard.press("r")
    at(notebook, "12")
    page.keyboard.press("b")
    at(notebook, "1")
    page.keyboard.press("e")
    page.wait_for_selector(f'{ROOT} .sk-pace[data-running="true"]')
    assert notebook.printed("6 * 7") == "42"  # answered while the run goes on
    assert notebook.printed("run.finished") == "False"
    page.keyboard.press("p")
    page.wait_for_selector(f'{ROOT} .sk-pace[data-running="false"]')
    stopped = int(notebook.printed("run.update"))
    assert 1 < stopped < 1200
    assert int(notebook.printed("run.update")) == stopped
    assert notebook.cell_count() == cells  # no key reached the notebook
    assert notebook.printed("setattr(run, 'snapshot', lambda: int('no room'))") == "None"
    page.keyboard.press("k")  # nothing is stored here: what is refused was not done
    banner = page.wait_for_selector(f"{ROOT} .sk-banner:visible:has-text('NOT DONE')")
    assert "no room" in banner.inner_text()
    page.click(f"{ROOT} .sk-banner button")
    page.wait_for_selector(f"{ROOT} .sk-banner", state="hidden")
    assert page.locator(f"{ROOT} .sk-heat tbody tr").count() == 16
    shown = notebook.saved_summary(f"Update {stopped:,} of 1,200")
    assert "data:image/png;base64," in shown
    assert notebook.unreadable(ROOT) == []


LINES = """([root, part]) => [...document.querySelectorAll(`${root} ${part}`)]
    .map((line) => line.getAttribute("style"))"""


def test_the_controls_stay_where_they_are_and_lines_are_told_without_colour(
    open_notebook: Open,
) -> None:
    notebook = open_notebook(CELL)
    notebook.run_all()
    page = notebook.page
    page.wait_for_selector(f"{ROOT} .sk-empty:visible")
    page.click(f"{ROOT} .sk-where")
    tools = page.locator(f"{ROOT} .sk-tool")
    places = [tool.bounding_box() for tool in tools.all()]
    page.keyboard.press("s")
    at(notebook, "1")
    page.keyboard.press("k")
    page.wait_for_selector(f"{ROOT} .sk-kept:has-text('this state is kept')")
    page.keyboard.press("r")
    at(notebook, "11")
    page.wait_for_selector(f"{ROOT} .sk-kept:has-text('back goes to 1')")
    assert [tool.bounding_box() for tool in tools.all()] == places
    lines = page.evaluate(LINES, [ROOT, ".sk-plot polyline"])
    assert len(lines) > 2
    assert page.evaluate(LINES, [ROOT, ".sk-legend line"]) == lines
    dashes = [line.partition("dasharray:")[2] for line in lines]
    assert len(set(dashes)) == len(lines)
    notebook.saved_summary("Update 11 of 1,200")  # the reader without a kernel sees the same
