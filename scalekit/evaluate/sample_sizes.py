"""The learning curve: what so many more items would buy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from scalekit.display import View, block, note, table
from scalekit.evaluate.examples import Examples, examples, right
from scalekit.evaluate.proxy import MakeProxy, text_proxy
from scalekit.figures import PALETTE, error_bars, figure
from scalekit.frames import FrameError, to_polars

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["LearningCurve", "learning_curve"]

SHARES = (0.125, 0.18, 0.25, 0.35, 0.5, 0.7, 1.0)
EXPONENTS = np.linspace(0.1, 1.0, 37)
FARTHEST = 2.0  # times the items there are: beyond it the curve is not to be relied on
MISFIT = 0.015
RESAMPLES = 400
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class LearningCurve(View):
    """What the proxy scores on so many items, and what more would buy.

    ``points``: ``items, score, from, to, kind``, measured and (``kind`` "expected") extrapolated,
    as the fitted curve has it; ``gains``: ``category, items, now, expected, gain, from, to``, the
    whole first (category null). Intervals are 95 %. ``beyond`` says that more than twice the items
    there are were asked for, ``misfit`` how far a measured score lies off the curve at most.
    """

    points: pl.DataFrame
    gains: pl.DataFrame
    more: int
    beyond: bool
    misfit: float

    @property
    def table(self) -> pl.DataFrame:
        """The gain, of the whole and by category."""
        return self.gains

    @property
    def gain(self) -> float:
        """What *more* items add to the score."""
        return float(self.gains["gain"][0])

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the gain."""
        return float(self.gains["from"][0]), float(self.gains["to"][0])

    def plot(self) -> go.Figure:
        """Return the curve: measured points, and the extrapolation with its interval."""
        import plotly.graph_objects as go

        drawn = figure("Learning curve, with 95 % intervals", x="training items", y="accuracy")
        for number, kind in enumerate(("measured", "expected")):
            rows = self.points.filter(pl.col("kind") == kind)
            drawn.add_trace(
                go.Scatter(
                    name=kind,
                    x=rows["items"].to_list(),
                    y=rows["score"].round(4).to_list(),
                    error_y=error_bars(rows, "score", 4),
                    mode="lines+markers",
                    marker={"color": PALETTE[number]},
                )
            )
        return drawn

    def to_html(self) -> str:
        """Show what more items would buy, by category, and the curve's points."""
        low, high = self.interval
        said = (
            f"{self.more:,} more items of the same kind would add {100 * self.gain:.1f} points "
            f"({100 * low:.1f} to {100 * high:.1f})."
        )
        if self.beyond:
            said += " That is more than twice what there is: do not rely on it."
        elif low <= 0:
            said += " It may be nothing."
        if self.misfit > MISFIT:
            said += (
                f" The measured scores lie up to {100 * self.misfit:.1f} points off any such curve:"
                " do not extrapolate."
            )
        cells = self.gains.with_columns(pl.col("category").fill_null("all"))
        return block("Learning curve", note(said), table(cells), table(self.points))


