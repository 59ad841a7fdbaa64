"""``project.evaluate``: split, decontaminate, seal, measure, say which stage to revisit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from scalekit.display import counted
from scalekit.evaluate import WORSE, Diagnosis, diagnose, gate
from scalekit.gates import Check, Gate
from scalekit.project.closed_loop import ClosedLoop
from scalekit.project.measuring import ABOUT
from scalekit.project.panel import PanelVerbs
from scalekit.project.sealing import LOG, Sets
from scalekit.signing import digest_file

__all__ = ["Evaluate", "Sets"]


class Evaluate(PanelVerbs, ClosedLoop):
    """Measure on what training never saw."""

    name = "evaluate"
    purpose = "Split, decontaminate, seal, measure, and say which stage to revisit."

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
