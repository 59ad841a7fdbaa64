"""The report in a real browser, with the network cut off."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from lab import Desk

STAGES = (
    "Summary", "Gates", "Specify", "Collect", "Audit", "Label", "Train", "Evaluate", "Loop",
    "Evidence", "Journals",
)  # fmt: skip


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_stage_shows_with_no_network(
    desk: Desk, sealed: Any, tmp_path: Path, theme: str
) -> None:
    sealed.train.fit(epochs=2)
    sealed.evaluate.measure(sealed.train.model().predict)
    report = sealed.report().path
    browser = desk.page.context.browser
    with browser.new_context(offline=True, color_scheme=theme) as context:
        page = context.new_page()
        asked: list[str] = []
        failed: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: failed.append(message.text))
        page.goto(report.as_uri())
        assert page.locator("h2").all_inner_texts() == list(STAGES)
        assert "Nothing to show yet" not in page.locator("main").inner_text()
        assert [u for u in asked if not u.startswith(("file:", "data:"))] == []
        assert failed == []
        widths = page.locator("img").evaluate_all("all => all.map(i => i.naturalWidth)")
        assert len(widths) == 4
        assert min(widths) > 300
        assert all(page.locator("img").evaluate_all("all => all.map(i => i.alt)"))
        ground, ink = page.evaluate(
            "[getComputedStyle(document.body).backgroundColor, "
            "getComputedStyle(document.body).color]"
        )
        assert ground != ink
        # Wide tables scroll in their own frame: the page itself never does.
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
