"""Do synthetic items help? Trained with and without them, on the same real held-out items."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from scalekit.display import View, block, note, table
from scalekit.evaluate.diversity import diversity
from scalekit.evaluate.examples import Examples, examples, right
from scalekit.evaluate.paired import non_inferiority
from scalekit.evaluate.proxy import MakeProxy, text_proxy
from scalekit.evaluate.resolution import minimum_detectable
from scalekit.figures import error_bars, figure
from scalekit.frames import FrameError, to_polars

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["KeepTest", "keep_synthetic"]

HANDWRITTEN = "handwritten"
DRAWN = 0.8
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class KeepTest(View):
    """Whether to keep synthetic items, and why.

    ``keep`` only if the gain is surely above 0 (``low``, its one-sided 95 % lower bound) and no
    domain is surely worse by the margin; the default is to drop them. ``parts``: ``part, items,
    real only, with synthetic, gain, from, to, verdict``, the intervals 95 %; ``seeds``: one row a
    pair of trainings; ``diversity``: ``measure, real, synthetic, drop``.
    """

    keep: bool
    gain: float
    low: float
    parts: pl.DataFrame
    seeds: pl.DataFrame
    diversity: pl.DataFrame
    margin: float
    resolvable: float

    @property
    def table(self) -> pl.DataFrame:
        """The gain on all held-out items, on each domain, and on the handwritten examples."""
        return self.parts

    @property
    def reason(self) -> str:
        """Why."""
        worse = self.parts.filter(pl.col("verdict") == "inferior")["part"].to_list()
        if self.low <= 0:
            return (
                f"the gain is {100 * self.gain:+.1f} points, and all that is sure is that it is "
                f"above {100 * self.low:+.1f}; so many items show gains from "
                f"{100 * self.resolvable:.1f} points on"
            )
        said = f"the gain is {100 * self.gain:+.1f} points, surely above {100 * self.low:.1f}"
        if worse:
            return f"{said}, but worse by more than {100 * self.margin:.0f} on {', '.join(worse)}"
        return f"{said}; no domain is surely worse by {100 * self.margin:.0f}"

    def plot(self) -> go.Figure:
        """Return the gain, part by part."""
        import plotly.graph_objects as go

        drawn = figure("Gain by synthetic items, with 95 % intervals", y="accuracy, with - without")
        error = error_bars(self.parts, "gain", 4)
        names, heights = self.parts["part"].to_list(), self.parts["gain"].round(4).to_list()
        return drawn.add_trace(go.Bar(name="gain", x=names, y=heights, error_y=error))

    def to_html(self) -> str:
        """Show the verdict, the parts, the diversity."""
        said = f"{'Keep' if self.keep else 'Drop'} the synthetic items: {self.reason}."
        varied = note("Diversity of synthetic beside real texts:") + table(self.diversity)
        shown = varied if len(self.diversity) else ""
        return block("Synthetic keep test", note(said), table(self.parts), shown)


def keep_synthetic(
    real: Any,
    synthetic: Any,
    held_out: Any,
    *,
    handwritten: Any = None,
    margin: float = 0.02,
    features: Any = None,
    make_proxy: MakeProxy = text_proxy,
    seeds: int = 8,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> KeepTest:
    """Test whether synthetic items earn their place in training.

    For each seed four fifths of the real items, and of the synthetic ones, are drawn; the proxy is
    trained on the real ones alone and on both, and asked the same held-out items. The gain's
    standard error is that of items and seeds together, both as random (the two-way layout).

    Parameters
    ----------
    real, synthetic
        Training items: ``item_id, category`` and, without *features*, ``text``.
    held_out
        Clean real items that were not trained on, likewise; ``domain`` if there are domains.
    handwritten
        The examples of the spec, likewise: one more part that must not get worse.
    margin
        How much worse a domain may become, declared before: 0.02 is two points.
    features
        ``item_id`` and a column for each feature, of all these items.
    make_proxy
        Makes the untrained proxy.
    seeds
        Pairs of trainings, 3 or more.
    seed
        Another seed, other draws.
    progress
        Called as ``progress(done, total)``.

    Raises
    ------
    FrameError
        When a column or value is missing, an id stands in two of the tables, or *seeds* is under 3.
    """
    if seeds < 3:
        raise FrameError(f"seeds={seeds}: 3 pairs of trainings or more are needed")
    known = None if features is None else to_polars(features, "features")
    old, made = examples(real, known, "real items"), examples(synthetic, known, "synthetic items")
    asked, parts = _asked(held_out, handwritten, known)
    for name, trained in (("real items", old), ("synthetic items", made)):
        both = np.intersect1d(trained.ids.astype(str), asked.ids.astype(str))
        if len(both):
            raise FrameError(f"{name}: item {str(both[0])!r} is also held out; take it out of one")
    rng = np.random.default_rng(seed)
    alone, together = np.zeros((2, seeds, len(asked)))
    for i in range(seeds):
        if progress is not None:
            progress(2 * i, 2 * seeds)
        drawn = _drawn(old, rng)
        alone[i] = right(make_proxy, drawn, asked)
        if progress is not None:
            progress(2 * i + 1, 2 * seeds)
        together[i] = right(make_proxy, drawn.join(_drawn(made, rng)), asked)
    if progress is not None:
        progress(2 * seeds, 2 * seeds)
    rows = [_part(name, alone[:, own], together[:, own], margin) for name, own in parts.items()]
    whole = parts["held-out"]
    gain, error, freedom = _two_way(together[:, whole] - alone[:, whole])
    low = gain - _t(0.95, freedom) * error
    breached = any(row["verdict"] == "inferior" for row in rows)
    scores = {
        "seed": range(1, seeds + 1),
        "real only": alone[:, whole].mean(1),
        "with synthetic": together[:, whole].mean(1),
    }
    varied = diversity(old.inputs.tolist(), made.inputs.tolist()) if known is None else None
    differ = float((together[:, whole] != alone[:, whole]).mean())
    return KeepTest(
        low > 0 and not breached,
        gain,
        low,
        pl.DataFrame(rows),
        pl.DataFrame(scores),
        pl.DataFrame() if varied is None else varied,
        margin,
        minimum_detectable(int(whole.sum()), differ),
    )


def _drawn(items: Examples, rng: np.random.Generator) -> Examples:
    return items[np.sort(rng.permutation(len(items))[: max(1, round(DRAWN * len(items)))])]


def _asked(
    held_out: Any, handwritten: Any, features: pl.DataFrame | None
) -> tuple[Examples, dict[str, NDArray[np.bool_]]]:
    """Return all items asked, and which of them belong to each part."""
    asked = examples(held_out, features, "held-out items")
    n = len(asked)
    domains = sorted(set(asked.domains)) if len(set(asked.domains)) > 1 else []
    if handwritten is not None:
        asked = asked.join(examples(handwritten, features, "handwritten examples"))
    place = np.arange(len(asked))
    parts = {"held-out": place < n}
    parts |= {str(name): (asked.domains == name) & (place < n) for name in domains}
    if len(asked) > n:
        parts[HANDWRITTEN] = place >= n
    return asked, parts


def _two_way(gains: Floats) -> tuple[float, float, float]:
    """Return mean, standard error and degrees of freedom of gains by seed and item.

    Items and seeds are both drawn: the variance of the mean is that of item means plus that of seed
    means less that of the rest, which both contain (Cornfield and Tukey 1956, Ann. Math. Stat. 27).
    """
    seeds, items = gains.shape
    mean = float(gains.mean())
    if items < 2:
        return mean, 1.0, 1.0
    by_item, by_seed = gains.mean(0), gains.mean(1)
    rest = gains - by_item - by_seed[:, None] + mean
    of_items = float(by_item.var(ddof=1)) / items
    of_seeds = float(by_seed.var(ddof=1)) / seeds
    of_rest = float((rest**2).sum()) / ((seeds - 1) * (items - 1)) / (seeds * items)
    variance = max(of_items + of_seeds - of_rest, of_items, of_seeds)
    if variance == 0:
        return mean, 1 / items, float(items - 1)
    # Satterthwaite: as many degrees as the larger part brings.
    freedom = variance**2 / (of_items**2 / (items - 1) + of_seeds**2 / (seeds - 1))
    return mean, variance**0.5, max(freedom, 1.0)


def _t(share: float, freedom: float) -> float:
    from scipy.special import stdtrit

    return float(stdtrit(freedom, share))


def _part(name: str, alone: Floats, together: Floats, margin: float) -> dict[str, Any]:
    gain, error, freedom = _two_way(together - alone)
    half = _t(0.975, freedom) * error
    low, high = max(-1.0, gain - half), min(1.0, gain + half)
    scores = {"real only": float(alone.mean()), "with synthetic": float(together.mean())}
    verdict = non_inferiority(low, high, margin)
    cell = {"part": name, "items": alone.shape[1], **scores, "gain": gain}
    return {**cell, "from": low, "to": high, "verdict": verdict}
