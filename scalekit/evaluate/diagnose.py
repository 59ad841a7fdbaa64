"""Diagnosis: which stage to revisit, and on what evidence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import polars as pl

from scalekit.display import View, block, counted, note, table
from scalekit.evaluate.contamination import Contamination
from scalekit.evaluate.measure import Measured
from scalekit.gates import Check, Gate
from scalekit.intervals import wilson

__all__ = ["Diagnosis", "Finding", "diagnose", "gate"]


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, the stage to revisit for it, and the evidence."""

    finding: str
    stage: str
    evidence: str
    remedy: str


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
        schema = dict.fromkeys(("finding", "stage", "evidence", "remedy"), pl.String)
        return pl.DataFrame([f.__dict__ for f in self.findings], schema=schema)

    def to_html(self) -> str:
        """Show the stage to revisit, the findings, and what is not resolvable."""
        first = f"Revisit {self.stage.title()} first." if self.stage else "No stage stands out."
        shown = table(self.table.rename({"stage": "revisit"}))
        return block("Diagnosis", note(first), shown, note(self.unresolved))


def diagnose(
    measured: Measured,
    *,
    target: float,
    leaks: Contamination | None = None,
    support: Mapping[str, int] | None = None,
    alpha: Mapping[str, float] | None = None,
) -> Diagnosis:
    """Say which stage to revisit.

    Rules, in order of gravity ("surely" means by the whole 95 % interval):

    - a test item stands in training: scores mean nothing → Collect
    - dev is surely above handwritten: the data teach another target than the spec → Specify
    - dev is under target, and the model knows its own examples far better than new ones: too few
      of them → Collect; it does not know even those: the task or the model is short → Specify
    - a category is surely under target: annotators disagree on it → Label; it is thin in
      training → Collect; neither → Audit

    What is left is said to be not resolvable.

    Parameters
    ----------
    measured
        With sets dev and handwritten.
    target
        The accuracy aimed at.
    leaks
        The contamination report of the test sets.
    support
        Category to number of training items.
    alpha
        Category to agreement of the annotators on it.
    """
    found = [
        *_contaminated(leaks),
        *_off_target(measured),
        *_not_learned(measured, target),
        *_weak(measured, target, support or {}, alpha or {}),
    ]
    dev = measured.sets.filter(pl.col("set") == "dev")
    said = "There is no dev set to diagnose from."
    if len(dev):
        n, low, high = dev.select("n", "from", "to").row(0)
        side = "below the target" if high < target else "above it" if low >= target else "around it"
        said = (
            f"On {n} dev items accuracy lies between {low:.3f} and {high:.3f}, {side} "
            f"({target:.2f}). Differences smaller than that interval are not resolvable here."
        )
    return Diagnosis(tuple(found), said)


def _contaminated(leaks: Contamination | None) -> Iterator[Finding]:
    if leaks is None or leaks.leaks.is_empty():
        return
    batches = ", ".join(sorted(b for b in leaks.leaks["batch_id"].unique() if b))
    yield Finding(
        "contamination",
        "collect",
        f"{len(leaks.leaks)} test items stand in the training text (batches: {batches})",
        "take the training rows out; scores with them in mean nothing",
    )


def _weak(
    measured: Measured, target: float, support: Mapping[str, int], alpha: Mapping[str, float]
) -> Iterator[Finding]:
    usual = sorted(support.values())[len(support) // 2] if support else 0
    dev = measured.categories.filter((pl.col("set") == "dev") & (pl.col("to") < target))
    for cell in dev.sort("accuracy").to_dicts():
        name = cell["category"]
        said = f"{name}: {cell['accuracy']:.2f} on {cell['n']} dev items"
        if alpha.get(name, 1.0) < 0.667:
            said += f"; annotators agree on it with alpha {alpha[name]:.2f}"
            remedy = "add an edge case to the instructions that decides it, label again"
            yield Finding("inconsistent labels", "label", said, remedy)
        elif support and support.get(name, 0) < usual / 2:
            said += f"; {support.get(name, 0)} training items where the median is {usual}"
            yield Finding("weak coverage", "collect", said, f"collect more of {name}")
        else:
            remedy = "read the failed items beside the instructions and the spec"
            yield Finding("weak category", "audit", said, remedy)


def _off_target(measured: Measured) -> Iterator[Finding]:
    cells = {r["set"]: r for r in measured.sets.to_dicts()}
    if "dev" not in cells or "handwritten" not in cells:
        return
    dev, hand = cells["dev"], cells["handwritten"]
    if hand["to"] < dev["from"]:
        said = (
            f"dev {dev['accuracy']:.2f} ({dev['from']:.2f} to {dev['to']:.2f}), handwritten "
            f"{hand['accuracy']:.2f} ({hand['from']:.2f} to {hand['to']:.2f})"
        )
        remedy = "the data teach something else than the spec asks: compare the failed examples"
        yield Finding("wrong target", "specify", said, remedy)


def _not_learned(measured: Measured, target: float) -> Iterator[Finding]:
    cells = {r["set"]: r for r in measured.sets.to_dicts()}
    if "dev" not in cells or "train" not in cells or cells["dev"]["accuracy"] >= target:
        return
    dev, train = cells["dev"], cells["train"]
    said = f"train {train['accuracy']:.2f} on {train['n']} items, dev {dev['accuracy']:.2f}"
    if train["from"] > dev["to"] + 0.1:
        remedy = "it knows its own examples, not new ones: collect more, or try a simpler model"
        yield Finding("too few examples", "collect", said, remedy)
    else:
        remedy = "it does not even learn its own examples: a stronger model, or a clearer task"
        yield Finding("not learned", "specify", said, remedy)


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
    return Gate(
        "evaluate",
        (
            Check("nothing of the test sets in training", not found, counted(found, "leak"), "0",
                  "collect", "take those training rows out", leaks.leaks.drop("spans")),
            Check("target reached on dev", reached, _said(dev), f"{target:.2f}", worst,
                  remedy, diagnosis.table),
            Check("the sealed set agrees with dev", _agree(dev, sealed), _said(sealed),
                  "no surely lower score than dev", "evaluate",
                  "dev was looked at too often: collect new items and split again"),
        ),
    )  # fmt: skip


def _said(cell: Mapping[str, float] | None) -> str:
    if cell is None:
        return "not measured"
    return f"{cell['accuracy']:.3f} ({cell['from']:.3f} to {cell['to']:.3f})"


def _agree(dev: Mapping[str, float] | None, sealed: Mapping[str, float] | None) -> bool:
    """Whether sealed is not surely lower: Newcombe's (1998) hybrid interval of the difference."""
    if dev is None or sealed is None:
        return False
    low_dev, _ = wilson(int(dev["right"]), int(dev["n"]))
    _, high_sealed = wilson(int(sealed["right"]), int(sealed["n"]))
    p, q = dev["accuracy"], sealed["accuracy"]
    return bool((p - q) - ((p - low_dev) ** 2 + (high_sealed - q) ** 2) ** 0.5 <= 0)
