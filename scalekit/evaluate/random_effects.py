"""Crossed random effects: how far each batch or annotator lies from the rest, and how sure.

    y = mu + u_batch + u_annotator + u_cohort + ... + b + e,    u_f ~ N(0, tau_f^2)

Levels with few rows are drawn towards the rest, and an annotator is told apart from the batches
they worked in. Variances are estimated by REML on Henderson's mixed model equations (Henderson
1975, Biometrics 31), by the fixed point that EM has too (Schall 1991, Biometrika 78).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Effects", "crossed_effects"]

Array = NDArray[np.float64]
Codes = NDArray[np.int64]
ITERATIONS, TOLERANCE, SMALLEST = 300, 1e-5, 1e-12


@dataclass(frozen=True)
class Effects:
    """What was fitted.

    ``mean`` [P] and ``covariance`` [P, P] are those of the posterior of ``(mu, u…)`` at the
    estimated variances; ``places`` says which of them belong to a factor; ``spread`` each factor's
    tau, ``noise`` the standard deviation sigma of a row of weight 1, ``of_item`` the variance that
    rows of one item share, in units of sigma squared. ``gram`` and ``moment`` are the weighted
    cross-products X'WX and X'Wy.
    """

    mean: Array
    covariance: Array
    places: dict[str, slice]
    spread: dict[str, float]
    noise: float
    of_item: float
    prior: Array
    gram: Array
    moment: Array

    @property
    def mu(self) -> float:
        """The mean of all."""
        return float(self.mean[0])

    def at_prior(self, prior: Array) -> tuple[Array, Array]:
        """Return mean and covariance under other prior precisions [P] of ``(mu, u…)``."""
        covariance: Any = np.linalg.inv(self.gram / self.noise**2 + np.diag(prior))
        return covariance @ self.moment / self.noise**2, covariance


def crossed_effects(
    y: Array,
    factors: Mapping[str, Codes],
    *,
    weights: Array | None = None,
    items: Codes | None = None,
    known: tuple[Codes, Array] | None = None,
) -> Effects:
    """Fit crossed random effects.

    Parameters
    ----------
    y
        [N] what is explained.
    factors
        Name to [N] codes 0, 1, …; -1 where a row belongs to no level of the factor.
    weights
        [N]: a row's noise has variance sigma^2 / weight. By default 1.
    items
        [N] codes: rows of one item share an error, whose variance is estimated from the spread
        within and between items (analysis of variance). By default every row is its own.
    known
        Codes [N] and variances [K] of effects b whose variance is known, in units of y^2.

    Raises
    ------
    ValueError
        When there are fewer than three rows, or one is not finite.
    """
    if len(y) < 3 or not np.isfinite(y).all():
        raise ValueError(f"at least three finite rows are needed, got {len(y)}")
    weight = np.ones(len(y)) if weights is None else weights
    of_item = 0.0 if items is None else _item_variance(y, weight, items)
    gram, moment, square, places = _products(y, factors, known, weight, items, of_item)
    prior = np.zeros(len(gram))
    if known is not None:
        prior[places["known"]] = 1 / np.maximum(known[1], 1e-12)
    estimated = {f: s for f, s in places.items() if f != "known"}
    noise = max(float(square - moment[0] ** 2 / gram[0, 0]) / len(y), SMALLEST)
    spread = dict.fromkeys(estimated, max(0.1 * noise, SMALLEST))
    for _ in range(ITERATIONS):
        mean, covariance = _posterior(gram, moment, prior, places, noise, spread)
        misfit = float(square - 2 * mean @ moment + mean @ gram @ mean)
        before = np.sqrt([noise, *spread.values()])
        # How many of its levels the data determine: EM's fixed point, in far fewer steps.
        told = 1 - prior * covariance.diagonal()
        for name, place in estimated.items():
            determined = max(float(told[place].sum()), 1e-12)
            spread[name] = max(float(mean[place] @ mean[place]) / determined, SMALLEST)
        noise = max(misfit / max(len(y) - float(told.sum()), 1e-12), SMALLEST)
        moved = np.abs(np.sqrt([noise, *spread.values()]) - before).max()
        if moved < TOLERANCE * before[0]:
            break
    mean, covariance = _posterior(gram, moment, prior, places, noise, spread)
    return Effects(
        mean, covariance, places, {f: v**0.5 for f, v in spread.items()}, noise**0.5, of_item,
        prior, gram, moment,
    )  # fmt: skip


def _posterior(
    gram: Array, moment: Array, prior: Array, places: Mapping[str, slice], noise: float,
    spread: Mapping[str, float],
) -> tuple[Array, Any]:  # fmt: skip
    """Return mean and covariance at these variances; their precisions are written to *prior*."""
    for name, variance in spread.items():
        prior[places[name]] = 1 / variance
    covariance: Any = np.linalg.inv(gram / noise + np.diag(prior))
    return covariance @ moment / noise, covariance


def _item_variance(y: Array, weight: Array, items: Codes) -> float:
    """Return the variance between items over that within, by weighted analysis of variance."""
    number = np.bincount(items)
    shared = number[items] > 1
    if not shared.any():
        return 0.0
    _, item = np.unique(items[shared], return_inverse=True)
    y, weight = y[shared], weight[shared]
    size = np.bincount(item, weight)
    mean = np.bincount(item, weight * y) / size
    within = float(weight @ (y - mean[item]) ** 2) / (len(y) - len(size))
    if within <= 0 or len(size) < 2:
        return 0.0
    between = float(size @ (mean - np.average(mean, weights=size)) ** 2)
    scale = size.sum() - (size**2).sum() / size.sum()
    return max(0.0, (between - (len(size) - 1) * within) / float(scale) / within)


def _products(
    y: Array,
    factors: Mapping[str, Codes],
    known: tuple[Codes, Array] | None,
    weight: Array,
    items: Codes | None,
    of_item: float,
) -> tuple[Array, Array, float, dict[str, slice]]:
    """Return X'WX, X'Wy, y'Wy and each factor's columns; W is the inverse covariance of the rows
    of an item, times sigma squared."""
    from scipy import sparse

    codes = dict(factors) | ({} if known is None else {"known": known[0]})
    rows, columns, places, at = [np.arange(len(y))], [np.zeros(len(y), dtype=np.int64)], {}, 1
    for name, code in codes.items():
        levels = len(known[1]) if known is not None and name == "known" else int(code.max()) + 1
        own = np.flatnonzero(code >= 0)
        rows.append(own)
        columns.append(code[own] + at)
        places[name] = slice(at, at + levels)
        at += levels
    row, column = np.concatenate(rows), np.concatenate(columns)
    design = sparse.csr_matrix((np.ones(len(row)), (row, column)), shape=(len(y), at))
    weighted = design.multiply(weight[:, None]).tocsr()
    gram: Any = (design.T @ weighted).toarray()
    moment = np.asarray(weighted.T @ y).ravel()
    square = float(weight @ y**2)
    if items is not None and of_item > 0:
        # V^-1 of an item = W - r w w' / (1 + r sum w), by Sherman and Morrison.
        to_item = sparse.csr_matrix((np.ones(len(y)), (items, np.arange(len(y)))))
        sums, sums_y = to_item @ weighted, np.bincount(items, weight * y)
        shrink = of_item / (1 + of_item * np.bincount(items, weight))
        gram = gram - (sums.T @ sums.multiply(shrink[:, None]).tocsr()).toarray()
        moment = moment - np.asarray(sums.T @ (shrink * sums_y)).ravel()
        square -= float(shrink @ sums_y**2)
    return gram, moment, square, places
