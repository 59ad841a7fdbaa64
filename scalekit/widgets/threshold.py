"""A slider over the similarity from which a text goes; nothing is searched or stored by it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from scalekit.audit.copies import Copies
from scalekit.widgets.base import Widget, script, style

__all__ = ["ThresholdSlider"]


class ThresholdSlider(Widget):
    """See how many near-copies go at each threshold, and the texts at the border.

    The number that counts is in the project's ``project.toml``: ``near_duplicate``.

    Parameters
    ----------
    copies
        The near-copies of an audit.
    """

    _esm = script("threshold")
    _css = style("threshold")

    def __init__(self, copies: Copies) -> None:
        self._copies = copies
        every = copies.thresholds
        self._steps = every["threshold"].to_list()
        config = {
            "steps": self._steps,
            "counts": every["left out"].to_list(),
            "items": len(copies.items),
            "at": min(self._steps, key=lambda step: abs(step - copies.threshold)),
        }
        super().__init__(config)

    @property
    def copies(self) -> Copies:
        """The near-copies at the threshold that the slider is at."""
        return self._copies

    def answer(self, message: Mapping[str, Any]) -> dict[str, Any]:
        """Take the step that the slider was moved to."""
        step = message.get("step")
        if message.get("kind") != "at" or not isinstance(step, int):
            raise ValueError(f"a step of the slider is needed, got {dict(message)!r}")
        if not 0 <= step < len(self._steps):
            raise ValueError(f"the slider has {len(self._steps)} steps, got {step}")
        self._copies = self._copies.at(self._steps[step])
        return {"threshold": self._steps[step]}

    def to_html(self) -> str:
        """Show what goes at the threshold, and the texts at the border."""
        return self._copies.to_html()
