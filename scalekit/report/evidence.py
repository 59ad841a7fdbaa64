"""Evidence towards the rules: each requirement with the records that speak to it, or without.

Nothing here says that a rule is met. A row whose records are there is evidenced; one that lacks
some is listed as not evidenced, with what is there and what is missing.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote

import polars as pl

from scalekit.display import Markup, View, block, counted, note, table
from scalekit.report.records import KINDS, Found, Records
from scalekit.report.requirements import READ_ON, REQUIREMENTS, RULES, Requirement

__all__ = ["EvidenceTable", "StatementError", "evidence_table"]

EVIDENCED, NOT, OUTSIDE = "evidenced", "not evidenced", "out of scope"
DISCLAIMER = (
    "Evidence towards the rules named, drawn from the project's records. It is no legal opinion "
    "and no statement that a rule is met: that is for people to judge, who must add what the "
    "column “a person adds” names."
)
STATEMENTS = "statements.toml"


class StatementError(ValueError):
    """``statements.toml`` can't be read; the message says where and what to do."""


@dataclass(frozen=True)
class EvidenceTable(View):
    """Requirements and their evidence.

    ``table`` has ``requirement, rule, asks, status`` ("evidenced", "not evidenced", "out of
    scope")``, evidence`` (kind: what it says)``, links`` (relative to the project)``, missing``
    (kinds)``, a person adds, stated`` (by whom and when; empty where nobody did).
    """

    table: pl.DataFrame

    @property
    def not_evidenced(self) -> pl.DataFrame:
        """The rows that lack a record: ``requirement, asks, missing``."""
        rows = self.table.filter(pl.col("status") == NOT)
        return rows.select("requirement", "asks", "missing")

    def linked_from(self, folder: Path, root: Path) -> EvidenceTable:
        """Return the same with links that open from a page in *folder*; *root* is the project's."""
        up = Path(os.path.relpath(root.absolute(), folder.absolute())).as_posix()
        links = self.table["links"].to_list()
        led = [[f"{up}/{link}" for link in row] for row in links]
        return EvidenceTable(self.table.with_columns(pl.Series("links", led, pl.List(pl.String))))

    def to_html(self) -> str:
        """Show the rules with their versions, the rows with links, and what is not evidenced."""
        rules = [{"rule": r.name, "text": r.version, "dates": r.dates} for r in RULES.values()]
        shown = [
            {
                "requirement": row["requirement"],
                "asks for": row["asks"],
                "status": row["status"],
                "evidence": Markup("".join(map(_linked, row["evidence"], row["links"]))),
                "missing": _said(row["missing"]),
                "a person adds": row["a person adds"],
                "stated": row["stated"],
            }
            for row in self.table.to_dicts()
        ]
        if not any(self.table["stated"]):  # nobody stated anything: no column of nothing
            shown = [{n: v for n, v in row.items() if n != "stated"} for row in shown]
        lacking = [
            {"requirement": r["requirement"], "missing": _said(r["missing"])}
            for r in self.not_evidenced.to_dicts()
        ]
        return block(
            "Evidence towards the rules", self.said, note(DISCLAIMER),
            note(f"Versions as read on {READ_ON}:"), table(rules), table(shown, limit=60),
            note("Not evidenced:"), table(lacking, limit=60, empty="Every row has its records."),
        )  # fmt: skip

    def to_markdown(self) -> str:
        """Return the same as Markdown, links relative to the project's folder."""
        lines = ["# Evidence towards the rules", "", DISCLAIMER, ""]
        lines += [f"- {r.name}: {r.version}. {r.dates}" for r in RULES.values()]
        lines += [f"- Versions as read on {READ_ON}.", "", self.said, ""]
        head = (
            "requirement",
            "asks for",
            "status",
            "evidence",
            "missing",
            "a person adds",
            "stated",
        )
        lines += [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
        for row in self.table.to_dicts():
            links = [f"[{_plain(said)}]({quote(link)})" for said, link
                     in zip(row["evidence"], row["links"], strict=True)]  # fmt: skip
            cells = [row["requirement"], row["asks"], row["status"], "<br>".join(links)]
            cells += [_said(row["missing"]), row["a person adds"], _plain(row["stated"])]
            lines.append(f"| {' | '.join(cells)} |")
        lines += ["", "## Not evidenced", ""]
        lines += [f"- {r['requirement']}: {_said(r['missing'])}"
                  for r in self.not_evidenced.to_dicts()]  # fmt: skip
        return "\n".join(lines) + "\n"

    @property
    def said(self) -> str:
        """How many rows are evidenced, and how many not, in a sentence."""
        status = self.table["status"].to_list()
        return f"{counted(status.count(EVIDENCED), 'row')} evidenced, {status.count(NOT)} not."


def evidence_table(root: Path | str) -> EvidenceTable:
    """Return the table for the project in the folder *root*, from its files alone.

    What people state is read from ``statements.toml``: ``[[statement]]`` with ``requirement``,
    ``text``, ``by`` and ``date``; and ``[special_categories]`` with ``present``, ``retention`` and
    ``access``.

    Raises
    ------
    StatementError
        When that file can't be read, or a statement lacks a field or names no requirement.
    JournalError
        When a journal was changed from outside.
    """
    records = Records(Path(root))
    stated = _statements(Path(root) / STATEMENTS)
    found = {name: kind.find(records) for name, kind in KINDS.items()}
    rows = [_row(r, found, stated) for r in REQUIREMENTS]
    text = ("requirement", "rule", "asks", "status", "a person adds", "stated")
    lists = ("evidence", "links", "missing")
    kinds: dict[str, Any] = dict.fromkeys(text, pl.String) | dict.fromkeys(
        lists, pl.List(pl.String)
    )
    order = (*text[:4], *lists, *text[4:])
    return EvidenceTable(pl.DataFrame(rows, schema={name: kinds[name] for name in order}))


def _row(
    asked: Requirement, found: Mapping[str, Found | None], stated: Mapping[str, str]
) -> dict[str, Any]:
    there = [(name, piece) for name in asked.records if (piece := found[name])]
    missing = [name for name in asked.records if not found[name]]
    if asked.outside:
        status, missing = OUTSIDE, [asked.outside]
    else:
        status = NOT if missing else EVIDENCED
    return {
        "requirement": asked.name, "rule": asked.rule, "asks": asked.asks, "status": status,
        "evidence": [f"{KINDS[name].said}: {piece.said}" for name, piece in there],
        "links": [piece.path for _, piece in there], "missing": missing,
        "a person adds": asked.person, "stated": stated.get(asked.name, ""),
    }  # fmt: skip


def _statements(path: Path) -> dict[str, str]:
    if not path.is_file():
        return {}
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise StatementError(f"{path}: not readable as TOML ({error})") from error
    names = {r.name for r in REQUIREMENTS}
    said = {}
    for number, one in enumerate(raw.get("statement", []), 1):
        lacking = [f for f in ("requirement", "text", "by", "date") if not one.get(f)]
        if lacking:
            raise StatementError(f"{path}, statement {number}: {', '.join(lacking)} is missing")
        if one["requirement"] not in names:
            raise StatementError(
                f"{path}, statement {number}: no requirement {one['requirement']!r}; there are "
                f"{', '.join(sorted(names))}"
            )
        said[one["requirement"]] = f"{one['text']} ({one['by']}, {one['date']})"
    return said


def _linked(said: str, path: str) -> str:
    return f'<div><a href="{escape(quote(path), quote=True)}">{escape(said)}</a></div>'


def _said(kinds: list[str]) -> str:
    """Return what is missing, with the verb that makes it where there is one."""
    said = []
    for name in kinds:
        kind = KINDS.get(name)
        made_by = f" ({kind.made_by} writes it)" if kind and kind.made_by else ""
        said.append(f"{kind.said if kind else name}{made_by}")
    return "; ".join(said)


def _plain(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("[", "(").replace("]", ")")
