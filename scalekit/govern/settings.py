"""What a governed run is given: its examples, and how it goes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Examples", "Settings"]


@dataclass(frozen=True)
class Examples:
    """What is trained on: ids, and the texts and labels that the manifest's digests are of."""

    ids: Sequence[str]
    texts: Sequence[str]
    labels: Sequence[str]


@dataclass(frozen=True)
class Settings:
    """How a run goes.

    ``routing``: masks and depth-conditioned loss by profile; off, every example teaches every depth
    (the control). ``checkpoint_every``: updates between checkpoints. ``sketch``: numbers of the
    projection, a power of two. ``ledger``: keep a row for each update and example; off, the record
    has constant size.
    """

    epochs: int = 12
    batch: int = 32
    seed: int = 0
    routing: bool = True
    sketch: int = 64
    ledger: bool = True
    checkpoint_every: int = 50
    freeze_masked: bool = False
