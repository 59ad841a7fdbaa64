"""The rules of diagnosis: what each finds, at which threshold, and what it shows."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from scalekit.evaluate.contamination import Contamination
from scalekit.evaluate.error_factors import ErrorFactors
from scalekit.evaluate.flagged import without_flagged
from scalekit.evaluate.measure import Measured
from scalekit.frames import require, to_polars
from scalekit.intervals import newcombe, wilson

__all__ = [
    "MIN_GAP",
    "MIN_Z",
    "Finding",
    "contaminated",
    "data_faults",
    "inflated",
    "not_learned",
    "off_target",
    "said_score",
    "weak_categories",
]

# Without a fault the worst fifth errs about 9 points more often: what is hard lies together.
MIN_Z, MIN_GAP, NATURAL_GAP, OVER_LAST = 3.0, 0.15, 0.09, 0.05
FISHER_P = 0.01
MIN_ALPHA = 0.667  # Krippendorff's least for tentative conclusions
CONFLICTS = 0.1  # with 5 % of labels wrong, about a tenth of copies contradict each other
THIN = 10  # training items of a category


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, the stage to revisit for it, and the evidence.

    ``shown`` are tables to look at: the overlapping pairs, the items beside their neighbours.
    """

    finding: str
    stage: str
    evidence: str
    remedy: str
    shown: tuple[pl.DataFrame, ...] = field(default=(), compare=False, repr=False)


def contaminated(measured: Measured, leaks: Contamination | None) -> Iterator[Finding]:
    """Test items stand in training."""
    if leaks is None or leaks.leaks.is_empty():
        return
    batches = ", ".join(sorted(b for b in leaks.leaks["batch_id"].unique() if b))
    said = f"{len(leaks.leaks)} test items stand in the training text (batches: {batches or '–'})"
    remedy = "take the training rows out, measure again; if sealed items leaked, seal anew"
    shown = [leaks.leaks.select("item_id", "text", "train_id", "cover")]
    name = "contamination"
    tested, flagged = _tested(measured, leaks), leaks.leaks["item_id"].to_list()
    if tested["item_id"].is_in(flagged).any():
        p = _fisher(tested, flagged)
        scores = without_flagged(tested, leaks).table
        for row in scores.filter(pl.col("flagged") > 0).to_dicts():
            without = "–" if row["without flagged"] is None else f"{row['without flagged']:.2f}"
            said += f"; {row['set']} {row['accuracy']:.2f} with them, {without} without"
        said += f"; right more often on them with p = {p:.2g} (Fisher)"
        shown.append(scores)
        name = "contamination" if p < FISHER_P else "overlap"
    yield Finding(name, "audit", said, remedy, tuple(shown))


def _tested(measured: Measured, leaks: Contamination) -> pl.DataFrame:
    """Return the single results of the items that were searched for."""
    if "score" not in measured.results.columns:
        return pl.DataFrame(schema={"item_id": pl.String})
    searched = leaks.table["item_id"].to_list()
    return measured.results.filter((pl.col("set") != "train") & pl.col("item_id").is_in(searched))


def _fisher(results: pl.DataFrame, flagged: Collection[str]) -> float:
    """Return the one-sided p that items seen in training are answered no more often than others."""
    from scipy.stats import fisher_exact

    seen = pl.col("item_id").is_in(list(flagged))
    cells = [
        [int(part["score"].sum()), len(part) - int(part["score"].sum())]
        for part in (results.filter(seen), results.filter(~seen))
    ]
    return float(fisher_exact(cells, alternative="greater").pvalue)


