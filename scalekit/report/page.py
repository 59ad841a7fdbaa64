"""The report: one HTML page that needs no network, no script and no other file."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from scalekit.display import View, block, note, table
from scalekit.figures import figure_png

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["Report", "Section", "page", "picture"]

STYLE = """
:root { color-scheme: light dark; --ink: #1d2733; --soft: #5d6b7a; --line: #d9dfe6; --page: #fff;
  --panel: #f5f7fa; --accent: #2f6fd0; --mark: #ffe08a; }
@media (prefers-color-scheme: dark) { :root { --ink: #e3e8ee; --soft: #9aa7b5; --line: #37424f;
  --page: #14181d; --panel: #1c222a; --accent: #7fb0ff; --mark: #6b5510; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2.5rem 1.5rem 4rem; max-width: 68rem; background: var(--page);
  color: var(--ink); font: 15px/1.55 system-ui, "Segoe UI", Helvetica, Arial, sans-serif; }
header { border-bottom: 3px solid var(--accent); padding-bottom: 1rem; margin-bottom: 1.5rem; }
h1 { font-size: 1.9rem; margin: 0 0 .3rem; } h2 { font-size: 1.3rem; margin: 2.6rem 0 .6rem;
  border-bottom: 1px solid var(--line); padding-bottom: .25rem; }
nav { display: flex; flex-wrap: wrap; gap: .4rem; margin: 1rem 0 0; padding: 0; }
nav a { border: 1px solid var(--line); border-radius: 1rem; padding: .15rem .8rem;
  color: var(--ink); text-decoration: none; background: var(--panel); }
nav a:hover, nav a:focus { border-color: var(--accent); }
a { color: var(--accent); } td div { min-width: 15rem; }
td div + div { margin-top: .3rem; } p { overflow-wrap: anywhere; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; margin: .5rem 0 1rem;
  font-size: .87rem; } th { text-align: left; color: var(--soft); font-weight: 600; }
th, td { padding: .3rem .7rem .3rem 0; border-bottom: 1px solid var(--line);
  vertical-align: top; overflow-wrap: break-word; }
td { min-width: 4.5rem; max-width: 30rem; } td[align=right] { min-width: 0;
  text-align: right; font-variant-numeric: tabular-nums; }
mark { background: var(--mark); color: inherit; } img { max-width: 100%; height: auto; }
figure { margin: 1rem 0; } footer { margin-top: 3rem; color: var(--soft); font-size: .85rem; }
pre { white-space: pre-wrap; background: var(--panel); padding: .8rem 1rem; border-radius: .4rem; }
@media (max-width: 40rem) { body { padding: 1.2rem .9rem 3rem; } h1 { font-size: 1.5rem; } }
@media print { nav { display: none; } h2 { break-after: avoid; }
  table, figure { break-inside: avoid; } }
"""


@dataclass(frozen=True)
class Section:
    """One part of the report: views and figures under a title, in order."""

    title: str
    parts: Sequence[str]


@dataclass(frozen=True)
class Report(View):
    """A written report."""

    path: Path
    sections: tuple[str, ...]
    kilobytes: int

    @property
    def table(self) -> pl.DataFrame:
        """The sections."""
        return pl.DataFrame({"section": self.sections})

    def __str__(self) -> str:
        """Return where it is, for a terminal."""
        return f"Report: {self.path} ({self.kilobytes:,} kB)"

    def to_html(self) -> str:
        """Say where the report is and what it holds."""
        said = f"{self.path.name}: {len(self.sections)} sections, one file, no network needed."
        return block("Report", note(said), table(self.table))


def picture(drawn: go.Figure) -> str:
    """Return a plotly figure as an embedded picture with its title as the alternative text."""
    title = escape(str(drawn.layout.title.text or "figure"), quote=True)
    data = base64.b64encode(figure_png(drawn)).decode()
    return f'<figure><img alt="{title}" src="data:image/png;base64,{data}"></figure>'


def page(title: str, lead: str, sections: Sequence[Section], closing: str) -> str:
    """Return a whole HTML page.

    *lead* and the parts of sections are HTML; *title* and *closing* are text.
    """
    anchors = [f"s{i}" for i, _ in enumerate(sections, 1)]
    named = list(zip(anchors, sections, strict=True))
    links = "".join(f'<a href="#{a}">{escape(s.title)}</a>' for a, s in named)
    body = (
        "".join(
            f'<section id="{a}"><h2>{escape(s.title)}</h2>{"".join(s.parts)}</section>'
            for a, s in named
        )
        .replace("<table>", '<div class="scroll"><table>')
        .replace("</table>", "</table></div>")
    )
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head><body>"
        f"<header><h1>{escape(title)}</h1>{lead}<nav>{links}</nav></header>"
        f"<main>{body}</main><footer>{escape(closing)}</footer></body></html>\n"
    )
