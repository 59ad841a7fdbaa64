"""``project.evaluate``: split, decontaminate, seal, measure, say which stage to revisit."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import polars as pl

from scalekit.display import Progress, counted
from scalekit.evaluate import (
    WORSE,
    Diagnosis,
    Measured,
    SealError,
    WithoutFlagged,
    contamination,
    diagnose,
    gate,
    measure,
    without_flagged,
)
from scalekit.frames import FrameError, write_atomically, write_parquet
from scalekit.gates import Check, Gate
from scalekit.project.looking import Accounted, Looking
from scalekit.project.sealing import LOG, Sets
from scalekit.signing import digest_file

__all__ = ["Evaluate", "Sets"]

RESULTS = "evaluate/measured"
ABOUT = f"{RESULTS}/last.json"


class Evaluate(Looking):
    """Measure on what training never saw."""

    name = "evaluate"
    purpose = "Split, decontaminate, seal, measure, and say which stage to revisit."

    def without_flagged(self, *tiers: str) -> WithoutFlagged:
        """Score the last measurement without test items of these *tiers* (by default LEAK).

        As :func:`scalekit.evaluate.without_flagged`; raises as :meth:`measured` does.
        """
        results = self.measured().results.filter(pl.col("set") != "train")
        return without_flagged(results, self.leaks(), tiers=tiers or ("LEAK",))

    def measure(
        self,
        predict: Callable[[list[str]], Sequence[str]],
        *,
        model: str = "",
        sealed: str = "",
        margin: float = 0.0,
    ) -> Accounted:
        """Score any callable on the handwritten examples, dev, and what it was trained on.

        Parameters
        ----------
        predict
            From a list of texts to as many categories.
        model
            The model's digest, if it has one. A model that was measured before on the sealed set
            for the same registration costs no further look.
        sealed
            What you claim before you look. With it the sealed set is scored too: claim, model,
            data and scorer are registered, one look is charged, aggregates come back.
        margin
            The least gain over the best accepted answer that counts as one.

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
        dev = self._opened().filter(pl.col("set") == "dev")
        self._expose("training", self._trained_on(), "it stood in the training rows")
        burned = self.exposure().burned
        hand = self._handwritten().filter(~pl.col("item_id").is_in(burned))
        columns = ("item_id", "text", "category", "set")
        with Progress("Measuring") as progress:
            parts = (hand.with_columns(pl.lit("handwritten").alias("set")), dev, self.train_items())
            items = pl.concat([part.select(columns) for part in parts])
            found = measure(predict, items, progress=progress)
        attempt = None
        if asked is not None:
            answer = self._look(predict, asked)
            found, attempt = found.join(answer.measured), answer.attempt
        self._expose("measured", hand["text"].to_list(), model)
        about = {"model": model, "attempt": attempt}
        write_atomically(self._folder / ABOUT, json.dumps(about) + "\n")
        self._store(found, self._folder / RESULTS / "last")
        return Accounted.of(found, self._account(attempt))

    def _trained_on(self) -> list[str]:
        """Return the handwritten examples that stand in the training rows."""
        hand = self._handwritten().select("item_id", "text")
        leaked = contamination(hand, self.train_items()).leaks["item_id"]
        return hand.filter(pl.col("item_id").is_in(leaked.to_list()))["text"].to_list()

    @staticmethod
    def _store(found: Measured, stem: Any) -> None:
        write_parquet(found.categories, stem.with_name(f"{stem.name}-categories.parquet"))
        write_parquet(found.results, stem.with_name(f"{stem.name}-results.parquet"))
        write_parquet(found.sets, stem.with_name(f"{stem.name}-sets.parquet"))

    @staticmethod
    def _load(stem: Any) -> Measured:
        parts = ("sets", "categories", "results")
        return Measured(
            *(pl.read_parquet(stem.with_name(f"{stem.name}-{part}.parquet")) for part in parts)
        )

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
        if not (self._folder / RESULTS / "last-sets.parquet").is_file():
            raise FrameError("nothing was measured yet: project.evaluate.measure(predict)")
        found = self._load(self._folder / RESULTS / "last")
        return Accounted.of(found, self._account(self._about()["attempt"]))

    def failures(self) -> pl.DataFrame:
        """Return what the last measured model got wrong on dev and handwritten, with the text."""
        missed = (pl.col("score") == 0) & (pl.col("set") != "train")
        wrong = self.measured().results.filter(missed)
        columns = ("item_id", "text")
        texts = pl.concat([self._handwritten().select(columns), self._opened().select(columns)])
        return wrong.drop("score").join(texts, on="item_id", maintain_order="left")

    def diagnose(self) -> Diagnosis:
        """Say which stage to revisit, from the last measurement and what the stages know."""
        support = dict(self.train_items()["category"].value_counts().iter_rows())
        by_value = self._project.label.agreement().by_value.drop_nulls("alpha")
        return diagnose(
            self.measured(),
            target=self._target(),
            leaks=self.leaks(),
            support=support,
            alpha=dict(by_value.select("value", "alpha").iter_rows()),
        )

    def _target(self) -> float:
        return next(m.target for m in self._project.specify.spec.metrics)

    def _own_inputs(self) -> list[str]:
        parts = (self._folder / RESULTS / "last-sets.parquet", self._folder / ABOUT)
        mark = [digest_file(path) for path in parts if path.is_file()]
        # A new run is a new model: what was measured before says nothing about it.
        burned = self.exposure().burned if mark else []
        return [*mark, *burned, *self._newest_run(), *(e.hash for e in self._folder.events(LOG))]

    def _newest_run(self) -> list[str]:
        """Return the digest of the newest run's weights, if there is a run."""
        return [e.data["checkpoint"] for e in self._folder.events("train/log.jsonl", "run")[-1:]]

    def _judge(self) -> Gate:
        if not (self._folder / RESULTS / "last-sets.parquet").is_file():
            said = "seal and measure: project.evaluate.seal(), then project.evaluate.measure(…)"
            return Gate(
                "evaluate",
                (Check("measured", False, "nothing", "dev and sealed", "evaluate", said),),
            )
        found = gate(
            self.diagnose(),
            self.measured(),
            self.leaks(),
            target=self._target(),
            sealed_hits=len(self._sealed_hits()),
        )
        return replace(found, checks=(*found.checks, *self._of_this_model()))

    def _of_this_model(self) -> Iterator[Check]:
        """Check that the newest run is what was measured, and that it lost nothing on sealed."""
        about = self._about()
        for run in self._newest_run():
            said = "measure the newest run: project.evaluate.measure(predict, model=its digest)"
            told = f"model {about['model'][-12:]}" if about["model"] else "a model without digest"
            name = "the newest run is what was measured"
            needed = f"model {run[-12:]}"
            yield Check(name, about["model"] == run, told, needed, "evaluate", said)
        burned = set(self.exposure().burned) & set(self.measured().results["item_id"])
        if burned:
            name, told = "no burned example in the score", counted(len(burned), "burned example")
            yield Check(name, False, told, "0", "evaluate", "measure again: they are left out")
        for answer in self._current().ledger.answers():
            if answer["attempt"] == about["attempt"] and answer["answer"] == WORSE:
                name, told = "no loss on the sealed set", WORSE
                said = "go back to the model of the best accepted answer, or find what was lost"
                yield Check(name, False, told, "no measurable loss", "evaluate", said)
