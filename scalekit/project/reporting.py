"""What a project's report shows: the gates, every stage's evidence, the journals' heads."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from scalekit.display import block, counted, note, table
from scalekit.frames import FrameError, write_atomically
from scalekit.gates import GateClosedError
from scalekit.journal import signed_head
from scalekit.report import EvidenceTable, Report, Section, evidence_table, page, picture
from scalekit.signing import SIGNER, Signer

if TYPE_CHECKING:
    from scalekit.project.gatebook import Board
    from scalekit.project.project import Project

__all__ = ["write_report"]

MISSING = (FrameError, GateClosedError, RuntimeError, ValueError)
"""What a room raises that has nothing to show yet."""


def write_report(project: Project, path: Path) -> Report:
    """Write the report of *project* to *path*, and ``report.json`` beside it.

    A stage that has nothing to show yet says so. The JSON holds the gates and the signed heads of
    the journals: kept elsewhere, it shows later whether a journal was cut or rewritten.
    """
    from scalekit import __version__

    board = project.board()
    spec = project.specify.spec.behaviour if _has_spec(project) else "No spec yet."
    evidence = cache(lambda: evidence_table(project.folder.root))  # reads every journal
    sections = [
        Section("Summary", [table(_summary(project, board, evidence)), note("Times are UTC.")]),
        Section("Gates", [_gates(board), project.decide.to_html()]),
        _section("Specify", project, _specify),
        _section("Collect", project, _collect),
        _section("Audit", project, _audit),
        _section("Label", project, _label),
        _section("Train", project, _train),
        _section("Evaluate", project, _evaluate),
        _section("Loop", project, _loop),
        _section("Evidence", project, lambda p: _evidence(p, path.parent, evidence())),
    ]
    heads = _heads(project)
    sections.append(Section("Journals", [_journals(heads)]))
    closing = f"Written by scalekit {__version__}. Every number above is drawn from the project."
    lead = note(spec) + note(f"Written on {datetime.now(UTC):%d %B %Y at %H:%M} UTC.")
    write_atomically(path, page(project.name, lead, sections, closing))
    gates = project.folder.events("gates.jsonl", "gate")
    machine = {
        "project": project.name,
        "scalekit": __version__,
        "gates": board.table.to_dicts(),
        "judgements": [{**e.data, "at": e.at} for e in gates],
        "public_key": Signer.load(SIGNER, outside=project.folder.root).public.hex(),
        "heads": heads,
    }
    beside = path.with_suffix(".json")
    write_atomically(beside, json.dumps(machine, indent=1, ensure_ascii=False) + "\n")
    size = round(path.stat().st_size / 1024)
    return Report(path, tuple(s.title for s in sections), size)


def _summary(
    project: Project, board: Board, evidence: Callable[[], EvidenceTable]
) -> list[dict[str, str]]:
    """Return the figures a reader asks for first; of what is not there yet, that it is not."""
    asked: dict[str, Callable[[], str]] = {
        "gates": lambda: (
            f"{sum(s.state == 'passed' for s in board.states)} of "
            f"{len(board.states)} passed. {'' if board.passed else board.next}"
        ),
        "data": lambda: _said_of_data(project),
        "labels": lambda: _said_of_labels(project),
        "trained on": lambda: counted(len(project.evaluate.train_items()), "item"),
        "score": lambda: _said_of_scores(project),
        "evidence towards the rules": lambda: evidence().said,
    }
    return [{"": what, "now": _said_or_not_yet(say)} for what, say in asked.items()]


def _said_or_not_yet(say: Callable[[], str]) -> str:
    try:
        return say()
    except MISSING:
        return "not yet"


def _said_of_data(project: Project) -> str:
    batches, report = project.collect.batches(), project.audit.report()
    return (
        f"{len(report.kept):,} of {len(report.items):,} items in use, from "
        f"{counted(len(batches), 'batch')}, "
        "each with source, date and rights"
    )


def _said_of_labels(project: Project) -> str:
    found = project.label.agreement()
    low, high = found.interval or (None, None)
    between = "" if low is None else f" ({low:.2f} to {high:.2f})"
    return (
        f"{found.labels:,} by {counted(len(project.label.annotators), 'annotator')}; "
        f"Krippendorff's alpha {found.alpha}{between}"
    )


def _said_of_scores(project: Project) -> str:
    sets = project.evaluate.measured().sets.filter(pl.col("set") != "train")
    scores = "; ".join(
        f"{r['set']} {r['accuracy']:.3f} ({r['from']:.3f} to {r['to']:.3f})"
        for r in sets.to_dicts()
    )
    target = project.specify.spec.target
    return scores if target is None else f"{scores}; target {target:g}"


def _gates(board: Board) -> str:
    after = "" if board.passed else note(f"Next: {board.next}")
    return block(f"{board.name} ({board.profile})", table(board.table), after)


def _has_spec(project: Project) -> bool:
    return (project.folder / "spec.yaml").is_file()


def _section(title: str, project: Project, parts: Callable[[Project], list[str]]) -> Section:
    return Section(title, _shown(project, parts))


def _shown(project: Project, parts: Callable[[Project], list[str]]) -> list[str]:
    """Return the parts, or why there are none yet."""
    try:
        return parts(project)
    except MISSING as error:
        # The report is handed on: of a place on this machine it tells the last name alone.
        said = re.sub(r"(?<!\S)/(?:[^\s/]+/)+", "", str(error))
        return [note(f"Nothing to show yet: {said}")]


def _specify(project: Project) -> list[str]:
    versions = project.specify.versions().select("number", "at", "changes")
    return [project.specify.spec.to_html(), note("Versions:"), table(versions)]


def _collect(project: Project) -> list[str]:
    return [project.collect.sources().to_html()]


def _audit(project: Project) -> list[str]:
    report = project.audit.report()
    return [report.to_html(), picture(report.plot())]


def _label(project: Project) -> list[str]:
    found = project.label.agreement()
    hours = project.label.seconds() / 3600
    torn = project.label.disagreements()
    given = project.label.against_given()
    decided = project.label.resolutions().drop("at")
    return [
        note(f"{found.labels:,} labels count; {hours:.1f} active hours in all, left-out ones too."),
        found.to_html(),
        picture(found.plot()),
        note(f"{len(torn)} items on which votes differ; the most divided:"),
        table(torn, limit=8, where="project.label.disagreements()"),
        note(f"{len(given)} items whose category at the source the annotators outvote:"),
        table(given.drop("text"), limit=8, where="project.label.against_given()"),
        note(f"{len(decided)} items decided by an adjudicator, with the reason:"),
        table(decided, limit=8, where="project.label.resolutions()"),
        note("Instructions as they stand:"),
        f"<pre>{escape(project.label.instructions)}</pre>",
    ]


def _train(project: Project) -> list[str]:
    run = project.train.last()
    closed = project.train.verify()
    return [
        run.to_html(),
        picture(run.plot()),
        closed.to_html(),
        note(f"Weights: {project.train.digest()}"),
    ]


def _evaluate(project: Project) -> list[str]:
    measured = project.evaluate.measured()
    # Sets and leaks need the seal's key; what was measured is on file.
    sets = _shown(project, lambda p: [p.evaluate.sets().to_html()])
    diagnosis = _shown(project, lambda p: [p.evaluate.diagnose().to_html()])
    return [*sets, measured.to_html(), picture(measured.plot()), *diagnosis]


def _loop(project: Project) -> list[str]:
    """Return what was done after the first measurement, and what the last turn brought."""
    done = project.evaluate.history()
    shown = [table(done, limit=60, empty="Nothing was accepted, traced or forecast yet.")]
    for last in project.evaluate.cycles()[-1:]:
        shown += [last.to_html(), picture(last.plot())]
    return shown


def _evidence(project: Project, folder: Path, found: EvidenceTable) -> list[str]:
    said = (
        "Links open where this page lies in the project's folder. For a reader elsewhere, "
        "project.package() writes one signed file that holds the records too."
    )
    return [note(said), found.linked_from(folder, project.folder.root).to_html()]


def _heads(project: Project) -> list[dict[str, Any]]:
    signer = Signer.load(SIGNER, outside=project.folder.root)
    root = project.folder.root
    return [
        {"journal": str(j.relative_to(root)), "head": signed_head(j, signer)}
        for j in project.folder.journals()
    ]


def _journals(heads: list[dict[str, Any]]) -> str:
    said = (
        f"{len(heads)} journals; their signed heads are in the JSON beside this page. Keep that "
        "file elsewhere: this shows whether a journal was edited, cut or rewritten since."
    )
    command = "<pre>scalekit verify PROJECT --against report.json</pre>"
    return note(said) + command + note(", ".join(h["journal"] for h in heads))