def inflated(
    measured: Measured, leaks: Contamination | None, fresh: tuple[int, int] | None
) -> Iterator[Finding]:
    """Scores fall on items that are surely new, or nobody searched for overlap."""
    cells = {r["set"]: r for r in measured.sets.to_dicts()}
    remedy = "search for paraphrases of the test items in training; seal new items"
    if fresh is not None and "sealed" in cells:
        right, n = fresh
        low, high = newcombe(cells["sealed"]["right"], cells["sealed"]["n"], right, n)
        if low > 0:
            said = (
                f"sealed {said_score(cells['sealed'])}, fresh seal {right / n:.3f} on {n}: "
                f"lower by {100 * low:.0f} to {100 * high:.0f} points"
            )
            yield Finding("inflated", "audit", said, remedy)
    if leaks is None and (said := _collapse(measured)):
        said += "; nobody searched for test items in training"
        yield Finding("inflated", "audit", said, "search for test items in training first")


def _collapse(measured: Measured) -> str:
    """Say how far handwritten is surely under dev, by Newcombe's interval, or nothing."""
    cells = {r["set"]: r for r in measured.sets.to_dicts()}
    if "dev" not in cells or "handwritten" not in cells:
        return ""
    dev, hand = cells["dev"], cells["handwritten"]
    low, high = newcombe(dev["right"], dev["n"], hand["right"], hand["n"])
    if low <= 0:
        return ""
    apart = f"lower by {100 * low:.0f} to {100 * high:.0f} points"
    return f"dev {said_score(dev)}, handwritten {said_score(hand)}: {apart}"


def data_faults(
    measured: Measured,
    target: float,
    support: Mapping[str, int] | None,
    alpha: tuple[float, float] | None,
    factors: ErrorFactors | None,
    last: Mapping[str, float] | None,
) -> list[Finding]:
    """Return weak coverage and inconsistent labels, the surer first."""
    coverage, coverage_z = _coverage(measured, support or {}, factors, last or {})
    labels, labels_z = _inconsistent(measured, target, alpha, factors, last or {})
    found = [(z, f) for z, f in ((coverage_z, coverage), (labels_z, labels)) if f is not None]
    return [f for _, f in sorted(found, key=lambda pair: -pair[0])]


def _fires(factors: ErrorFactors | None, factor: str, last: Mapping[str, float]) -> bool:
    if factors is None or factors.z(factor) <= MIN_Z:
        return False
    row = factors.table.filter(pl.col("factor") == factor).row(0, named=True)
    natural = last.get(factor, NATURAL_GAP)
    least = natural + OVER_LAST if factor in last else MIN_GAP
    return bool(row["gap"] > least and row["from"] > natural)


def _gap_said(factors: ErrorFactors, factor: str) -> str:
    row = factors.table.filter(pl.col("factor") == factor).row(0, named=True)
    return f"{row['error there']:.0%} against {row['error elsewhere']:.0%} (z = {row['z']:.1f})"


def _coverage(
    measured: Measured,
    support: Mapping[str, int],
    factors: ErrorFactors | None,
    last: Mapping[str, float],
) -> tuple[Finding | None, float]:
    said, shown, z = [], [], 0.0
    if factors is not None and _fires(factors, "support", last):
        z = factors.z("support")
        said.append(
            f"errors in the fifth of dev with the thinnest support: {_gap_said(factors, 'support')}"
        )
        shown.append(factors.nearest)
    tested = measured.categories.filter(pl.col("set").is_in(["dev", "handwritten"]))[
        "category"
    ].unique(maintain_order=True)
    empty = [name for name in tested if support.get(name, 0) == 0] if support else []
    if empty:
        # Nothing was collected: no test is needed.
        z = max(z, float("inf"))
        said.append(f"no training item of {', '.join(map(repr, empty))}")
    missed = _thin_misses(measured, support)
    if missed:
        said.append("; ".join(missed))
    if not said:
        return None, 0.0
    remedy = "collect items like those that failed; the categories and neighbours are below"
    if support:
        cells = pl.DataFrame({"category": list(support), "training items": list(support.values())})
        shown.insert(0, cells.sort("training items").head(5))
    return Finding("weak coverage", "collect", "; ".join(said), remedy, tuple(shown)), z


