"""The command line: ``scalekit new | lab | run | status | verify | report | package``.

Exit codes: 0 all is well; 1 a gate is not passed, a notebook failed or a journal does not verify;
2 the command can't be carried out as asked.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

__all__ = ["main"]

app = typer.Typer(
    help="Build training data you can defend.", no_args_is_help=True, add_completion=False
)
out = Console()
err = Console(stderr=True)

NOT_WELL, CANT = 1, 2
SKIPPED = ("how_it_was_made", "__pycache__", ".ipynb_checkpoints")


def _plain_errors(command: Callable[..., Any]) -> Callable[..., Any]:
    """Show what the project's own errors say, without a traceback."""

    @wraps(command)
    def run(*args: Any, **kwargs: Any) -> Any:
        try:
            return command(*args, **kwargs)
        except typer.Exit:  # is a RuntimeError itself
            raise
        except (ValueError, RuntimeError, OSError) as error:
            err.print("[bold red]scalekit:[/]", Text(str(error)), soft_wrap=True)
            raise typer.Exit(CANT) from error

    return run


def templates() -> Path:
    """Return the folder that holds ``notebooks`` and ``data_samples``: installed, or a checkout."""
    here = Path(__file__).parent
    for folder in (here / "templates", here.parent):
        if (folder / "notebooks").is_dir():
            return folder
    raise RuntimeError("the template notebooks are not installed with this scalekit")


@app.command()
@_plain_errors
def new(folder: Annotated[Path, typer.Argument(help="Where to put the notebooks.")]) -> None:
    """Copy the template notebooks and the sample data into a folder; nothing is overwritten."""
    copied, kept = copy_templates(folder)
    out.print(
        f"{folder}: {copied} files copied" + (f", {kept} were there and stay" if kept else "")
    )
    out.print(f"Next: scalekit lab {folder}")


def copy_templates(folder: Path) -> tuple[int, int]:
    """Copy what is not there yet; return how many files were copied and how many stay."""
    copied = kept = 0
    source = templates()
    for part in ("notebooks", "data_samples"):
        for path in sorted((source / part).rglob("*")):
            if path.is_dir() or any(s in path.parts for s in SKIPPED):
                continue
            inside = path.relative_to(source / part)
            target = folder / inside if part == "notebooks" else folder / part / inside
            if target.exists():
                kept += 1
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
            copied += 1
    return copied, kept


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
@_plain_errors
def lab(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(help="Made when it is not there.")],
) -> None:
    """Open the notebooks in JupyterLab; further options go to it, such as --allow-root."""
    copy_templates(folder)
    first = sorted(folder.glob("*.ipynb"))[0]
    os.execv(sys.executable, [sys.executable, "-m", "jupyterlab", *context.args, str(first)])


@app.command()
@_plain_errors
def run(folder: Annotated[Path, typer.Argument(help="A folder of notebooks.")]) -> None:
    """Run a folder's notebooks in order, writing their outputs into them; stop at a failure.

    Where nobody watches a bar, in a log say, each notebook is a line with its time once it is run.
    """
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    from scalekit.report.notebooks import (
        NotebookError,
        bake,
        execute,
        normal_form,
        write_notebook,
    )

    books = sorted(folder.glob("*.ipynb"))
    if not books:
        raise ValueError(
            f"{folder}: there are no notebooks; `scalekit new {folder}` puts them there"
        )
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=err, disable=not err.is_terminal) as progress:
        for book in books:
            began = time.monotonic()
            task = progress.add_task(book.name, total=1)

            def cell_done(done: int, total: int, task: Any = task) -> None:
                progress.update(task, completed=done, total=total)

            try:
                nb = execute(book, cell_done)
            except NotebookError as error:
                progress.stop()
                err.print("[bold red]scalekit:[/]", Text(str(error)), soft_wrap=True)
                raise typer.Exit(NOT_WELL) from error
            write_notebook(bake(normal_form(nb)), book)
            if progress.disable:
                out.print(Text(f"{book.name}: {time.monotonic() - began:.0f} s"))
    out.print(f"{len(books)} notebooks run: {folder}")


ProjectPath = Annotated[Path, typer.Argument(help="The project's folder.")]
ProjectOrRun = Annotated[
    Path, typer.Argument(help="A project's folder, that of a run, or an evidence package.")
]


def _project(folder: Path) -> Any:
    from scalekit.project import Project

    if not (folder / "project.toml").is_file():
        raise ValueError(f"{folder}: no project here (project.toml is missing)")
    return Project(folder)


@app.command()
@_plain_errors
def status(
    project: ProjectPath,
    as_json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False,
) -> None:
    """Show the gate board; exit 0 only when every gate is passed and fresh."""
    board = _project(project).board()
    if as_json:
        out.print_json(data={"project": board.name, "gates": board.table.to_dicts()})
    else:
        shown = Table(title=f"{board.name} ({board.profile})")
        for column in ("stage", "gate", "what to do"):
            shown.add_column(column)
        for row in board.table.to_dicts():
            shown.add_row(row["stage"], row["gate"], row["what to do"])
        out.print(shown)
        out.print(f"Next: {board.next}")
    raise typer.Exit(0 if board.passed else NOT_WELL)


