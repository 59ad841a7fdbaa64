"""Take the README's pictures of the widgets: ``python tests/browser/take_pictures.py``."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lab import Desk, Notebook, chromium, jupyter_lab
from PIL import Image

REPOSITORY = Path(__file__).parents[2]
PICTURES = REPOSITORY / "docs" / "pictures"
GAP = 20  # pixels between the parts of a picture
RING = 3  # pixels that the sign of the focus takes outside a widget
NO_LAUNCHER = """[...jupyterapp.shell.widgets("main")]
    .filter(({ id }) => id.startsWith("launcher")).forEach((widget) => widget.close())"""
READY = '.sk-saved[data-state="saved"]'

SAMPLE = 'import scalekit as sk\n\nproject = sk.Project("first-label")'
PROJECT = """
import json, scalekit as sk
code = json.load(open({notebook!r}))["cells"][1]["source"]
exec("".join(code).replace('sample = "', 'sample = "{root}/').split("project.label")[0])
project.label.invite("ana")
"""
KINDS = """
import polars as pl
from pathlib import Path
from scalekit.label import AdjudicationSession, Criterion, LabelSession, Task, Value, disputed
from scalekit.widgets import Adjudicator, Labeler
folder = Path({folder!r})

def ask(task, items):
    items = pl.DataFrame(items)
    return Labeler(items, LabelSession(folder / task.name, "ana", task, items["item_id"]))

reply = {{"prompt": "How do I reset my password?",
    "first": "Click on “Forgot password” on the sign-in page; you get a mail with a link.",
    "second": "Passwords are important. Have you tried turning it off and on again? Otherwise "
    "contact us by mail, phone or letter, whichever suits you, between 9 and 5."}}
pair = Task("pair", "pair", question="Which reply helps more?")
criteria = (Criterion("correct", "Nothing false is said", 0, 1),
    Criterion("clear", "A newcomer follows it"), Criterion("kind", "Warm without gushing", -2, 2))
rubric = Task("rubric", "rubric", criteria=criteria, question="Score the reply")
said = ("My parcel is late. What can I do?", "Sorry to hear that. Parcels sometimes take longer "
    "around holidays; I can open a trace for you.", "Please do. It is order 4471.",
    "Done: the trace is open, you'll hear from us within two days.")
chat = [{{"role": ("user", "assistant")[n % 2], "content": text}} for n, text in enumerate(said)]
named = (Value("person"), Value("place"), Value("date"))
span = Task("span", "span", named, question="Mark every name, place and date")
story = "On 3 May Ada Lovelace met Charles Babbage in London, and wrote to him again in June."
queues = (("billing", "money asked or owed"), ("delivery", "where is my parcel"),
    ("returns", "sending something back"), ("cancellation", "ends a plan that renews"))
queue = Task("queue", values=tuple(Value(*q) for q in queues), question="Which queue is it for?")
items = pl.DataFrame({{"item_id": "i", "text": "I want to call off order 0, it hasn't come yet."}})
votes = [("i", "ana", "cancellation", 9.1), ("i", "ben", "returns", 7.4),
    ("i", "chloe", "cancellation", 12.0), ("i", "dora", "returns", 8.8)]
