"""Pictures of figures: names have one place, whichever traces have them."""

from __future__ import annotations

import plotly.graph_objects as go
import polars as pl
import pytest

from scalekit.figures import INK, error_bars, figure, figure_png, forest_plot


def drawn(*traces: tuple[list[str], list[float | None]]) -> bytes:
    made = figure("Accuracy", y="share")
    for number, (names, values) in enumerate(traces):
        made.add_trace(go.Bar(name=f"set {number}", x=names, y=values))
    return figure_png(made.update_yaxes(range=[0, 1]))


def test_a_name_has_one_place_in_all_traces() -> None:
    apart = drawn((["a", "b"], [0.2, 0.8]), (["c"], [0.5]))
    padded = drawn((["a", "b", "c"], [0.2, 0.8, None]), (["a", "b", "c"], [None, None, 0.5]))
    assert apart == padded
    assert apart != drawn((["a", "b"], [0.2, 0.8]), (["a"], [0.5]))


def test_a_kind_of_trace_that_is_not_drawn_is_said() -> None:
    with pytest.raises(NotImplementedError, match="pie"):
        figure_png(go.Figure(go.Pie(labels=["a"], values=[1])))


def test_a_cloud_of_points_is_drawn_without_axes_and_with_every_name() -> None:
    made = figure("Map").update_xaxes(visible=False).update_yaxes(visible=False)
    for n, symbol in enumerate(("circle", "square")):
        made.add_trace(
            go.Scattergl(
                x=[n, 1], y=[0, n], mode="markers", name=f"group {n}", marker={"symbol": symbol}
            )
        )
    plain = figure_png(made)
    assert plain == figure_png(made)
    assert plain != figure_png(made.update_xaxes(visible=True))
    named = figure_png(made.for_each_trace(lambda t: t.update(name=f"a far longer {t.name}" * 3)))
    assert named != plain


def test_one_line_is_named_where_the_figure_asks_for_it() -> None:
    made = figure("Loss").add_trace(go.Scatter(x=[1, 2], y=[2, 1], mode="lines", name="one rubric"))
    plain = figure_png(made)
    assert plain != figure_png(made.update_layout(showlegend=True))
    assert plain == figure_png(made.update_layout(showlegend=False))


def test_a_dollar_sign_in_a_name_is_no_formula() -> None:
    name = "under $5 or \\frac over $"
    made = drawn(([name, "b"], [0.2, 0.8]), (["c"], [0.5]))
    assert made.startswith(b"\x89PNG")
    cloud = figure("Map $ of $\\frac$")
    for n in (0, 1):
        cloud.add_trace(go.Scattergl(x=[n], y=[n], mode="markers", name=f"{name} {n}"))
    assert figure_png(cloud).startswith(b"\x89PNG")


def test_a_forest_plot_has_each_row_with_its_interval_and_the_first_on_top() -> None:
    table = pl.DataFrame(
        {"model": ["a", "b"], "mean": [0.75, 0.5], "from": [0.5, None], "to": [1.0, None]}
    )
    made = forest_plot("Means", table, "model", "mean", x="share")
    (points,) = made.to_plotly_json()["data"]
    bars = {"array": [0.25, None], "arrayminus": [0.25, None], "color": INK}
    assert (points["x"], points["y"], points["error_x"]) == ([0.75, 0.5], ["a", "b"], bars)
    assert made.layout.yaxis.autorange == "reversed"
    assert error_bars(table, "mean", 0)["array"] == [0.0, None]
