"""The map: items in the plane, what is alike together, coloured by any column."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from scalekit.audit.layout import LAID_OUT, given_places, given_vectors, layout, text_vectors
from scalekit.display import View, block, counted, note, table
from scalekit.figures import PALETTE, figure, figure_png
from scalekit.frames import FrameError, ids_unique, require, texts_given, to_polars

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["Groups", "ItemMap", "item_map"]

DRAWN = 5_000  # points of a figure, so that a saved notebook stays small
HOVER = 80  # characters of a text
FEW = 12  # groups with a colour of their own
BINS = 6
SEVERAL = 200  # values of text above which a column is no help in colouring
VALUES = 253  # groups that a byte holds, beside others and none
OTHER, NONE = "(others)", "(none)"
STANDARD = ("category", "batch_id", "source", "tier")
HIDDEN = ("item_id", "text", "original", "x", "y")
"""Columns that are never coloured by; ``original`` holds what the audit masked."""

NAMED = (*PALETTE[:7], "#c4579b", "#7a9a1f", "#a0623a", "#0f8f86", "#d4a017")
ORDERED = ("#5b5fc7", "#3b8bc4", "#2fa39a", "#6aa84f", "#c9a227", "#d9662b")  # low to high
GREY = PALETTE[-1]
SYMBOLS = ("circle", "square", "diamond", "cross", "x", "triangle-up", "star")


def symbol_of(code: int) -> str:
    """Return the symbol of the group *code*; those that share a colour share a symbol too."""
    return SYMBOLS[code % len(SYMBOLS)] if code < len(NAMED) else "circle"


@dataclass(frozen=True)
class Groups:
    """A column as groups to colour by.

    ``codes`` has each item's place in ``names``; ``colours`` are those of the names. Of a column of
    numbers with many values the groups are ranges with about as many items each, in order;
    otherwise values, the most frequent first, and what goes beyond 253 of them is one group.
    """

    codes: NDArray[np.uint8]
    names: tuple[str, ...]
    colours: tuple[str, ...]
    ordered: bool

    @property
    def counts(self) -> list[int]:
        """How many items each group has."""
        return [int(n) for n in np.bincount(self.codes, minlength=len(self.names))]

    def few(self) -> Groups:
        """Return the same with all groups that share a colour as one."""
        if len(self.names) <= FEW + 1:
            return self
        names = (*self.names[:FEW], f"({len(self.names) - FEW} others)")
        codes = np.minimum(self.codes, FEW).astype(np.uint8)
        return Groups(codes, names, self.colours[: FEW + 1], False)


@dataclass(frozen=True)
class ItemMap(View):
    """Items in the plane: those with like words (or vectors) lie together.

    ``table`` has ``item_id, x, y``, ``words`` (how many the text has) and the columns to colour by.
    Near means alike; directions, and distances between far groups, mean nothing.
    """

    table: pl.DataFrame
    texts: pl.Series
    method: str
    by: str
    seed: int

    @property
    def columns(self) -> list[str]:
        """The columns that can be coloured by."""
        return self.table.columns[3:]

    def groups(self, by: str | None = None) -> Groups:
        """Return the groups of a column.

        Raises
        ------
        FrameError
            When the map has no such column.
        """
        by = by or self.by
        if by not in self.columns:
            there = ", ".join(map(repr, self.columns))
            raise FrameError(f"the map has no column {by!r} to colour by; there are {there}")
        return _groups(self.table[by])

    def plot(self, by: str | None = None, *, limit: int = DRAWN) -> go.Figure:
        """Return the map coloured by a column; of more than *limit* points as many are drawn."""
        import plotly.graph_objects as go

        by = by or self.by
        found = self.groups(by).few()
        rows = len(self.table)
        shown = np.arange(rows)
        said = f"{counted(rows, 'item')} by {by}"
        if rows > limit:
            shown = np.sort(np.random.default_rng(self.seed).choice(rows, limit, replace=False))
            said = f"{said}; {limit:,} of them, drawn by lot"
        drawn = figure(said, height=560)
        size = 8 if len(shown) < 1_500 else 5
        places = self.table.select("x", "y").to_numpy().astype(np.float32)
        # The frequent groups last, so that they lie on what shares the grey.
        for code, name in reversed(list(enumerate(found.names))):
            at = shown[found.codes[shown] == code]
            if not len(at):
                continue
            symbol = symbol_of(code)
            texts = [self._hover(i) for i in at.tolist()]
            mark = {"color": found.colours[code], "size": size, "opacity": 0.8, "symbol": symbol}
            drawn.add_trace(
                go.Scattergl(
                    name=_label(name), x=places[at, 0], y=places[at, 1], mode="markers",
                    marker=mark, text=texts, hoverinfo="text+name",
                )
            )  # fmt: skip
        bare = {"visible": False}
        side = {"itemsizing": "constant", "title": {"text": by}, "traceorder": "reversed"}
        return drawn.update_layout(
            xaxis=bare, yaxis={**bare, "scaleanchor": "x"}, legend=side,
            showlegend=True,
        )  # fmt: skip

    def _hover(self, row: int) -> str:
        """Return what is said of an item; the figure would read markup, so it gets none."""
        text = " ".join(self.texts[row].split())
        cut = text if len(text) <= HOVER else f"{text[: HOVER - 1]}…"
        return f"{escape(str(self.table['item_id'][row]), quote=False)}: {escape(cut, quote=False)}"

    def picture(self, by: str | None = None) -> str:
        """Return the map as an ``<img>`` that needs no script."""
        raw = base64.b64encode(figure_png(self.plot(by))).decode()
        alt = escape(f"Map of {counted(len(self.table), 'item')} coloured by {by or self.by}")
        return f'<img alt="{alt}" src="data:image/png;base64,{raw}">'

    def to_html(self) -> str:
        """Show the map as a picture, and how many items each group has."""
        if self.table.is_empty():
            return block("Map", note("There are no items."))
        found = self.groups()
        rows = [
            {self.by: name, "items": n, "share": n / len(self.table)}
            for name, n in zip(found.names, found.counts, strict=True)
        ]
        return block("Map", note(f"{self.method}."), self.picture(), table(rows))


def item_map(
    items: Any,
    *,
    by: str | Sequence[str] | None = None,
    vectors: Any = None,
    encoder: Any = None,
    places: Any = None,
    seed: int = 0,
    laid_out: int = LAID_OUT,
) -> ItemMap:
    """Lay items out in the plane, what is alike together.

    Parameters
    ----------
    items
        ``item_id, text`` and columns to colour by, text or numbers.
    by
        The column, or columns, to colour by, the first one first; by default every column that
        holds numbers or at most 200 different values.
    vectors
        The items' own vectors, one row an item: an array, or what numpy makes one of.
    encoder
        What makes them: a callable from texts to an array, or an object with ``encode``. Without
        both, words and pieces of words are compared (:func:`scalekit.audit.layout.text_vectors`).
    places
        x and y of each item, where they are laid out already: nothing is then computed.
    seed
        Of all draws: same items and seed, same map.
    laid_out
        How many items are laid out themselves; the others are placed beside their nearest.

    Raises
    ------
    FrameError
        When a column is missing, an item_id repeats, a text is missing, or the vectors don't fit.
    """
    frame = require(to_polars(items, "items"), ("item_id", "text"), "items")
    frame = texts_given(ids_unique(frame, "item_id", "items"), "items")
    columns = _columns(frame, by)
    texts = frame["text"].cast(pl.String)
    how, found = _laid_out(texts, vectors, encoder, places, seed, laid_out)
    made = frame.select(
        "item_id",
        pl.Series("x", found[:, 0], dtype=pl.Float32),
        pl.Series("y", found[:, 1], dtype=pl.Float32),
        *[pl.col(c) for c in columns if c in frame.columns],
        *([_word_count(texts)] if "words" in columns and "words" not in frame.columns else []),
    )
    return ItemMap(made, texts, how, made.columns[3], seed)


def _laid_out(
    texts: pl.Series, vectors: Any, encoder: Any, places: Any, seed: int, laid_out: int
) -> tuple[str, NDArray[np.float32]]:
    if sum(given is not None for given in (vectors, encoder, places)) > 1:
        raise FrameError("give one of vectors, encoder and places")
    rows = len(texts)
    if places is not None:
        return "Given places", given_places(places, rows)
    if encoder is not None:
        encode: Callable[[list[str]], Any] = getattr(encoder, "encode", encoder)
        vectors = encode(texts.to_list())
    if vectors is None:
        how, own = "Words and pieces of words (TF-IDF)", text_vectors(texts.to_list(), seed=seed)
    else:
        how, own = "Given vectors", given_vectors(vectors, rows, seed=seed)
    how = f"{how}, t-SNE, seed {seed}"
    if rows > laid_out:
        how = f"{how}; {laid_out:,} of {rows:,} laid out, the rest placed beside them"
    return how, layout(own, seed=seed, laid_out=laid_out)


def _columns(frame: pl.DataFrame, by: str | Sequence[str] | None) -> list[str]:
    if by is not None:
        asked = [by] if isinstance(by, str) else list(by)
        require(frame, [c for c in asked if c != "words"], "items")
        for name in asked:
            if name in HIDDEN or (name in frame.columns and frame[name].dtype.is_nested()):
                raise FrameError(f"items: column {name!r} is nothing to colour by")
        return list(dict.fromkeys([*asked, "words"]))
    fit = [c for c in frame.columns if c not in HIDDEN and _fits(frame[c])]
    first = [c for c in STANDARD if c in frame.columns and frame[c].count()]
    return list(dict.fromkeys([*first, *fit, "words"]))


def _fits(column: pl.Series) -> bool:
    if column.dtype.is_nested() or column.dtype == pl.Binary or column.n_unique() < 2:
        return False
    return column.dtype.is_numeric() or column.n_unique() <= SEVERAL


def _word_count(texts: pl.Series) -> pl.Series:
    return texts.str.count_matches(r"\S+").cast(pl.Int64).alias("words")


def _groups(column: pl.Series) -> Groups:
    if column.dtype.is_float():
        column = column.set(~column.is_finite().fill_null(False), None)
    values = column.drop_nulls()
    if column.dtype.is_numeric() and values.n_unique() > BINS:
        return _ranges(column.cast(pl.Float64))
    if column.dtype.is_numeric():
        said = [(v, _number(float(v))) for v in values.unique().sort()]
        return _coded(column, dict(said), ordered=True)
    column = column.cast(pl.String) if column.dtype != pl.Boolean else column
    ranked = column.drop_nulls().value_counts(sort=False).sort(
        ["count", column.name], descending=[True, False]
    )  # fmt: skip
    names = {True: "yes", False: "no"}
    return _coded(column, {v: names.get(v, v) for v in ranked[column.name]}, ordered=False)


def _coded(column: pl.Series, said: dict[Any, str], *, ordered: bool) -> Groups:
    """Give each value its code; values beyond the 253rd, and missing ones, share one each."""
    kept = list(said)[:VALUES]
    names = [said[v] for v in kept]
    names += [OTHER] * (len(said) > VALUES) + [NONE] * (column.null_count() > 0)
    place: dict[Any, int] = {v: i for i, v in enumerate(kept)} | {None: len(names) - 1}
    codes = np.array([place.get(v, VALUES) for v in column], np.uint8)
    return Groups(codes, tuple(names), _colours(len(kept), len(names), ordered), ordered)


def _colours(values: int, names: int, ordered: bool) -> tuple[str, ...]:
    if ordered:
        spread = np.linspace(0, len(ORDERED) - 1, max(values, 1)).round().astype(int)
        own = [ORDERED[i] for i in spread[:values]]
    else:
        own = [NAMED[i] if i < FEW else GREY for i in range(values)]
    return tuple(own + [GREY] * (names - values))


def _ranges(column: pl.Series) -> Groups:
    values = column.drop_nulls().to_numpy()
    cuts = np.unique(np.quantile(values, np.linspace(0, 1, BINS + 1)[1:-1]))
    cuts = cuts[(cuts > values.min()) & (cuts <= values.max())]
    inside = np.searchsorted(cuts, values, side="right")
    names = []
    for i in range(len(cuts) + 1):
        own = values[inside == i]
        low, high = _number(own.min()), _number(own.max())
        names.append(low if low == high else f"{low} to {high}")
    codes = np.full(len(column), len(names), np.uint8)
    codes[column.is_not_null().to_numpy()] = inside
    own_colours = _colours(len(names), len(names) + (len(values) < len(column)), True)
    if len(values) < len(column):
        names.append(NONE)
    return Groups(codes, tuple(names), own_colours, True)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value == round(value) else f"{value:.3g}"


def _label(name: str) -> str:
    """Return a name for a legend, without markup and not too long."""
    return escape(name if len(name) <= 32 else f"{name[:31]}…", quote=False)
