"""``project.label``: instructions, labelling, agreement, consensus."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Any

import polars as pl

from scalekit.frames import require, to_polars, write_atomically
from scalekit.gates import Gate, GateClosedError
from scalekit.label import (
    Agreement,
    LabelError,
    LabelSession,
    NoiseEstimate,
    Task,
    Value,
    against_given,
    agreement,
    check_name,
    dawid_skene,
    gate,
    import_labels,
    labels_of,
    majority,
    noise_estimate,
    read_events,
)
from scalekit.project.gatebook import standing
from scalekit.project.stage import Stage
from scalekit.signing import SIGNER, Signer, digest, digest_file

if TYPE_CHECKING:
    from scalekit.govern import Manifest

__all__ = ["Label"]

EVENTS = "label/events"
LOG = "label/log.jsonl"
TASK = "category"


class Label(Stage):
    """Label with instructions, measure agreement, sharpen."""

    name = "label"
    purpose = "Instructions with edge cases, labels on disk, agreement, disagreements resolved."

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

    def open(self, annotator: str, *, item_ids: list[str] | None = None, round: int = 1) -> Any:
        """Open the Labeler for one annotator, at the first item they have not labelled.

        *item_ids* restricts it to those items (a round on disagreements); then items labelled in an
        earlier round are shown again.

        Raises
        ------
        GateClosedError
            When an earlier gate is not passed.
        LabelError
            When the annotator was not invited.
        """
        from scalekit.widgets import Labeler

        self.require_before()
        self._known(annotator)
        items = self._project.audit.items()
        if item_ids is not None:
            items = items.filter(pl.col("item_id").is_in(item_ids))
        done = self._every().filter((pl.col("annotator") == annotator) & (pl.col("round") >= round))
        todo = items.join(done, on="item_id", how="anti")
        # The same drawn order for everybody, so that the first labels overlap.
        drawn = [sha256(f"{round}:{i}".encode()).hexdigest() for i in todo["item_id"]]
        todo = todo.with_columns(pl.Series("drawn", drawn, dtype=pl.String)).sort("drawn")
        session = LabelSession(
            self._folder / EVENTS, annotator, self._task(), items["item_id"], round
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

    def agreement(self) -> Agreement:
        """Measure the agreement of the annotators who are not left out."""
        return agreement(self._counted(), values=self._values())

    def consensus(self) -> pl.DataFrame:
        """Return the majority vote on each item, as :func:`scalekit.label.majority`."""
        return majority(self._counted())

    def disagreements(self, *values: str) -> pl.DataFrame:
        """Return the items on which votes differ, most divided first, with the votes in words.

        With *values*, only items that received all of them.
        """
        votes = self._counted().group_by("item_id").agg(
            pl.col("value").unique().sort().alias("given"),
            pl.format("{}: {}", "annotator", "value").sort().str.join("; ").alias("votes"),
        )  # fmt: skip
        torn = votes.filter(pl.col("given").list.len() > 1)
        for value in values:
            torn = torn.filter(pl.col("given").list.contains(value))
        texts = self._project.audit.items().select("item_id", "text")
        order = self.consensus().select("item_id", "entropy")
        joined = torn.drop("given").join(texts, on="item_id").join(order, on="item_id")
        return joined.sort("entropy", "item_id", descending=[True, False]).drop("entropy")

    def against_given(self) -> pl.DataFrame:
        """Return items whose category at the source the annotators outvote."""
        return against_given(self.consensus(), self._project.audit.items())

    def noise(self, gold: Any = None) -> NoiseEstimate:
        """Return how many of the delivered labels are wrong: on *gold*, else from the votes.

        *gold*: ``item_id, value``, known to be right.
        """
        return noise_estimate(self._counted(), self.consensus().drop_nulls("value"), gold)

    def deliver(self, *, gold: Any = None, rubrics: Any = None) -> Manifest:
        """Sign what may be trained on: labels, depth profiles, who gave them, how noisy they are.

        Items whose votes are tied, and those that are sealed, are not in it. Written as
        ``label/manifest.parquet`` and ``label/manifest.dsse.json``.

        Parameters
        ----------
        gold
            ``item_id, value``, known to be right, to measure the label noise on; without it the
            noise is estimated from the votes.
        rubrics
            ``item_id, rubric``: the criterion of the spec that an item teaches, whose depth target
            becomes its profile. Items that are not named, and all by default, may teach every depth
            that any criterion targets.

        Raises
        ------
        GateClosedError
            When the Label gate or an earlier one is not passed.
        LabelError
            When a criterion is not in the spec, or an item not in use.
        """
        from scalekit.govern.manifest import Manifest

        self.require_before()
        state = standing(self._folder, self._project.stages)[self.name]
        if state.state != "passed":
            raise GateClosedError(f"Nothing can be delivered: {state.why()}")
        examples = self._examples(rubrics)
        noise = self.noise(gold)
        low, high = noise.interval or (0.0, 1.0)
        measured = {"source": noise.source, "n": str(noise.n)}
        if noise.estimate is not None:
            measured |= {
                "estimate": f"{noise.estimate:.6f}",
                "from": f"{low:.6f}",
                "to": f"{high:.6f}",
            }
        spec = self._folder / "spec.yaml"
        made = Manifest.write(
            self._folder / "label",
            examples,
            noise=measured,
            signer=Signer.load(SIGNER, outside=self._folder.root),
            about={
                "project": self._folder.name,
                "spec": digest_file(spec),
                "inputs": self.inputs(),
            },
        )
        self._folder.append(LOG, "delivered", {"manifest": made.digest, "examples": len(examples)})
        return made

    def manifest(self) -> Manifest:
        """Return what was delivered last, verified with the user's own key.

        Raises
        ------
        ManifestError
            When nothing was delivered, or it was changed since.
        """
        from scalekit.govern.manifest import Manifest

        key = Signer.load(SIGNER, outside=self._folder.root).public
        return Manifest.load(self._folder / "label", [key])

    def _examples(self, rubrics: Any) -> pl.DataFrame:
        """Return one row for each item that may be trained on, as a manifest has it."""
        criteria = {c.name: c.interval for c in self._project.specify.spec.rubric}
        low = min((a for a, _ in criteria.values()), default=0.0)
        high = max((b for _, b in criteria.values()), default=1.0)
        votes = (
            self.consensus().drop_nulls("value").select("item_id", pl.col("value").alias("label"))
        )
        items = self._project.audit.items().filter(pl.col("text").str.len_chars() > 0)
        chosen = {}
        if rubrics is not None:
            named = require(to_polars(rubrics, "rubrics"), ("item_id", "rubric"), "rubrics")
            chosen = dict(named.select("item_id", "rubric").iter_rows())
        unknown = sorted(set(chosen.values()) - set(criteria))
        strangers = sorted(set(chosen) - set(self._project.audit.item_ids()))
        if unknown or strangers:
            raise LabelError(
                f"no criterion {unknown[0]!r} in the spec; there are {', '.join(criteria)}"
                if unknown
                else f"item {strangers[0]!r} is not in use; rubrics may only name audited items"
            )
        # Those who gave the label that is delivered.
        given = self._counted().rename({"value": "label"}).join(votes, on=["item_id", "label"])
        who = given.group_by("item_id").agg(pl.col("annotator").sort().alias("annotators"))
        posterior = dawid_skene(self._counted()).rename({"value": "label"})
        frame = items.select("item_id", "text", "batch_id").join(votes, on="item_id")
        frame = frame.join(who, on="item_id").join(posterior, on=["item_id", "label"], how="left")
        names = [chosen.get(i, "") for i in frame["item_id"]]
        spans = [criteria.get(n, (low, high)) for n in names]
        return frame.with_columns(
            pl.Series("rubric", [n or "all" for n in names], dtype=pl.String),
            pl.Series("low", [a for a, _ in spans], dtype=pl.Float64),
            pl.Series("high", [b for _, b in spans], dtype=pl.Float64),
            (1 - pl.col("posterior")).alias("noise"),
        )

    def seconds(self) -> float:
        """Return the active seconds of all labels together, where known."""
        return float(self._every()["seconds"].sum())

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

    def _counted(self) -> pl.DataFrame:
        return self.labels().filter(~pl.col("annotator").is_in(self.left_out))

    def _own_inputs(self) -> list[str]:
        return [digest(self._counted_rows()), *self.left_out]

    def _counted_rows(self) -> list[list[str]]:
        every = self._every().filter(~pl.col("annotator").is_in(self.left_out))
        return [list(r) for r in every.select("item_id", "annotator", "value").rows()]

    def _judge(self) -> Gate:
        limits = self._folder.thresholds
        return gate(
            self.agreement(),
            self.consensus(),
            items=len(self._project.audit.item_ids()),
            annotators=limits.labels_per_item,
            alpha=limits.alpha,
            worst_value_alpha=limits.worst_value_alpha,
            max_tied=limits.max_tied,
            kappa=limits.careless_kappa,
        )
