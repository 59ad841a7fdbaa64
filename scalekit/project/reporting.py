"""What a project's report shows: the gates, every stage's evidence, the journals' heads."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scalekit.display import note, table
from scalekit.frames import FrameError, write_atomically
from scalekit.gates import GateClosedError
from scalekit.journal import signed_head
from scalekit.report import Report, Section, evidence_table, page, picture
from scalekit.signing import SIGNER, Signer

if TYPE_CHECKING:
    from scalekit.project.project import Project

__all__ = ["write_report"]


def write_report(project: Project, path: Path) -> Report:
    """Write the report of *project* to *path*, and ``report.json`` beside it.

    A stage that has nothing to show yet says so. The JSON holds the gates and the signed heads of
    the journals: kept elsewhere, it shows later whether a journal was cut or rewritten.
    """
    from scalekit import __version__

    board = project.board()
    spec = project.specify.spec.behaviour if _has_spec(project) else "No spec yet."
    sections = [
        Section("Gates", [board.to_html(), project.decide.to_html()]),
        _section("Specify", project, _specify),
        _section("Collect", project, _collect),
        _section("Audit", project, _audit),
        _section("Label", project, _label),
        _section("Train", project, _train),
        _section("Evaluate", project, _evaluate),
        _section("Evidence", project, lambda p: _evidence(p, path.parent)),
    ]
    heads = _heads(project)
    sections.append(Section("Journals", [_journals(heads)]))
    closing = f"Written by scalekit {__version__}. Every number above is drawn from the project."
    write_atomically(path, page(project.name, note(spec), sections, closing))
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


def _has_spec(project: Project) -> bool:
    return (project.folder / "spec.yaml").is_file()


def _section(title: str, project: Project, parts: Callable[[Project], list[str]]) -> Section:
    return Section(title, _shown(project, parts))


def _shown(project: Project, parts: Callable[[Project], list[str]]) -> list[str]:
    """Return the parts, or why there are none yet."""
    try:
        return parts(project)
    except (FrameError, GateClosedError, RuntimeError, ValueError) as error:
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
    return [
        note(f"{found.labels:,} labels count; {hours:.1f} active hours in all, left-out ones too."),
        found.to_html(),
        picture(found.plot()),
        note(f"{len(torn)} items on which votes differ; the most divided:"),
        table(torn, limit=8, where="project.label.disagreements()"),
        note(f"{len(given)} items whose category at the source the annotators outvote:"),
        table(given.drop("text"), limit=8, where="project.label.against_given()"),
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


def _evidence(project: Project, folder: Path) -> list[str]:
    root = project.folder.root
    return [evidence_table(root).linked_from(folder, root).to_html()]


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
        "file elsewhere: `scalekit verify PROJECT --against report.json` then shows whether a "
        "journal was edited, cut or rewritten since."
    )
    return note(said) + table([{"journal": h["journal"]} for h in heads], limit=60)
