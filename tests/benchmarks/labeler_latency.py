"""How fast the labeler answers a key, in a real JupyterLab with 100,000 items; JSON lines.

``key_to_next_ms``: from the key event to the frame that shows the next item. ``ack_ms``: from the
key event to "saved", which is after the label is on disk. Keys come 150 ms apart, one label each.
``--quick``: fewer keys.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from statistics import median, quantiles

sys.path.insert(0, str(Path(__file__).parents[1] / "browser"))

from lab import Desk, Notebook, chromium, jupyter_lab

ITEMS = 100_000
PAUSE = 150  # ms between two keys
CELL = f"""
import polars as pl, tempfile
from pathlib import Path
from scalekit.label import LabelSession, Task
from scalekit.widgets import Labeler
numbers = range({ITEMS})
items = pl.DataFrame({{
    "item_id": [f"item-{{n}}" for n in numbers],
    "text": [f"message {{n}} " + "with some words to read " * 12 for n in numbers],
}})
task = Task.choice("triage", ["billing", "delivery", "returns"])
session = LabelSession(Path(tempfile.mkdtemp()), "ana", task, items["item_id"])
Labeler(items, session)
"""
WATCH = """() => {
    const root = document.querySelector(".sk-labeler");
    window.times = { next: [], saved: [] };
    let pressed = 0, shown = true, acknowledged = true;
    root.addEventListener("keydown", (event) => {
        pressed = event.timeStamp;
        shown = acknowledged = false;
    }, { capture: true });
    new MutationObserver(() => requestAnimationFrame((frame) => {
        if (shown) return;
        shown = true;
        window.times.next.push(performance.now() - pressed);
    })).observe(root.querySelector(".sk-text"), { childList: true });
    new MutationObserver(() => {
        if (acknowledged || root.querySelector(".sk-saved").dataset.state !== "saved") return;
        acknowledged = true;
        window.times.saved.push(performance.now() - pressed);
    }).observe(root.querySelector(".sk-saved"), { attributes: true });
}"""


def measure(notebook: Notebook, keys: int) -> dict[str, list[float]]:
    """Press *keys* keys and return the times of each, in ms."""
    notebook.run_all()
    page = notebook.page
    page.wait_for_selector('.sk-labeler .sk-saved[data-state="saved"]')
    page.click(".sk-labeler .sk-text")
    notebook.press(["1"] * 10)  # warm
    page.wait_for_timeout(2000)
    page.evaluate(WATCH)
    for number in range(keys):
        page.keyboard.press("123"[number % 3])
        page.wait_for_timeout(PAUSE)
    page.wait_for_timeout(2000)
    found: dict[str, list[float]] = page.evaluate("window.times")
    return found


def main() -> None:
    """Measure and print."""
    keys = 60 if "--quick" in sys.argv[1:] else 400
    with (
        tempfile.TemporaryDirectory() as folder,
        jupyter_lab(Path(folder)) as server,
        chromium() as browser,
    ):
        desk = Desk(server, browser.new_page(viewport={"width": 1280, "height": 900}))
        times = measure(desk.open("latency.ipynb", [CELL]), keys)
    for figure, name in (("key_to_next_ms", "next"), ("ack_ms", "saved")):
        values = times[name]
        for part, value in (("p50", median(values)), ("p95", quantiles(values, n=20)[-1])):
            line = {"figure": f"{figure}_{part}", "value": round(value, 1), "unit": "ms"}
            print(json.dumps({**line, "n": len(values), "items": ITEMS}))


if __name__ == "__main__":
    main()
