"""The slicer: items on a map; choose some by lasso, rectangle or legend, and name them."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl
import traitlets
from numpy.typing import NDArray

from scalekit.audit.map import ItemMap, symbol_of
from scalekit.audit.slices import SliceBook, WordCounts, slice_statistics
from scalekit.display import block, counted, note, table
from scalekit.signing import digest
from scalekit.widgets.base import Widget, script, style

__all__ = ["Slicer"]

WIDEST = 65_535  # places go to the browser as 16 bits
SHOWN_TEXT = 400  # characters of a text under the pointer
EXAMPLES = 5
EXAMPLE_TEXT = 160
NOTABLE = 8
ASKED = 50  # texts in one message


class Slicer(Widget):
    """Choose items on a map and name them: a slice.

    Parameters
    ----------
    item_map
        The items in the plane, from :func:`scalekit.audit.item_map`.
    book
        Where slices are kept; a slice counts as saved once it is on disk.
    marks
        ``item_id, rule`` of the audit, compared too.
    by
        Who names the slices.
    """

    _esm = script("slicer")
    _css = style("slicer")
    points = traitlets.Bytes().tag(sync=True)

    def __init__(
        self, item_map: ItemMap, book: SliceBook, *, marks: Any = None, by: str = ""
    ) -> None:
        self.map = item_map
        self._book, self._marks, self._by = book, marks, by
        self._items = item_map.table.with_columns(item_map.texts.alias("text"))
        self._ids: list[str] = self._items["item_id"].to_list()
        self._places = {item: place for place, item in enumerate(self._ids)}
        self._words = WordCounts(item_map.texts)
        self._slices = self._known()
        self._static = ""
        self._picture = ""
        groups = {name: item_map.groups(name) for name in item_map.columns}
        super().__init__(
            {
                "count": len(self._ids),
                "columns": [
                    {
                        "name": name,
                        "groups": [
                            {"name": n, "count": c, "colour": o, "symbol": symbol_of(code)}
                            for code, (n, c, o) in enumerate(
                                zip(g.names, g.counts, g.colours, strict=True)
                            )
                        ],
                    }
                    for name, g in groups.items()
                ],
                "by": item_map.columns.index(item_map.by),
                "slices": self._listed(),
                "store": f"scalekit/slices/{digest([str(book.path), self._ids])}",
            }
        )
        self.points = _packed(item_map.table, [g.codes for g in groups.values()])

    def _known(self) -> dict[str, NDArray[np.int64]]:
        """Return the places of each slice's items, of those that are on the map."""
        return {
            name: np.array([self._places[i] for i in ids if i in self._places], np.int64)
            for name, ids in self._book.ids().items()
        }

    def _listed(self) -> list[dict[str, Any]]:
        return [{"name": name, "count": len(at)} for name, at in self._slices.items()]

    def answer(self, message: Mapping[str, Any]) -> dict[str, Any]:
        """Return texts, look at a choice, keep it under a name, or return a kept one."""
        kind = message.get("kind")
        if kind == "texts":
            return {"texts": self._texts(message.get("places"))}
        if kind == "look":
            return {"look": self._look(self._chosen(message))}
        if kind == "save":
            return self._save(message)
        if kind == "recall":
            return {"chosen": self._recalled(message.get("name"))}
        raise ValueError(f"a slicer does not know {kind!r}")

    def _texts(self, places: Any) -> dict[str, list[str]]:
        wanted = places[:ASKED] if isinstance(places, list) else []
        known = [p for p in wanted if isinstance(p, int) and 0 <= p < len(self._ids)]
        return {str(p): [self._ids[p], _cut(self.map.texts[p], SHOWN_TEXT)] for p in known}

    def _look(self, chosen: NDArray[np.bool_]) -> dict[str, Any]:
        if not chosen.any():
            return {"words": [], "rows": [], "examples": []}
        found = self._statistics(np.flatnonzero(chosen))
        # What the slice has comes before what it lacks.
        rows = found.notable.sort(pl.col("says") != "more", maintain_order=True).head(NOTABLE)
        spread = np.linspace(0, chosen.sum() - 1, min(EXAMPLES, int(chosen.sum()))).astype(int)
        return {
            "words": found.words["word"].to_list(),
            "rows": rows.select("column", "value", "share", "whole", "says").rows(),
            "examples": [
                _cut(self.map.texts[i], EXAMPLE_TEXT)
                for i in np.flatnonzero(chosen)[spread].tolist()
            ],
        }

    def _statistics(self, places: NDArray[np.int64]) -> Any:
        ids = self._items["item_id"].gather(places)
        return slice_statistics(self._items, ids, marks=self._marks, counts=self._words)

    def _chosen(self, message: Mapping[str, Any]) -> NDArray[np.bool_]:
        """Return the choice, which comes as one bit for each item."""
        try:
            raw = base64.b64decode(str(message.get("chosen", "")), validate=True)
        except ValueError as error:
            raise ValueError(f"the choice is not readable ({error})") from error
        if len(raw) != -(-len(self._ids) // 8):
            raise ValueError("the choice is one of other items: run the cell again")
        bits = np.unpackbits(np.frombuffer(raw, np.uint8), bitorder="little")
        return bits[: len(self._ids)].astype(bool)

    def _save(self, message: Mapping[str, Any]) -> dict[str, Any]:
        places = np.flatnonzero(self._chosen(message))
        ids = [self._ids[i] for i in places.tolist()]
        act = str(message.get("id", ""))
        self._book.save(str(message.get("name", "")), ids, by=self._by, act=act)
        self._slices = self._known()
        self._static = ""
        return {"slices": self._listed()}

    def _recalled(self, name: Any) -> str:
        if name not in self._slices:
            raise ValueError(f"there is no slice {name!r}")
        bits = np.zeros(len(self._ids), bool)
        bits[self._slices[name]] = True
        return base64.b64encode(np.packbits(bits, bitorder="little").tobytes()).decode()

    def to_html(self) -> str:
        """Show the map as a picture, and the slices on disk with what is typical of them."""
        if not self._static:
            self._picture = self._picture or (self.map.picture() if self._ids else "")
            rows = [self._row(name, places) for name, places in self._slices.items() if len(places)]
            said = f"{counted(len(self._ids), 'item')}, {counted(len(rows), 'slice')}"
            named = table(rows, empty="No slice is named yet.")
            self._static = block("Map", said, note(self.map.method), self._picture, named)
        return self._static

    def _row(self, name: str, places: NDArray[np.int64]) -> dict[str, Any]:
        found = self._statistics(places)
        more = found.notable.filter(pl.col("says") == "more").head(3)
        over = [f"{v} {s:.0%} (whole {w:.0%})" for v, s, w in
                more.select("value", "share", "whole").iter_rows()]  # fmt: skip
        return {
            "slice": name,
            "items": found.items,
            "share": found.items / found.whole,
            "more than in the whole": ", ".join(over),
            "typical words": ", ".join(found.words["word"].head(6)),
        }


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _packed(places: pl.DataFrame, codes: list[NDArray[np.uint8]]) -> bytes:
    """Return x and y as 16 bits, y downwards, then the codes of each column as 8."""
    x, y = (places[c].to_numpy().astype(np.float64) for c in ("x", "y"))
    across = np.round((x + 1) / 2 * WIDEST).clip(0, WIDEST).astype("<u2")
    down = np.round((1 - y) / 2 * WIDEST).clip(0, WIDEST).astype("<u2")
    return b"".join([across.tobytes(), down.tobytes(), *(c.tobytes() for c in codes)])
