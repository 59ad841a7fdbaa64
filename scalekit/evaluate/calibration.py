"""How true were the forecasts? Each that was written before beside what came."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

from scalekit.display import View, block, note, table
from scalekit.figures import error_bars, figure
from scalekit.frames import FrameError, ids_unique, require, to_polars
from scalekit.intervals import wilson

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["ForecastCalibration", "forecast_calibration"]

FIELDS = ("run_id", "at", "model", "proxy", "dev", "expected", "from", "to", "last")
SCORES = ("expected", "from", "to", "last")
STATES = ("counted", "open", "too late", "not comparable")


@dataclass(frozen=True)
class ForecastCalibration(View):
    """Forecasts beside outcomes; ``forecasts`` has one row for each.

    ``forecasts``: ``run_id, model, at, expected, from, to, last, outcome, error, inside, state``;
    ``state`` says whether it counts: not if it is still open, was written after the outcome, or is
    of another proxy or dev set than the outcome.
    """

    forecasts: pl.DataFrame

    @property
    def table(self) -> pl.DataFrame:
        """By model: forecasts counted, coverage with its interval, errors beside naive, skill.

        Errors are mean absolute, in points; ``skill`` is 1 less their ratio: 0 is no better than
        "same as last time".
        """
        rows = []
        counted = self.forecasts.filter(pl.col("state") == "counted")
        for (model,), own in counted.group_by("model", maintain_order=True):
            inside = int(own["inside"].sum())
            low, high = wilson(inside, len(own))
            error, naive = (
                100 * float((own[c] - own["outcome"]).abs().mean() or 0.0)  # type: ignore[arg-type]
                for c in ("expected", "last")
            )
            skill = 1 - error / naive if naive else None
            rows.append(
                (model, len(own), inside, inside / len(own), low, high, error, naive, skill)
            )
        schema = {"model": pl.String, "forecasts": pl.Int64, "inside": pl.Int64}
        floats = ("coverage", "from", "to", "error pp", "naive error pp", "skill")
        return pl.DataFrame(rows, schema=schema | dict.fromkeys(floats, pl.Float64), orient="row")

    @property
    def verdict(self) -> str:
        """What the record of forecasts amounts to, in a sentence."""
        found = self.table
        n, inside = int(found["forecasts"].sum()), int(found["inside"].sum())
        if not n:
            return "No forecast has met its outcome yet: nothing shows that forecasts are any good."
        if not inside:
            return f"None of {n} outcomes lay in its interval: the tool has never been right."
        said = f"{inside} of {n} outcomes lay in their 95 % intervals."
        better = found.filter(pl.col("skill") > 0)["model"].to_list()
        if not better:
            return f"{said} No model was nearer than “same as last time”."
        few = " So few show little." if n < 5 else ""
        return f"{said} Nearer than “same as last time”: {', '.join(better)}.{few}"

    def plot(self) -> go.Figure:
        """Return intervals and outcomes, forecast by forecast."""
        import plotly.graph_objects as go

        rows = self.forecasts.filter(pl.col("state") == "counted")
        drawn = figure("Forecasts and what came", x="run", y="score")
        error = error_bars(rows, "expected", 4)
        runs = rows["run_id"].to_list()
        for name, extra in (("expected", {"error_y": error}), ("outcome", {})):
            y = rows[name].round(4).to_list()
            drawn.add_trace(go.Scatter(name=name, x=runs, y=y, mode="markers", **extra))
        return drawn

    def to_html(self) -> str:
        """Show the verdict, the figures by model, and each forecast."""
        listed = self.forecasts.drop("at")
        return block("Forecasts and outcomes", note(self.verdict), table(self.table), table(listed))


def forecast_calibration(
    forecasts: Sequence[Mapping[str, Any]], outcomes: Any
) -> ForecastCalibration:
    """Hold forecasts against what came.

    Parameters
    ----------
    forecasts
        Records as ``Forecast.record`` and ``CrossRun.record`` give them, with the ``run_id`` they
        are about and ``at``, when the journal got them.
    outcomes
        ``run_id, at, proxy, dev, score``: one row a measured run.

    Raises
    ------
    FrameError
        When a field or column is missing, or a record holds no number.
    """
    told = _told(forecasts)
    came = require(
        to_polars(outcomes, "outcomes"), ("run_id", "at", "proxy", "dev", "score"), "outcomes"
    )
    came = ids_unique(came, "run_id", "outcomes").select(
        pl.col("run_id").cast(pl.String),
        pl.col("at").alias("measured"),
        pl.col("proxy").alias("its proxy"),
        pl.col("dev").alias("its dev"),
        pl.col("score").cast(pl.Float64).alias("outcome"),
    )
    both = told.join(came, on="run_id", how="left", maintain_order="left")
    same = (pl.col("proxy") == pl.col("its proxy")) & (pl.col("dev") == pl.col("its dev"))
    state = (
        pl.when(pl.col("outcome").is_null())
        .then(pl.lit("open"))
        .when(pl.col("at") >= pl.col("measured"))
        .then(pl.lit("too late"))
        .when(~same)
        .then(pl.lit("not comparable"))
        .otherwise(pl.lit("counted"))
    )
    inside = (pl.col("outcome") >= pl.col("from")) & (pl.col("outcome") <= pl.col("to"))
    return ForecastCalibration(
        both.select(
            *("run_id", "model", "at", *SCORES, "outcome"),
            (pl.col("expected") - pl.col("outcome")).alias("error"),
            inside.alias("inside"),
            state.alias("state"),
        )
    )


def _told(forecasts: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
    rows = []
    for number, record in enumerate(forecasts, start=1):
        missing = [name for name in FIELDS if name not in record]
        if missing:
            raise FrameError(f"forecast {number}: {missing[0]!r} is missing")
        row: dict[str, Any] = {name: str(record[name]) for name in FIELDS}
        try:
            row |= {name: float(record[name]) for name in SCORES}
        except ValueError as error:
            raise FrameError(f"forecast {number} of run {row['run_id']!r}: {error}") from error
        rows.append({**row, "at": record["at"]})
    if rows:
        return pl.DataFrame(rows)
    texts: dict[str, Any] = dict.fromkeys(FIELDS, pl.String)
    return pl.DataFrame(schema={**texts, **dict.fromkeys(SCORES, pl.Float64), "at": pl.Null})
