"""How wrong new labels are, from a sample checked against gold; and labels made wrong like that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from scalekit.evaluate.examples import Examples
from scalekit.frames import FrameError, require, to_polars

__all__ = ["GoldError", "gold_error"]

PRIOR = (
    2.0  # the weight of the pooled rate in a domain's own, and of the pattern by class, in items
)


@dataclass(frozen=True)
class GoldError:
    """Checked items by domain, and the pattern of errors.

    ``domains``: ``domain, wrong, n``. ``classes`` are the labels seen; ``share`` is each one's
    share of the gold values; ``pattern[i, j]`` counts gold value i labelled j.
    """

    domains: pl.DataFrame
    classes: tuple[str, ...]
    share: NDArray[np.float64]
    pattern: NDArray[np.float64]

    @property
    def wrong(self) -> int:
        """How many checked labels are wrong."""
        return int(self.domains["wrong"].sum())

    @property
    def n(self) -> int:
        """How many labels were checked."""
        return int(self.domains["n"].sum())

    def draw(self, rng: np.random.Generator) -> tuple[float, dict[str, float]]:
        """Draw error rates from their Beta posterior: the pooled one, and each domain's.

        The pooled rate has Jeffreys' prior Beta(1/2, 1/2). A domain's prior is centred on the
        pooled draw with the weight of two items, so that a domain with few checks borrows.
        """
        pooled = float(rng.beta(self.wrong + 0.5, self.n - self.wrong + 0.5))
        rates = {}
        for name, wrong, n in self.domains.select("domain", "wrong", "n").iter_rows():
            a, b = wrong + PRIOR * pooled, n - wrong + PRIOR * (1 - pooled)
            rates[name] = float(rng.beta(max(a, 1e-6), max(b, 1e-6)))
        return pooled, rates

    def corrupt(
        self, clean: Examples, rates: NDArray[np.float64], rng: np.random.Generator
    ) -> Examples:
        """Return the items with labels made wrong at *rates* (one an item), in the pattern seen.

        Which gold values are mislabelled, and as what, follows the errors among the checks; the
        weight of two errors is spread evenly, so that a pattern of few checks is not taken whole.
        """
        place = {name: i for i, name in enumerate(self.classes)}
        missed = self.pattern.copy()
        np.fill_diagonal(missed, 0.0)
        apart = np.ones_like(missed) - np.eye(len(missed))
        # Of a class that was never checked the usual rate is assumed.
        lift = (missed.sum(1) + PRIOR * self.share) / (missed.sum() + PRIOR)
        lift = np.divide(lift, self.share, out=np.ones_like(lift), where=self.share > 0)
        turned = missed + PRIOR * apart / max(len(missed) - 1, 1)
        turned /= turned.sum(1, keepdims=True)
        labels = clean.labels.copy()
        known = np.array([place.get(name, -1) for name in labels])
        chance = rates * np.where(known >= 0, lift[known], 1.0)
        for i in np.flatnonzero(rng.random(len(labels)) < chance):
            row = turned[known[i]] if known[i] >= 0 else self.share
            labels[i] = self.classes[rng.choice(len(self.classes), p=row)]
        return clean.labelled(labels)


def gold_error(checks: Any, what: str = "gold checks") -> GoldError:
    """Count how far labels differ from gold.

    Parameters
    ----------
    checks
        One row for each checked item: ``value`` (the label given) and ``gold``; ``domain`` if there
        are domains. The items must have been drawn at random from what they stand for.

    Raises
    ------
    FrameError
        When a column or a value is missing, or no item was checked, or all have one label.
    """
    table = require(to_polars(checks, what), ("value", "gold"), what)
    table = table.with_columns(pl.col("value", "gold").cast(pl.String))
    if table.select(pl.any_horizontal(pl.col("value", "gold").is_null()).any()).item():
        raise FrameError(f"{what}: a row has no value or no gold; leave out what was not checked")
    classes = tuple(sorted({*table["value"], *table["gold"]}))
    if len(classes) < 2:
        raise FrameError(
            f"{what}: {len(table)} checked items with {len(classes)} different labels; check items "
            "of two labels or more"
        )
    if "domain" not in table.columns:
        table = table.with_columns(pl.lit("").alias("domain"))
    by = pl.col("domain").cast(pl.String).fill_null("")
    domains = table.group_by(by.alias("domain")).agg(
        (pl.col("value") != pl.col("gold")).sum().cast(pl.Int64).alias("wrong"),
        pl.len().cast(pl.Int64).alias("n"),
    )
    place = {name: i for i, name in enumerate(classes)}
    pattern = np.zeros((len(classes), len(classes)))
    np.add.at(pattern, ([place[g] for g in table["gold"]], [place[v] for v in table["value"]]), 1)
    return GoldError(domains.sort("domain"), classes, pattern.sum(1) / pattern.sum(), pattern)
