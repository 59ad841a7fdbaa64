"""The learning curve: how the cost of a task falls with the tasks done, within a domain path.

Wright's law (1936, J. Aeronautical Sciences 3): each doubling of all that was done multiplies the
cost by one factor, the progress ratio. Fitted as a line on logarithms, with Student's interval.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, log, nan, sqrt
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from scalekit.display import View, block, note, table
from scalekit.figures import figure
from scalekit.frames import FrameError, require, to_polars
from scalekit.intervals import t_interval

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from scalekit.specify import Asset

__all__ = ["Experience", "learning_curve", "outcomes_of"]

LEAST = 3


def outcomes_of(assets: Sequence[Asset], *, domain: Sequence[str] = ()) -> pl.DataFrame:
    """Return what came of the assets under a *domain* path: a row for each project.

    ``project, date, tasks, cost, currency, agreement, defects, asset, unit, language``.
    """
    path = tuple(domain)
    rows = [
        {
            "project": o.project, "date": o.date, "tasks": o.tasks, "cost": float(o.cost_per_task),
            "currency": o.currency, "agreement": o.agreement, "defects": o.defects,
            "asset": a.reference, "unit": a.unit, "language": a.language,
        }
        for a in assets
        if a.domain[: len(path)] == path
        for o in a.outcomes
    ]  # fmt: skip
    text = ("project", "date", "currency", "asset", "unit", "language")
    schema: dict[str, Any] = dict.fromkeys(text, pl.String)
    schema |= {"tasks": pl.Int64, "cost": pl.Float64, "agreement": pl.Float64, "defects": pl.Int64}
    return pl.DataFrame(rows, schema=schema).sort("date", "project")


@dataclass(frozen=True)
class Experience(View):
    """A learning curve.

    ``table``: the projects in order, with ``done`` (tasks until the middle of each), ``counts`` and
    ``why not``. ``ratio``: what the cost is multiplied by when the tasks done double, and its 95 %
    ``interval``; ``first``: the cost of the first task by the curve. NaN where it can't be told.
    """

    table: pl.DataFrame
    ratio: float
    interval: tuple[float, float]
    first: float

    @property
    def verdict(self) -> str:
        """Falls, rises, or not resolvable."""
        low, high = self.interval
        if not low <= high:
            return "not resolvable"
        return "falls" if high < 1 else "rises" if low > 1 else "not resolvable"

    def plot(self) -> go.Figure:
        """Draw the projects and the curve."""
        import plotly.graph_objects as go

        kept = self.table.filter("counts")
        drawn = figure("Cost of a task by tasks done", x="tasks done", y="cost of a task")
        drawn.update_xaxes(type="log")
        drawn.update_yaxes(type="log")
        points = {"mode": "markers", "name": "projects"}
        drawn.add_trace(go.Scatter(x=kept["done"].to_list(), y=kept["cost"].to_list(), **points))
        if self.ratio == self.ratio:
            at = np.geomspace(kept["done"].min(), kept["done"].max(), 40)  # type: ignore[arg-type]
            curve = self.first * at ** (log(self.ratio) / log(2))
            line = {"mode": "lines", "name": "Wright's law"}
            drawn.add_trace(go.Scatter(x=at.tolist(), y=curve.tolist(), **line))
        return drawn

    def to_html(self) -> str:
        """Show the ratio with its interval, and the projects."""
        low, high = self.interval
        n = int(self.table["counts"].sum())
        if self.ratio != self.ratio:
            said = f"{n} projects count; a curve needs {LEAST}."
        else:
            said = (
                f"Each doubling of the tasks done multiplies their cost by {self.ratio:.2f} "
                f"({low:.2f} to {high:.2f}): {self.verdict}."
            )
        way = note("Before/after, not randomised: later projects may be easier as well.")
        return block("Learning curve", said, table(self.table), way)


def learning_curve(projects: Any, *, agreement_margin: float = 0.05) -> Experience:
    """Fit Wright's law to projects of one kind, in the order of their dates.

    Parameters
    ----------
    projects
        ``project, date, tasks, cost`` (of an accepted task, above 0) and, where known,
        ``agreement`` (alpha), ``unit``, ``language``, ``currency``; as :func:`outcomes_of`.
    agreement_margin
        A project whose agreement is lower than the first one's by more does not count: cheap and
        worse is no saving.

    Raises
    ------
    FrameError
        When a column is missing, a number is not above 0, or kinds of projects are mixed.
    """
    rows = require(
        to_polars(projects, "projects"), ("project", "date", "tasks", "cost"), "projects"
    )
    for column in ("unit", "language", "currency"):
        if column in rows.columns and rows[column].n_unique() > 1:
            found = ", ".join(map(repr, rows[column].unique().sort()))
            raise FrameError(f"projects: {column} is {found}; compare projects of one {column}")
    wrong = rows.filter((pl.col("tasks") < 1) | ~(pl.col("cost") > 0))
    if len(wrong):
        raise FrameError(f"projects: {wrong['project'][0]!r} needs tasks and a cost above 0")
    rows = rows.sort("date", "project")
    done = rows["tasks"].cum_sum() - rows["tasks"] / 2
    known = rows["agreement"].drop_nulls().to_list() if "agreement" in rows.columns else []
    first = known[0] if known else None
    lower = [_lower(r.get("agreement"), first, agreement_margin) for r in rows.to_dicts()]
    frame = rows.with_columns(
        done.alias("done"),
        pl.Series("counts", [not why for why in lower], dtype=pl.Boolean),
        pl.Series("why not", lower, dtype=pl.String),
    )
    kept = frame.filter("counts")
    if len(kept) < LEAST:
        return Experience(frame, nan, (nan, nan), nan)
    x, y = np.log(kept["done"].to_numpy()), np.log(kept["cost"].to_numpy())
    slope, start, error = _line(x, y)
    low, high = t_interval(slope, error, len(kept) - 2)
    return Experience(frame, 2**slope, (2**low, 2**high), exp(start))


def _lower(alpha: float | None, first: float | None, margin: float) -> str:
    if alpha is None or first is None or alpha >= first - margin:
        return ""
    return f"agreement {alpha:.2f} is below {first:.2f} by more than {margin:g}"


def _line(x: Any, y: Any) -> tuple[float, float, float]:
    """Return slope, intercept and the slope's standard error of ordinary least squares."""
    apart = x - x.mean()
    square = float(apart @ apart)
    slope = float(apart @ y) / square
    start = float(y.mean() - slope * x.mean())
    rest = y - start - slope * x
    return slope, start, sqrt(float(rest @ rest) / (len(x) - 2) / square)
