"""Exposure of the handwritten examples: how often each was measured on, and whether it is burned.

They are part of the spec and the first evaluation set at once. An example that stood in a prompt
or in training is answered from memory: it is burned, and left out of every later score.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from scalekit.display import View, block, counted, note, table
from scalekit.signing import digest

__all__ = ["USES", "Exposure", "exposure", "text_mark"]

USES = ("prompt", "training", "measured")


@dataclass(frozen=True)
class Exposure(View):
    """``item_id, prompt, training, measured`` (how often each use) and ``burned``."""

    table: pl.DataFrame

    @property
    def burned(self) -> list[str]:
        """The examples that no score may count any more."""
        return self.table.filter("burned")["item_id"].to_list()

    @property
    def said(self) -> str:
        """What is left out, in a sentence; nothing when no example is burned."""
        gone = len(self.burned)
        were = "was" if gone == 1 else "were"
        told = f"{counted(gone, 'handwritten example')} {were} used in a prompt or in training and"
        return f"{told} left out of the score." if gone else ""

    def to_html(self) -> str:
        """Show the examples, burned ones first."""
        order = self.table.sort("burned", "item_id", descending=[True, False])
        said = self.said or "No handwritten example is burned."
        return block("Exposure of the handwritten examples", note(said), table(order))


def text_mark(text: str) -> str:
    """Return what names an example by its text: its number changes when the spec does."""
    return digest(text).rpartition(":")[2][:16]


def exposure(examples: pl.DataFrame, uses: Iterable[Mapping[str, Any]]) -> Exposure:
    """Count the uses of each example.

    Parameters
    ----------
    examples
        ``item_id, text``.
    uses
        Mappings with ``use`` (one of :data:`USES`) and ``texts``, marks as of :func:`text_mark`.
    """
    marks = [text_mark(text) for text in examples["text"]]
    counts = {mark: dict.fromkeys(USES, 0) for mark in marks}
    for act in uses:
        for mark in act["texts"]:
            if mark in counts:
                counts[mark][act["use"]] += 1
    rows = [
        {"item_id": item, **counts[mark]}
        for item, mark in zip(examples["item_id"], marks, strict=True)
    ]
    schema = {"item_id": pl.String, **dict.fromkeys(USES, pl.Int64)}
    burned = (pl.col("prompt") + pl.col("training") > 0).alias("burned")
    return Exposure(pl.DataFrame(rows, schema=schema).with_columns(burned))
