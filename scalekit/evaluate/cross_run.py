"""Forecast from past runs: ridge on one or two signals named before, or a refusal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from scalekit.display import View, block, note, table
from scalekit.evaluate.noise_forecast import ForecastError
from scalekit.figures import figure
from scalekit.frames import ids_unique, require, to_polars

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["DECLARED", "CrossRun", "Standing", "cross_run", "leave_one_out"]

MODEL = "cross-run ridge"
DECLARED = ("gold_accuracy", "alpha")
"""The signals that scalekit declares for all projects, before any run."""
LEAST, WARNS, GATES = 5, 8, 12
SKILL, P = 0.2, 0.1
PENALTY = 1.0  # on standardised signals
Floats = NDArray[np.float64]

Standing = Literal["exploratory", "may warn", "may gate"]


@dataclass(frozen=True)
class CrossRun(View):
    """What past runs say of the next, and how far to trust it.

    ``standing``: "exploratory" (no skill shown), "may warn" (8 runs or more, and better than the
    mean of past runs by more than a fifth of its squared error, Wilcoxon p < 0.1), "may gate" (12
    or more of these). ``loo``: ``run_id, score, predicted, naive``, each run from all others.
    """

    standing: Standing
    signals: tuple[str, ...]
    expected: float | None
    low: float | None
    high: float | None
    skill: float
    p: float
    loo: pl.DataFrame
    basis: Mapping[str, str | int]

    @property
    def table(self) -> pl.DataFrame:
        """The error of the forecasts beside that of the mean of past runs, one row."""
        error, naive = (
            float((self.loo["score"] - self.loo[name]).abs().mean() or 0.0)  # type: ignore[arg-type]
            for name in ("predicted", "naive")
        )
        return pl.DataFrame(
            {
                "runs": [len(self.loo)],
                "signals": [", ".join(self.signals)],
                "error left out": [error],
                "error of the mean": [naive],
                "skill": [self.skill],
                "p": [self.p],
                "standing": [self.standing],
            }
        )

    def record(self) -> dict[str, str | int]:
        """Return the forecast for a journal, to be written before training: scores as text.

        Raises
        ------
        ForecastError
            When nothing was forecast.
        """
        if self.expected is None or self.low is None or self.high is None:
            raise ForecastError("nothing was forecast: give the signals of the next run")
        said = {"expected": self.expected, "from": self.low, "to": self.high}
        said["last"] = float(self.loo["score"][-1])
        return {**self.basis, **{name: f"{value:.4f}" for name, value in said.items()}}

    def plot(self) -> go.Figure:
        """Return each run's score against what all others forecast for it."""
        import plotly.graph_objects as go

        title = "Each run forecast from all others"
        drawn = figure(title, x="forecast", y="score")
        for name in ("predicted", "naive"):
            x, y = (self.loo[c].round(4).to_list() for c in (name, "score"))
            drawn.add_trace(go.Scatter(name=name, x=x, y=y, mode="markers"))
        ends = [float(self.loo["score"].min()), float(self.loo["score"].max())]  # type: ignore[arg-type]
        return drawn.add_trace(go.Scatter(name="equal", x=ends, y=ends, mode="lines"))

    def to_html(self) -> str:
        """Show the errors side by side, and the forecast if its signals were given."""
        said = {
            "exploratory": "Exploratory: no skill is shown. Go by the noise-injection forecast.",
            "may warn": "It may warn; it may not close a gate.",
            "may gate": "It may close a gate, as a decision of tier 2.",
        }[self.standing]
        forecast = ""
        if self.expected is not None:
            forecast = f"Forecast: {self.expected:.3f} ({self.low:.3f} to {self.high:.3f})."
        shown = note(forecast) if forecast else ""
        return block("Forecast from past runs", note(said), shown, table(self.table))


def cross_run(
    runs: Any,
    *,
    signals: Sequence[str] = DECLARED,
    declared_at: datetime | None = None,
    planned: Mapping[str, float] | None = None,
) -> CrossRun:
    """Forecast the score of the next run from those of the past.

    Ridge regression on standardised signals. Each run is forecast from all others (standardised
    anew), and its error stands beside that of their mean: with six signals and as many runs pure
    noise fits without error.

    Parameters
    ----------
    runs
        Oldest first: ``run_id, proxy, dev, score`` and the signals; ``at`` (UTC) with
        *declared_at*. Proxy and dev (its digest) must be the same in all.
    signals
        One or two, named before the runs that they are to forecast. Other ones than
        :data:`DECLARED` need *declared_at*: only runs measured after it count.
    declared_at
        When the signals were declared.
    planned
        The signals of the next run.

    Raises
    ------
    FrameError
        When a column is missing.
    ForecastError
        When there are more than two signals, they were not declared, proxies or dev sets differ, a
        value is missing, or fewer than 5 runs count: then there is only :func:`forecast`.
    """
    names = tuple(dict.fromkeys(signals))
    table = _comparable(runs, names, declared_at)
    x = table.select(names).to_numpy().astype(np.float64)
    y = table["score"].to_numpy().astype(np.float64)
    predicted, naive = leave_one_out(x, y)
    skill, p = _skill(y, predicted, naive)
    shown = len(y) >= WARNS and skill > SKILL and p < P
    standing: Standing = "exploratory"
    if shown:
        standing = "may gate" if len(y) >= GATES else "may warn"
    expected, low, high = None, None, None
    if planned is not None:
        expected, low, high = _ahead(x, y, predicted, _row(planned, names))
    loo = table.select("run_id", "score").with_columns(
        predicted=pl.Series(predicted), naive=pl.Series(naive)
    )
    basis = {"model": MODEL, "proxy": table["proxy"][0], "dev": table["dev"][0]}
    basis |= {"signals": ", ".join(names), "runs": len(y), "standing": standing}
    return CrossRun(standing, names, expected, low, high, skill, p, loo, basis)


