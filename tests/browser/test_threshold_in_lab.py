"""The threshold slider in JupyterLab: by key, with the texts at the border below it."""

from __future__ import annotations

from collections.abc import Callable

from lab import Notebook

CELL = """
from scalekit.audit import audit
from scalekit.widgets import ThresholdSlider
words = [x + y for x in "bcdfgklm" for y in ("ana", "ebo", "ilu", "oma", "upe")]
texts = [" ".join(words[: 40 - n] + [f"new{n}x{k}" for k in range(n)]) for n in range(10)]
rows = [{"item_id": f"i{n}", "text": t, "batch_id": "b"} for n, t in enumerate(texts)]
slider = ThresholdSlider(audit(rows, {"a": 1.0}, threshold=0.7).copies)
slider
"""


def test_arrows_move_the_threshold_and_the_texts_below_follow(
    open_notebook: Callable[..., Notebook],
) -> None:
    notebook = open_notebook(CELL, "1 + 1")
    notebook.run_all()
    page = notebook.page
    page.wait_for_selector(".sk-threshold-range")
    told = page.locator(".sk-threshold output")
    assert "from 0.70: " in told.inner_text()
    page.locator(".sk-threshold-range").focus()
    for _ in range(4):
        page.keyboard.press("ArrowRight")
    assert "from 0.90: " in told.inner_text()
    page.wait_for_function("document.body.innerText.includes('texts go at 0.90')")
    assert notebook.printed("slider.copies.threshold") == "0.9"
    assert page.evaluate("document.activeElement.className") == "sk-threshold-range"
    assert notebook.unreadable(".sk-threshold") == []
