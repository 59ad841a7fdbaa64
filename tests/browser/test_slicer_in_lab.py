"""The slicer in JupyterLab: lasso, legend and rectangle; slices on disk; texts shown as text."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from lab import Notebook

from scalekit.audit import SliceBook

ROOT = ".sk-slicer"
SAVED = f'{ROOT} .sk-saved[data-state="saved"]'
ATTACK = "<img src=x onerror=document.title='caught'> late parcel"
TOPICS = {
    "delivery": "the parcel with order {} is late and the courier left it at door {}",
    "billing": "invoice {} shows the wrong amount, refund {} euros to my card",
    "fault": "machine {} leaks water from the boiler after {} minutes of steam",
}

Open = Callable[..., Notebook]


def mapping(folder: Path, count: int = 240) -> str:
    """Return a cell that opens the map of *count* items on three topics."""
    return f"""
import polars as pl
from pathlib import Path
from scalekit.audit import SliceBook, item_map
from scalekit.journal import JournalError
from scalekit.widgets import Slicer

class FullDisk(SliceBook):
    def save(self, *given, **more):
        if Path({str(folder / "full")!r}).exists():
            raise JournalError("the disk is full")
        super().save(*given, **more)

topics = {TOPICS!r}
rows = [
    {{"item_id": f"{{t}}-{{n}}", "text": said.format(n, n % 7), "category": t, "score": n / 3}}
    for t, said in topics.items() for n in range({count} // 3)
]
rows[0]["text"] = {ATTACK!r}
made = item_map(rows)
slicer = Slicer(made, FullDisk(Path({str(folder)!r}) / "slices.jsonl"), by="ana")
slicer
"""


def started(open_notebook: Open, *cells: str) -> Notebook:
    """Open a notebook, run it, and wait for the map."""
    notebook = open_notebook(*cells)
    notebook.run_all()
    notebook.page.wait_for_selector(SAVED)
    notebook.page.wait_for_function(f"document.querySelector('{ROOT} .sk-over').width > 300")
    return notebook


def shown(notebook: Notebook, expression: str) -> Any:
    """Return what the kernel says of the map, as Python."""
    return eval(notebook.printed(expression))


def spots(notebook: Notebook, category: str) -> list[tuple[float, float]]:
    """Return where the points of a category are on the page."""
    places = shown(
        notebook,
        f"[(x, y) for x, y in made.table.filter(pl.col('category') == {category!r})"
        ".select('x', 'y').rows()]",
    )
    box = notebook.page.locator(f"{ROOT} .sk-over").bounding_box()
    half = min(box["width"], box["height"]) / 2 - 18
    middle = (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    return [(middle[0] + half * x, middle[1] - half * y) for x, y in places]


def lasso(notebook: Notebook, points: list[tuple[float, float]], room: float = 6) -> None:
    """Draw round *points* with the mouse."""
    left, right = min(x for x, _ in points) - room, max(x for x, _ in points) + room
    top, bottom = min(y for _, y in points) - room, max(y for _, y in points) + room
    mouse = notebook.page.mouse
    mouse.move(left, top)
    mouse.down()
    for x, y in [(right, top), (right, bottom), (left, bottom), (left, top)]:
        mouse.move(x, y, steps=6)
    mouse.up()


def test_a_lasso_by_mouse_becomes_a_slice_on_disk(folder: Path, open_notebook: Open) -> None:
    notebook = started(open_notebook, mapping(folder), "1 + 1")
    page = notebook.page
    page.locator(ROOT).scroll_into_view_if_needed()
    points = spots(notebook, "billing")
    lasso(notebook, points)
    page.wait_for_selector(f"{ROOT} h4:has-text('80 items chosen (33 %)')")
    page.wait_for_selector(f"{ROOT} .sk-words:has-text('invoice')")
    page.wait_for_selector(f"{ROOT} tbody th:has-text('billing')")
    notebook.picture(ROOT, "chosen-light")
    page.fill(f"{ROOT} .sk-naming input", "money")
    page.keyboard.press("Enter")
    page.wait_for_selector(f"{ROOT} .sk-kept button:has-text('money')[aria-pressed=true]")
    page.wait_for_selector(SAVED)
    kept = SliceBook(folder / "slices.jsonl").ids()
    assert {name: sorted(ids) for name, ids in kept.items()} == {
        "money": sorted(f"billing-{n}" for n in range(80))
    }
    assert "money" in notebook.saved_summary("1 slice")
    assert "data:image/png;base64," in notebook.saved_summary("1 slice")


def test_every_way_of_choosing_without_a_mouse(folder: Path, open_notebook: Open) -> None:
    notebook = started(open_notebook, mapping(folder), "1 + 1")
    page = notebook.page
    cells = notebook.cell_count()
    page.focus(f"{ROOT} .sk-legend button:has-text('fault')")
    page.keyboard.press("Enter")
    page.wait_for_selector(f"{ROOT} h4:has-text('80 items chosen')")
    page.focus(f"{ROOT} .sk-legend button:has-text('billing')")
    page.click(f"{ROOT} button:has-text('Add')")
    page.focus(f"{ROOT} .sk-legend button:has-text('billing')")
    page.keyboard.press("Enter")
    page.wait_for_selector(f"{ROOT} h4:has-text('160 items chosen')")
    page.focus(ROOT)
    page.keyboard.press("c")
    page.wait_for_selector(f"{ROOT} h4:has-text('Nothing chosen')")

    page.keyboard.press("r")
    page.wait_for_selector(f"{ROOT} .sk-status:has-text('in the rectangle')")
    notebook.press(["ArrowLeft"] * 30 + ["ArrowUp"] * 30 + ["Shift+ArrowRight"] * 60)
    notebook.press(["Shift+ArrowDown"] * 60)
    page.wait_for_selector(f"{ROOT} .sk-status:has-text('240 items in the rectangle')")
    notebook.picture(ROOT, "rectangle-light")
    page.keyboard.press("Enter")
    page.wait_for_selector(f"{ROOT} h4:has-text('240 items chosen (100 %)')")
    notebook.press(["Escape", "n"])
    page.keyboard.type("all of it")
    page.keyboard.press("Enter")
    page.wait_for_selector(f"{ROOT} .sk-kept button:has-text('all of it')")
    assert len(SliceBook(folder / "slices.jsonl").ids()["all of it"]) == 240

    page.focus(ROOT)
    notebook.press(["d", "d", "x", "b", "a", "m", "z", "0", "0", "+", "-", "ArrowDown"])
    assert notebook.cell_count() == cells
    assert page.query_selector(".jp-Dialog") is None


def test_texts_are_shown_as_text(folder: Path, open_notebook: Open) -> None:
    notebook = started(open_notebook, mapping(folder))
    page = notebook.page
    page.locator(ROOT).scroll_into_view_if_needed()
    x, y = spots(notebook, "delivery")[0]
    page.mouse.move(x - 30, y - 30)
    page.mouse.move(x, y, steps=4)
    page.wait_for_selector(f"{ROOT} .sk-tip:visible")
    place = "slicer._texts([0])['0'][1]"
    assert notebook.printed(place) == ATTACK
    lasso(notebook, [(x, y)], 10)
    page.wait_for_selector(f"{ROOT} .sk-examples li:has-text('{ATTACK[:12]}')")
    page.mouse.move(x - 40, y - 40)
    page.mouse.move(x, y, steps=4)
    page.wait_for_selector(f"{ROOT} .sk-tip p:has-text('<img src=x')")
    notebook.picture(ROOT, "tip-light")
    assert page.query_selector(f"{ROOT} img") is None
    assert page.title() != "caught"


def test_a_slice_that_can_not_be_kept_is_said_and_kept_once_it_can(
    folder: Path, open_notebook: Open
) -> None:
    notebook = started(open_notebook, mapping(folder))
    page = notebook.page
    (folder / "full").touch()
    page.click(f"{ROOT} .sk-legend button:has-text('fault')")
    page.wait_for_selector(f"{ROOT} .sk-words:has-text('boiler')")
    page.fill(f"{ROOT} .sk-naming input", "leaks")
    page.click(f"{ROOT} button:has-text('Save slice')")
    page.wait_for_selector(f"{ROOT} .sk-banner:has-text('the disk is full')")
    page.wait_for_selector(f'{ROOT} .sk-saved[data-state="not saved"]')
    assert not (folder / "slices.jsonl").exists()
    (folder / "full").unlink()
    page.wait_for_selector(f"{ROOT} .sk-kept button:has-text('leaks')")
    page.wait_for_selector(SAVED)
    assert list(SliceBook(folder / "slices.jsonl").ids()) == ["leaks"]

    page.click(f"{ROOT} button:has-text('Clear')")
    assert page.get_attribute(f"{ROOT} .sk-kept button", "aria-pressed") == "false"
    page.click(f"{ROOT} .sk-kept button:has-text('leaks')")
    page.wait_for_selector(f"{ROOT} h4:has-text('80 items chosen')")
    assert page.get_attribute(f"{ROOT} .sk-kept button", "aria-pressed") == "true"


def test_light_and_dark_and_coloured_by_another_column(folder: Path, open_notebook: Open) -> None:
    notebook = started(open_notebook, mapping(folder))
    page = notebook.page
    page.select_option(f"{ROOT} .sk-by", label="score")
    page.wait_for_selector(f"{ROOT} .sk-legend button >> nth=5")
    assert page.locator(f"{ROOT} .sk-legend button").count() == 6
    assert notebook.unreadable(ROOT, "score-") == []
    page.select_option(f"{ROOT} .sk-by", label="category")
    page.click(f"{ROOT} .sk-legend button:has-text('fault')")
    page.wait_for_selector(f"{ROOT} .sk-words:has-text('boiler')")
    assert notebook.unreadable(ROOT, "category-") == []


# Which pixels of each mark in the legend are covered, whatever their colour.
SHAPES = """(root) => [...document.querySelectorAll(`${root} .sk-legend canvas`)].map((mark) => {
    const { data } = mark.getContext("2d").getImageData(0, 0, mark.width, mark.height);
    return data.filter((_, i) => i % 4 === 3).join();
})"""
INK = """(root) => {
    const canvas = document.querySelector(`${root} .sk-ground`);
    const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d");
    copy.drawImage(canvas, 0, 0);
    const { data } = copy.getImageData(0, 0, canvas.width, canvas.height);
    let dark = 0;
    for (let i = 0; i < data.length; i += 4) {
        if (data[i + 3] > 200 && Math.max(data[i], data[i + 1], data[i + 2]) < 60) dark += 1;
    }
    return dark;
}"""


def test_groups_have_symbols_and_what_is_chosen_has_a_rim(
    folder: Path, open_notebook: Open
) -> None:
    notebook = started(open_notebook, mapping(folder))
    page = notebook.page
    page.mouse.move(0, 0)  # pointing at a group of the legend shows it, too
    page.wait_for_timeout(200)
    shapes = page.evaluate(SHAPES, ROOT)
    assert len(set(shapes)) == len(shapes) == 3
    assert page.evaluate(INK, ROOT) == 0
    page.click(f"{ROOT} .sk-legend button:has-text('fault')")
    page.wait_for_selector(f"{ROOT} .sk-words:has-text('boiler')")
    assert page.evaluate(INK, ROOT) > 200


def test_a_hundred_thousand_points_are_drawn_and_chosen(folder: Path, open_notebook: Open) -> None:
    notebook = started(
        open_notebook,
        f"""
import numpy as np, polars as pl
from pathlib import Path
from scalekit.audit import SliceBook, item_map
from scalekit.widgets import Slicer
rng = np.random.default_rng(0)
category = pl.Series(np.repeat(["left", "right"], 50_000))
places = rng.uniform(0.1, 0.9, (100_000, 2)) * np.where(category == "left", -1, 1)[:, None]
items = pl.DataFrame({{"item_id": np.arange(100_000).astype(str), "category": category}})
items = items.with_columns(pl.format("text of {{}}", "item_id").alias("text"))
made = item_map(items, places=places)
slicer = Slicer(made, SliceBook(Path({str(folder)!r}) / "slices.jsonl"))
slicer
""",
    )
    page = notebook.page
    page.locator(ROOT).scroll_into_view_if_needed()
    lasso(notebook, spots(notebook, "left")[:20_000])
    page.wait_for_selector(f"{ROOT} tbody th:has-text('left')")
    page.fill(f"{ROOT} .sk-naming input", "half")
    page.keyboard.press("Enter")
    page.wait_for_selector(f"{ROOT} .sk-kept button:has-text('half')")
    kept = SliceBook(folder / "slices.jsonl").ids()["half"]
    assert sorted(map(int, kept)) == list(range(50_000))
    assert notebook.desk.foreign_requests() == []