def _comparable(runs: Any, names: tuple[str, ...], declared_at: datetime | None) -> pl.DataFrame:
    """Return the runs that count, or say why there are none."""
    if not 1 <= len(names) <= 2:
        raise ForecastError(
            f"{len(names)} signals: at most two can be told from noise with so few runs; declare "
            "one or two"
        )
    foreign = [name for name in names if name not in DECLARED]
    if foreign and declared_at is None:
        raise ForecastError(
            f"signal {foreign[0]!r} was not declared: write it to the journal first and give its "
            f"declared_at, or use {', '.join(DECLARED)}"
        )
    table = ids_unique(
        require(to_polars(runs, "runs"), ("run_id", "proxy", "dev", "score", *names), "runs"),
        "run_id",
        "runs",
    )
    for column in ("proxy", "dev"):
        kinds = table[column].unique(maintain_order=True).to_list()
        if len(kinds) > 1:
            raise ForecastError(
                f"runs differ in {column} ({', '.join(map(str, kinds[:3]))}): only runs of one "
                "proxy on one version of dev can be compared; choose one"
            )
    missing = table.filter(pl.any_horizontal(pl.col("score", *names).is_null()))
    if len(missing):
        raise ForecastError(f"run {missing['run_id'][0]!r} lacks its score or a signal")
    said = ""
    if foreign and declared_at is not None:
        counts = require(table, ("at",), "runs").filter(pl.col("at") > declared_at)
        said = f" since {', '.join(names)} were declared"
        table = counts
    if len(table) < LEAST:
        raise ForecastError(
            f"{len(table)} runs{said}: fewer than {LEAST} tell nothing. Use forecast(), which "
            "needs no past runs"
        )
    return table


def _row(planned: Mapping[str, float], names: Sequence[str]) -> Floats:
    missing = [name for name in names if name not in planned]
    if missing:
        raise ForecastError(f"planned lacks signal {missing[0]!r}")
    return np.array([[float(planned[name]) for name in names]])


def leave_one_out(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Return for each run what the others forecast: by ridge, and by their mean."""
    places = np.arange(len(y))
    predicted = np.array([_ridge(x[places != i], y[places != i], x[[i]])[0] for i in places])
    return predicted, (y.sum() - y) / (len(y) - 1)


def _ridge(x: Floats, y: Floats, asked: Floats) -> Floats:
    """Return the ridge forecast: signals standardised, the mean not penalised."""
    spread = x.std(0)
    scale = np.where(spread > 1e-12, spread, np.inf)  # a signal that does not vary says nothing
    z, ahead = (x - x.mean(0)) / scale, (asked - x.mean(0)) / scale
    weight = np.linalg.solve(z.T @ z + PENALTY * np.eye(z.shape[1]), z.T @ (y - y.mean()))
    return np.asarray(y.mean() + ahead @ weight)


def _skill(y: Floats, predicted: Floats, naive: Floats) -> tuple[float, float]:
    """Return 1 - the ratio of squared errors, and Wilcoxon's one-sided p of the absolute ones."""
    from scipy.stats import wilcoxon

    error, usual = np.abs(y - predicted), np.abs(y - naive)
    if not (usual**2).sum() or np.allclose(error, usual):
        return 0.0, 1.0
    skill = 1 - float((error**2).sum() / (usual**2).sum())
    return skill, float(wilcoxon(error, usual, alternative="less").pvalue)


def _ahead(x: Floats, y: Floats, predicted: Floats, asked: Floats) -> tuple[float, float, float]:
    """Return the forecast and its 95 % interval, by the errors of the runs left out."""
    from scipy.special import stdtrit

    middle = min(1.0, max(0.0, float(_ridge(x, y, asked)[0])))
    spread = float(np.sqrt(np.mean((y - predicted) ** 2)))
    half = float(stdtrit(max(len(y) - x.shape[1] - 1, 1), 0.975)) * spread
    return middle, max(0.0, middle - half), min(1.0, middle + half)
