"""Figures: plotly in the house style, and the same drawn as a picture without a browser."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from html import unescape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import plotly.graph_objects as go
    import polars as pl

__all__ = ["INK", "PALETTE", "error_bars", "figure", "figure_png", "forest_plot"]

INK = "#767676"  # 4.5:1 on white, 4.2:1 on the dark of JupyterLab: no grey has 4.5 on both
WHISKER = "#404040"  # with a light edge: readable on a bar too
PALETTE = ("#3b7dd8", "#e08a1e", "#3a9d5d", "#c0504d", "#8064a2", "#4bacc6", "#b58900", "#7f7f7f")
MARKS = {"square": "s", "diamond": "D", "cross": "P", "x": "X", "triangle-up": "^", "star": "*"}


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


def error_bars(table: pl.DataFrame, value: str, digits: int | None = None) -> dict[str, Any]:
    """Return the error bars around the column *value* whose ends are ``from`` and ``to``."""
    up, down = table["to"] - table[value], table[value] - table["from"]
    if digits is not None:
        up, down = up.round(digits), down.round(digits)
    return {"array": up.to_list(), "arrayminus": down.to_list(), "color": INK}


def forest_plot(
    title: str, table: pl.DataFrame, name: str, value: str, *, x: str, spacing: int = 28
) -> go.Figure:
    """Return the column *value* with its intervals as points, the first row on top."""
    import plotly.graph_objects as go

    points = go.Scatter(
        x=table[value].to_list(), y=table[name].to_list(), mode="markers",
        error_x=error_bars(table, value),
    )  # fmt: skip
    drawn = figure(title, x=x, height=120 + spacing * len(table)).add_trace(points)
    return drawn.update_yaxes(autorange="reversed")


def figure_png(drawn: go.Figure | Mapping[str, Any], width: int = 760) -> bytes:
    """Draw a plotly figure's bars, lines, points and heat maps as PNG, without a browser.

    Same input, same bytes. Error bars, bar text and the axis titles are kept; other kinds of trace
    raise NotImplementedError.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.text import Text

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
        elif trace.get("type") == "scattergl":
            _draw_cloud(axes, trace, colour)
        elif trace.get("type") in (None, "scatter"):
            _draw_points(axes, trace, colour)
        else:
            raise NotImplementedError(f"no picture for a {trace.get('type')} trace")
    _finish(axes, layout, traces)
    for text in canvas.findobj(Text):
        text.set_parse_math(False)  # a dollar sign in a name is a dollar sign
    stream = io.BytesIO()
    FigureCanvasAgg(canvas).print_png(stream, metadata={"Software": None})
    return stream.getvalue()


def _numbers(values: Any) -> list[Any]:
    """Undo plotly's typed-array encoding of numpy input; what is missing is NaN."""
    if isinstance(values, Mapping) and "bdata" in values:
        import base64

        import numpy as np

        flat = np.frombuffer(base64.b64decode(values["bdata"]), dtype=values["dtype"])
        shape = [int(s) for s in str(values.get("shape", "")).split(",") if s]
        return list((flat.reshape(shape) if shape else flat).tolist())
    return [float("nan") if v is None else v for v in values] if values is not None else []


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
    style = {"color": colour, "label": trace.get("name"), "ecolor": WHISKER, "capsize": 2}
    if flat:
        drawn = axes.barh(at, lengths, height=step * 0.9, xerr=spread, **style)
    else:
        drawn = axes.bar(at, lengths, width=step * 0.9, yerr=spread, **style)
    if drawn.errorbar is not None:
        from matplotlib.patheffects import withStroke

        _, caps, lines = drawn.errorbar.lines
        for part in (*caps, *lines):
            part.set_path_effects([withStroke(linewidth=3, foreground="white")])


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
        # About a hundred letters stand in a row.
        long = len(names) * (max(map(len, map(str, names)), default=0) + 2) > 100
        axes.set_xticks(
            range(len(names)), names, **({"rotation": 30, "ha": "right"} if long else {})
        )