votes = pl.DataFrame(votes, schema=["item_id", "annotator", "value", "seconds"], orient="row")
note = "nothing about one order in the instructions"
note = pl.DataFrame({{"item_id": "i", "annotator": "ben", "note": note}})
judge = AdjudicationSession(folder / "decided", "mia", queue, ["i"])
"""
ASKED = (
    "ask(pair, [{'item_id': n, **reply} for n in 'abcd'])",
    "ask(rubric, [{'item_id': n, 'messages': chat} for n in 'abc'])",
    "ask(span, [{'item_id': n, 'text': story} for n in 'abc'])",
    "Adjudicator(items, disputed(votes, note), judge)",
)


def shot(page: Any, part: str = "") -> Image.Image:
    """Return a picture of a page, or of a part of it with the ring round it."""
    clip = None
    if part:
        box = page.locator(part).bounding_box()
        x, y = (round(box[side]) - RING for side in ("x", "y"))
        width, height = (round(box[side]) + 2 * RING for side in ("width", "height"))
        clip = {"x": x, "y": y, "width": width, "height": height}
    return Image.open(io.BytesIO(page.screenshot(clip=clip)))


def kept(picture: Image.Image, name: str) -> None:
    """Write a picture to the others of the README, in 256 colours, none of them far off."""
    method, dither = Image.Quantize.MAXCOVERAGE, Image.Dither.NONE
    fewer = picture.convert("RGB").quantize(256, method=method, dither=dither)
    fewer.save(PICTURES / f"{name}.png", optimize=True)


def labeler(desk: Desk) -> None:
    """Run the sample to its labels, and label eight items."""
    page = desk.page
    notebook = str(REPOSITORY / "notebooks" / "first_label.ipynb")
    made = [sys.executable, "-c", PROJECT.format(notebook=notebook, root=REPOSITORY)]
    subprocess.run(made, cwd=desk.server.root, check=True)
    opened = desk.open("4_label.ipynb", [SAMPLE, 'project.label.open("ana")'])
    desk.command("application:toggle-left-area")
    page.evaluate(NO_LAUNCHER)
    opened.run_all()
    page.wait_for_selector(READY)
    page.click(".sk-labeler .sk-text")
    for key in "52784861":
        page.keyboard.press(key)
        page.wait_for_timeout(900)  # not so fast that it says so
    page.wait_for_selector(READY)
    page.wait_for_timeout(1500)
    kept(shot(page), "labeler")
    opened.close()


def parts(desk: Desk, folder: Path) -> Iterator[Image.Image]:
    """Answer each kind of question as far as the picture shows it."""
    page = desk.page
    mark = ("ArrowRight", "Shift+ArrowRight")
    keys = ((), ("1", "4"), ("ArrowRight", *mark, "3", *mark, "1", "ArrowRight"), ())
    for place, (asked, pressed) in enumerate(zip(ASKED, keys, strict=True)):
        notebook = desk.open(f"{place}.ipynb", [KINDS.format(folder=str(folder)), asked])
        notebook.run_all()
        page.wait_for_selector(READY)
        page.click(".sk-labeler .sk-head")
        notebook.press(pressed)
        if place == 3:
            page.click(".sk-vote >> nth=1")
            notebook.press(["Shift+G", "Enter"])
        page.mouse.move(0, 0)
        page.wait_for_timeout(500)
        yield shot(page, ".sk-labeler")
        notebook.close()


def beside(columns: list[list[Image.Image]]) -> Image.Image:
    """Return columns of pictures as one."""
    wide = [max(p.width for p in c) for c in columns]
    high = [sum(p.height + GAP for p in c) - GAP for c in columns]
    whole = Image.new("RGB", (sum(wide) + GAP * (len(wide) - 1), max(high)), "white")
    for place, column in enumerate(columns):
        down = 0
        for picture in column:
            whole.paste(picture, (sum(wide[:place]) + GAP * place, down))
            down += picture.height + GAP
    return whole


def slicer(desk: Desk) -> None:
    """Choose a group on the map of the sample."""
    notebook: Notebook = desk.open("map.ipynb", [SAMPLE, "project.audit.map()"])
    notebook.run_all()
    desk.page.wait_for_selector(READY)
    desk.page.click(".sk-slicer .sk-legend button:has-text('cancellation')")
    desk.page.wait_for_selector(".sk-slicer .sk-words:has-text('cancel')")
    desk.page.mouse.move(0, 0)
    desk.page.wait_for_timeout(500)
    kept(shot(desk.page, ".sk-slicer"), "slicer")
    notebook.close()


def main() -> None:
    """Take all pictures."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        os.environ["SCALEKIT_KEYS"] = str(folder / "keys")
        with jupyter_lab(folder / "lab") as server, chromium() as browser:
            page = browser.new_page(viewport={"width": 1180, "height": 745})
            desk = Desk(server, page)
            labeler(desk)
            page.set_viewport_size({"width": 900, "height": 2400})
            found = list(parts(desk, folder / "kinds"))
            kept(beside([found[:2], found[2:]]), "labeler_kinds")
            page.set_viewport_size({"width": 1060, "height": 1900})
            slicer(desk)


if __name__ == "__main__":
    main()
