"""Measuring in a project: what was asked of which model, and what of it is kept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl

from scalekit.display import Progress
from scalekit.evaluate import (
    Measured,
    SealError,
    WithoutFlagged,
    contamination,
    measure,
    without_flagged,
    write_inspect_dataset,
)
from scalekit.frames import FrameError, write_atomically, write_parquet
from scalekit.project.looking import Accounted, Looking

__all__ = ["Measuring"]

RESULTS = "evaluate/measured"
ABOUT = f"{RESULTS}/last.json"
ANSWERS = f"{RESULTS}/answers.jsonl"
PARTS = ("sets", "categories", "results")
MAYBE = ("unknown", "contents")


class Measuring(Looking):
    """Scores on what training never saw, and on what it did."""

    def without_flagged(self, *tiers: str) -> WithoutFlagged:
        """Score the last measurement without test items of these *tiers* (by default LEAK).

        As :func:`scalekit.evaluate.without_flagged`; raises as :meth:`measured` does.
        """
        results = self.measured().results.filter(pl.col("set") != "train")
        return without_flagged(results, self.leaks(), tiers=tiers or ("LEAK",))

    def measure(
        self,
        predict: Any,
        *,
        model: str = "",
        sealed: str = "",
        margin: float = 0.0,
        resume: bool = False,
    ) -> Accounted:
        """Score any model on the handwritten examples, dev, and what it was trained on.

        Parameters
        ----------
        predict
            From a list of texts to as many categories, or what
            :func:`scalekit.evaluate.predictor` takes: scikit-learn, Hugging Face pipelines.
        model
            The model's digest, if it has one. A model that was measured before on the sealed set
            for the same registration costs no further look.
        sealed
            What you claim before you look. With it the sealed set is scored too: claim, model,
            data and scorer are registered, one look is charged, aggregates come back.
        margin
            The least gain over the best accepted answer that counts as one.
        resume
            Keep answers on open items as they come and, when measured again, ask only for what is
            missing: for models whose answers take time or money. *model* must then be given.

        Raises
        ------
        SealError
            When nothing is sealed, no looks are left, or *predict* fails on sealed items.
        PredictionError
            When *predict* answers otherwise than asked.
        GateClosedError
            When an earlier gate is not passed or stale.
        """
        if not isinstance(sealed, str):
            raise SealError(
                f"sealed={sealed!r}: write what you claim in words; no look was charged"
            )
        self._current()
        self.require_before()
        asked = self._registration(sealed, model, margin) if sealed else None
        items = self._to_measure()
        with Progress("Measuring") as progress:
            found = measure(
                predict, items, progress=progress, model=model,
                categories=list(self._project.specify.spec.shares),
                store=self._folder / ANSWERS if resume else None,
            )  # fmt: skip
        attempt = None
        if asked is not None:
            answer = self._look(predict, asked)
            found, attempt = found.join(answer.measured), answer.attempt
        hand = items.filter(pl.col("set") == "handwritten")
        self._expose("measured", hand["text"].to_list(), model)
        self._keep(found, {"model": model, "attempt": attempt})
        return Accounted.of(found, self._account(attempt))

    def _to_measure(self) -> pl.DataFrame:
        """Return the items of all open sets, without the handwritten ones that are burned."""
        dev = self._opened().filter(pl.col("set") == "dev")
        self._expose("training", self._trained_on(), "it stood in the training rows")
        burned = self.exposure().burned
        hand = self._handwritten().filter(~pl.col("item_id").is_in(burned))
        hand = hand.with_columns(pl.lit("handwritten").alias("set"))
        columns = ("item_id", "text", "category", "set")
        items = pl.concat([part.select(columns) for part in (hand, dev, self.train_items())])
        about = self.open_items().select("item_id", "batch_id", "domain")
        return items.join(about, on="item_id", how="left", maintain_order="left")

    def inspect_dataset(self, path: str | Path) -> Path:
        """Write the handwritten examples and dev as a data set that inspect_ai loads.

        As :func:`scalekit.evaluate.write_inspect_dataset`;
        :func:`scalekit.evaluate.read_inspect_log` brings the scores back.
        """
        items = self._to_measure().filter(pl.col("set") != "train")
        return write_inspect_dataset(items, path)

    def open_items(self) -> pl.DataFrame:
        """Return ``item_id, text, batch_id, domain`` of the items whose text is in the open.

        The domain is the category that an item was collected under; null where it has none.
        """
        items = self._project.audit.items().filter(pl.col("text").str.len_chars() > 0)
        given = pl.col("category") if "category" in items.columns else pl.lit(None, pl.String)
        return items.select("item_id", "text", "batch_id", given.alias("domain"))

    def _trained_on(self) -> list[str]:
        """Return the handwritten examples that stand in the training rows."""
        hand = self._handwritten().select("item_id", "text")
        leaked = contamination(hand, self.train_items()).leaks["item_id"]
        return hand.filter(pl.col("item_id").is_in(leaked.to_list()))["text"].to_list()

    def _keep(self, found: Measured, about: dict[str, Any]) -> None:
        said = {**about, "protocol": found.protocol, "metric": found.metric}
        write_atomically(self._folder / ABOUT, json.dumps(said) + "\n")
        for part in (*MAYBE, *reversed(PARTS)):  # the sets last: without them nothing was measured
            table = getattr(found, part)
            if table is not None:
                write_parquet(table, self._part(part))

    def _part(self, name: str) -> Path:
        return self._folder / f"{RESULTS}/last-{name}.parquet"

    def _about(self) -> dict[str, Any]:
        """Return of which model the last measurement is, and at which attempt it looked."""
        return dict(json.loads((self._folder / ABOUT).read_text(encoding="utf-8")))

    def measured(self) -> Accounted:
        """Return the last measurement.

        Raises
        ------
        FrameError
            When nothing was measured.
        """
        if not self._part("sets").is_file():
            raise FrameError("nothing was measured yet: project.evaluate.measure(predict)")
        about = self._about()
        there = {n: pl.read_parquet(self._part(n)) for n in MAYBE if self._part(n).is_file()}
        found = Measured(
            *(pl.read_parquet(self._part(name)) for name in PARTS),
            unknown=there.get("unknown"), contents=there.get("contents"),
            protocol=about["protocol"], metric=about["metric"],
        )  # fmt: skip
        return Accounted.of(found, self._account(about["attempt"]))

    def failures(self) -> pl.DataFrame:
        """Return what the last measured model got wrong on dev and handwritten, with the text."""
        missed = (pl.col("score") < 1) & (pl.col("set") != "train")
        wrong = self.measured().results.filter(missed)
        columns = ("item_id", "text")
        texts = pl.concat([self._handwritten().select(columns), self._opened().select(columns)])
        return wrong.drop("score").join(texts, on="item_id", maintain_order="left")

    def _newest_run(self) -> list[str]:
        """Return the digest of the newest run's weights, if there is a run."""
        return [e.data["checkpoint"] for e in self._folder.events("train/log.jsonl", "run")[-1:]]
