"""The loop in a project: what was accepted, and where what came since departs from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from scalekit.evaluate import Trace, Where, trace
from scalekit.frames import FrameError, write_parquet
from scalekit.project.folder import who
from scalekit.project.measuring import Measuring

__all__ = ["ClosedLoop"]

RELEASES = "evaluate/releases.jsonl"
FOLDER = "evaluate/releases"


class ClosedLoop(Measuring):
    """From a measurement back to the labels, and forward again."""

    def accept(self, why: str) -> pl.DataFrame:
        """Accept the training items as they stand as a release; later ones are held against it.

        Returns :meth:`releases`. *why* is kept with it, in words.

        Raises
        ------
        FrameError
            When no reason is given.
        SealError
            When nothing is split yet.
        """
        if not why.strip():
            raise FrameError("say in words why these labels are good enough to be held against")
        items = self.train_items().select("item_id", pl.col("category").alias("value"))
        number = len(self._folder.events(RELEASES, "accepted")) + 1
        write_parquet(items, self._folder / f"{FOLDER}/{number}.parquet")
        model = self._newest_run()[-1:] or [""]
        said = {"release": number, "items": len(items), "model": model[0], "why": why}
        self._folder.append(RELEASES, "accepted", {**said, "actor": who()})
        return self.releases()

    def releases(self) -> pl.DataFrame:
        """Return what was accepted: ``release, at, items, model, why``."""
        rows = [{**e.data, "at": e.at} for e in self._folder.events(RELEASES, "accepted")]
        text = dict.fromkeys(("at", "model", "why"), pl.String)
        schema = {"release": pl.Int64, "at": pl.String, "items": pl.Int64, **text}
        return pl.DataFrame(rows, schema=schema)

    def accepted(self) -> pl.DataFrame | None:
        """Return the last release, ``item_id, value, domain, text``; None when there is none."""
        made = self._folder.events(RELEASES, "accepted")
        if not made:
            return None
        items = pl.read_parquet(self._folder / f"{FOLDER}/{made[-1].data['release']}.parquet")
        return items.join(self.open_items(), on="item_id").select(
            "item_id", "value", pl.col("domain").fill_null(pl.col("value")), "text"
        )

    def trace(
        self,
        *,
        cohorts: Mapping[str, Sequence[str]] | None = None,
        regressed: Where | Sequence[str] | None = None,
        moved: bool = False,
        **options: Any,
    ) -> Trace:
        """Trace disagreement that is more than usual to batches, annotators, cohorts and domains.

        Looks at the labels that came after the last accepted release (all labels, where there is
        none), before or after training. Where gold was given, it is evidence too. A domain is the
        category that an item was collected under, else its label. Hand ``.queue`` to
        ``project.label.open(annotator, item_ids=…, round=…)``.

        Parameters
        ----------
        cohorts
            Teams, shifts or offices, each with its annotators.
        regressed
            Where the benchmark got worse (:func:`scalekit.evaluate.regressed_domains`, or names).
        moved
            Show beside it which examples moved the last run to its wrong answers on dev; the run
            must have been trained on these labels.
        options
            As for :func:`scalekit.evaluate.trace`.

        Raises
        ------
        FrameError
            When nothing was labelled since the release, or a cohort names a stranger.
        """
        accepted = self.accepted()
        training = self._judged(accepted, cohorts or {})
        influence = self._influence() if moved else None
        also = ("gold",) if training["gold"].count() else ()
        return trace(
            training, accepted=accepted, regressed=regressed, also=also, influence=influence,
            **options,
        )  # fmt: skip

    def _judged(
        self, accepted: pl.DataFrame | None, cohorts: Mapping[str, Sequence[str]]
    ) -> pl.DataFrame:
        """Return one row for each judgement on what is not in the release."""
        label = self._project.label
        teams = {name: team for team, names in cohorts.items() for name in names}
        if strangers := sorted(set(teams) - set(label.annotators)):
            raise FrameError(
                f"cohorts: {strangers[0]!r} is no annotator here; there are "
                f"{', '.join(label.annotators)}"
            )
        items = self.open_items()
        if accepted is not None:
            items = items.join(accepted, on="item_id", how="anti")
        judged = label.counted().select("item_id", "annotator", "value").join(items, on="item_id")
        if judged.is_empty():
            raise FrameError(
                "nothing was labelled since the accepted release: collect and label, then trace"
            )
        gold = label.gold.select("item_id", pl.col("value").alias("right"))
        team = pl.col("annotator").replace_strict(teams, default=None, return_dtype=pl.String)
        return judged.join(gold, on="item_id", how="left").select(
            "item_id", "text", "annotator", "value", "batch_id",
            pl.col("domain").fill_null(pl.col("value")), team.alias("cohort"),
            (pl.col("value") != pl.col("right")).cast(pl.Int64).alias("gold"),
        )  # fmt: skip

    def _influence(self) -> pl.DataFrame:
        """Return how far each example moved the last run to its wrong answers on dev."""
        wrong = self.failures().filter(pl.col("set") == "dev")["text"].to_list()
        found = self._project.train.provenance().explain(wrong)
        return found.table.select("item_id", "influence")
