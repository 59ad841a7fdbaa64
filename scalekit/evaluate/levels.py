"""Judge the levels of batch, annotator, cohort and domain by their excess disagreement."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from scalekit.evaluate.evidence import LEAST, MOST, LabelEvidence
from scalekit.evaluate.random_effects import Effects, crossed_effects
from scalekit.evaluate.separability import Level, inseparable
from scalekit.frames import FrameError, require

__all__ = [
    "DOMAIN",
    "FEWEST",
    "Effect",
    "Rule",
    "Scope",
    "domain_level",
    "judged_levels",
    "labels_needed",
    "scanned_domains",
    "scope_of",
]

Array = NDArray[np.float64]
Codes = NDArray[np.int64]
FACTORS = {"batch": "batch_id", "annotator": "annotator", "cohort": "cohort"}
DOMAIN, CROSS = "domain", " × domain"
FEWEST = 15  # labels of a level under which it is never flagged


@dataclass(frozen=True)
class Rule:
    """When a level is flagged: its effect is over *delta* with probability *sure*."""

    delta: float
    sure: float

    def probability(self, effect: Effect, share: Array) -> float:
        """Return the probability that an effect is over delta.

        The more labels disagree, the more their number varies. It is asked whether the effect is
        over delta, so labels tell no more than they would there, delta over their expected *share*:
        as in Wilson's interval (1927, JASA 22), whose variance is the bound's own.
        """
        from scipy.special import ndtr

        told = min(effect.told, float((1 / self.variance(share)).sum()))
        before, after = 1 / (effect.prior + effect.told), 1 / (effect.prior + told)
        mean = effect.mean * (told * after) / (effect.told * before)  # the prior's mean is 0
        deviation = sqrt(max(effect.deviation**2 - before + after, 1e-18))
        return float(ndtr((mean - self.delta) / deviation))

    def variance(self, share: Array) -> Array:
        """Return the variance of labels that disagree by delta over their expected *share*."""
        over = np.clip(share + self.delta, LEAST, MOST)
        return over * (1 - over)


class Effect(NamedTuple):
    """Posterior mean and deviation of an effect; precision before its labels, and of these."""

    mean: float
    deviation: float
    prior: float
    told: float

    @classmethod
    def of(cls, fitted: Effects, place: int) -> Effect:
        """Return the effect at *place*."""
        return cls(
            float(fitted.mean[place]),
            sqrt(fitted.covariance[place, place]),
            float(fitted.prior[place]),
            max(float(fitted.gram[place, place]) / fitted.noise**2, 1e-12),
        )


@dataclass(frozen=True)
class Scope:
    """The judged labels, ready to be fitted; further evidence follows as rows.

    ``row`` is a label's place in the training table, ``y`` what it disagrees more than expected,
    ``share`` how often that is expected, ``weight`` the inverse of its variance (mean 1), ``cell``
    where its expected share was measured (-1: further evidence) and ``doubt`` the variance of each
    cell's share.
    """

    labels: int
    row: Codes
    y: Array
    share: Array
    weight: Array
    cell: Codes
    item: Codes
    factors: dict[str, Codes]
    names: dict[str, list[str]]
    doubt: Array

    def fit(self, left_out: Codes | None = None, only: NDArray[np.bool_] | None = None) -> Effects:
        """Fit the effects, without the labels *left_out*, or of *only* some."""
        own = np.ones(len(self.y), dtype=bool) if only is None else only.copy()
        if left_out is not None:
            own &= ~np.isin(self.row, left_out)
        factors = {}
        single = DOMAIN in self.factors and len(np.unique(self.factors[DOMAIN][own])) == 1
        for name, codes in self.factors.items():
            if single and name.endswith(CROSS):
                continue  # within one domain, the same as the factor itself
            left = np.unique(codes[own & (codes >= 0)])
            if len(left) > 1:
                place = np.searchsorted(left, codes[own])
                factors[name] = np.where(codes[own] < 0, -1, place)
        cell = self.cell[own]
        used = np.unique(cell[cell >= 0])
        code = np.where(cell >= 0, np.searchsorted(used, cell), -1)
        known = (code, self.doubt[used]) if self.doubt[used].any() else None
        item = np.unique(self.item[own], return_inverse=True)[1]
        shared = item if item.max() + 1 < len(item) else None
        return crossed_effects(
            self.y[own], factors, weights=self.weight[own], items=shared, known=known
        )

    def rows_of(self, factor: str, code: int) -> Codes:
        """Return the places, in the training table, of a level's labels."""
        own: Codes = self.row[: self.labels][self.factors[factor][: self.labels] == code]
        return own


