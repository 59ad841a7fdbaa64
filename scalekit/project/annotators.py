"""Who labels in a project, under which instructions, and what is assigned to whom."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import polars as pl

from scalekit.frames import require, to_polars, write_atomically, write_parquet
from scalekit.label import (
    ASSIGNMENT_SCHEMA,
    TIERS,
    Balance,
    LabelError,
    Task,
    Value,
    assign,
    attention,
    balance,
    check_name,
    dawid_skene,
    disagreement_round,
    labels_of,
    labels_until,
    most_probable,
    qualification,
    qualified,
    read_events,
    top_up,
)
from scalekit.project.stage import Stage

__all__ = ["EVENTS", "LOG", "Annotators"]

EVENTS = "label/events"
LOG = "label/log.jsonl"
TASK = "category"
ASSIGNMENT = "label/assignment.parquet"
GOLD = "label/gold.parquet"


class Annotators(Stage):
    """Who labels, what they are told, and what is theirs to do."""

    def invite(self, *annotators: str, tier: str = "generalist") -> None:
        """Name who may label, and their tier ("generalist", "expert"); the last named counts.

        Raises
        ------
        LabelError
            When a name can't name a folder, or the tier is unknown.
        """
        if tier not in TIERS:
            raise LabelError(f"tier {tier!r} is not one of {', '.join(TIERS)}")
        for name in annotators:
            check_name(name)
        for name in annotators:
            if self.tiers.get(name) != tier:
                self._folder.append(LOG, "invited", {"annotator": name, "tier": tier})

    @property
    def annotators(self) -> list[str]:
        """Who may label."""
        return list(self.tiers)

    @property
    def tiers(self) -> dict[str, str]:
        """The tier of each annotator."""
        invited = self._folder.events(LOG, "invited")
        return {e.data["annotator"]: e.data.get("tier", TIERS[0]) for e in invited}

    @property
    def instructions(self) -> str:
        """The instructions as annotators see them: the spec's, then the edge cases since."""
        said = [self._project.specify.spec.instructions.strip()]
        said += [f"- {e.data['edge_case']}" for e in self._folder.events(LOG, "sharpened")]
        return "\n".join(said)

    def sharpen(self, edge_case: str, why: str) -> str:
        """Add an edge case to the instructions, with the reason, and return them.

        They are kept in ``instructions.md`` as well. The same edge case is added once. Where a
        policy is in force it is a decision too, unapproved until it is signed.
        """
        known = [e.data["edge_case"] for e in self._folder.events(LOG, "sharpened")]
        if edge_case not in known:
            said = f"the instructions get this edge case: {why}"
            self._project.decide.log("change_guideline", {"edge case": edge_case}, said)
            self._folder.append(LOG, "sharpened", {"edge_case": edge_case, "because": why})
        write_atomically(self._folder / "instructions.md", self.instructions + "\n")
        return self.instructions

    def leave_out(self, annotator: str, why: str) -> None:
        """Leave an annotator's labels out of agreement and consensus; they stay on record.

        Where a policy is in force it is a decision too, unapproved until it is signed.

        Raises
        ------
        LabelError
            When nobody of that name was invited, or no reason is given.
        """
        self._known(annotator)
        if not why.strip():
            raise LabelError("say why the labels are left out")
        if annotator not in self.left_out:
            said = f"these labels are left out: {why}"
            self._project.decide.log("exclude_annotator", {"annotator": annotator}, said)
            self._folder.append(LOG, "left out", {"annotator": annotator, "because": why})

    @property
    def left_out(self) -> list[str]:
        """Whose labels are left out."""
        return [e.data["annotator"] for e in self._folder.events(LOG, "left out")]

    @property
    def assignment(self) -> pl.DataFrame:
        """What is assigned to whom, as :func:`scalekit.label.assign`; no rows before that."""
        path = self._folder / ASSIGNMENT
        return pl.read_parquet(path) if path.exists() else pl.DataFrame(schema=ASSIGNMENT_SCHEMA)

    @property
    def gold(self) -> pl.DataFrame:
        """The items whose right answer is known: ``item_id, value``."""
        path = self._folder / GOLD
        schema = {"item_id": pl.String, "value": pl.String}
        return pl.read_parquet(path) if path.exists() else pl.DataFrame(schema=schema)

    def know(self, gold: Any) -> None:
        """Add to the gold: ``item_id, value``, items in use whose right answer is known.

        An item that was known before takes the new value.

        Raises
        ------
        FrameError
            When a column is missing.
        LabelError
            When an item is not in use, or a value not one of the task's.
        """
        rows = require(to_polars(gold, "gold"), ("item_id", "value"), "gold")
        rows = rows.select(pl.col("item_id", "value").cast(pl.String))
        strange = sorted(set(rows["item_id"]) - set(self._project.audit.item_ids()))
        if strange:
            raise LabelError(f"gold: item {strange[0]!r} is not in use")
        for value in rows["value"]:
            self._task().encode(value)
        known = pl.concat([self.gold, rows])
        write_parquet(
            known.unique("item_id", keep="last", maintain_order=True), self._folder / GOLD
        )

    def qualify(self, *annotators: str, count: int = 20, seed: int = 0) -> Balance:
        """Assign the same *count* gold items to each of *annotators* (by default all), as round 0.

        Raises
        ------
        LabelError
            When there are fewer gold items (see :meth:`know`), or round 0 is assigned already.
        """
        people = annotators or self.annotators
        for name in people:
            self._known(name)
        ids = self.gold["item_id"].to_list()
        return self._assigned(qualification(ids, people, count=count, seed=seed))

    def qualified(self, *, needed: float = 0.8, at_least: int = 10) -> pl.DataFrame:
        """Say of each annotator how many gold items they had right in round 0.

        As :func:`scalekit.label.qualified`.
        """
        labels = labels_until(read_events(self._folder / EVENTS), 0)
        return qualified(labels, self.gold, needed=needed, at_least=at_least)

    def attention(self) -> pl.DataFrame:
        """Say of each annotator how many gold items they had right since the qualification.

        As :func:`scalekit.label.attention`.
        """
        return attention(self._every().filter(pl.col("round") > 0), self.gold)

    def assign(
        self,
        *annotators: str,
        overlap: int | None = None,
        seed: int = 0,
        attention: Collection[str] = (),
        round: int = 1,
    ) -> Balance:
        """Assign every item in use to *overlap* of *annotators* (by default all), once for all.

        *overlap* is by default what the gate asks for. Gold items that were no part of a
        qualification lie between the others, each for everybody. As :func:`scalekit.label.assign`;
        the table is kept and never changed, only added to.

        Raises
        ------
        LabelError
            When the round is assigned already, or there are too few annotators.
        """
        people = list(annotators) or [a for a in self.annotators if a not in self.left_out]
        for name in people:
            self._known(name)
        ids = set(self._project.audit.item_ids())
        gold = ids & set(self.gold["item_id"])
        asked = set(self.assignment.filter(pl.col("round") == 0)["item_id"])
        work = sorted(ids - gold)
        overlap = overlap or self._folder.thresholds.labels_per_item
        each = overlap * len(work) // max(1, len(people))
        return self._assigned(
            assign(
                [{"item_id": item} for item in work],
                people,
                overlap=overlap,
                seed=seed,
                gold=gold - asked,
                gold_every=max(1, each // max(1, len(gold - asked))),
                attention=attention,
                tiers={name: self.tiers[name] for name in people},
                round=round,
            )
        )

    def top_up(self, *annotators: str, seed: int = 0) -> Balance:
        """Assign what others left undone to *annotators* who carry on, as the next round."""
        for name in annotators:
            self._known(name)
        tiers = {name: self.tiers[name] for name in annotators}
        return self._assigned(
            top_up(self._had(), self._every(), annotators, seed=seed, tiers=tiers)
        )

    def disagreement_round(self, *, share: float = 0.1, extra: int = 1, seed: int = 0) -> Balance:
        """Assign the most uncertain items to *extra* more annotators, as the next round.

        Uncertain by the entropy of Dawid and Skene's posterior: of two splits of the votes, the one
        among reliable annotators counts more.
        """
        people = [a for a in self.annotators if a not in self.left_out]
        labels = self._every().filter(pl.col("annotator").is_in(people))
        entropy = most_probable(dawid_skene(labels))
        return self._assigned(
            disagreement_round(
                self._had(), entropy, people, seed=seed, share=share, extra=extra,
                tiers={name: self.tiers[name] for name in people},
            )
        )  # fmt: skip

    def _had(self) -> pl.DataFrame:
        """Return what everybody was assigned, or labelled without an assignment."""
        assigned = self.assignment
        given = (
            self._every()
            .join(assigned, on=["item_id", "annotator"], how="anti")
            .select(
                "item_id",
                "annotator",
                "round",
                pl.lit(0, pl.Int64).alias("place"),
                pl.lit("work").alias("kind"),
                pl.lit(None, pl.String).alias("side"),
                pl.lit(None, pl.String).alias("instead_of"),
            )
        )
        return pl.concat([assigned, given])

    def _assigned(self, fresh: pl.DataFrame) -> Balance:
        """Add a round to the assignment and return how even it is."""
        before = self.assignment
        if again := sorted(set(fresh["round"]) & set(before["round"])):
            raise LabelError(
                f"round {again[0]} is assigned already; an assignment is never changed"
            )
        write_parquet(pl.concat([before, fresh]), self._folder / ASSIGNMENT)
        return balance(fresh)

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
