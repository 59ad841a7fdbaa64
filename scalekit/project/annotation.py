"""Who labels in a project and under which instructions: sessions, adjudication, imports."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256
from typing import Any

import polars as pl

from scalekit.display import counted
from scalekit.frames import to_polars, write_atomically
from scalekit.label import (
    AdjudicationSession,
    LabelError,
    LabelSession,
    Task,
    Value,
    annotator_name,
    check_name,
    disputed,
    import_labels,
    labels_of,
    notes_of,
    read_events,
    resolutions,
    touched,
)
from scalekit.project.stage import Stage
from scalekit.signing import digest

__all__ = ["EVENTS", "LOG", "Annotation"]

EVENTS = "label/events"
LOG = "label/log.jsonl"
TASK = "category"


class Annotation(Stage):
    """The acts of people in the Label stage, and the instructions they follow."""

    def invite(self, *annotators: str) -> None:
        """Name who may label.

        Raises
        ------
        LabelError
            When a name can't name a folder.
        """
        for name in annotators:
            check_name(name)
        for name in annotators:
            if name not in self.annotators:
                self._folder.append(LOG, "invited", {"annotator": name})

    @property
    def annotators(self) -> list[str]:
        """Who may label."""
        return [e.data["annotator"] for e in self._folder.events(LOG, "invited")]

    @property
    def instructions(self) -> str:
        """The instructions as annotators see them: the spec's, then the edge cases since."""
        said = [self._project.specify.spec.instructions.strip()]
        said += [f"- {e.data['edge_case']}" for e in self._folder.events(LOG, "sharpened")]
        return "\n".join(said)

    def sharpen(self, edge_case: str, why: str) -> str:
        """Add an edge case to the instructions, with the reason, and return them.

        They are kept in ``instructions.md`` as well. The same edge case is added once.
        """
        known = [e.data["edge_case"] for e in self._folder.events(LOG, "sharpened")]
        if edge_case not in known:
            self._folder.append(LOG, "sharpened", {"edge_case": edge_case, "because": why})
        write_atomically(self._folder / "instructions.md", self.instructions + "\n")
        return self.instructions

    def leave_out(self, annotator: str, why: str) -> None:
        """Leave an annotator's labels out of agreement and consensus; they stay on record.

        Raises
        ------
        LabelError
            When nobody of that name was invited, or no reason is given.
        """
        self._known(annotator)
        if not why.strip():
            raise LabelError("say why the labels are left out")
        if annotator not in self.left_out:
            self._folder.append(LOG, "left out", {"annotator": annotator, "because": why})

    @property
    def left_out(self) -> list[str]:
        """Whose labels are left out."""
        return [e.data["annotator"] for e in self._folder.events(LOG, "left out")]

    def open(
        self,
        annotator: str | None = None,
        *,
        item_ids: Iterable[str] | None = None,
        round: int = 1,
    ) -> Any:
        """Open the Labeler for one annotator, at the first item they have not labelled.

        Without *annotator* it is who JupyterHub says, else who answers the question. *item_ids*
        restricts it to those items (a round on disagreements); then items labelled in an earlier
        round are shown again.

        Raises
        ------
        GateClosedError
            When an earlier gate is not passed.
        LabelError
            When the annotator was not invited.
        """
        from scalekit.widgets import Labeler

        self.require_before()
        annotator = annotator_name(annotator)
        self._known(annotator)
        items = self._project.audit.items()
        if item_ids is not None:
            items = items.filter(pl.col("item_id").is_in(list(item_ids)))
        done = self._every().filter((pl.col("annotator") == annotator) & (pl.col("round") >= round))
        todo = items.join(done, on="item_id", how="anti")
        # The same drawn order for everybody, so that the first labels overlap.
        drawn = [sha256(f"{round}:{i}".encode()).hexdigest() for i in todo["item_id"]]
        todo = todo.with_columns(pl.Series("drawn", drawn, dtype=pl.String)).sort("drawn")
        session = LabelSession(
            self._folder / EVENTS,
            annotator,
            self._task(),
            items["item_id"],
            round,
            about=self._about(),
        )
        kept = done.filter(pl.col("item_id").is_in(items["item_id"].to_list()))
        return Labeler(
            todo.select("item_id", "text"),
            session,
            guidelines=self.instructions,
            done=dict(kept["value"].value_counts().iter_rows()),
        )

    def import_table(self, labels: Any, *, round: int = 1) -> int:
        """Record labels made elsewhere: ``item_id, annotator, value`` and, if known, seconds, at.

        Returns how many; the same table is recorded once.

        Raises
        ------
        GateClosedError
            When an earlier gate is not passed.
        LabelError
            For an unknown item, annotator or value; nothing is recorded.
        """
        self.require_before()
        given = to_polars(labels, "labels")
        rows = [[str(v) if v is not None else "" for v in r] for r in given.rows()]
        mark = digest([given.columns, rows, round])
        if mark in [e.data["table"] for e in self._folder.events(LOG, "imported")]:
            return len(given)
        count = import_labels(
            given,
            folder=self._folder / EVENTS,
            task=self._task(),
            items=set(self._project.audit.items()["item_id"]),
            annotators=set(self.annotators),
            round=round,
        )
        self._folder.append(LOG, "imported", {"table": mark, "labels": count, "round": round})
        return count

    def labels(self) -> pl.DataFrame:
        """Return the labels that stand, on items in use: the last of each annotator and item."""
        ids = self._project.audit.item_ids()
        return self._every().filter(pl.col("item_id").is_in(ids))

    def counted(self) -> pl.DataFrame:
        """Return the labels that count: those of annotators who are not left out."""
        return self.labels().filter(~pl.col("annotator").is_in(self.left_out))

    def adjudicate(
        self,
        adjudicator: str | None = None,
        *,
        item_ids: Iterable[str] | None = None,
        round: int = 1,
    ) -> Any:
        """Open the Adjudicator on the items on which votes differ, the most divided first.

        *item_ids* restricts it to some of them. Items that were decided are not shown again.

        Raises
        ------
        GateClosedError
            When an earlier gate is not passed.
        LabelError
            When the adjudicator's name can't be one.
        """
        from scalekit.widgets import Adjudicator

        self.require_before()
        adjudicator = annotator_name(adjudicator)
        disputes = self._disputes()
        if item_ids is not None:
            disputes = disputes.filter(pl.col("item_id").is_in(list(item_ids)))
        decided = self.resolutions()
        left = disputes.join(decided, on="item_id", how="anti", maintain_order="left")
        items = self._project.audit.items()
        session = AdjudicationSession(
            self._folder / EVENTS,
            adjudicator,
            self._task(),
            items["item_id"],
            round,
            about=self._about(),
        )
        return Adjudicator(
            items.select("item_id", "text"),
            left,
            session,
            guidelines=self.instructions,
            done=len(disputes) - len(left),
        )

    def resolutions(self) -> pl.DataFrame:
        """Return what adjudicators decided, as :func:`scalekit.label.resolutions`."""
        return resolutions(read_events(self._folder / EVENTS))

    def revise(self) -> pl.DataFrame:
        """Put the rules that adjudicators wrote into the instructions; return what they touch.

        The items to label again: ``item_id, rule``. Give their ids to :meth:`open` as the next
        round.
        """
        known = [e.data["edge_case"] for e in self._folder.events(LOG, "sharpened")]
        fresh = self.resolutions().filter((pl.col("rule") != "") & ~pl.col("rule").is_in(known))
        affected = touched(self._disputes(), fresh)
        for (rule,), rows in fresh.group_by("rule", maintain_order=True):
            who = ", ".join(rows["adjudicator"].unique().sort())
            why = ", ".join(rows["reason"].unique().sort())
            self.sharpen(str(rule), f"{who} decided {counted(len(rows), 'item')}: {why}")
        return affected

    def _known(self, annotator: str) -> None:
        if annotator not in self.annotators:
            raise LabelError(
                f"unknown annotator {annotator!r}: project.label.invite({annotator!r}) first; "
                f"invited are {', '.join(self.annotators) or 'none'}"
            )

    def _task(self) -> Task:
        categories = self._project.specify.spec.categories
        return Task(TASK, values=tuple(Value(c.name, c.description) for c in categories))

    def _values(self) -> list[str]:
        return list(self._project.specify.spec.shares)

    def _every(self) -> pl.DataFrame:
        return labels_of(read_events(self._folder / EVENTS))

    def _disputes(self) -> pl.DataFrame:
        return disputed(self.counted(), notes_of(read_events(self._folder / EVENTS)))

    def _about(self) -> dict[str, str]:
        """Return what a session keeps of the instructions it was given under."""
        edge_cases = len(list(self._folder.events(LOG, "sharpened")))
        return {"instructions": digest(self.instructions), "edge_cases": str(edge_cases)}
