"""The acts of people in a project: labelling, adjudication, revised instructions, imports."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar

import polars as pl

from scalekit.display import counted
from scalekit.frames import require, to_polars
from scalekit.label import (
    AdjudicationSession,
    Imported,
    LabelError,
    LabelSession,
    Task,
    annotator_name,
    disputed,
    import_labels,
    login,
    notes_of,
    other_logins,
    read_events,
    read_labels,
    resolutions,
    touched,
)
from scalekit.project.annotators import EVENTS, LOG, Annotators
from scalekit.project.question import Question
from scalekit.signing import digest

__all__ = ["Annotation"]

TASKS = "label/tasks"

Session = TypeVar("Session", bound=LabelSession)


class Annotation(Annotators):
    """What annotators and adjudicators do in the Label stage."""

    def open(
        self,
        annotator: str | None = None,
        *,
        item_ids: Iterable[str] | None = None,
        round: int = 1,
    ) -> Any:
        """Open the Labeler for one annotator, at the first item they have not labelled.

        Without *annotator* it is who JupyterHub says, else who answers the question. Where the
        round is assigned, they see what is assigned to them; else every item in use. *item_ids*
        asks for those items instead (after the instructions were revised); as a later *round*,
        items labelled before are shown again.

        Raises
        ------
        GateClosedError
            When an earlier gate is not passed.
        LabelError
            When the annotator was not invited, or has nothing in this round.
        """
        from scalekit.widgets import Labeler

        self.require_before()
        annotator = annotator_name(annotator)
        self._known(annotator)
        items, order = self._queue(annotator, item_ids, round)
        done = self._every().filter((pl.col("annotator") == annotator) & (pl.col("round") >= round))
        todo = items.join(done, on="item_id", how="anti").join(order, on="item_id").sort("order")
        session = self._session(LabelSession, annotator, round)
        kept = done.filter(pl.col("item_id").is_in(items["item_id"].to_list()))
        return Labeler(
            todo.select("item_id", "text"),
            session,
            guidelines=self.instructions,
            done=dict(kept["value"].value_counts().iter_rows()),
        )

    def _queue(
        self, annotator: str, item_ids: Iterable[str] | None, round: int
    ) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Return an annotator's items of a round, and their order (``item_id, order``)."""
        items = self._project.audit.items()
        assigned = self.assignment.filter(pl.col("round") == round)
        if item_ids is None and len(assigned):
            own = assigned.filter(pl.col("annotator") == annotator)
            if own.is_empty():
                raise LabelError(f"{annotator} has nothing in round {round} of the assignment")
            order = own.select("item_id", pl.col("place").alias("order"))
            return items.join(order, on="item_id", how="semi"), order
        if item_ids is not None:
            items = items.filter(pl.col("item_id").is_in(list(item_ids)))
        # The same drawn order for everybody, so that the first labels overlap.
        drawn = [sha256(f"{round}:{i}".encode()).hexdigest() for i in items["item_id"]]
        order = pl.DataFrame({"item_id": items["item_id"], "order": drawn})
        return items, order.with_columns(pl.col("order").cast(pl.String))

    def ask(self, task: Task, items: Any = None) -> Question:
        """Ask another question, beside the project's categories: any kind of task.

        *items* are by default those in use; for a pair task from
        :func:`scalekit.label.pair_items`. Labels lie in ``label/tasks/<name>``. Raises as
        :meth:`scalekit.project.question.Question.make` does.
        """
        self.require_before()
        in_use = self._project.audit.items()
        return Question.make(self._folder / TASKS, task, items, in_use, self.instructions)

    @property
    def asked(self) -> dict[str, Question]:
        """The other questions, by name."""
        folders = sorted((self._folder / TASKS).glob("*/task.json"))
        in_use = self._project.audit.items()
        made = (Question(path.parent, in_use, self.instructions) for path in folders)
        return {question.task.name: question for question in made}

    def import_table(self, labels: Any, *, round: int = 1) -> Imported:
        """Record labels made elsewhere: a table, or a file of Label Studio, Argilla, Prodigy.

        A table has ``item_id, annotator, value`` and, if known, ``seconds, at``; what else is read
        says :func:`scalekit.label.read_labels`. An annotator's earlier label of an item stays on
        record and no longer counts. The same labels are recorded once.

        Returns
        -------
        Imported
            How many labels are new, and how many replace an earlier one.

        Raises
        ------
        GateClosedError
            When an earlier gate is not passed.
        LabelError
            For an unknown item, annotator or value; nothing is recorded.
        """
        self.require_before()
        left_out: Mapping[str, int] = {}
        if isinstance(labels, str | Path):
            read = read_labels(labels, self._task())
            labels, left_out = read.table, read.left_out
        given = to_polars(labels, "labels")
        rows = [[str(v) if v is not None else "" for v in r] for r in given.rows()]
        mark = digest([given.columns, rows, round])
        fresh = mark not in [e.data["table"] for e in self._folder.events(LOG, "imported")]
        before = self._every()
        if fresh:
            count = import_labels(
                given,
                folder=self._folder / EVENTS,
                task=self._task(),
                items=set(self._project.audit.items()["item_id"]),
                annotators=set(self.annotators),
                round=round,
            )
            self._folder.append(LOG, "imported", {"table": mark, "labels": count, "round": round})
        return Imported.of(given, before, round=round, fresh=fresh, left_out=left_out)

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
        session = self._session(AdjudicationSession, adjudicator, round)
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

    def import_resolutions(self, decided: Any, adjudicator: str, *, round: int = 1) -> int:
        """Record decisions made elsewhere: ``item_id, value, reason, rule``, all or none.

        Returns how many; the same table is recorded once. Raises as
        :class:`scalekit.label.AdjudicationSession` does for what it refuses.
        """
        self.require_before()
        columns = ("item_id", "value", "reason", "rule")
        given = require(to_polars(decided, "resolutions"), columns, "resolutions")
        rows = given.select(pl.col(columns).cast(pl.String)).to_dicts()
        mark = digest([[*(v or "" for v in row.values())] for row in rows] + [[adjudicator]])
        if mark not in [e.data["table"] for e in self._folder.events(LOG, "decided")]:
            session = self._session(AdjudicationSession, adjudicator, round)
            acts = [
                {**row, "item": row["item_id"], "kind": "adjudicate", "id": f"{mark}-{n}"}
                for n, row in enumerate(rows)
            ]
            session.record_all([{**act, "via": "import"} for act in acts])
            session.close()
            self._folder.append(LOG, "decided", {"table": mark, "resolutions": len(rows)})
        return len(rows)

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

    def _session(self, kind: type[Session], who: str, round: int) -> Session:
        """Begin a session on all items in use; it keeps which instructions it was given under."""
        ids = self._project.audit.item_ids()
        about = self._about()
        if others := other_logins(self._folder / EVENTS, who):
            warnings.warn(
                f"{who} has also labelled as user {', '.join(others)}. If that is somebody else, "
                "stop and invite each under a name of their own",
                stacklevel=3,
            )
        return kind(self._folder / EVENTS, who, self._task(), ids, round, about=about)

    def _disputes(self) -> pl.DataFrame:
        return disputed(self.counted(), notes_of(read_events(self._folder / EVENTS)))

    def _about(self) -> dict[str, str]:
        """Return what a session keeps of the instructions it was given under."""
        edge_cases = len(list(self._folder.events(LOG, "sharpened")))
        told = {"instructions": digest(self.instructions), "edge_cases": str(edge_cases)}
        return {**told, "user": login()}