def scope_of(
    training: pl.DataFrame, evidence: LabelEvidence, regressed: Sequence[str], also: Sequence[str]
) -> Scope:
    """Return the judged labels with their levels.

    A cohort may misread the guideline of one domain: cohort × domain is a factor. Within the
    *regressed* domains the batch is crossed with it too.

    Raises
    ------
    FrameError
        When further evidence is not 0, 1 or null.
    """
    columns = [c for c in ("item_id", "domain", *FACTORS.values()) if c in training.columns]
    extra = [c for c in also if c not in columns]
    wanted = require(training, extra, "training").select(*columns, *extra)
    table = wanted.hstack(evidence.table.rename(lambda name: f"reference {name}"))
    table = table.with_row_index("place")
    own = table.filter(pl.col("reference disagrees").is_not_null())
    share = own["reference expected"].clip(LEAST, MOST).to_numpy()
    variance = share * (1 - share)
    usual = float(variance.mean()) if len(own) else 1.0
    rows = [np.arange(len(own))]
    y = [(own["reference disagrees"] - own["reference expected"]).to_numpy()]
    weight, shares = [usual / variance], [share]
    for column in also:
        checked = _checked(table, column)
        part = np.flatnonzero(own[column].is_not_null().to_numpy())
        rows.append(part)
        y.append(own[column].cast(pl.Float64).to_numpy()[part] - checked)
        p = min(max(checked, LEAST), MOST)
        weight.append(np.full(len(part), usual / (p * (1 - p))))
        shares.append(np.full(len(part), p))
    place = np.concatenate(rows)
    factors, names = _factors(own, regressed)
    cell = np.concatenate([own["reference cell"].to_numpy(), np.full(len(place) - len(own), -1)])
    doubt = np.zeros(int(evidence.cells["cell"].max()) + 1)  # type: ignore[arg-type]
    doubt[evidence.cells["cell"].to_numpy()] = evidence.cells["variance"].to_numpy()
    item = (own["item_id"].rank("dense") - 1).cast(pl.Int64).to_numpy()
    return Scope(
        labels=len(own),
        row=own["place"].cast(pl.Int64).to_numpy()[place],
        y=np.concatenate(y),
        share=np.concatenate(shares),
        weight=np.concatenate(weight),
        cell=cell,
        item=item[place],
        factors={f: c[place] for f, c in factors.items()},
        names=names,
        doubt=doubt,
    )


def _checked(table: pl.DataFrame, column: str) -> float:
    """Return the share of checked labels that failed, over all domains."""
    known = table[column].drop_nulls().cast(pl.Float64)
    if not known.is_in([0.0, 1.0]).all():
        raise FrameError(f"training: column {column!r} must hold 1 (failed), 0 (held) or null")
    return float(known.mean()) if len(known) else 0.5  # type: ignore[arg-type]


def _factors(
    own: pl.DataFrame, regressed: Sequence[str]
) -> tuple[dict[str, Codes], dict[str, list[str]]]:
    found = {f: own[c].cast(pl.String) for f, c in FACTORS.items() if c in own.columns}
    crossed = {}
    if own["domain"].n_unique() > 1:
        inside = pl.col("domain").is_in(list(regressed))
        # Not the annotator: a cohort's fault would be told as that of some of its members.
        wanted = {"cohort": pl.lit(True)} | ({"batch": inside} if regressed else {})
        for factor, rows in wanted.items():
            if factor in found:
                first = pl.col(FACTORS[factor]).cast(pl.String)
                level = pl.when(rows).then(pl.concat_str(first, "domain", separator=" × "))
                crossed[factor + CROSS] = own.select(level).to_series()
        crossed = {DOMAIN: own["domain"], **crossed}
    codes, names = {}, {}
    for factor, values in (found | crossed).items():
        levels = values.drop_nulls().unique().sort().to_list()
        if len(levels) > 1:  # else there is nothing to compare it with
            names[factor] = levels
            place = {v: i for i, v in enumerate(levels)}
            codes[factor] = np.array([place.get(v, -1) for v in values], dtype=np.int64)
    return codes, names


def judged_levels(
    scope: Scope, fitted: Effects, regressed: Sequence[str], rule: Rule
) -> list[dict[str, Any]]:
    """Return a row for each level, with ``rows``, the places of its labels.

    Levels with too few labels are never flagged, nor those that can't be told from another:
    these name it in ``with``. Where some domains regressed, labels of others are not told of, nor
    the levels of other domains.
    """
    inside = np.ones(scope.labels, dtype=bool)
    if regressed and DOMAIN in scope.factors:
        wanted = [i for i, name in enumerate(scope.names[DOMAIN]) if name in regressed]
        inside = np.isin(scope.factors[DOMAIN][: scope.labels], wanted)
    levels, out = {}, {}
    for factor, names in scope.names.items():
        if factor == DOMAIN:
            continue
        codes = scope.factors[factor][: scope.labels]
        for code, name in enumerate(names):
            told = np.flatnonzero((codes == code) & inside)
            if not len(told) and factor.endswith(CROSS):
                continue
            labels = int((codes == code).sum())
            place = fitted.places[factor].start + code
            levels[place] = Level(factor, code, place, labels)
            effect = Effect.of(fitted, place)
            mean, deviation = effect.mean, effect.deviation
            sure = rule.probability(effect, scope.share[scope.factors[factor] == code])
            row = {"factor": factor, "level": name, "labels": labels, "mean": mean, "with": None}
            row |= {"deviation": deviation, "sure": sure, "rows": scope.row[told]}
            out[place] = row | {"flagged": sure >= rule.sure and labels >= FEWEST}
    asked = {f: c for f, c in scope.factors.items() if f != DOMAIN}
    for pair in inseparable(fitted, asked, levels, rule.delta, rule.sure, FEWEST):
        for one, other in (pair, pair[::-1]):
            out[one]["flagged"] = False
            out[one]["with"] = (out[other]["factor"], out[other]["level"])
    return list(out.values())


