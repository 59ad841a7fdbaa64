"""Static views: the same plain tables and pictures in every room, and in every export.

HTML here survives what hosts do to notebooks: no script, no style sheet, no class that matters,
every text escaped. Themes colour it; nothing is said by colour alone.
"""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

import polars as pl

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = [
    "Markup",
    "Progress",
    "View",
    "badge",
    "block",
    "counted",
    "figure",
    "figure_png",
    "marked",
    "note",
    "show",
    "table",
]

INK = "#7f7f7f"  # readable on white and on dark
PALETTE = ("#3b7dd8", "#e08a1e", "#3a9d5d", "#c0504d", "#8064a2", "#4bacc6", "#b58900", "#7f7f7f")

MAX_ROWS = 20
MAX_CHARS = 240


class View:
    """A result that shows itself without kernel, script or network.

    A subclass gives ``to_html``; the plain-text form is the first line of what it shows.
    """

    def to_html(self) -> str:
        """Return the view as plain HTML."""
        raise NotImplementedError

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return {"text/plain": f"<{type(self).__name__}>", "text/html": self.to_html()}


def counted(n: int, noun: str) -> str:
    """Return a count with its noun: 1 run, 2 runs."""
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


def badge(passed: bool | None) -> str:
    """Return a mark in words and sign: passed, not passed, or (None) not judged."""
    # No line break between sign and word.
    said = {True: "✔ passed", False: "✘ not passed", None: "○ not judged"}[passed]
    return said.replace(" ", "\u00a0", 1)


def block(title: str, *parts: str) -> str:
    """Return *parts* under a bold title; words are joined to the title, tables follow it."""
    said = [p for p in parts if p and not p.startswith("<")]
    shown = [p for p in parts if p.startswith("<")]
    head = " · ".join([f"<b>{escape(title)}</b>", *map(escape, said)])
    return f"<p>{head}</p>" + "".join(shown)


def note(text: str) -> str:
    """Return one escaped paragraph."""
    return f"<p>{escape(text)}</p>"


def marked(text: str, spans: Sequence[tuple[int, int]], context: int = 60) -> str:
    """Return *text* escaped, with character *spans* highlighted and the rest cut to *context*."""
    if not spans:
        return escape(text[: 2 * context])
    begin = max(0, spans[0][0] - context)
    stop = min(len(text), spans[-1][1] + context)
    out, at = ["…" if begin else ""], begin
    for start, end in spans:
        out += [escape(text[at:start]), "<mark>", escape(text[start:end]), "</mark>"]
        at = end
    return "".join([*out, escape(text[at:stop]), "…" if stop < len(text) else ""])