def learning_curve(
    train: Any,
    dev: Any,
    *,
    more: int = 500,
    by_category: bool = False,
    features: Any = None,
    make_proxy: MakeProxy = text_proxy,
    repeats: int = 6,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> LearningCurve:
    """Say what *more* training items like those there are would buy.

    In each repeat the items are put in one random order and the proxy is trained on the first
    eighth, and so on up to all. The error is fitted by an inverse power law a + b n^-c with a and b
    not negative and c from 0.1 to 1 (Cortes et al. 1994, NIPS 6), by least squares weighted by
    size. Intervals are the percentiles of the curve refitted to resampled repeats and dev items
    together, so that they hold dev's sampling error too.

    Parameters
    ----------
    train, dev
        ``item_id, category`` and, without *features*, ``text``.
    more
        How many items more.
    by_category
        Say it for each category of dev, too: still so many items more in all, in the same mix.
    features
        ``item_id`` and a column for each feature, of all items.
    make_proxy
        Makes the untrained proxy.
    repeats
        Random orders, 3 or more.
    seed
        Another seed, other orders.
    progress
        Called as ``progress(done, total)``.

    Raises
    ------
    FrameError
        When a column or value is missing, there are fewer than 40 training items, *more* is not
        positive, or *repeats* is under 3.
    """
    known = None if features is None else to_polars(features, "features")
    pool, asked = examples(train, known, "train"), examples(dev, known, "dev")
    if len(pool) < 40 or more < 1 or repeats < 3:
        raise FrameError(
            f"a curve needs 40 training items, 3 repeats and a positive number of items more; got "
            f"{len(pool)}, repeats={repeats}, more={more}"
        )
    sizes = np.unique([max(10, round(share * len(pool))) for share in SHARES])
    rng = np.random.default_rng(seed)
    answers = _answers(pool, asked, sizes, repeats, make_proxy, rng, progress)
    wanted = np.concatenate([sizes, _ahead(len(pool), more)])
    whole = np.ones(len(asked), dtype=bool)
    fitted = _resampled(answers, sizes, wanted, whole, rng)
    names = sorted(set(asked.labels)) if by_category else []
    gains = [_gain(None, fitted, len(sizes), more)]
    for name in names:
        own = _resampled(answers, sizes, wanted, asked.labels == name, rng)
        gains.append(_gain(str(name), own, len(sizes), more))
    rows = []
    for place, n in enumerate(wanted.tolist()):
        low, high = np.quantile(fitted[1:, place], [0.025, 0.975])
        there = place < len(sizes)
        score = answers[:, place].mean() if there else fitted[0, place]
        ends = {"from": min(float(low), float(score)), "to": max(float(high), float(score))}
        kind = "measured" if there else "expected"
        rows.append({"items": int(n), "score": float(score), **ends, "kind": kind})
    beyond = len(pool) + more > FARTHEST * len(pool)
    schema = {"category": pl.String}
    seen = slice(len(sizes) // 2, len(sizes))  # those that the fit goes by
    misfit = float(np.abs(answers.mean((0, 2))[seen] - fitted[0, seen]).max())
    return LearningCurve(
        pl.DataFrame(rows), pl.DataFrame(gains, schema_overrides=schema), more, beyond, misfit
    )


def _ahead(n: int, more: int) -> NDArray[np.int64]:
    """Return the sizes that are extrapolated: half way, and the one asked for."""
    return np.array([n + more // 2, n + more] if more > 1 else [n + more])


def _answers(
    pool: Examples,
    asked: Examples,
    sizes: NDArray[np.int64],
    repeats: int,
    make_proxy: MakeProxy,
    rng: np.random.Generator,
    progress: Callable[[int, int], None] | None,
) -> Floats:
    """Return 1 where the proxy was right: repeats by sizes by dev items."""
    out = np.zeros((repeats, len(sizes), len(asked)))
    total = repeats * (len(sizes) - 1) + 1
    done = 0
    for repeat in range(repeats):
        order = rng.permutation(len(pool))
        for place, n in enumerate(sizes):
            if n == len(pool) and repeat:
                out[repeat, place] = out[0, place]  # all items are the same in any order
                continue
            out[repeat, place] = right(make_proxy, pool[np.sort(order[:n])], asked)
            done += 1
            if progress is not None:
                progress(done, total)
    return out


def _resampled(
    answers: Floats,
    sizes: NDArray[np.int64],
    wanted: NDArray[np.int64],
    own: NDArray[np.bool_],
    rng: np.random.Generator,
) -> Floats:
    """Return the fitted scores at *wanted* sizes: of the answers first, then of each resample."""
    kept = answers[:, :, own]
    repeats, _, items = kept.shape
    item_weight = rng.multinomial(items, np.full(items, 1 / items), RESAMPLES) / items
    repeat_weight = rng.multinomial(repeats, np.full(repeats, 1 / repeats), RESAMPLES) / repeats
    by_repeat = np.einsum("rsi,bi->brs", kept, item_weight)
    scores = np.einsum("brs,br->bs", by_repeat, repeat_weight)
    return _fitted(np.vstack([kept.mean((0, 2)), scores]), sizes, wanted)


def _fitted(scores: Floats, sizes: NDArray[np.int64], wanted: NDArray[np.int64]) -> Floats:
    """Return the least-squares curve of each row of *scores*, at *wanted* sizes.

    Weighted by size: the largest are nearest to what is asked. For a given exponent the curve is
    linear in a and b, so the exponents are gone through.
    """
    error = 1 - scores
    weight = sizes / sizes.sum()
    best = np.full(len(error), np.inf)
    out = np.zeros((len(error), len(wanted)))
    usual = error @ weight
    for c in EXPONENTS:
        x, ahead = sizes**-c, wanted**-c
        middle = x @ weight
        spread = x - middle
        b = np.maximum((error @ (weight * spread)) / (weight * spread**2).sum(), 0)
        a = usual - b * middle
        # With an asymptote under 0 the curve goes to 0 instead.
        b = np.where(a < 0, error @ (weight * x) / (weight * x**2).sum(), b)
        a = np.maximum(a, 0)
        rest = ((error - a[:, None] - b[:, None] * x) ** 2) @ weight
        better = rest < best
        out[better] = 1 - a[better, None] - b[better, None] * ahead
        best = np.minimum(best, rest)
    return np.clip(out, 0, 1)


def _gain(name: str | None, fitted: Floats, now: int, more: int) -> dict[str, Any]:
    """Return what the last size adds to that of all items there are."""
    here, there = fitted[:, now - 1], fitted[:, -1]
    low, high = np.quantile((there - here)[1:], [0.025, 0.975])
    gain = float(there[0] - here[0])
    cell = {"category": name, "items": more, "now": float(here[0]), "expected": float(there[0])}
    return {**cell, "gain": gain, "from": min(float(low), gain), "to": max(float(high), gain)}
