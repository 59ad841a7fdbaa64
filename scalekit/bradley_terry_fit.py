"""The Bradley-Terry model from counts: maximum likelihood, whether it exists, and its bootstrap.

Thing *i* is preferred to *j* with log-odds ``strength[i] - strength[j] + position * side``, where
``side`` is 1 if *i* was shown first, -1 if *j* was, 0 if that is not known.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

__all__ = [
    "PRIOR_SD",
    "Comparisons",
    "Fit",
    "best_fit",
    "comparisons",
    "confounded",
    "parts",
    "percentiles",
    "resampled_fits",
    "strength_table",
]

Array = NDArray[np.float64]
Codes = NDArray[np.int64]

PRIOR_SD = 3.0  # log-odds; weak: it holds a thing that won 10 of 10 at about 3
ITERATIONS = 100
TOLERANCE = 1e-10


@dataclass(frozen=True)
class Comparisons:
    """Judgements as counts: cells of who met whom on which side, and kinds of items.

    Items with the same outcomes in the same cells are one kind, so resampling items is drawing how
    often each kind occurs.
    """

    things: int
    left: Codes
    right: Codes
    side: Codes
    kinds: Codes
    won: Any  # sparse, cells x kinds: how often left was preferred in an item of the kind
    lost: Any

    def counts(self, items: Codes) -> tuple[Array, Array]:
        """Return how often left was preferred, and right, with *items* of each kind."""
        return self.won @ items, self.lost @ items


@dataclass(frozen=True)
class Fit:
    """Strengths with mean 0, the position term, and whether a prior was needed for them."""

    strength: Array
    position: float
    prior: bool


def comparisons(table: pl.DataFrame, names: list[str], *, position: bool) -> Comparisons:
    """Count *table* (``item_id, first, second, outcome, shown_first``) over the sorted *names*."""
    from scipy import sparse

    coded = _coded(table, names, position)
    cells = coded.select("left", "right", "side").unique().sort("left", "right", "side")
    states = coded.join(cells.with_row_index("cell"), on=["left", "right", "side"])
    kinds = (
        states.select("item_id", state=pl.col("cell").cast(pl.Int64) * 3 + pl.col("twice"))
        .sort("item_id", "state")
        .group_by("item_id", maintain_order=True)
        .agg(pl.col("state").cast(pl.String).str.join(" "))
        .group_by("state")
        .agg(pl.len().alias("items"))
        .sort("state")
    )
    long = kinds.with_row_index("kind").with_columns(pl.col("state").str.split(" "))
    long = long.explode("state").with_columns(pl.col("state").cast(pl.Int64))
    cell, kind = (long["state"] // 3).to_numpy(), long["kind"].to_numpy()
    half = (long["state"] % 3).to_numpy() / 2
    shape = (len(cells), len(kinds))
    left, right, side = (cells[c].to_numpy().astype(np.int64) for c in cells.columns)
    return Comparisons(
        things=len(names),
        left=left,
        right=right,
        side=side,
        kinds=kinds["items"].to_numpy().astype(np.int64),
        won=sparse.csr_array((half, (cell, kind)), shape=shape),
        lost=sparse.csr_array((1 - half, (cell, kind)), shape=shape),
    )


def _coded(table: pl.DataFrame, names: list[str], position: bool) -> pl.DataFrame:
    """Return ``item_id, left, right, side, twice``: left < right, twice the wins of left."""
    code = pl.DataFrame({"name": names}).with_row_index("code")
    for column in ("first", "second"):
        one = code.select(pl.col("name").alias(column), pl.col("code").cast(pl.Int64).alias("c"))
        table = table.join(one, on=column).drop(column).rename({"c": column})
    turn = pl.when(pl.col("first") < pl.col("second")).then(1).otherwise(-1)
    sides = {"first": 1, "second": -1}
    said = {"first": 2, "tie": 1, "second": 0}
    side = pl.col("shown_first").replace_strict(sides, default=0, return_dtype=pl.Int64)
    twice = pl.col("outcome").replace_strict(said, return_dtype=pl.Int64)
    return table.select(
        "item_id",
        pl.min_horizontal("first", "second").alias("left"),
        pl.max_horizontal("first", "second").alias("right"),
        (side * turn if position else pl.lit(0)).cast(pl.Int64).alias("side"),
        ((twice - 1) * turn + 1).cast(pl.Int64).alias("twice"),
    )


def confounded(seen: Comparisons) -> bool:
    """Return whether sides are a function of the strengths, so no position term can be told."""
    ones, sides = np.ones(len(seen.left)), seen.side.astype(float)
    toward = _per_thing(seen, sides)
    explained = toward @ np.linalg.lstsq(_laplacian(seen, ones), toward, rcond=None)[0]
    return bool(sides @ sides - explained < 1e-9 * len(sides))


def parts(seen: Comparisons, won: Array, lost: Array) -> Codes:
    """Return the part of each thing; within a part each beats each, directly or through others.

    A tie beats both ways. Strengths are bounded if there is one part (Ford 1957; assumption 1 of
    Hunter 2004).
    """
    from scipy.sparse import csgraph, csr_array

    beats = np.concatenate([seen.left[won > 0], seen.right[lost > 0]])
    beaten = np.concatenate([seen.right[won > 0], seen.left[lost > 0]])
    shape = (seen.things, seen.things)
    graph = csr_array((np.ones(len(beats)), (beats, beaten)), shape=shape)
    return np.asarray(csgraph.connected_components(graph, connection="strong")[1], dtype=np.int64)


def _position_bounded(seen: Comparisons, won: Array, lost: Array) -> bool:
    """Return whether the position term has a finite maximum, given that there is one part.

    It may grow without end if strengths exist by which every outcome agrees with the side: if the
    graph of outcomes, each edge weighing the winner's side, has no negative cycle; or the same with
    the sides turned.
    """
    beats = np.concatenate([seen.left[won > 0], seen.right[lost > 0]])
    beaten = np.concatenate([seen.right[won > 0], seen.left[lost > 0]])
    side = np.concatenate([seen.side[won > 0], -seen.side[lost > 0]]).astype(float)
    for turned in (side, -side):
        weight = np.full((seen.things, seen.things), np.inf)
        np.minimum.at(weight, (beats, beaten), turned)
        if not _negative_cycle(weight):
            return False
    return True


def _negative_cycle(weight: Array) -> bool:
    """Return whether a cycle has a negative sum (Bellman-Ford; first the cycles of two)."""
    if (weight + weight.T < 0).any():
        return True
    far = np.zeros(len(weight))
    for _ in range(len(weight)):
        nearer = np.minimum(far, (far[:, None] + weight).min(axis=0))
        if (nearer == far).all():
            return False
        far = nearer
    return True


def best_fit(seen: Comparisons, items: Codes, *, position: bool, start: Array | None = None) -> Fit:
    """Return the maximum-likelihood fit with *items* of each kind.

    Where it does not exist, that with a normal prior (mean 0, standard deviation ``PRIOR_SD``) on
    every term.
    """
    won, lost = seen.counts(items)
    bounded = parts(seen, won, lost).max() == 0
    if bounded and position:
        bounded = _position_bounded(seen, won, lost)
    ridge = 0.0 if bounded else PRIOR_SD**-2
    term = _newton(seen, won, lost, ridge, position, start if bounded else None)
    return Fit(term[:-1], float(term[-1]), not bounded)


def _newton(
    seen: Comparisons, won: Array, lost: Array, ridge: float, position: bool, start: Array | None
) -> Array:
    """Maximise the (penalised) log-likelihood by Newton's method with halved steps.

    The last term is the position's. The likelihood doesn't change when all strengths move
    together; a penalty on their sum holds their mean at 0 and changes nothing else.
    """
    k = seen.things
    term = np.zeros(k + 1) if start is None else start
    height = _height(seen, won, lost, ridge, term)
    for _ in range(ITERATIONS):
        chance = _expit(_margin(seen, term))
        left_over = won - (won + lost) * chance
        slope = np.append(_per_thing(seen, left_over), left_over @ seen.side) - ridge * term
        curve = (won + lost) * chance * (1 - chance)
        bend = np.zeros((k + 1, k + 1))
        bend[:k, :k] = _laplacian(seen, curve) + np.full((k, k), 1 / k)
        bend[k, :k] = bend[:k, k] = _per_thing(seen, curve * seen.side)
        bend[k, k] = curve @ seen.side**2 if position else 1.0
        bend[np.diag_indices(k + 1)] += ridge
        step = np.linalg.solve(bend, slope)
        new = _height(seen, won, lost, ridge, term + step)
        while new < height - 1e-12 * abs(height):
            step /= 2
            new = _height(seen, won, lost, ridge, term + step)
        term, height = term + step, new
        if np.abs(step).max() < TOLERANCE:
            break
    return term


def _margin(seen: Comparisons, term: Array) -> Array:
    found: Array = term[seen.left] - term[seen.right] + term[-1] * seen.side
    return found


def _height(seen: Comparisons, won: Array, lost: Array, ridge: float, term: Array) -> float:
    margin = _margin(seen, term)
    likelihood = won @ np.logaddexp(0, -margin) + lost @ np.logaddexp(0, margin)
    return -float(likelihood + ridge / 2 * term @ term)


def _expit(margin: Array) -> Array:
    found: Array = 0.5 * (1 + np.tanh(margin / 2))
    return found


def _per_thing(seen: Comparisons, value: Array) -> Array:
    """Sum *value* of the cells to their left thing, and its negative to their right one."""
    plus = np.bincount(seen.left, value, seen.things)
    return np.asarray(plus - np.bincount(seen.right, value, seen.things))


def _laplacian(seen: Comparisons, weight: Array) -> Array:
    k = seen.things
    both = np.bincount(seen.left * k + seen.right, weight, k * k).reshape(k, k)
    both = both + both.T
    return np.asarray(np.diag(both.sum(axis=0)) - both)


def resampled_fits(
    seen: Comparisons, whole: Fit, *, position: bool, draws: int, seed: int
) -> Iterator[Fit]:
    """Return the fits of *draws* resamples of items, with the fit of all as their start."""
    rng = np.random.default_rng(seed)
    n = int(seen.kinds.sum())
    share = seen.kinds / n
    start = np.append(whole.strength, whole.position)
    for _ in range(draws):
        yield best_fit(seen, rng.multinomial(n, share), position=position, start=start)


def percentiles(found: Array) -> tuple[float, float]:
    """Return the 95 % percentile interval."""
    low, high = np.quantile(found, [0.025, 0.975])
    return float(low), float(high)


def _ranks(strength: Array) -> NDArray[np.int64]:
    """Rank the last axis, 1 the strongest; equals share the better rank."""
    from scipy.stats import rankdata

    return np.asarray(rankdata(-strength.round(9), method="min", axis=-1), dtype=np.int64)


def strength_table(
    rows: pl.DataFrame, names: list[str], whole: Fit, fits: Sequence[Fit]
) -> pl.DataFrame:
    """Return strengths and ranks with 95 % intervals, wins, losses and ties; strongest first."""
    drawn = np.array([f.strength for f in fits])
    low, high = np.quantile(drawn, [0.025, 0.975], axis=0)
    best, worst = np.quantile(_ranks(drawn), [0.025, 0.975], axis=0, method="inverted_cdf")
    found = pl.DataFrame(
        {
            "name": names,
            "strength": whole.strength,
            "from": low,
            "to": high,
            "rank": _ranks(whole.strength),
            "rank from": best.astype(np.int64),
            "rank to": worst.astype(np.int64),
        }
    )
    return found.join(_record(rows), on="name").sort("rank", "name")


def _record(rows: pl.DataFrame) -> pl.DataFrame:
    """Count wins, losses and ties of each name."""
    sides = []
    for own, other in (("first", "second"), ("second", "first")):
        said = {own: "wins", other: "losses", "tie": "ties"}
        sides.append(rows.select(name=own, came=pl.col("outcome").replace_strict(said)))
    counts = [
        (pl.col("came") == c).sum().cast(pl.Int64).alias(c) for c in ("wins", "losses", "ties")
    ]
    return pl.concat(sides).group_by("name").agg(counts)
