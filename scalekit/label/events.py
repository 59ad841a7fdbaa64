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
from typing import Any, ClassVar

import polars as pl

from scalekit.journal import Event, Journal, read
from scalekit.label.tasks import LabelError, Task

__all__ = ["LabelError", "LabelSession", "every_label", "fold", "labels_of", "read_events"]

KINDS = ("label", "adjudicate", "skip", "flag", "note", "undo")
FIELDS = (
    "kind", "item", "value", "text", "reverses", "active_ms", "wall_ms", "by", "via", "at",
    "shown_first", "reason", "rule",
)  # fmt: skip
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


@dataclass(frozen=True)
class Judgement:
    """What one event says: the annotator's act on an item."""

    order: tuple[str, int]
    annotator: str
    event: Event

    @property
    def session(self) -> tuple[str, str]:
        """The session it was given in: an undo reaches no other."""
        return self.annotator, self.order[0]


def check_name(annotator: str) -> None:
    """Do nothing if *annotator* can name a folder, else raise LabelError."""
    if not _NAME.fullmatch(annotator) or annotator.strip(".") == "":
        raise LabelError(f"{annotator!r} can't name an annotator: letters, digits, . _ @ -")


class LabelSession:
    """One annotator labelling: checks each act, writes it, and only then acknowledges.

    Parameters
    ----------
    folder
        The folder of all label events.
    annotator
        Who labels.
    task
        What is asked; its name is kept with every label.
    items
        The ids of the items that may be labelled; as a mapping, with each one's length, in code
        points or turns, beyond which no span or turn may lie.
    round
        The labelling round, from 1.
    about
        What else the session's first event keeps, such as the version of the instructions.

    Raises
    ------
    LabelError
        When the annotator's name can't name a folder.
    JournalError
        When the folder can't be written.
    """

    KINDS: ClassVar[tuple[str, ...]] = ("label", "skip", "flag", "note", "undo")

    def __init__(
        self,
        folder: Path | str,
        annotator: str,
        task: Task,
        items: Iterable[str] | Mapping[str, int],
        round: int = 1,
        *,
        about: Mapping[str, str] | None = None,
    ) -> None:
        check_name(annotator)
        self.annotator, self.task, self.round = annotator, task, round
        self.items = frozenset(items)
        self._lengths = items if isinstance(items, Mapping) else {}
        self.session = secrets.token_hex(4)
        start = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%f")
        path = Path(folder) / annotator / f"{start}-{self.session}.jsonl"
        self._journal = Journal(path, exclusive=True)
        opened = {**(about or {}), "annotator": annotator, "session": self.session}
        self._journal.append("session", opened)
        self._done: dict[str, Event] = {}

    def record(self, act: Mapping[str, Any]) -> Event:
        """Write one act and return its event once it is on disk.

        *act* has ``id`` (unique, made by the sender: sending it again is harmless), ``kind``
        (label, skip, flag, note or undo), ``item``, for a label ``value`` (kept in its one text
        form, see :mod:`scalekit.label.tasks`), for a note ``text``, for an undo ``reverses`` (the
        id of the act taken back), and ``active_ms``.

        Raises
        ------
        LabelError
            When item, kind, value or the reversed act is unknown.
        JournalError
            When it could not be written.
        """
        return self.record_all([act])[0]

    def record_all(self, acts: Sequence[Mapping[str, Any]]) -> list[Event]:
        """Write several acts at once: all of them, or none; raises as :meth:`record` does.

        Acts that were recorded before are not written again.
        """
        fresh: dict[str, dict[str, Any]] = {}
        for place, act in enumerate(acts, 1):
            where = f"act {place}" if len(acts) > 1 else "refused"
            cleaned = self._clean(act)
            self._check(cleaned, where, fresh)
            cleaned = self._encoded(cleaned, where)
            self._check_new(cleaned, where, fresh)
            fresh[cleaned["id"]] = cleaned
        new = [a for a in fresh.values() if a["id"] not in self._done]
        events = self._journal.extend((a["kind"], _without(a, "kind")) for a in new)
        self._done.update({e.data["id"]: e for e in events})
        return [self._done[str(act["id"])] for act in acts]

    def _clean(self, act: Mapping[str, Any]) -> dict[str, Any]:
        """Keep what an act may say; task and round are the session's to say."""
        said = {k: act[k] for k in FIELDS if act.get(k) is not None}
        about = {"id": str(act.get("id") or ""), "task": self.task.name, "round": self.round}
        return {**said, **about}

    def _encoded(self, act: Mapping[str, Any], where: str) -> dict[str, Any]:
        """Return the act with its answer in the one text form."""
        if act["kind"] != "label":
            return dict(act)
        return {**act, "value": self._value(act, where)}

    def _value(self, act: Mapping[str, Any], where: str) -> str:
        try:
            return self.task.encode(act.get("value"), length=self._lengths.get(act["item"]))
        except LabelError as error:
            raise LabelError(f"{where}: {error}") from None

    def _check(
        self, act: Mapping[str, Any], where: str, batch: Mapping[str, Mapping[str, Any]]
    ) -> None:
        kind, item = act.get("kind"), act.get("item")
        if not act["id"]:
            raise LabelError(f"{where}: the act has no id")
        if kind not in self.KINDS:
            raise LabelError(f"{where}: {kind!r} is not one of {', '.join(self.KINDS)}")
        if item not in self.items:
            raise LabelError(f"{where}: there is no item {item!r} in this task")
        if kind == "undo":
            reverses = str(act.get("reverses"))
            earlier = self._done.get(reverses)
            of = earlier.kind if earlier else batch.get(reverses, {}).get("kind")
            if of is None:
                raise LabelError(f"{where}: {reverses!r} is not an act of this session")
            if of == "undo":
                raise LabelError(f"{where}: an undo can't be undone; give the label again")

    def _check_new(
        self, act: Mapping[str, Any], where: str, batch: Mapping[str, Mapping[str, Any]]
    ) -> None:
        """Refuse an id that was used for another act."""
        done = self._done.get(act["id"])
        known = {**done.data, "kind": done.kind} if done else batch.get(act["id"])
        if known is not None and known != act:
            raise LabelError(f"{where}: the id {act['id']!r} was used for another act already")

    def close(self) -> None:
        """End the session."""
        self._journal.close()


