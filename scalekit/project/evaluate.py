"""``project.evaluate``: split, decontaminate, seal, measure, say which stage to revisit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import polars as pl

from scalekit.display import counted
from scalekit.evaluate import WORSE, Diagnosis, ErrorFactors, diagnose, error_factors, gate
from scalekit.frames import FrameError
from scalekit.gates import Check, Gate
from scalekit.project.closed_loop import ClosedLoop
from scalekit.project.measuring import ABOUT
from scalekit.project.panel import PanelVerbs
from scalekit.project.sealing import LOG
from scalekit.project.sets import Sets
from scalekit.signing import digest_file

__all__ = ["Evaluate", "Sets"]

NEIGHBOURS = 10


class Evaluate(PanelVerbs, ClosedLoop):
    """Measure on what training never saw."""

    name = "evaluate"
    purpose = "Split, decontaminate, seal, measure, and say which stage to revisit."

    def diagnose(self) -> Diagnosis:
        """Say which stage to revisit, from the last measurement and what the stages know."""
        train, measured, leaks = self.train_items(), self.measured(), self.leaks()
        agreed, spec = self._project.label.agreement(), self._project.specify.spec
        by_value = agreed.by_value.drop_nulls("alpha")
        seen = leaks.table.filter(pl.col("tier").is_in(["LEAK", "SPAN"]))["item_id"].to_list()
        return diagnose(
            measured,
            target=self._target(),
            leaks=leaks,
            support=dict(train["category"].value_counts().iter_rows()),
            alpha=dict(by_value.select("value", "alpha").iter_rows()),
            alpha_interval=agreed.interval,
            factors=self._factors(measured.results.filter(pl.col("set") == "dev"), train, seen),
            handwritten=self._handwritten(),
            sentence=spec.behaviour,
        )

    def _factors(
        self, results: pl.DataFrame, train: pl.DataFrame, seen: list[str]
    ) -> ErrorFactors | None:
        """Return what goes with errors on dev; None where there is too little to tell."""
        dev = self._dev().join(results, on="item_id", how="semi")
        if dev.filter(~pl.col("item_id").is_in(seen)).is_empty() or len(train) <= NEIGHBOURS:
            return None
        return error_factors(results, dev, train, seen=seen, k=NEIGHBOURS)

    def _target(self) -> float:
        target = self._project.specify.spec.target
        if target is None:
            raise FrameError(
                "the spec names no metric, so there is no target to hold scores against"
            )
        return target

    def _own_inputs(self) -> list[str]:
        parts = (self._part("sets"), self._folder / ABOUT)
        mark = [digest_file(path) for path in parts if path.is_file()]
        # A new run is a new model: what was measured before says nothing about it.
        burned = self.exposure().burned if mark else []
        return [*mark, *burned, *self._newest_run(), *(e.hash for e in self._folder.events(LOG))]

    def _judge(self) -> Gate:
        if not self._part("sets").is_file():
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
