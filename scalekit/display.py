"""Static views: the same plain tables and pictures in every room, and in every export.

HTML here survives what hosts do to notebooks: no script, no style sheet, no class that matters,
every text escaped. Themes colour it; nothing is said by colour alone.
"""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from math import inf, isfinite
from typing import Any

import polars as pl

__all__ = [
    "Markup",
    "Progress",
    "View",
    "badge",
    "block",
    "counted",
    "marked",
    "money",
    "note",
    "show",
    "table",
]


ISO_TIME = re.compile(r"(\d{4}-\d\d-\d\d)(?:T(\d\d:\d\d)[\d:.]*(?:Z|\+00:00))?")
"""A date, or a time in UTC: shown in one piece, to the minute."""
MAX_ROWS = 20
MAX_CHARS = 240


class View:
    """A result that shows itself without kernel, script or network.

    A subclass gives ``to_html``; the plain-text form is the first line of what it shows.
    """

    def to_html(self) -> str:
        """Return the view as plain HTML."""
        raise NotImplementedError

    def __str__(self) -> str:
        """Return the table, for ``print`` outside a notebook."""
        shown = getattr(self, "table", None)
        return f"{type(self).__name__}\n{shown}" if isinstance(shown, pl.DataFrame) else repr(self)

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return {"text/plain": f"<{type(self).__name__}>", "text/html": self.to_html()}


def counted(n: int, noun: str) -> str:
    """Return a count with its noun: 1 run, 2 runs, 3 batches."""
    plural = f"{noun}es" if noun.endswith(("ch", "sh", "s", "x")) else f"{noun}s"
    return f"{n:,} {noun if n == 1 else plural}"


def money(amount: float, currency: str = "") -> str:
    """Return an amount with its currency before it: €18.00, USD 0.045; three decimals under 1."""
    gap = " " if currency[-1:].isalpha() else ""
    sign = "-" if amount < 0 else ""
    return f"{sign}{currency}{gap}{abs(amount):,.{3 if 0 < abs(amount) < 1 else 2}f}"


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
    """Return *text* escaped, with character *spans* highlighted and the rest cut to *context*.

    A span without length marks nothing: it says where to look.
    """
    if not spans:
        return escape(text[: 2 * context]) + ("…" if len(text) > 2 * context else "")
    first, last = spans[0][0], spans[-1][1]
    before, after = text[max(0, first - context) : first], text[last : last + context]
    # Cut between words where there is a gap.
    if first > context:
        before = "…" + (before.split(" ", 1)[1] if " " in before else before)
    if last + context < len(text):
        after = (after.rsplit(" ", 1)[0] if " " in after else after) + "…"
    out, at = [escape(before)], first
    for start, end in spans:
        between = text[at:start]
        if len(between) > 3 * context:
            between = f"{between[:context]} … {between[-context:]}"
        words = f"<mark>{escape(text[start:end])}</mark>" if start < end else ""
        out += [escape(between), words]
        at = end
    return "".join([*out, escape(after)])


class Markup(str):
    """HTML that is already escaped, for a cell of :func:`table`."""

    __slots__ = ()


def _cell(value: Any, number: str, chars: int | None) -> str:
    if value is None:
        return ""
    if isinstance(value, Markup):
        return str(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        if not (isinstance(value, int) or isfinite(value)):
            return "–" if value != value else str(value)
        tiny = 1e-12 < abs(value) < 5e-4  # what three decimals would show as nothing
        return format(value, ".0e" if tiny else number)
    if isinstance(value, list | tuple):
        return escape(", ".join(map(str, value)))
    said = str(value)
    if moment := ISO_TIME.fullmatch(said):
        said = " ".join(filter(None, moment.groups()))
        return f'<span style="white-space:nowrap">{said}</span>'
    if chars and len(said) > chars:
        said = f"{said[:chars]}… ({len(said):,} characters)"
    return escape(said).replace("\n", "<br>")


def _number_format(values: Sequence[Any]) -> str:
    """Return one format for the numbers of a column, so that they can be read down it.

    Three decimals, one fewer for each digit that the largest has before its point from 10 on, and
    no more than any needs.
    """
    numbers = [v for v in values if isinstance(v, int | float)]
    known = [v for v in numbers if isinstance(v, int) or isfinite(v)]
    largest = max(map(abs, known), default=0)
    comma = "," if largest >= 10_000 else ""
    if not any(isinstance(v, float) for v in numbers):
        return f"{comma}d"
    most = 3 if largest < 10 else 2 if largest < 100 else 1 if largest < 1000 else 0
    said = [f"{v:.{most}f}".rstrip("0") for v in known] if most else []
    return f"z{comma}.{max((len(x.partition('.')[2]) for x in said), default=0)}f"


def _numeric(records: Sequence[Mapping[str, Any]], column: str) -> bool:
    known = [r[column] for r in records if r[column] is not None]
    return bool(known) and all(
        isinstance(v, int | float) and not isinstance(v, bool) for v in known
    )


def table(
    rows: pl.DataFrame | Sequence[Mapping[str, Any]] | None,
    limit: int = MAX_ROWS,
    empty: str = "",
    where: str = ".table",
    chars: int | None = MAX_CHARS,
    right: Collection[str] = (),
) -> str:
    """Return *rows* as a plain HTML table; how much is left out, and *where* all of it is, is said.

    Numbers stand right, with as many decimals in the whole column, three at most, and so do
    the columns named in *right*; texts longer than *chars* are cut and say their length.
    """
    records = rows.to_dicts() if isinstance(rows, pl.DataFrame) else list(rows or [])
    if not records:
        return note(empty) if empty else ""
    # Alignment twice: hosts style cells to the right, and some of them drop one of the two forms.
    sides = {n: "right" if n in right or _numeric(records, n) else "left" for n in records[0]}
    form = {n: f'align="{side}" style="text-align:{side}"' for n, side in sides.items()}
    head = "".join(f"<th {form[n]}>{escape(str(n))}</th>" for n in records[0])
    shown = records[:limit]
    numbers = {n: _number_format([r[n] for r in shown]) for n in sides}
    body = []
    for record in shown:
        cells = "".join(
            f"<td {form[n]}>{_cell(value, numbers[n], chars)}</td>" for n, value in record.items()
        )
        body.append(f"<tr>{cells}</tr>")
    hidden = len(records) - limit
    more = note(f"… and {counted(hidden, 'more row')} in {where}") if hidden > 0 else ""
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody></table>{more}"


@dataclass(frozen=True)
class Shown(View):
    """A table as a view: texts whole, at most *limit* rows."""

    table: pl.DataFrame
    limit: int = MAX_ROWS

    def to_html(self) -> str:
        """Show the table."""
        return table(self.table, self.limit, empty="No rows.", chars=None)


def show(frame: Any, limit: int = MAX_ROWS) -> Shown:
    """Return a view of any data frame in which texts are readable, for the end of a cell."""
    from scalekit.frames import to_polars

    return Shown(to_polars(frame), limit)


class Progress:
    """A progress bar that appears only when the work takes more than two seconds.

    Use as ``with Progress("Reading") as progress:`` and call ``progress(done, total)``. In a
    terminal it stands on standard error; in a notebook in the cell's output, which it leaves empty.
    With ``SCALEKIT_PROGRESS=off`` none appears: for notebooks that nobody watches as they run.
    """

    def __init__(self, what: str, after: float = 2.0) -> None:
        off = os.environ.get("SCALEKIT_PROGRESS") == "off"
        self._what, self._due = what, inf if off else after
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
