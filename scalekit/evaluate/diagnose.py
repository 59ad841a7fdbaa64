"""Diagnosis: which stage to revisit, and on what evidence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from scalekit.display import View, block, counted, note, table
from scalekit.evaluate.contamination import Contamination
from scalekit.evaluate.diagnosis_rules import (
    MIN_GAP,
    MIN_Z,
    Finding,
    contaminated,
    data_faults,
    inflated,
    not_learned,
    off_target,
    said_score,
    weak_categories,
)
from scalekit.evaluate.error_factors import ErrorFactors
from scalekit.evaluate.measure import Measured
from scalekit.evaluate.resolution import minimum_detectable
from scalekit.gates import Check, Gate
from scalekit.intervals import newcombe

__all__ = ["Diagnosis", "Finding", "diagnose", "gate"]

DISCORDANCE = 0.1  # share of items on which two models of one line usually differ


@dataclass(frozen=True)
class Diagnosis(View):
    """Findings, the gravest first; ``unresolved`` says what this many items can't tell."""

    findings: tuple[Finding, ...]
    unresolved: str

    @property
    def stage(self) -> str | None:
        """The stage to revisit first, or None."""
        return self.findings[0].stage if self.findings else None

    @property
    def table(self) -> pl.DataFrame:
        """One row for each finding."""
        names = ("finding", "stage", "evidence", "remedy")
        rows = [tuple(getattr(f, name) for name in names) for f in self.findings]
        return pl.DataFrame(rows, schema=dict.fromkeys(names, pl.String), orient="row")

    def to_html(self) -> str:
        """Show the stage to revisit, the findings, what is not resolvable, and the evidence."""
        first = f"Revisit {self.stage.title()} first." if self.stage else "No stage stands out."
        rows = table(self.table.rename({"stage": "revisit"}))
        shown = [
            note(f"Evidence of {f.finding}:") + "".join(map(table, f.shown))
            for f in self.findings
            if any(len(t) for t in f.shown)
        ]
        return block("Diagnosis", note(first), rows, note(self.unresolved), *shown)


def diagnose(
    measured: Measured,
    *,
    target: float,
    leaks: Contamination | None = None,
    support: Mapping[str, int] | None = None,
    alpha: Mapping[str, float] | None = None,
    alpha_interval: tuple[float, float] | None = None,
    factors: ErrorFactors | None = None,
    last_gaps: Mapping[str, float] | None = None,
    fresh_sealed: tuple[int, int] | None = None,
    handwritten: Any = None,
    sentence: str = "",
) -> Diagnosis:
    """Say which stage to revisit.

    Rules, in order of gravity ("surely" means by the whole 95 % interval):

    1. contamination → Audit: test items stand in training, and accuracy on them is higher
       (Fisher's exact test, p < 0.01) or can't be compared
    2. inflated → Audit, and a new seal: the sealed set is surely above a fresh one; or dev surely
       above handwritten where nobody searched for overlap
    3. weak coverage → Collect, inconsistent labels → Label, the surer of both first: errors go with
       thin support, or with contradicting labels (z > 3, and the gap of the worst fifth above
       15 points and surely above 9, which it has without a fault; where the gap of the last
       release is known, 5 points above that and surely above it); a category
       without a training item; a handwritten example missed where training is thin; the interval
       of alpha reaching under 0.667 while dev is under target; of pairs of copies surely more than
       a tenth labelled otherwise
    4. wrong target → Specify: dev is surely above handwritten and nothing of the above explains it
    5. dev is under target: training items are known far better than new ones → too few of them,
       Collect; not even those are known → the task or the model, Specify
    6. a category is surely under target: annotators disagree on it → Label; it is thin in
       training → Collect; neither → Audit
    7. overlap → Audit: test items stand in training, though the score does not rest on them

    What is left is said to be not resolvable, with the effect that could have been found.

    Parameters
    ----------
    measured
        With sets dev and handwritten; with single results for rules 1 and 4.
    target
        The accuracy aimed at.
    leaks
        The contamination report of the test sets.
    support
        Category to number of training items.
    alpha
        Category to agreement of the annotators on it.
    alpha_interval
        The 95 % interval of alpha over all categories.
    factors
        What goes with the errors on dev, of clean items.
    last_gaps
        The gaps of the last release (``support``, ``surprise``): where items are hard by nature,
        they were hard then.
    fresh_sealed
        Right answers and items of the same model on a seal made since.
    handwritten
        ``item_id, text`` of the handwritten examples, to show those missed.
    sentence
        The sentence of the spec, to show beside them.
    """
    found = [
        *contaminated(measured, leaks),
        *inflated(measured, leaks, fresh_sealed),
        *data_faults(measured, target, support, alpha_interval, factors, last_gaps),
    ]
    if not found:
        found += off_target(measured, leaks, handwritten, sentence)
    found += not_learned(measured, target)
    found += weak_categories(measured, target, support or {}, alpha or {})
    # An overlap that moves nothing is mended, and explains nothing.
    found.sort(key=lambda f: f.finding == "overlap")
    return Diagnosis(tuple(found), _unresolved(measured, target, nothing=not found))


