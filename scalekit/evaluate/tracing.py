"""Trace a regression back: which batches, annotators, cohorts and domains disagree more than usual.

What is found is excess disagreement of labels with a reference, no judgement of a person: it may
be a guideline that a cohort was given, a tool, a batch of another kind. Where the labels can't
tell, the trace says so and how many would.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from scalekit.display import View, block, counted, note, table
from scalekit.evaluate.evidence import LabelEvidence, label_evidence
from scalekit.evaluate.levels import (
    DOMAIN,
    FEWEST,
    Rule,
    Scope,
    domain_level,
    judged_levels,
    labels_needed,
    scanned_domains,
    scope_of,
)
from scalekit.evaluate.proxy import MakeProxy, text_proxy
from scalekit.evaluate.random_effects import Effects
from scalekit.evaluate.remediation import moved_by, remediation_queue
from scalekit.evaluate.where import Where
from scalekit.figures import PALETTE, error_bars, figure
from scalekit.frames import FrameError, require, to_polars

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["Trace", "trace"]

Codes = NDArray[np.int64]
Z95 = 1.959963984540054
EXCESS = (
    "Excess: what a level adds, in points, with all other levels accounted for and drawn towards "
    "them; where labels were checked on gold, the checks count too, so it need not be the "
    "difference of the two shares. Sure: the probability that it is over the least that matters."
)
ROWS = {"row": pl.Int64}
LEVELS = {
    "factor": pl.String, "level": pl.String, "labels": pl.Int64, "disagree": pl.Float64,
    "expected": pl.Float64, "excess": pl.Float64, "from": pl.Float64, "to": pl.Float64,
    "sure": pl.Float64, "flagged": pl.Boolean, "said": pl.String,
}  # fmt: skip


@dataclass(frozen=True)
class Trace(View):
    """Where labels disagree more with the reference than is usual for such items.

    ``table`` has a row for each level of batch, annotator, cohort, domain and cohort × domain:
    ``factor, level, labels, disagree, expected`` (shares of its labels)``, excess, from, to`` (what
    the level adds, in points, drawn towards the rest, with its 95 % interval)``, sure`` (the
    probability that this is over *delta*)``, flagged`` and ``said``, the likeliest first.
    ``queue`` has ``priority, item_id, why, domain, value, probability``: the items to label again.
    ``suspects`` has ``finding, row``: the labels behind each finding, as rows of the training
    table. ``domains`` are those looked at, ``unresolved`` what the labels can't tell, ``moved`` the
    part of each annotator and batch in the governed run's influence, if it was handed over.
    """

    table: pl.DataFrame
    queue: pl.DataFrame
    findings: tuple[str, ...]
    suspects: pl.DataFrame
    domains: tuple[str, ...]
    unresolved: str
    notes: tuple[str, ...]
    moved: pl.DataFrame | None = None

    @property
    def abstains(self) -> bool:
        """Whether nothing is found."""
        return not self.findings

    def plot(self) -> go.Figure:
        """Return the levels in order of their excess, with intervals (a caterpillar plot)."""
        import plotly.graph_objects as go

        # A factor whose levels are estimated not to differ is named, not drawn.
        far = pl.max_horizontal(pl.col("from").abs(), pl.col("to").abs())
        flat = self.table.filter((far < 0.1).all().over("factor"))
        alike = ", ".join(flat["factor"].unique(maintain_order=True))
        said = f"points (no difference between levels of: {alike})" if alike else "points"
        rows = self.table.join(flat, on="factor", how="anti").sort("excess", "level").tail(40)
        height = max(320, 90 + 16 * len(rows))
        drawn = figure("Excess disagreement, 95 % intervals", x=said, height=height)
        for number, name in enumerate(rows["factor"].unique(maintain_order=True).sort().to_list()):
            own = rows.filter(factor=name)
            places = [
                f"{level}{' ●' if flagged else ''}"
                for level, flagged in own.select("level", "flagged").iter_rows()
            ]
            marker = {"color": PALETTE[number % len(PALETTE)]}
            points = own["excess"].round(2).to_list()
            drawn.add_trace(
                go.Scatter(
                    name=name, x=points, y=places, mode="markers", marker=marker,
                    error_x=error_bars(own, "excess", 2),
                )
            )  # fmt: skip
        return drawn

    def to_html(self) -> str:
        """Show what is found or why nothing is, then the levels, the queue and the evidence."""
        said = "".join(note(f) for f in self.findings) or note("Nothing is flagged.")
        where = note(f"Looked at: {', '.join(self.domains)}. {' '.join(self.notes)}".strip())
        # The reasons are the findings above; of one finding they say nothing new.
        one = self.queue["why"].n_unique() < 2
        items = self.queue.drop("why") if one else self.queue
        queue = block(
            "To label again",
            counted(len(self.queue), "item"),
            table(items, 10, where=".queue"),
        )
        beside = "From the record of the run: beside the findings, not how they were made."
        moved = block("What moved the model", beside, table(self.moved, 10, where=".moved"))
        return (
            block("Trace", said, where, note(self.unresolved) if self.unresolved else "")
            + table(self._in_percent(), 12)
            + (note(EXCESS) if len(self.table) else "")
            + (queue if len(self.queue) else "")
            + (moved if self.moved is not None else "")
        )

    def _in_percent(self) -> pl.DataFrame:
        """Return the levels for the eye: per cent beside points; what is said only where it is."""
        shares = ("disagree", "expected")
        percent = [(100 * pl.col(c)).round(1).alias(f"{c} %") for c in shares]
        points = [pl.col(c).round(1) for c in ("excess", "from", "to")]
        shown = self.table.with_columns(*percent, *points, pl.col("sure").round(2))
        order = [f"{c} %" if c in shares else c for c in self.table.columns]
        return shown.select(order if (shown["said"] != "").any() else order[:-1])


def trace(
    training: Any,
    *,
    accepted: Any = None,
    regressed: Where | Sequence[str] | None = None,
    reference: LabelEvidence | None = None,
    features: Any = None,
    make_proxy: MakeProxy = text_proxy,
    also: Sequence[str] = (),
    influence: Any = None,
    delta: float = 0.05,
    sure: float = 0.95,
    seed: int = 0,
) -> Trace:
    """Name the batches, annotators, cohorts and domains with excess disagreement, or abstain.

    Each label is compared with a reference model that has not seen it, less what is expected of
    such an item where nothing is wrong (:func:`label_evidence`); what is left is explained by
    crossed random effects (:func:`crossed_effects`). A level is flagged when its effect is over
    *delta* with probability *sure*. If a regressed domain, without the flagged labels, still lies
    over the other domains by more than *delta*, the domain itself is named: its guideline, or
    spec. Two levels that the labels can't tell apart are named together.

    Parameters
    ----------
    training
        ``item_id, value, domain`` with ``text``, and those of ``batch_id, annotator, cohort`` that
        are known; one row for each judgement. Nulls belong to no level.
    accepted
        The last accepted release: ``item_id, value, domain, text``. None on a first release.
    regressed
        Where the benchmark got worse; all domains are scanned if it is not given, which needs no
        benchmark: do it before training too.
    reference
        The evidence, if it was made before; then *accepted* and the model are not asked.
    features, make_proxy, seed
        As in :func:`label_evidence`.
    also
        Columns of *training* with further evidence, 1 where a label failed (a gold item, a panel),
        0 where it held, null where it was not checked.
    influence
        ``item_id, influence`` of training items on the failed dev items, from the record of a
        governed run; shown beside, never used to find.
    delta, sure
        The least excess that matters, and how probable it must be. The default, 0.05, is more than
        annotators of one skill differ by; at 0.02 natural differences are named as well.

    Raises
    ------
    FrameError
        When a column is missing, a regressed domain has no labels, or evidence is not 0 or 1.
    """
    given = require(to_polars(training, "training"), ("item_id", "value", "domain"), "training")
    given = given.with_columns(pl.col("item_id", "value", "domain").cast(pl.String))
    if reference is None:
        reference = label_evidence(
            given, accepted, features=features, make_proxy=make_proxy, seed=seed
        )
    if len(reference.table) != len(given):
        raise FrameError(f"reference: {len(reference.table)} rows for {len(given)} labels")
    regressed_in = _regressed(given, regressed)
    scope = scope_of(given, reference, regressed_in, also)
    moved = None if influence is None else moved_by(given, influence)
    domains = regressed_in or tuple(given["domain"].unique().sort())
    if scope.labels < 2 * FEWEST or not scope.factors:
        return _too_few(scope, domains, moved)
    rule = Rule(delta, sure)
    fitted = scope.fit()
    rows = judged_levels(scope, fitted, regressed_in, rule)
    if reference.by == "accepted release":
        suspects = _suspects(rows)
        known = [d for d in domains if d not in reference.unknown]
        if regressed_in:
            found = [domain_level(scope, d, regressed_in, suspects, rule) for d in known]
            rows += [r for r in found if r is not None]
        else:
            rows += scanned_domains(scope, known, suspects, rule)
    rows.sort(key=lambda r: (-r["sure"], -r["mean"], r["factor"], r["level"]))
    return _assembled(given, reference, scope, fitted, rows, domains, rule, moved)


def _regressed(given: pl.DataFrame, regressed: Where | Sequence[str] | None) -> tuple[str, ...]:
    """Return the domains that regressed; none: all are scanned."""
    asked = regressed.regressed if isinstance(regressed, Where) else regressed or ()
    every = set(given["domain"])
    missing = sorted(set(asked) - every)
    if missing:
        raise FrameError(
            f"regressed: domain {missing[0]!r} has no training labels; there are "
            f"{', '.join(sorted(every))}"
        )
    return tuple(sorted(set(asked)))


def _suspects(rows: Sequence[dict[str, Any]]) -> Codes:
    """Return the labels behind a finding: of flagged levels, and what inseparable ones share."""
    own = [r["rows"] for r in rows if r["flagged"] or r["with"]]
    return np.unique(np.concatenate(own)) if own else np.zeros(0, dtype=np.int64)


def _too_few(scope: Scope, domains: Sequence[str], moved: pl.DataFrame | None) -> Trace:
    said = (
        f"{counted(scope.labels, 'judged label')}: too few, or of one batch and annotator alone. "
        f"At least {2 * FEWEST} labels, of two levels of something, are needed."
    )
    empty = pl.DataFrame(schema=LEVELS)
    none = pl.DataFrame(schema={"finding": pl.String, "row": pl.Int64})
    queue = remediation_queue(pl.DataFrame(), pl.Series(dtype=pl.Float64), {})
    return Trace(empty, queue, (), none, tuple(domains), said, (), moved)


def _assembled(
    given: pl.DataFrame, reference: LabelEvidence, scope: Scope, fitted: Effects,
    rows: Sequence[dict[str, Any]], domains: Sequence[str], rule: Rule, moved: pl.DataFrame | None,
) -> Trace:  # fmt: skip
    findings = _findings(rows)
    queue = remediation_queue(given, reference.table["probability"], dict(findings))
    suspects = pl.concat(
        [
            pl.DataFrame(schema={"finding": pl.String, "row": pl.Int64}),
            *(
                pl.DataFrame({"finding": [name] * len(own), "row": own}, schema_overrides=ROWS)
                for name, own in findings
            ),
        ]
    )
    return Trace(
        table=_table(rows, reference),
        queue=queue,
        findings=tuple(name for name, _ in findings),
        suspects=suspects,
        domains=tuple(domains),
        unresolved=_unresolved(rows, fitted, rule, scope) if not findings else "",
        notes=tuple(_notes(reference, fitted, domains)),
        moved=moved,
    )


def _findings(rows: Sequence[dict[str, Any]]) -> list[tuple[str, Codes]]:
    """Return each finding in words, with its labels."""
    out: list[tuple[str, Codes]] = []
    by_name = {f"{r['factor']} {r['level']}": r for r in rows}
    paired = set()
    for name, r in by_name.items():
        low, high = (100 * (r["mean"] + z * r["deviation"]) for z in (-Z95, Z95))
        amount = f"{100 * r['mean']:.1f} points (95 % {low:.1f} to {high:.1f})"
        if r["with"] and name not in paired:
            rival = " ".join(r["with"])
            paired |= {name, rival}
            both = np.intersect1d(r["rows"], by_name[rival]["rows"])
            said = f"{name} and {rival}: excess disagreement, but not separable: most "
            out.append((said + "labels of one are of the other", both))
        elif r["flagged"] and r["factor"] == DOMAIN:
            said = f"{name} itself: excess disagreement of {amount} in what remains; look at its "
            out.append((said + "guideline and spec", r["rows"]))
        elif r["flagged"]:
            out.append((f"{name}: excess disagreement of {amount}", r["rows"]))
    return out


def _table(rows: Sequence[dict[str, Any]], reference: LabelEvidence) -> pl.DataFrame:
    disagrees = reference.table["disagrees"].to_numpy()
    expected = reference.table["expected"].to_numpy()
    out = []
    for r in rows:
        own, mean, half = r["rows"], 100 * r["mean"], 100 * Z95 * r["deviation"]
        said = f"not separable from {' '.join(r['with'])}" if r["with"] else ""
        said = said or (f"under {FEWEST} labels: never flagged" if r["labels"] < FEWEST else "")
        shares = (disagrees[own].mean(), expected[own].mean()) if len(own) else (None, None)
        interval = (mean, mean - half, mean + half)
        out.append(
            (r["factor"], r["level"], r["labels"], *shares, *interval, r["sure"], r["flagged"],
             said)
        )  # fmt: skip
    return pl.DataFrame(out, schema=LEVELS, orient="row")


def _unresolved(rows: Sequence[dict[str, Any]], fitted: Effects, rule: Rule, scope: Scope) -> str:
    """Say, for what was looked at, how many labels would tell an excess of ten and of 20 points."""
    out = ["The labels do not tell where a fault lies, or there is none."]
    for factor in fitted.places:
        sizes = sorted(r["labels"] for r in rows if r["factor"] == factor)
        if factor == DOMAIN or not sizes:
            continue
        usual = max(1, sizes[len(sizes) // 2])
        needed = {e: labels_needed(e / 100, fitted, factor, rule, scope.share) for e in (10, 20)}
        said = [
            f"{n:,} labels for an excess of {e} points (about {n * scope.labels // usual:,} in all)"
            for e, n in needed.items()
            if n is not None
        ]
        if said:
            out.append(f"{factor.capitalize()}: usually {usual} labels; needed {', '.join(said)}.")
    return " ".join(out)


def _notes(reference: LabelEvidence, fitted: Effects, domains: Sequence[str]) -> Iterator[str]:
    drift = f"{100 * fitted.mu:+.1f} points against the accepted release, over all of them."
    if reference.by == "cross-validation":
        yield (
            "There is no accepted release: labels are compared with each other by "
            "cross-validation, which can't show a fault of a whole domain."
        )
    else:
        yield f"Disagreement is {drift}"
    unknown = [d for d in domains if d in reference.unknown]
    if unknown and reference.by == "accepted release":
        yield f"Not judged as a whole, too few accepted items: {', '.join(unknown)}."
    new = int(reference.table["disagrees"].null_count())
    if new:
        yield f"{counted(new, 'label')} of values that the reference does not know, not judged."
