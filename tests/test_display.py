from __future__ import annotations

import io
import itertools
import json
import math
import re
from html import escape
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import polars as pl
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from scalekit.display import (
    Markup,
    Progress,
    badge,
    block,
    counted,
    marked,
    money,
    note,
    show,
    table,
)
from scalekit.figures import figure, figure_png

anything = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=40)
quick = settings(deadline=None, max_examples=100)
EVIL = "<script>alert(1)</script><img src=x onerror='alert(2)'>\"&amp;"


class Seen(HTMLParser):
    """What a browser would see: tags, attributes, text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.names: set[str] = set()
        self.cells: list[str] = []
        self.said = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.names |= {name for name, _ in attrs}
        if tag in ("td", "th"):
            self.cells.append("")
        if tag == "br" and self.cells:
            self.cells[-1] += "\n"

    def handle_data(self, data: str) -> None:
        self.said += data
        if self.cells:
            self.cells[-1] += data


@quick
@given(anything, anything)
def test_any_text_stands_in_a_table_as_itself(name: str, text: str) -> None:
    seen = Seen(table([{name: text}]))
    assert seen.cells == [name, text]
    assert set(seen.tags) <= {"table", "thead", "tbody", "tr", "th", "td", "br"}
    assert seen.names <= {"align", "style"}


def test_hostile_text_is_escaped_everywhere() -> None:
    views = [
        table([{EVIL: EVIL, "b": [EVIL], "c": {"d": EVIL}, "e": (EVIL,)}]),
        table(pl.DataFrame({EVIL: [EVIL], "l": [[EVIL]], "s": [{"x": EVIL}]})),
        note(EVIL),
        table([], empty=EVIL),
        block(EVIL, f"said {EVIL}"),
        marked(EVIL, [(0, 8), (25, 30)]),
        marked(EVIL, []),
        show(pd.DataFrame({EVIL: [EVIL]})).to_html(),
    ]
    for html in views:
        assert not {"script", "img"} & set(Seen(html).tags), html
        assert "onerror" not in Seen(html).names


def test_numbers_and_gaps_are_written_plainly() -> None:
    row = {
        "a": 0.5,
        "b": 1.0,
        "c": 2 / 3,
        "d": math.nan,
        "e": None,
        "f": True,
        "g": 1234567,
        "h": 100.0,
    }
    assert Seen(table([row])).cells[len(row) :] == [
        "0.5", "1", "0.667", "–", "", "yes", "1,234,567", "100",
    ]  # fmt: skip


def test_long_texts_and_tables_are_cut_and_say_so() -> None:
    cells = Seen(table([{"t": "x" * 1_000_000}])).cells
    assert cells[1] == "x" * 240 + "… (1,000,000 characters)"
    frame = pl.DataFrame({"n": range(1025)})
    seen = Seen(table(frame))
    assert seen.tags.count("tr") == 21
    assert "… and 1,005 more rows in .table" in seen.said
    assert Seen(table(frame, limit=2000)).tags.count("tr") == 1026
    assert "more rows" not in table(pl.DataFrame({"n": range(20)}))


def test_no_rows_give_nothing_or_the_words_for_it() -> None:
    assert table(None) == table([]) == table(pl.DataFrame()) == ""
    assert table([], empty="No rows.") == "<p>No rows.</p>"


def test_only_markup_passes_as_it_is() -> None:
    assert "<mark>x</mark>" in table([{"a": Markup("<mark>x</mark>")}])


spans = st.lists(st.integers(0, 40), min_size=2, max_size=8, unique=True).map(sorted)


@quick
@given(anything.filter(lambda t: len(t) >= 2), spans, st.integers(0, 50))
def test_marking_changes_no_character(text: str, ends: list[int], context: int) -> None:
    ends = sorted({min(e, len(text)) for e in ends})
    places = list(zip(ends[::2], ends[1::2], strict=False))
    html = marked(text, places, context)
    if places:
        first, last = places[0][0], places[-1][1]
        begin, stop = max(0, first - context), min(len(text), last + context)
        head, tail = text[begin:first], text[last:stop]
        if begin:
            head = "…" + re.sub("^[^ ]* ", "", head)
        if stop < len(text):
            tail = re.sub(" [^ ]*$", "", tail) + "…"
        for (_, end), (start, _) in itertools.pairwise(places):
            assume(start - end <= 3 * context)  # what is far apart has a test of its own
        assert re.sub("</?mark>", "", html) == escape(head + text[first:last] + tail)
        assert re.findall("<mark>(.*?)</mark>", html, re.DOTALL) == [
            escape(text[a:b]) for a, b in places
        ]


def test_an_excerpt_is_cut_between_words() -> None:
    text = "the parcel was delivered to the wrong address yesterday evening"
    at = text.index("wrong")
    assert marked(text, [(at, at + 5)], context=12) == "…to the <mark>wrong</mark> address…"


def test_columns_of_numbers_share_their_decimals() -> None:
    rows = [
        {"share": 0.5, "p": 0.0004, "points": 24.25, "count": 12, "money": 1250.5},
        {"share": 0.125, "p": 0.5, "points": 3.0, "count": 10_000, "money": 2.25},
        {"share": 0.0, "p": -1e-18, "points": math.inf, "count": 0, "money": 0.0},
    ]
    cells = Seen(table(rows)).cells[5:]
    assert [cells[i::5] for i in range(5)] == [
        ["0.500", "0.125", "0.000"], ["4e-04", "0.5", "0.0"], ["24.25", "3.00", "inf"],
        ["12", "10,000", "0"], ["1250", "2", "0"],
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("column", "said"),
    [
        ([math.inf], ["inf"]), ([1, math.inf], ["1", "inf"]),
        ([math.nan, -math.inf], ["–", "-inf"]),
        ([10**400, 1], [f"{10**400:,}", "1"]), ([250.0, 0.04], ["250", "0"]),
        ([1500.0, 0.4], ["1500", "0"]), ([True, 2.5], ["yes", "2.5"]),
    ],
)  # fmt: skip
def test_every_number_can_be_shown(column: list[float], said: list[str]) -> None:
    assert Seen(table([{"n": value} for value in column])).cells[1:] == said


def test_what_lies_between_distant_marks_is_cut() -> None:
    text = "first " + "word " * 200 + "last"
    html = marked(text, [(0, 5), (len(text) - 4, len(text))], context=20)
    assert html.startswith("<mark>first</mark> word")
    assert html.endswith("<mark>last</mark>")
    assert len(html) < 100
    assert marked("one two", [(4, 4)]) == "one two"


@pytest.mark.parametrize(
    ("amount", "currency", "said"),
    [
        (18, "€", "€18.00"), (0.0451, "USD", "USD 0.045"), (-1234.5, "€", "-€1,234.50"),
        (0, "", "0.00"),
    ],
)  # fmt: skip
def test_money(amount: float, currency: str, said: str) -> None:
    assert money(amount, currency) == said


def test_words_and_counts() -> None:
    assert (counted(1, "run"), counted(0, "run"), counted(1200, "run")) == (
        "1 run",
        "0 runs",
        "1,200 runs",
    )
    assert badge(True) == "✔\u00a0passed"
    assert badge(False) == "✘\u00a0not passed"
    assert badge(None) == "○\u00a0not judged"
    assert block("Gate", badge(True), note("a"), "") == "<p><b>Gate</b> · ✔\u00a0passed</p><p>a</p>"


def test_a_view_needs_no_kernel_script_or_network() -> None:
    bundle = show(pl.DataFrame({"text": ["a\nb"]}))._repr_mimebundle_()
    assert set(bundle) == {"text/plain", "text/html"}
    assert "a<br>b" in bundle["text/html"]
    assert not re.search(r"https?:|<script|<style|<link|class=", bundle["text/html"])


# --- pictures -----------------------------------------------------------------------------------


def pixels(png: bytes) -> np.ndarray:
    from matplotlib.image import imread

    return np.asarray(imread(io.BytesIO(png)))


def bars(*values: list[float], **more: object) -> go.Figure:
    drawn = figure("t", y="share")
    for i, lengths in enumerate(values):
        drawn.add_trace(go.Bar(name=f"s{i}", x=["a", "b"], y=lengths, **more))
    return drawn


def test_a_picture_has_the_size_asked_for_and_the_same_bytes_each_time() -> None:
    drawn = bars([0.2, 0.8])
    png = figure_png(drawn)
    assert pixels(png).shape == (320, 760, 4)
    assert figure_png(drawn) == png
    assert figure_png(json.loads(drawn.to_json())) == png


def test_bars_are_as_high_as_their_values() -> None:
    def painted(value: float) -> np.ndarray:
        drawn = figure("t")
        drawn.add_trace(go.Bar(x=["a", "b"], y=[value, 1.0], marker={"color": "#ff0000"}))
        image = pixels(figure_png(drawn))
        red = (image[..., 0] > 0.9) & (image[..., 1] < 0.1) & (image[..., 3] > 0.9)
        return red.sum(axis=0)

    for value in (0.25, 0.5):
        columns = painted(value)
        heights = columns[columns > 0]
        assert heights.min() / heights.max() == pytest.approx(value, abs=0.02)


@pytest.mark.parametrize("kind", [list, np.array, pd.Series])
def test_any_kind_of_numbers_gives_the_same_picture(kind: type) -> None:
    expected = figure_png(bars([0.2, 0.8], [0.5, 0.1]))
    assert figure_png(bars(kind([0.2, 0.8]), kind([0.5, 0.1]))) == expected


def test_lines_points_errors_heat_maps_and_shapes_are_drawn() -> None:
    empty = figure_png(figure("t"))
    drawn = {
        "line": go.Scatter(x=[1, 2], y=[3, 4]),
        "points": go.Scatter(x=[1, 2], y=[3, 4], mode="markers"),
        "errors": go.Scatter(
            x=[1, 2], y=[3, 4], mode="markers", error_x={"array": [1, 1], "arrayminus": [0.5, 1]}
        ),
        "heat map": go.Heatmap(z=[[0.1, None], [0.3, 0.4]], x=["a", "b"], y=["c", "d"]),
    }
    pictures = {figure_png(figure("t").add_trace(trace)) for trace in drawn.values()}
    assert len(pictures | {empty}) == 5
    lined = figure("t").add_trace(drawn["line"])
    assert figure_png(lined.add_vline(1.5)) not in pictures


def test_a_kind_of_trace_without_a_picture_says_so() -> None:
    with pytest.raises(NotImplementedError, match="no picture for a pie trace"):
        figure_png(go.Figure(go.Pie(values=[1])))


def test_progress_is_silent_when_the_work_is_quick(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress("Reading") as progress:
        for done in range(100):
            progress(done, 100)
    with Progress("Reading", after=0) as progress:
        progress(100, 100)
    assert capsys.readouterr() == ("", "")


def test_progress_stands_on_standard_error_and_is_gone_after_a_failure(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def work() -> None:
        with Progress("Reading", after=0) as progress:
            progress(1, 3)
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        work()
    assert capsys.readouterr().out == ""


def test_progress_can_be_turned_off(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCALEKIT_PROGRESS", "off")
    with Progress("Reading", after=0) as progress:
        progress(1, 3)
    assert capsys.readouterr() == ("", "")