class Markup(str):
    """HTML that is already escaped, for a cell of :func:`table`."""

    __slots__ = ()


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, Markup):
        return str(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return "–" if value != value else f"{value:.3f}".rstrip("0").rstrip(".")
    if isinstance(value, list | tuple):
        return escape(", ".join(map(str, value)))
    said = str(value)
    if len(said) > MAX_CHARS:
        said = f"{said[:MAX_CHARS]}… ({len(said):,} characters)"
    return escape(said).replace("\n", "<br>")


def _numeric(records: Sequence[Mapping[str, Any]], column: str) -> bool:
    known = [r[column] for r in records if r[column] is not None]
    return bool(known) and all(
        isinstance(v, int | float) and not isinstance(v, bool) for v in known
    )


def table(
    rows: pl.DataFrame | Sequence[Mapping[str, Any]] | None,
    limit: int = MAX_ROWS,
    empty: str = "",
) -> str:
    """Return *rows* as a plain HTML table; what is left out is said.

    Numbers stand right, floats have three decimals, long texts are cut and say their length.
    """
    records = rows.to_dicts() if isinstance(rows, pl.DataFrame) else list(rows or [])
    if not records:
        return note(empty) if empty else ""
    # Alignment twice: hosts style cells to the right, and some of them drop one of the two forms.
    sides = {n: "right" if _numeric(records, n) else "left" for n in records[0]}
    form = {n: f'align="{side}" style="text-align:{side}"' for n, side in sides.items()}
    head = "".join(f"<th {form[n]}>{escape(str(n))}</th>" for n in records[0])
    body = []
    for record in records[:limit]:
        cells = "".join(f"<td {form[n]}>{_cell(value)}</td>" for n, value in record.items())
        body.append(f"<tr>{cells}</tr>")
    hidden = len(records) - limit
    more = note(f"… and {hidden:,} more rows in .table") if hidden > 0 else ""
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody></table>{more}"


@dataclass(frozen=True)
class Shown(View):
    """A table as a view: texts whole, at most *limit* rows."""

    table: pl.DataFrame
    limit: int = MAX_ROWS

    def to_html(self) -> str:
        """Show the table."""
        return table(self.table, self.limit, empty="No rows.")


def show(frame: Any, limit: int = MAX_ROWS) -> Shown:
    """Return a view of any data frame in which texts are readable, for the end of a cell."""
    from scalekit.frames import to_polars

    return Shown(to_polars(frame), limit)


# --- figures ------------------------------------------------------------------------------------


def figure(title: str, *, x: str = "", y: str = "", height: int = 320) -> go.Figure:
    """Return an empty plotly figure in the house style: clear on a light and on a dark page."""
    import plotly.graph_objects as go

    axis = {"gridcolor": "rgba(127,127,127,.25)", "zerolinecolor": "rgba(127,127,127,.5)"}
    return go.Figure(
        layout={
            "template": "none",
            "title": {"text": title, "x": 0, "xanchor": "left", "font": {"size": 15}},
            "font": {"color": INK, "size": 12},
            "paper_bgcolor": "rgba(0,0,0,0)",
            "plot_bgcolor": "rgba(0,0,0,0)",
            "colorway": list(PALETTE),
            "height": height,
            "margin": {"l": 60, "r": 20, "t": 44, "b": 48},
            "xaxis": {"title": {"text": x}, "automargin": True, **axis},
            "yaxis": {"title": {"text": y}, "automargin": True, **axis},
        }
    )


def figure_png(drawn: go.Figure | Mapping[str, Any], width: int = 760) -> bytes:
    """Draw a plotly figure's bars, lines, points and heat maps as PNG, without a browser.

    Same input, same bytes. Error bars, bar text and the axis titles are kept; other kinds of trace
    raise NotImplementedError.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    spec = drawn.to_plotly_json() if hasattr(drawn, "to_plotly_json") else dict(drawn)
    layout = spec.get("layout", {})
    size = (width / 100, (layout.get("height") or 320) / 100)
    canvas = Figure(figsize=size, dpi=100, layout="constrained")
    canvas.patch.set_alpha(0)
    axes = canvas.add_subplot(facecolor="none")
    traces = [dict(t) for t in spec.get("data", [])]
    bars = [t for t in traces if t.get("type") == "bar"]
    step = 0.8 / max(len(bars), 1)
    if not any(t.get("type") == "heatmap" for t in traces):
        _name_places(axes, traces)
    for number, trace in enumerate(traces):
        own = (trace.get("marker") or {}).get("color")
        colour = own if isinstance(own, str) else PALETTE[number % len(PALETTE)]
        if trace.get("type") == "bar":
            place = [t is trace for t in bars].index(True)
            _draw_bars(axes, trace, colour, step * (place + 0.5) - 0.4, step)
        elif trace.get("type") == "heatmap":
            _draw_heatmap(axes, trace)
        elif trace.get("type") in (None, "scatter"):
            _draw_points(axes, trace, colour)
        else:
            raise NotImplementedError(f"no picture for a {trace.get('type')} trace")
    _finish(axes, layout, traces)
    stream = io.BytesIO()
    FigureCanvasAgg(canvas).print_png(stream, metadata={"Software": None})
    return stream.getvalue()


def _numbers(values: Any) -> list[Any]:
    """Undo plotly's typed-array encoding, which ``to_plotly_json`` may use for numpy input."""
    if isinstance(values, Mapping) and "bdata" in values:
        import base64

        import numpy as np

        flat = np.frombuffer(base64.b64decode(values["bdata"]), dtype=values["dtype"])
        shape = [int(s) for s in str(values.get("shape", "")).split(",") if s]
        return list((flat.reshape(shape) if shape else flat).tolist())
    return list(values) if values is not None else []


def _draw_bars(axes: Any, trace: Mapping[str, Any], colour: Any, place: float, step: float) -> None:
    flat = trace.get("orientation") == "h"
    names = trace["y" if flat else "x"]
    at = [n + place for n in names]
    lengths = trace["x" if flat else "y"]
    error = trace.get("error_x" if flat else "error_y") or {}
    spread = None
    if error.get("array") is not None:
        up = _numbers(error["array"])
        spread = [_numbers(error.get("arrayminus")) or up, up]
    style = {"color": colour, "label": trace.get("name"), "ecolor": INK, "capsize": 2}
    if flat:
        axes.barh(at, lengths, height=step * 0.9, xerr=spread, **style)
    else:
        axes.bar(at, lengths, width=step * 0.9, yerr=spread, **style)


def _name_places(axes: Any, traces: Sequence[dict[str, Any]]) -> None:
    """Give every name its place on the axis of names, the same in all traces, and label it."""
    flat = any(t.get("orientation") == "h" for t in traces)
    key = "y" if flat else "x"
    for trace in traces:
        for axis in ("x", "y"):
            trace[axis] = _numbers(trace.get(axis))
    names = list(dict.fromkeys(n for t in traces for n in t[key]))
    if not any(t.get("type") == "bar" for t in traces):
        return
    place = {name: i for i, name in enumerate(names)}
    for trace in traces:
        trace[key] = [place[n] for n in trace[key]]
    if flat:
        axes.set_yticks(range(len(names)), names)
    else:
        long = max(map(len, map(str, names)), default=0) > 6
        axes.set_xticks(
            range(len(names)), names, **({"rotation": 30, "ha": "right"} if long else {})
        )


def _draw_heatmap(axes: Any, trace: Mapping[str, Any]) -> None:
    import numpy as np

    grid = np.array(
        [[np.nan if v is None else v for v in _numbers(row)] for row in _numbers(trace["z"])],
        dtype=float,
    )
    if not grid.size:
        return
    low, high = trace.get("zmin"), trace.get("zmax")
    axes.imshow(grid, aspect="auto", cmap="Blues", vmin=low, vmax=high)
    axes.set_xticks(range(grid.shape[1]), _numbers(trace["x"]), rotation=30, ha="right")
    axes.set_yticks(range(grid.shape[0]), _numbers(trace["y"]))
    middle = np.nanmean([low if low is not None else np.nanmin(grid), np.nanmax(grid)])
    for (row, column), value in np.ndenumerate(grid):
        if not np.isnan(value):
            ink = "white" if value > middle else "black"
            axes.text(column, row, f"{value:.2f}", ha="center", va="center", color=ink, fontsize=9)


def _draw_points(axes: Any, trace: Mapping[str, Any], colour: Any) -> None:
    x, y = _numbers(trace.get("x")), _numbers(trace.get("y"))
    mode = trace.get("mode") or "lines"
    error = (trace.get("error_x") or {}).get("array")
    spread = None
    if error is not None:
        minus = _numbers(trace["error_x"].get("arrayminus")) or _numbers(error)
        spread = [minus, _numbers(error)]
    line = "-" if "lines" in mode else ""
    dash = "line-ew" in str((trace.get("marker") or {}).get("symbol", ""))
    mark, size = ("_", 18) if dash else ("o" if "markers" in mode else "", 5)
    style = {"linestyle": line or "none", "marker": mark, "color": colour, "markersize": size}
    style["markeredgewidth"] = 3 if dash else 1
    axes.errorbar(x, y, xerr=spread, label=trace.get("name"), ecolor=INK, capsize=2, **style)


def _finish(axes: Any, layout: Mapping[str, Any], traces: Iterable[Mapping[str, Any]]) -> None:
    def words_of(part: Any) -> str:
        text = part.get("text", "") if isinstance(part, Mapping) else part
        return str(text or "").replace("<br>", "\n")

    axes.set_title(words_of(layout.get("title")), loc="left", color=INK, fontsize=11)
    for name in ("x", "y"):
        axis = layout.get(f"{name}axis") or {}
        getattr(axes, f"set_{name}label")(words_of(axis.get("title")), color=INK)
        if axis.get("range"):
            getattr(axes, f"set_{name}lim")(*axis["range"])
        if axis.get("autorange") == "reversed" and not axes.images:
            getattr(axes, f"invert_{name}axis")()
    for line in layout.get("shapes") or []:
        if line.get("x0") == line.get("x1"):
            axes.axvline(line["x0"], color=INK, linestyle="--", linewidth=1)
        elif line.get("y0") == line.get("y1"):
            axes.axhline(line["y0"], color=INK, linestyle="--", linewidth=1)
    axes.tick_params(colors=INK)
    for spine in axes.spines.values():
        spine.set_color(INK)
        spine.set_alpha(0.4)
    if len([t for t in traces if t.get("name")]) > 1:
        place = {"loc": "outside lower center", "ncols": 4}
        axes.figure.legend(frameon=False, labelcolor=INK, **place)


class Progress:
    """A progress bar that appears only when the work takes more than two seconds.

    Use as ``with Progress("Reading") as progress:`` and call ``progress(done, total)``. In a
    terminal it stands on standard error; in a notebook in the cell's output, which it leaves empty.
    """

    def __init__(self, what: str, after: float = 2.0) -> None:
        self._what, self._due = what, after
        self._bar: _TerminalBar | _NotebookBar | None = None

    def __enter__(self) -> Progress:
        self._due += time.monotonic()
        return self

    def __call__(self, done: int, total: int) -> None:
        """Say that *done* of *total* is done."""
        now = time.monotonic()
        if now < self._due or (self._bar is None and done >= total):
            return
        self._due = now + 0.1
        if self._bar is None:
            self._bar = _NotebookBar() if _in_notebook() else _TerminalBar()
        self._bar.show(self._what, done, total)

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()


def _in_notebook() -> bool:
    shell = sys.modules.get("IPython") and sys.modules["IPython"].get_ipython()
    return bool(shell) and hasattr(shell, "kernel")


class _NotebookBar:
    def __init__(self) -> None:
        from IPython.display import HTML, display

        self._html = HTML
        self._handle = display(HTML(""), display_id=True)

    def show(self, what: str, done: int, total: int) -> None:
        bar = f'<progress value="{done}" max="{total}"></progress>'
        self._handle.update(self._html(f"<p>{escape(what)} {bar} {done:,} of {total:,}</p>"))

    def close(self) -> None:
        self._handle.update(self._html(""))


class _TerminalBar:
    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import Progress as Bar

        self._bar = Bar(console=Console(stderr=True), transient=True)
        self._bar.start()
        self._task = self._bar.add_task("")

    def show(self, what: str, done: int, total: int) -> None:
        self._bar.update(self._task, description=what, completed=done, total=total)

    def close(self) -> None:
        self._bar.stop()