def _unresolved(measured: Measured, target: float, *, nothing: bool) -> str:
    dev = measured.sets.filter(pl.col("set") == "dev")
    if dev.is_empty():
        return "There is no dev set to diagnose from."
    n, p, low, high = dev.select("n", "accuracy", "from", "to").row(0)
    side = "below the target" if high < target else "above it" if low >= target else "around it"
    said = (
        f"On {n} dev items accuracy lies between {low:.3f} and {high:.3f}, {side} "
        f"({target:.2f}). Differences smaller than that interval are not resolvable here."
    )
    if nothing:
        change = minimum_detectable(n, DISCORDANCE)
        fifth = max(n // 5, 1)
        gap = MIN_Z * (p * (1 - p) * (1 / fifth + 1 / max(n - fifth, 1))) ** 0.5
        said += (
            f" Nothing stands out, which is not to say that nothing is wrong: of two models that "
            f"differ on a tenth of {n} items, a difference under {100 * change:.1f} points is "
            f"missed more often than once in five; errors gathered in a fifth of the items show "
            f"from {100 * max(gap, MIN_GAP):.0f} points on."
        )
    return said


def gate(
    diagnosis: Diagnosis,
    measured: Measured,
    leaks: Contamination,
    *,
    target: float,
    sealed_hits: int,
) -> Gate:
    """Return the gate of Evaluate: nothing leaked, the target reached, the sets tell one story."""
    cells = {r["set"]: r for r in measured.sets.to_dicts()}
    dev, sealed = cells.get("dev"), cells.get("sealed")
    worst = diagnosis.stage or "collect"
    remedy = diagnosis.findings[0].remedy if diagnosis.findings else "collect more, measure again"
    reached = dev is not None and dev["accuracy"] >= target
    found = len(leaks.leaks) + sealed_hits
    missing = 'measure it: measure(predict, sealed="what you claim")'
    overused = "dev was looked at too often: collect new items and split again"
    return Gate(
        "evaluate",
        (
            Check("nothing of the test sets in training", not found, counted(found, "leak"), "0",
                  "audit", "take those training rows out", leaks.leaks.drop("spans"),
                  waiver="never"),
            Check("target reached on dev", reached, said_score(dev), f"{target:.2f}", worst,
                  remedy, diagnosis.table),
            Check("the sealed set agrees with dev", _agree(dev, sealed), said_score(sealed),
                  "no surely lower score than dev", "evaluate",
                  missing if sealed is None else overused),
        ),
    )  # fmt: skip


def _agree(dev: Mapping[str, float] | None, sealed: Mapping[str, float] | None) -> bool:
    """Whether sealed is not surely lower than dev."""
    if dev is None or sealed is None:
        return False
    low, _ = newcombe(int(dev["right"]), int(dev["n"]), int(sealed["right"]), int(sealed["n"]))
    return low <= 0