def domain_level(
    scope: Scope, domain: str, regressed: Sequence[str], suspects: Codes, rule: Rule
) -> dict[str, Any] | None:
    """Return the row of a regressed domain, of what remains without the suspect labels.

    Its mean over that of the domains that did not regress, whose own spread counts as doubt: a
    release that differs from the accepted one everywhere accuses no domain. None when too little
    remains.
    """
    names = scope.names.get(DOMAIN, [domain])
    where = scope.factors.get(DOMAIN, np.zeros(len(scope.y), dtype=np.int64))
    own = where == names.index(domain)
    labels = int((own & ~np.isin(scope.row, suspects))[: scope.labels].sum())
    if labels < 2 * FEWEST:
        return None
    fitted = scope.fit(suspects, own)
    effect = Effect.of(fitted, 0)
    mean, variance = effect.mean, effect.deviation**2
    rest = ~np.isin(where, [i for i, name in enumerate(names) if name in regressed])
    if rest[: scope.labels].sum() >= 2 * FEWEST:
        other = scope.fit(suspects, rest)
        mean -= other.mu
        variance += float(other.covariance[0, 0]) + other.spread.get(DOMAIN, 0.0) ** 2
    effect = effect._replace(mean=mean, deviation=sqrt(variance))
    sure = rule.probability(effect, scope.share[own])
    row = {"factor": DOMAIN, "level": domain, "labels": labels, "mean": mean, "with": None}
    row |= {"deviation": sqrt(variance), "sure": sure, "flagged": sure >= rule.sure}
    return row | {"rows": scope.row[: scope.labels][own[: scope.labels]]}


def scanned_domains(
    scope: Scope, domains: Sequence[str], suspects: Codes, rule: Rule
) -> list[dict[str, Any]]:
    """Return the rows of all domains of a scan, against each other, without the suspect labels."""
    left = ~np.isin(scope.row, suspects)
    if DOMAIN not in scope.factors or int(left[: scope.labels].sum()) < 2 * FEWEST:
        return []
    fitted = scope.fit(suspects)
    if DOMAIN not in fitted.places:
        return []
    out = []
    used = np.unique(scope.factors[DOMAIN][left])
    for place, code in enumerate(used.tolist(), fitted.places[DOMAIN].start):
        name = scope.names[DOMAIN][code]
        if name not in domains:
            continue
        own = scope.rows_of(DOMAIN, code)
        labels = int((~np.isin(own, suspects)).sum())
        effect = Effect.of(fitted, place)
        mean, deviation = effect.mean, effect.deviation
        sure = rule.probability(effect, scope.share[scope.factors[DOMAIN] == code])
        row = {"factor": DOMAIN, "level": name, "labels": labels, "mean": mean, "with": None}
        row |= {"deviation": deviation, "sure": sure, "rows": own}
        out.append(row | {"flagged": sure >= rule.sure and labels >= FEWEST})
    return out


def labels_needed(
    excess: float, fitted: Effects, factor: str, rule: Rule, share: Array
) -> int | None:
    """Return how many labels a level needs so that this *excess* is flagged in 80 % of cases.

    *share* is how often labels are expected to disagree. The posterior mean k * excess (k the
    shrinkage) must lie over delta by the quantiles of *sure* and of 80 % together, in posterior
    standard deviations. None when no number would do.
    """
    from scipy.special import ndtri

    levels = fitted.places[factor].stop - fitted.places[factor].start
    reach = float(ndtri(rule.sure) + ndtri(0.8))
    between = max(fitted.spread[factor] ** 2, excess**2 / levels)
    noise = max(fitted.noise, sqrt(len(share) / float((1 / rule.variance(share)).sum())))

    def told(n: int) -> bool:
        kept = between / (between + noise**2 / n)
        return bool(kept * excess - rule.delta >= reach * sqrt(kept) * noise / sqrt(n))

    if excess <= rule.delta or not told(10**7):
        return None
    low, high = 1, 10**7
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if told(middle) else (middle + 1, high)
    return max(low, FEWEST)