@app.command()
@_plain_errors
def verify(
    project: ProjectOrRun,
    against: Annotated[
        Path | None, typer.Option(help="A report.json kept elsewhere, with signed heads.")
    ] = None,
    key: Annotated[
        str | None, typer.Option(help="The signer's public key, in hex (default: your own).")
    ] = None,
) -> None:
    """Check a project, the record of one governed run or an evidence package; exit 1 on a fault.

    A project's journals are checked against signed heads if there are any, and its scores computed
    again from the stored predictions. A run's folder is checked from its chain to its released
    weights: it closes, or the first break is named. A package needs the public key alone.
    """
    if project.suffix == ".zip":
        _verify_package(project, key)
    if (project / "run.json").is_file():
        _verify_run(project, key)
    from scalekit.journal import verify as verify_journal

    found = _project(project)
    heads, keys = _heads(against, key)
    journals = {str(p.relative_to(found.folder.root)): p for p in found.folder.journals()}
    for name in heads:
        journals.setdefault(name, found.folder.root / name)
    shown = Table(title=f"Journals of {found.name}")
    for column in ("journal", "events", "verdict", "where and why"):
        shown.add_column(column)
    sound = _verify_scores(found)
    for name, path in sorted(journals.items()):
        result = verify_journal(path, heads.get(name), keys)
        sound = sound and bool(result)
        place = f"line {result.line}: {result.reason}" if result.line else ""
        torn = f"a torn last line of {result.torn_bytes} bytes" if result.torn_bytes else ""
        shown.add_row(name, str(result.events), result.verdict, place or torn)
    out.print(shown)
    sound = _verify_seals(found) and sound
    if against is None:
        out.print("Without --against, a cut or rewritten journal can't be told from a whole one.")
    raise typer.Exit(0 if sound else NOT_WELL)


def _verify_seals(project: Any) -> bool:
    found = project.evaluate.verify()
    if len(found.table):
        shown = Table(title=f"Seals of {project.name}")
        for column in ("seal", "part", "verdict", "why"):
            shown.add_column(column)
        for row in found.table.rows():
            shown.add_row(*map(Text, row))
        out.print(shown)
    return bool(found)


def _verify_scores(project: Any) -> bool:
    from scalekit.report.replay import replay

    found = replay(project.folder.root)
    if found.table.is_empty():
        return True
    counts = dict(found.table["verdict"].value_counts().iter_rows())
    said = ", ".join(f"{n} {verdict}" for verdict, n in sorted(counts.items()))
    out.print(f"Scores replayed from stored predictions, bit for bit: {said}")
    for row in found.differing.to_dicts():
        stored = f"{row['file']}, {row['score of']}: stored {row['stored']}"
        out.print(Text(f"{stored}; replayed {row['replayed']}"), soft_wrap=True)
    return found.differing.is_empty()


def _verify_package(path: Path, key: str | None) -> None:
    from scalekit.report import verify_package

    result = verify_package(path, [_public_key(key)])
    _show_checks(f"Package {path.name}: {'holds' if result else 'does not hold'}", result.table)
    raise typer.Exit(0 if result else NOT_WELL)


def _verify_run(folder: Path, key: str | None) -> None:
    from scalekit.govern.verification import verify_folder

    result = verify_folder(folder, [_public_key(key)])
    _show_checks(f"Run {folder.name}: {'closed' if result else 'not closed'}", result.table)
    raise typer.Exit(0 if result else NOT_WELL)


def _show_checks(title: str, checks: Any) -> None:
    shown = Table(title=title)
    for column in ("check", "holds", "what was found"):
        shown.add_column(column)
    for row in checks.to_dicts():
        shown.add_row(row["check"], "yes" if row["holds"] else "NO", Text(row["what was found"]))
    out.print(shown)


def _heads(against: Path | None, key: str | None) -> tuple[dict[str, Any], tuple[bytes, ...]]:
    if against is None:
        return {}, ()

    try:
        kept = json.loads(against.read_text(encoding="utf-8"))
        heads = {h["journal"]: h["head"] for h in kept["heads"]}
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{against}: not a report.json of a scalekit project ({error!r})"
        ) from error
    return heads, (_public_key(key),)


def _public_key(key: str | None) -> bytes:
    from scalekit.signing import SIGNER, Signer, keys_folder

    if key is None:
        if not (keys_folder() / f"{SIGNER}.pem").is_file():
            raise ValueError("you have no key of your own here: give the signer's with --key")
        return Signer.load(SIGNER).public
    try:
        public = bytes.fromhex(key)
    except ValueError:
        public = b""
    if len(public) != 32:
        raise ValueError(f"--key {key!r} is no public key: 64 hex digits are needed")
    return public


@app.command()
@_plain_errors
def report(
    what: Annotated[Path, typer.Argument(help="A project's folder, or an executed notebook.")],
    to: Annotated[Path | None, typer.Option("--to", help="The HTML file to write.")] = None,
) -> None:
    """Write one self-contained HTML file: of a project, or of an executed notebook."""
    if what.suffix == ".ipynb":
        from scalekit.frames import write_atomically
        from scalekit.report.notebooks import notebook_html, read_notebook

        target = to or what.with_suffix(".html")
        write_atomically(target, notebook_html(read_notebook(what), what.stem))
        out.print(str(target), soft_wrap=True)
        return
    with err.status("Writing the report"):
        written = _project(what).report(to)
    out.print(str(written.path), soft_wrap=True)


@app.command()
@_plain_errors
def package(
    project: ProjectPath,
    responsible: Annotated[str, typer.Option(help="Who answers for the test result.")],
    licence: Annotated[str, typer.Option(help="SPDX expression or LicenseRef-….")],
    to: Annotated[Path | None, typer.Option("--to", help="The zip to write.")] = None,
) -> None:
    """Write a project's evidence package; `scalekit verify` checks it with the public key alone."""
    from scalekit.project.packaging import pack

    with err.status("Packing the evidence"):
        written = pack(_project(project), to, responsible=responsible, licence=licence)
    out.print(str(written.path), soft_wrap=True)


def main() -> None:
    """Run the command line."""
    app()
