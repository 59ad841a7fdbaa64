"""The threshold slider: counts that are known, and the border shown for the step it is at."""

from __future__ import annotations

import polars as pl
import pytest

from scalekit.audit import audit, near_duplicates
from scalekit.widgets import ThresholdSlider

WORDS = [x + y for x in "bcdfgklm" for y in ("ana", "ebo", "ilu", "oma", "upe")]
TEXTS = [" ".join(WORDS[: 40 - n] + [f"new{n}x{k}" for k in range(n)]) for n in range(10)]


@pytest.fixture
def slider() -> ThresholdSlider:
    rows = [{"item_id": f"i{n}", "text": t, "batch_id": "b"} for n, t in enumerate(TEXTS)]
    return ThresholdSlider(audit(rows, {"a": 1.0}, threshold=0.7).copies)


def test_counts_are_those_of_a_search_at_each_step(slider: ThresholdSlider) -> None:
    items = pl.DataFrame({"item_id": [f"i{n}" for n in range(len(TEXTS))], "text": TEXTS})
    config = slider.config
    assert (config["at"], config["items"]) == (0.7, len(TEXTS))
    for step, count in zip(config["steps"], config["counts"], strict=True):
        assert count == len(near_duplicates(items, threshold=step))
    assert config["counts"][0] > config["counts"][-1]


def test_a_step_moves_the_border_and_a_wrong_one_is_refused(slider: ThresholdSlider) -> None:
    before = slider.to_html()
    assert slider.answer({"kind": "at", "step": 8}) == {"threshold": 0.9}
    assert slider.copies.threshold == 0.9
    assert slider.to_html() != before
    for wrong in ({"kind": "at", "step": 99}, {"kind": "at", "step": "8"}, {"kind": "x"}):
        with pytest.raises(ValueError, match="step"):
            slider.answer(wrong)
    assert slider.copies.threshold == 0.9
