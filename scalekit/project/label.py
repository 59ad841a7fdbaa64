"""``project.label``: instructions, labelling, agreement, consensus."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from scalekit.gates import Gate
from scalekit.label import (
    Agreement,
    AgreementChange,
    Cost,
    LabelError,
    NoiseEstimate,
    against_given,
    agreement,
    agreement_change,
    by_model,
    compare_consensus,
    cost,
    every_label,
    gate,
    labels_until,
    majority,
    noise_estimate,
    read_events,
    settled,
    write_labels,
)
from scalekit.project.annotation import Annotation
from scalekit.project.annotators import EVENTS, LOG
from scalekit.project.delivery import deliver, delivered
from scalekit.signing import digest

if TYPE_CHECKING:
    from scalekit.govern import Manifest

__all__ = ["Label"]


MAJORITY, DAWID_SKENE = "majority", "Dawid-Skene"


class Label(Annotation):
    """Label with instructions, measure agreement, sharpen."""

    name = "label"
    purpose = "Instructions with edge cases, labels on disk, agreement, disagreements resolved."

    def agreement(self) -> Agreement:
        """Measure the agreement of the annotators who are not left out."""
        return agreement(self.counted(), values=self._values())

    def consensus(self) -> pl.DataFrame:
        """Return one value for each item: what was adjudicated, else what the votes say.

        By the method of :meth:`choose_consensus`; columns as :func:`scalekit.label.majority`, with
        ``adjudicated``.
        """
        method = by_model if self.consensus_method == DAWID_SKENE else majority
        return settled(method(self.counted()), self.resolutions())

    @property
    def consensus_method(self) -> str:
        """How votes become one value: "majority", or "Dawid-Skene" once it was chosen."""
        chosen = [e.data["method"] for e in self._folder.events(LOG, "consensus")]
        return str(chosen[-1]) if chosen else MAJORITY

    def choose_consensus(self, method: str) -> pl.DataFrame:
        """Choose "majority" or "Dawid-Skene"; return both held against gold.

        Raises
        ------
        LabelError
            When the method is not known, or gold does not show that Dawid-Skene is better.
        """
        if method not in (MAJORITY, DAWID_SKENE):
            raise LabelError(f"method {method!r} is not one of {MAJORITY}, {DAWID_SKENE}")
        found = self.compare_consensus(self.gold)
        if method == DAWID_SKENE and not found.row(1, named=True)["chosen"]:
            right, of = found["right"].to_list(), len(self.gold)
            raise LabelError(
                f"on {of} gold items the vote is right on {right[0]}, Dawid-Skene on {right[1]}: "
                "not shown to be better. More gold may show it"
            )
        self._folder.append(LOG, "consensus", {"method": method})
        return found

    def compare_consensus(self, gold: Any) -> pl.DataFrame:
        """Hold majority vote and Dawid-Skene against gold (``item_id, value``), side by side."""
        return compare_consensus(self.counted(), gold)

    def agreement_change(self, round: int = 2) -> AgreementChange:
        """Compare agreement before and after a round, on the items that it labelled again."""
        acts = [j for j in read_events(self._folder / EVENTS) if j.annotator not in self.left_out]
        before, after = (labels_until(acts, r) for r in (round - 1, round))
        again = after.filter(pl.col("round") == round).select("item_id").unique()
        both = [labels.join(again, on="item_id", how="semi") for labels in (before, after)]
        return agreement_change(*both)

    def disagreements(self, *values: str) -> pl.DataFrame:
        """Return the items on which votes differ, most divided first, with the votes in words.

        With *values*, only items that received all of them.
        """
        votes = self.counted().group_by("item_id").agg(
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
        return noise_estimate(self.counted(), self.consensus().drop_nulls("value"), gold)

    def deliver(self, *, gold: Any = None, rubrics: Any = None) -> Manifest:
        """Sign what may be trained on: labels, depth profiles, who gave them, how noisy they are.

        Items whose votes are tied are not in it and, once there is a split, those that are not its
        training items: neither dev and sealed items, nor what holds a test item. Written as
        ``label/manifest.parquet`` and ``label/manifest.dsse.json``; beside them every label
        (``label/labels.parquet``) and the consensus with the posterior of its value, its entropy
        and where each item is from (``label/consensus.parquet``).

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
        made = deliver(self._project, gold=gold, rubrics=rubrics)
        data = {"manifest": made.digest, "examples": len(made.table)}
        self._folder.append(LOG, "delivered", data)
        return made

    def export(self, path: Path | str, *, format: str = "") -> Path:
        """Write all labels in use for Label Studio, Argilla, Prodigy, or as CSV, Parquet, JSONL.

        The format is that of the file's ending, or *format*, as for
        :func:`scalekit.label.write_labels`.
        """
        return write_labels(
            self.labels(), path, self._task(), format=format, items=self._project.audit.items()
        )

    def manifest(self) -> Manifest:
        """Return what was delivered last, verified with the user's own key.

        Raises
        ------
        ManifestError
            When nothing was delivered, or it was changed since.
        """
        return delivered(self._folder)

    def cost(self, rates: float | Mapping[str, float], *, currency: str = "") -> Cost:
        """Return what all labels cost: for each label and accepted item, by tier and category.

        Labels that were taken back or replaced are among them: they took time as well. *rates*:
        money for an hour, one number or one for each annotator or tier. As
        :func:`scalekit.label.cost`.
        """
        items = self._project.audit.items()
        return cost(
            every_label(read_events(self._folder / EVENTS)),
            rates,
            accepted=self.consensus(),
            items=items if "category" in items.columns else None,
            tiers=self.tiers,
            currency=currency,
        )

    def seconds(self) -> float:
        """Return the active seconds of all labels ever given, where known."""
        return float(every_label(read_events(self._folder / EVENTS))["seconds"].sum())

    def _own_inputs(self) -> list[str]:
        decided = self.resolutions().select("item_id", pl.col("value").fill_null("")).rows()
        rows = self._counted_rows() + [list(r) for r in decided]
        return [digest(rows), self.consensus_method, *self.left_out]

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