def _draw_heatmap(axes: Any, trace: Mapping[str, Any]) -> None:
    import numpy as np

    grid = np.array([_numbers(row) for row in _numbers(trace["z"])], dtype=float)
    if not grid.size:
        return
    low, high = trace.get("zmin"), trace.get("zmax")
    axes.imshow(grid, aspect="auto", cmap="Blues", vmin=low, vmax=high)
    axes.set_xticks(range(grid.shape[1]), _numbers(trace["x"]), rotation=30, ha="right")
    axes.set_yticks(range(grid.shape[0]), _numbers(trace["y"]))
    shade = axes.images[-1].to_rgba(grid)[..., :3] @ (0.2126, 0.7152, 0.0722)
    said = trace.get("text")
    for (row, column), value in np.ndenumerate(grid):
        if not np.isnan(value):
            ink = "white" if shade[row, column] < 0.4 else "black"
            words = said[row][column] if said else f"{value:.2f}"
            axes.text(column, row, words, ha="center", va="center", color=ink, fontsize=9)


def _draw_points(axes: Any, trace: Mapping[str, Any], colour: Any) -> None:
    x, y = _numbers(trace.get("x")), _numbers(trace.get("y"))
    mode = trace.get("mode") or "lines"
    spread = {}
    for axis in ("x", "y"):
        error = trace.get(f"error_{axis}") or {}
        up = _numbers(error.get("array"))
        if up:
            spread[f"{axis}err"] = [_numbers(error.get("arrayminus")) or up, up]
    line = "-" if "lines" in mode else ""
    dash = "line-ew" in str((trace.get("marker") or {}).get("symbol", ""))
    mark, size = ("_", 18) if dash else ("o" if "markers" in mode else "", 5)
    style = {"linestyle": line or "none", "marker": mark, "color": colour, "markersize": size}
    style["markeredgewidth"] = 3 if dash else 1
    axes.errorbar(x, y, label=trace.get("name"), ecolor=INK, capsize=2, **spread, **style)


def _draw_cloud(axes: Any, trace: Mapping[str, Any], colour: Any) -> None:
    """Draw many points without lines; both axes get the same scale."""
    mark = trace.get("marker") or {}
    size = 0.6 * mark.get("size", 6)  # a picture has fewer points to an inch
    style = {"linestyle": "none", "color": colour, "markersize": size, "markeredgewidth": 0}
    style |= {"marker": MARKS.get(mark.get("symbol", ""), "o"), "alpha": mark.get("opacity", 1)}
    name = unescape(str(trace.get("name") or ""))
    axes.plot(_numbers(trace["x"]), _numbers(trace["y"]), label=name, **style)
    axes.set_aspect("equal", adjustable="datalim")


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
        if axis.get("visible") is False:
            getattr(axes, f"get_{name}axis")().set_visible(False)
    for line in layout.get("shapes") or []:
        if line.get("x0") == line.get("x1"):
            axes.axvline(line["x0"], color=INK, linestyle="--", linewidth=1)
        elif line.get("y0") == line.get("y1"):
            axes.axhline(line["y0"], color=INK, linestyle="--", linewidth=1)
    names = dict.fromkeys(n for t in traces for n in t.get("y") or () if isinstance(n, str))
    if names and not axes.images and not any(t.get("type") == "bar" for t in traces):
        ends = (-0.5, len(names) - 0.5)  # not on the frame
        axes.set_ylim(*(ends[::-1] if axes.yaxis_inverted() else ends))
    axes.tick_params(colors=INK)
    for spine in axes.spines.values():
        spine.set_color(INK)
        spine.set_alpha(0.4)
    told = [str(t["name"]) for t in traces if t.get("name")]
    if told and layout.get("showlegend", len(told) > 1):
        # As many beside each other as the longest name leaves room for.
        style: dict[str, Any] = {"ncols": max(1, min(4, 100 // (max(map(len, told)) + 6)))}
        style["reverse"] = (layout.get("legend") or {}).get("traceorder") == "reversed"
        style["markerscale"] = 1.5 if any(t.get("type") == "scattergl" for t in traces) else 1
        place = "outside lower center"
        axes.figure.legend(loc=place, frameon=False, labelcolor=INK, **style)