def _without(act: Mapping[str, Any], key: str) -> dict[str, Any]:
    return {k: v for k, v in act.items() if k != key}


def read_events(folder: Path) -> list[Judgement]:
    """Return all acts of all annotators, in the order in which they were given.

    Raises
    ------
    JournalError
        When a journal is damaged, with file and line.
    """
    found = []
    for path in sorted(folder.glob("*/*.jsonl")):
        latest = ""
        for event in read(path):
            # Time orders sessions among each other; in one session its own order holds, also
            # when the clock is set back.
            latest = max(latest, event.at)
            if event.kind in KINDS:
                order = (latest, path.stem, event.seq)
                found.append((order, Judgement((path.stem, event.seq), path.parent.name, event)))
    return [judgement for _, judgement in sorted(found, key=lambda pair: pair[0])]


def fold(judgements: Iterable[Judgement]) -> dict[tuple[str, str], dict[str, Judgement]]:
    """Return what stands: for each (annotator, item), the last act of each kind not undone."""
    acts = list(judgements)
    undone = {(j.session, j.event.data["reverses"]) for j in acts if j.event.kind == "undo"}
    state: dict[tuple[str, str], dict[str, Judgement]] = {}
    for act in acts:
        if act.event.kind == "undo" or (act.session, act.event.data["id"]) in undone:
            continue
        kinds = state.setdefault((act.annotator, act.event.data["item"]), {})
        # Put last what came last, also in the order of kinds.
        kinds.pop(act.event.kind, None)
        kinds[act.event.kind] = act
    return state


def labels_of(judgements: Iterable[Judgement]) -> pl.DataFrame:
    """Return the labels that stand, as a labels table (columns of ``frames.LABELS``).

    ``seconds`` are active seconds; an imported label keeps the time it was given at.
    """
    standing = [kinds["label"] for kinds in fold(judgements).values() if "label" in kinds]
    return _labels(standing).sort("item_id", "annotator")


def every_label(judgements: Iterable[Judgement]) -> pl.DataFrame:
    """Return every label ever given, also those taken back or replaced: all of them took time."""
    return _labels([j for j in judgements if j.event.kind == "label"])


def _labels(judgements: Sequence[Judgement]) -> pl.DataFrame:
    rows = []
    for judgement in judgements:
        data = judgement.event.data
        active = data.get("active_ms")
        rows.append(
            {
                "item_id": data["item"],
                "annotator": judgement.annotator,
                "task": data["task"],
                "value": data["value"],
                "seconds": None if active is None else active / 1000,
                "at": data.get("at", judgement.event.at),
                "round": data["round"],
            }
        )
    return pl.DataFrame(rows, schema=SCHEMA)
