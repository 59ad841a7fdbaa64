"""Another question asked in a project beside its categories: its items, labels and agreement."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import polars as pl

from scalekit.display import View, block, counted, note
from scalekit.frames import require, to_polars, write_atomically, write_parquet
from scalekit.label import (
    AdjudicationSession,
    Cost,
    Criterion,
    Imported,
    LabelError,
    LabelSession,
    PartAgreement,
    Task,
    Value,
    agreement_by_part,
    annotator_name,
    cost,
    deliver,
    disputed,
    every_label,
    import_labels,
    judgements_of,
    labels_of,
    majority,
    notes_of,
    read_events,
    read_labels,
    resolutions,
    settled,
    write_labels,
)

__all__ = ["Question"]

_NAME = re.compile(r"[\w.-]{1,64}")


class Question(View):
    """A task with its items, in a folder of its own: nothing of it touches the project's gates.

    It is made by ``project.label.ask(task, items)`` and found again by ``project.label.asked``.
    """

    def __init__(self, folder: Path, in_use: pl.DataFrame, instructions: str = "") -> None:
        self._folder = folder
        self._instructions = instructions
        told = json.loads((folder / "task.json").read_text(encoding="utf-8"))
        self.task = Task(
            **{
                **told,
                "values": tuple(Value(**v) for v in told["values"]),
                "criteria": tuple(Criterion(**c) for c in told["criteria"]),
                "roles": tuple(told["roles"]),
            }
        )
        # Items in use are not copied: a text that is sealed later must be in no other file.
        own = folder / "items.parquet"
        self.items = pl.read_parquet(own) if own.exists() else in_use

    @classmethod
    def make(
        cls, folder: Path, task: Task, items: Any, in_use: pl.DataFrame, instructions: str = ""
    ) -> Question:
        """Keep a task and its items in *folder*/<task's name>; the same again is the same.

        Without *items*, it is asked of those *in_use*.

        Raises
        ------
        FrameError
            When the items have no ``item_id``.
        LabelError
            When the name can't name a folder, or stands for another task or other items.
        """
        from scalekit.widgets.content import check_content

        if not _NAME.fullmatch(task.name) or not task.name.strip("."):
            raise LabelError(f"{task.name!r} can't name a task's folder: letters, digits, . _ -")
        frame = in_use if items is None else to_polars(items, "items")
        frame = require(frame, ("item_id",), "items")
        frame = frame.with_columns(pl.col("item_id").cast(pl.String))
        if frame["item_id"].n_unique() != len(frame):
            raise LabelError("an item_id stands twice among the items")
        check_content(frame, task)
        own = folder / task.name
        told = json.dumps(asdict(task), ensure_ascii=False, indent=1)
        if (own / "task.json").exists():
            kept = cls(own, in_use, instructions)
            if kept.task != task or not kept.items.equals(frame):
                raise LabelError(
                    f"{task.name!r} was asked already, otherwise or of other items; take a new name"
                )
            return kept
        own.mkdir(parents=True, exist_ok=True)
        if items is not None:
            write_parquet(frame, own / "items.parquet")
        write_atomically(own / "task.json", told)
        return cls(own, in_use, instructions)

    def open(self, annotator: str | None = None, *, round: int = 1) -> Any:
        """Open the Labeler for one annotator, at the first item they have not labelled."""
        from scalekit.widgets import Labeler

        who = annotator_name(annotator)
        given = self.labels().filter((pl.col("annotator") == who) & (pl.col("round") >= round))
        todo = self._shown(who).join(given, on="item_id", how="anti", maintain_order="left")
        session = LabelSession(self._events, who, self.task, self._lengths(), round)
        return Labeler(todo, session, guidelines=self._instructions, done=len(given))

    def adjudicate(self, adjudicator: str | None = None) -> Any:
        """Open the Adjudicator on the items on which answers differ and nobody has decided."""
        from scalekit.widgets import Adjudicator

        acts = read_events(self._events)
        disputes = disputed(self.labels(), notes_of(acts))
        left = disputes.join(resolutions(acts), on="item_id", how="anti", maintain_order="left")
        who = annotator_name(adjudicator)
        session = AdjudicationSession(self._events, who, self.task, self._lengths())
        done = len(disputes) - len(left)
        return Adjudicator(self.items, left, session, guidelines=self._instructions, done=done)

    def import_table(self, labels: Any, *, round: int = 1) -> Imported:
        """Record labels made elsewhere, as :func:`scalekit.label.read_labels` reads them.

        Returns how many are new, and how many replace an annotator's earlier label of the item.
        """
        read, before = read_labels(labels, self.task), self.labels()
        import_labels(
            read.table, folder=self._events, task=self.task, items=set(self.items["item_id"]),
            annotators=set(read.table["annotator"]), round=round,
        )  # fmt: skip
        return Imported.of(read.table, before, round=round, fresh=True, left_out=read.left_out)

    def labels(self) -> pl.DataFrame:
        """Return the labels that stand."""
        return labels_of(read_events(self._events))

    def agreement(self) -> PartAgreement:
        """Measure agreement on each part of the answer."""
        return agreement_by_part(self.labels(), self.task, self.items)

    def consensus(self) -> pl.DataFrame:
        """Return what was adjudicated, else the answer that most gave word for word."""
        return settled(majority(self.labels()), resolutions(read_events(self._events)))

    def judgements(self) -> pl.DataFrame:
        """Return what was judged of pairs, as :func:`scalekit.label.judgements_of`.

        Raises
        ------
        FrameError
            When the items are not from :func:`scalekit.label.pair_items`.
        """
        return judgements_of(read_events(self._events), self.items, self.task)

    def cost(self, rates: float | Mapping[str, float], *, currency: str = "") -> Cost:
        """Return what all answers cost, as :func:`scalekit.label.cost`."""
        labels = every_label(read_events(self._events))
        return cost(labels, rates, accepted=self.consensus(), currency=currency)

    def deliver(self, folder: Path | str) -> Path:
        """Write labels, consensus and, of pairs, what to train on, with their digests.

        As :meth:`scalekit.label.Delivery.write`; into a new folder, whole or not at all.
        """
        made = deliver(self.labels(), self.consensus(), self.items, task=self.task)
        return made.write(folder)

    def export(self, path: Path | str, *, format: str = "") -> Path:
        """Write the labels for other tools, as :func:`scalekit.label.write_labels`."""
        items = self.items if "text" in self.items.columns else None
        return write_labels(self.labels(), path, self.task, format=format, items=items)

    def to_html(self) -> str:
        """Say what is asked, of how many items, and how many answers there are."""
        labels = self.labels()
        people = labels["annotator"].n_unique()
        said = f"{counted(len(self.items), 'item')}, {counted(len(labels), 'answer')} by "
        return block(
            f"{self.task.name} ({self.task.kind})",
            note(self.task.question) if self.task.question else "",
            note(f"{said}{counted(people, 'annotator')}."),
        )

    def _shown(self, annotator: str) -> pl.DataFrame:
        """Return the items as one annotator sees them."""
        return self.items

    @property
    def _events(self) -> Path:
        return self._folder / "events"

    def _lengths(self) -> dict[str, int] | list[str]:
        """Return the items, with the length beyond which no span or turn may lie."""
        ids = self.items["item_id"].to_list()
        if self.task.kind == "span":
            return dict(zip(ids, (len(t or "") for t in self.items["text"]), strict=True))
        if self.task.kind == "turns":
            turns = (json.loads(m) if isinstance(m, str) else m for m in self.items["messages"])
            return dict(zip(ids, (len(list(t)) for t in turns), strict=True))
        return ids