def _thin_misses(measured: Measured, support: Mapping[str, int]) -> list[str]:
    hand = measured.categories.filter(
        (pl.col("set") == "handwritten") & (pl.col("right") < pl.col("n"))
    )
    return [
        f"{r['n'] - r['right']} of {r['n']} handwritten examples of {r['category']} are missed, "
        f"with {support[r['category']]} in training"
        for r in hand.to_dicts()
        if 0 < support.get(r["category"], 0) < THIN
    ]


def _inconsistent(
    measured: Measured,
    target: float,
    alpha: tuple[float, float] | None,
    factors: ErrorFactors | None,
    last: Mapping[str, float],
) -> tuple[Finding | None, float]:
    said, shown, z = [], [], 0.0
    if factors is not None and _fires(factors, "surprise", last):
        z = factors.z("surprise")
        said.append(
            "errors in the fifth of dev whose neighbours in training contradict each other: "
            f"{_gap_said(factors, 'surprise')}"
        )
    dev = measured.sets.filter((pl.col("set") == "dev") & (pl.col("to") < target))
    if alpha is not None and alpha[0] < MIN_ALPHA and len(dev):
        said.append(f"alpha lies between {alpha[0]:.2f} and {alpha[1]:.2f}")
    if factors is not None and len(factors.conflicts):
        shown.append(factors.conflicts)
        low, _ = wilson(len(factors.conflicts), factors.pairs)
        if said or low > CONFLICTS:
            n = len(factors.conflicts)
            said.append(f"{n} of {factors.pairs} pairs of the same words have different labels")
    if not said:
        return None, 0.0
    remedy = "trace which annotators and batches, decide the case in the instructions, label again"
    return Finding("inconsistent labels", "label", "; ".join(said), remedy, tuple(shown)), z


def off_target(
    measured: Measured, leaks: Contamination | None, handwritten: Any, sentence: str
) -> Iterator[Finding]:
    """The handwritten examples fail, and the data look right."""
    said = _collapse(measured) if leaks is not None else ""
    if not said:
        return
    shown: tuple[pl.DataFrame, ...] = ()
    if handwritten is not None and len(measured.results):
        texts = require(to_polars(handwritten, "handwritten"), ("item_id", "text"), "handwritten")
        missed = measured.results.filter((pl.col("set") == "handwritten") & (pl.col("score") == 0))
        missed = missed.select("item_id", "category", "prediction")
        shown = (missed.join(texts.select("item_id", "text"), on="item_id"),)
    if sentence:
        said += f". The spec: “{sentence}”"
    remedy = "the data teach something else than the spec asks: compare the failed examples"
    yield Finding("wrong target", "specify", said, remedy, shown)


def not_learned(measured: Measured, target: float) -> Iterator[Finding]:
    """Dev is under target: too few examples, or not even those are known."""
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


def weak_categories(
    measured: Measured, target: float, support: Mapping[str, int], alpha: Mapping[str, float]
) -> Iterator[Finding]:
    """A category is surely under target."""
    usual = sorted(support.values())[len(support) // 2] if support else 0
    dev = measured.categories.filter((pl.col("set") == "dev") & (pl.col("to") < target))
    for cell in dev.sort("accuracy").to_dicts():
        name = cell["category"]
        said = f"{name}: {cell['accuracy']:.2f} on {cell['n']} dev items"
        if alpha.get(name, 1.0) < MIN_ALPHA:
            said += f"; annotators agree on it with alpha {alpha[name]:.2f}"
            remedy = "add an edge case to the instructions that decides it, label again"
            yield Finding("inconsistent labels", "label", said, remedy)
        elif support and support.get(name, 0) < usual / 2:
            said += f"; {support.get(name, 0)} training items where the median is {usual}"
            yield Finding("weak coverage", "collect", said, f"collect more of {name}")
        else:
            remedy = "read the failed items beside the instructions and the spec"
            yield Finding("weak category", "audit", said, remedy)


def said_score(cell: Mapping[str, float] | None) -> str:
    """Return a score with its interval, in words."""
    if cell is None:
        return "not measured"
    return f"{cell['accuracy']:.3f} ({cell['from']:.3f} to {cell['to']:.3f})"
