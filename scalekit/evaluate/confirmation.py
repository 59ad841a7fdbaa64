"""Confirm a finding: train without its labels, against leaving out as many others at random."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from scalekit.display import View, block, note, table
from scalekit.evaluate.evidence import inputs_of, taken
from scalekit.evaluate.proxy import MakeProxy, text_proxy
from scalekit.evaluate.tracing import Trace
from scalekit.frames import FrameError, ids_unique, require, to_polars

__all__ = ["Confirmation", "confirm"]

Array = NDArray[np.float64]
Codes = NDArray[np.int64]
COLUMNS = ("item_id", "value", "domain")
SCHEMA = {
    "finding": pl.String, "labels": pl.Int64, "accuracy": pl.Float64, "without": pl.Float64,
    "placebo": pl.Float64, "labelled again": pl.Float64, "probability": pl.Float64,
    "placebo from": pl.Float64, "to": pl.Float64, "confirmed": pl.Boolean,
}  # fmt: skip


@dataclass(frozen=True)
class Confirmation(View):
    """Which findings explain the loss on dev: without their labels a proxy does better.

    ``table`` has a row for each finding: ``finding, labels``; the proxy's ``accuracy`` on dev when
    trained on everything, ``without`` the finding's labels, without as many others (``placebo``,
    the mean), and with new labels in their place where these were given (``labelled again``);
    the mean ``probability`` it gives the right value without them, and the range of the placebos'
    (``placebo from, to``); and ``confirmed`` (null: not to be told so). ``items`` counts the dev
    items.
    """

    table: pl.DataFrame
    items: int
    draws: int

    @property
    def confirmed(self) -> tuple[str, ...]:
        """The findings that hold."""
        return tuple(self.table.filter("confirmed")["finding"])

    def to_html(self) -> str:
        """Show each finding beside its placebo."""
        held, of = len(self.confirmed), len(self.table)
        said = (
            f"{held} of {of} findings hold on {self.items} dev items: without their labels the "
            f"proxy is surer of what is right than in each of {self.draws} trainings without as "
            "many others. Read the accuracies for how much of the loss that is; a finding that "
            "does not hold is excess disagreement still, but no reason for the loss."
        )
        return block("Confirmation", note(said), table(self.table, empty="There is no finding."))


def confirm(
    traced: Trace,
    training: Any,
    dev: Any,
    *,
    features: Any = None,
    make_proxy: MakeProxy = text_proxy,
    relabelled: Any = None,
    draws: int = 5,
    seed: int = 0,
) -> Confirmation:
    """Keep a finding only if leaving out its labels helps more than leaving out others.

    A finding that takes in most labels of its domains has no placebo; it is judged by *relabelled*
    against leaving the labels as they are, or not at all.

    Parameters
    ----------
    traced
        What was found on *training*.
    training
        The table that was traced.
    dev
        ``item_id, value, domain`` with ``text``; the items of the traced domains are scored.
    features, make_proxy
        As in :func:`trace`; features cover dev too.
    relabelled
        ``item_id, value``: new labels for items of the queue, if there are some.
    draws, seed
        Placebo trainings, and the seed of what they leave out.

    Raises
    ------
    FrameError
        When a column is missing, no dev item is of the traced domains, or *training* is not the
        table that was traced.
    """
    given = require(to_polars(training, "training"), COLUMNS, "training")
    given = given.with_columns(pl.col(COLUMNS).cast(pl.String))
    rows = traced.suspects["row"]
    if len(rows) and int(rows.max()) >= len(given):  # type: ignore[arg-type]
        raise FrameError(f"training: {len(given)} labels, fewer than were traced")
    held = require(to_polars(dev, "dev"), COLUMNS, "dev").with_columns(
        pl.col(COLUMNS).cast(pl.String)
    )
    held = held.filter(pl.col("domain").is_in(list(traced.domains)))
    if held.is_empty():
        raise FrameError(f"dev: no item is of the domains traced: {', '.join(traced.domains)}")
    scorer = _Scorer(
        inputs_of(given, features, make_proxy, "training"),
        given["value"].to_numpy(),
        inputs_of(held, features, make_proxy, "dev"),
        held["value"].to_numpy(),
        make_proxy,
    )
    every = np.arange(len(given))
    whole = scorer.score(every)
    again = _again(given, relabelled)
    rng = np.random.default_rng(seed)
    out = []
    for (finding,), part in traced.suspects.group_by("finding", maintain_order=True):
        own = part["row"].to_numpy()
        without = scorer.score(np.setdiff1d(every, own))
        placebo = [
            scorer.score(np.setdiff1d(every, drawn))
            for drawn in _placebos(given["domain"].to_numpy(), own, draws, rng)
        ]
        new = again[0] & np.isin(every, own)
        mended = np.where(new, again[1], scorer.labels)
        repaired = scorer.score(every, mended) if new.any() else None
        verdict = None
        if placebo:
            verdict = without[1] > max(p[1] for p in placebo)
        elif repaired is not None:
            verdict = repaired[1] > whole[1]
        chances = [p[1] for p in placebo]
        out.append(
            (
                finding,
                len(own),
                whole[0],
                without[0],
                float(np.mean([p[0] for p in placebo])) if placebo else None,
                repaired[0] if repaired else None,
                without[1],
                *((min(chances), max(chances)) if chances else (None, None)),
                verdict,
            )
        )
    return Confirmation(pl.DataFrame(out, schema=SCHEMA, orient="row"), len(held), draws)


@dataclass(frozen=True)
class _Scorer:
    inputs: Any
    labels: NDArray[np.str_]
    dev: Any
    truth: NDArray[np.str_]
    make_proxy: MakeProxy

    def score(self, rows: Codes, labels: NDArray[np.str_] | None = None) -> tuple[float, float]:
        """Return accuracy and mean probability of the right value, after training on *rows*.

        The probability moves with every item, accuracy only where an answer tips: with a hundred
        dev items it alone tells a fault from a placebo.
        """
        taught = (self.labels if labels is None else labels)[rows]
        if len(set(taught)) < 2:
            return 0.0, 0.0
        model = self.make_proxy()
        model.fit(taken(self.inputs, rows), taught.tolist())
        chance = model.predict_proba(self.dev)
        right = np.asarray(model.classes_)[None, :] == self.truth[:, None]
        hit = right[np.arange(len(right)), chance.argmax(1)]
        return float(hit.mean()), float((chance * right).sum(1).mean())


def _placebos(
    domain: NDArray[np.str_], own: Codes, draws: int, rng: np.random.Generator
) -> list[Codes]:
    """Return as many other labels of the same domains, drawn; none where there are too few."""
    others = np.setdiff1d(np.arange(len(domain)), own)
    names, counts = np.unique(domain[own], return_counts=True)
    pools = [others[domain[others] == name] for name in names]
    if any(len(pool) < n for pool, n in zip(pools, counts, strict=True)):
        return []
    return [
        np.concatenate(
            [rng.choice(pool, n, replace=False) for pool, n in zip(pools, counts, strict=True)]
        )
        for _ in range(draws)
    ]


def _again(given: pl.DataFrame, relabelled: Any) -> tuple[NDArray[np.bool_], NDArray[np.str_]]:
    """Return which labels have a new value, and the values."""
    if relabelled is None:
        return np.zeros(len(given), dtype=bool), given["value"].to_numpy()
    new = require(to_polars(relabelled, "relabelled"), ("item_id", "value"), "relabelled")
    new = new.select(
        pl.col("item_id").cast(pl.String), pl.col("value").cast(pl.String).alias("new")
    )
    new = ids_unique(new, "item_id", "relabelled")
    joined = given.select("item_id", "value").join(
        new, on="item_id", how="left", maintain_order="left"
    )
    values = joined.select(pl.coalesce("new", "value")).to_series().to_numpy()
    return joined["new"].is_not_null().to_numpy(), values
