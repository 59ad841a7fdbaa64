"""Label events: one journal for each session of an annotator; the labels are a fold over them.

Each session writes its own file, ``<folder>/<annotator>/<start>-<session>.jsonl``, and nobody else
ever does, so annotators need no locks, also on a shared folder. An undo is an event that names the
one it reverses; nothing is deleted.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl

from scalekit.journal import Event, Journal, read

__all__ = ["LabelError", "LabelSession", "fold", "labels_of", "read_events"]

KINDS = ("label", "skip", "flag", "note", "undo")
_NAME = re.compile(r"[\w.@-]{1,64}")
SCHEMA = {
    "item_id": pl.String,
    "annotator": pl.String,
    "task": pl.String,
    "value": pl.String,
    "seconds": pl.Float64,
    "at": pl.String,
    "round": pl.Int64,
}


class LabelError(ValueError):
    """A label was refused: unknown item, annotator, value or event; nothing was recorded."""


@dataclass(frozen=True)
class Judgement:
    """What one event says: the annotator's act on an item."""

    order: tuple[str, int]
    annotator: str
    event: Event


class LabelSession:
    """One annotator labelling: checks each act, writes it, and only then acknowledges.

    Parameters
    ----------
    folder
        The folder of all label events.
    annotator
        Who labels.
    task
        Name of the task, kept with every label.
    values
        The values that may be given.
    items
        The ids of the items that may be labelled.
    round
        The labelling round, from 1.

    Raises
    ------
    LabelError
        When the annotator's name can't name a folder.
    JournalError
        When the folder can't be written.
    """

    def __init__(
        self,
        folder: Path,
        annotator: str,
        task: str,
        values: Iterable[str],
        items: Iterable[str],
        round: int = 1,
    ) -> None:
        if not _NAME.fullmatch(annotator) or annotator.strip(".") == "":
            raise LabelError(f"{annotator!r} can't name an annotator: letters, digits, . _ @ -")
        self.annotator, self.task, self.round = annotator, task, round
        self.values, self.items = tuple(values), frozenset(items)
        self.session = secrets.token_hex(4)
        start = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%f")
        path = folder / annotator / f"{start}-{self.session}.jsonl"
        self._journal = Journal(path, exclusive=True)
        self._journal.append("session", {"annotator": annotator, "session": self.session})
        self._done: dict[str, Event] = {}

    def record(self, act: Mapping[str, Any]) -> Event:
        """Write one act and return its event once it is on disk.

        *act* has ``id`` (unique, made by the sender: sending it again is harmless), ``kind``
        (label, skip, flag, note or undo), ``item``, for a label ``value``, for a note ``text``,
        for an undo ``reverses`` (the id of the act taken back), and ``active_ms``.

        Raises
        ------
        LabelError
            When item, kind, value or the reversed act is unknown.
        JournalError
            When it could not be written.
        """
        known = self._done.get(str(act.get("id")))
        if known is not None:
            return known
        return self.record_all([act])[0]

    def record_all(self, acts: Sequence[Mapping[str, Any]]) -> list[Event]:
        """Write several acts at once: all of them, or none; raises as :meth:`record` does."""
        batch: dict[str, Event | None] = {}
        for place, act in enumerate(acts, 1):
            self._check(act, f"act {place}" if len(acts) > 1 else "refused", batch)
            batch[str(act["id"])] = None
        cleaned = [
            (str(a["kind"]), {"task": self.task, "round": self.round, **_without(a, "kind")})
            for a in acts
        ]
        events = self._journal.extend(cleaned)
        self._done.update({e.data["id"]: e for e in events})
        return events

    def _check(self, act: Mapping[str, Any], where: str, batch: Mapping[str, Any]) -> None:
        kind, item, value = act.get("kind"), act.get("item"), act.get("value")
        if not act.get("id"):
            raise LabelError(f"{where}: the act has no id")
        if kind not in KINDS:
            raise LabelError(f"{where}: {kind!r} is not one of {', '.join(KINDS)}")
        if item not in self.items:
            raise LabelError(f"{where}: there is no item {item!r} in this task")
        if kind == "label" and value not in self.values:
            raise LabelError(f"{where}: {value!r} is not one of {', '.join(self.values)}")
        reverses = act.get("reverses")
        if kind == "undo" and reverses not in self._done and reverses not in batch:
            raise LabelError(f"{where}: {reverses!r} is not an act of this session")

    def close(self) -> None:
        """End the session."""
        self._journal.close()


def _without(act: Mapping[str, Any], key: str) -> dict[str, Any]:
    return {k: v for k, v in act.items() if k != key}


def read_events(folder: Path) -> list[Judgement]:
    """Return all acts of all annotators, by session start, then by place in the session.

    Raises
    ------
    JournalError
        When a journal is damaged, with file and line.
    """
    found = []
    for path in sorted(folder.glob("*/*.jsonl")):
        for event in read(path):
            if event.kind in KINDS:
                found.append(Judgement((path.stem, event.seq), path.parent.name, event))
    return sorted(found, key=lambda j: j.order)


def fold(judgements: Iterable[Judgement]) -> dict[tuple[str, str], dict[str, Judgement]]:
    """Return what stands: for each (annotator, item), the last act of each kind not undone."""
    acts = list(judgements)
    undone = {j.event.data["reverses"] for j in acts if j.event.kind == "undo"}
    state: dict[tuple[str, str], dict[str, Judgement]] = {}
    for act in acts:
        if act.event.kind == "undo" or act.event.data["id"] in undone:
            continue
        kinds = state.setdefault((act.annotator, act.event.data["item"]), {})
        kinds[act.event.kind] = act
    return state


def labels_of(judgements: Iterable[Judgement]) -> pl.DataFrame:
    """Return the labels that stand, as a labels table (columns of ``frames.LABELS``).

    ``seconds`` are active seconds; an imported label keeps the time it was given at.
    """
    rows = []
    for (annotator, item), kinds in fold(judgements).items():
        if "label" not in kinds:
            continue
        event = kinds["label"].event
        data = event.data
        active = data.get("active_ms")
        rows.append(
            {
                "item_id": item,
                "annotator": annotator,
                "task": data["task"],
                "value": data["value"],
                "seconds": None if active is None else active / 1000,
                "at": data.get("at", event.at),
                "round": data["round"],
            }
        )
    return pl.DataFrame(rows, schema=SCHEMA).sort("item_id", "annotator")
