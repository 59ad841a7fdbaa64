"""The command line: what it says, what it exits with, what it never touches."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest
from typer.testing import CliRunner, Result

import scalekit as sk
from scalekit.cli import app
from scalekit.journal import Journal

WELL, NOT_WELL, CANT = 0, 1, 2


def call(*words: object) -> Result:
    return CliRunner().invoke(app, [str(w) for w in words], env={"COLUMNS": "400"})


def said(result: Result) -> str:
    return re.sub(r"\s+", " ", result.output)


def notebook(path: Path, *cells: str, tags: dict[int, list[str]] | None = None) -> Path:
    nb = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in cells])
    for place, given in (tags or {}).items():
        nb.cells[place].metadata["tags"] = given
    nbformat.write(nb, path)
    return path


def test_new_copies_notebooks_and_samples_and_never_overwrites(tmp_path: Path) -> None:
    assert call("new", tmp_path / "work").exit_code == WELL
    names = sorted(p.name for p in (tmp_path / "work").glob("*.ipynb"))
    assert names[0].startswith("1_")
    assert len(names) == 8
    assert (tmp_path / "work/data_samples/support-triage/spec.yaml").is_file()
    assert not list((tmp_path / "work").rglob("how_it_was_made"))
    mine = tmp_path / "work" / names[0]
    mine.write_text("my own work")
    (tmp_path / "work" / names[1]).unlink()
    again = call("new", tmp_path / "work")
    assert again.exit_code == WELL
    assert "1 files copied" in said(again)
    assert "stay" in said(again)
    assert mine.read_text() == "my own work"


def test_new_on_a_file_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    result = call("new", tmp_path / "file")
    assert result.exit_code == CANT
    assert "Traceback" not in result.output
    assert (tmp_path / "file").read_text() == "in the way"


def test_status_exits_by_the_gates(tmp_path: Path, labelled: Any) -> None:
    sk.Project(tmp_path / "empty")
    for folder in (tmp_path / "empty", labelled.folder.root):
        result = call("status", folder)
        assert result.exit_code == NOT_WELL
        assert "Next:" in result.output
    assert "not judged" in said(call("status", tmp_path / "empty"))


def test_status_of_a_project_with_all_gates_passed_is_zero(sealed: Any) -> None:
    dev = sealed.evaluate._opened()
    known = dict(dev.select("text", "category").iter_rows())
    known |= dict(sealed.specify.spec.handwritten.select("text", "category").iter_rows())
    known |= dict(sealed.evaluate._current()._open().select("text", "category").iter_rows())
    sealed.evaluate.measure(lambda texts: [known[t] for t in texts], sealed="an oracle")
    assert sealed.evaluate.gate().passed
    result = call("status", sealed.folder.root)
    assert result.exit_code == WELL, result.output
    (sealed.folder / "spec.yaml").write_text(
        (sealed.folder / "spec.yaml").read_text().replace("40 agents", "50 agents")
    )
    assert call("status", sealed.folder.root).exit_code == NOT_WELL


def test_status_as_json_is_json_and_nothing_else(labelled: Any) -> None:
    result = call("status", labelled.folder.root, "--json")
    gates = json.loads(result.stdout)["gates"]
    assert [g["stage"] for g in gates] == ["specify", "collect", "audit", "label", "evaluate"]
    assert result.exit_code == NOT_WELL


@pytest.mark.parametrize("command", ["status", "verify", "report"])
def test_a_folder_without_a_project_is_refused_and_left_as_it_is(
    tmp_path: Path, command: str
) -> None:
    for folder in (tmp_path, tmp_path / "nowhere"):
        result = call(command, folder)
        assert result.exit_code == CANT
        assert "no project here" in said(result)
    assert not list(tmp_path.iterdir())


def test_a_message_with_brackets_is_shown_whole(tmp_path: Path) -> None:
    folder = tmp_path / "a[b]c[bold]"
    assert "a[b]c[bold]" in said(call("status", folder))


def test_a_broken_project_is_said_in_one_message(labelled: Any) -> None:
    (labelled.folder / "spec.yaml").write_text("name: [unclosed")
    result = call("status", labelled.folder.root)
    assert result.exit_code == CANT
    assert "spec.yaml: not readable as YAML" in said(result)


@pytest.fixture
def kept(labelled: Any, tmp_path: Path) -> Path:
    """A report.json kept outside the project."""
    path = tmp_path / "kept.json"
    path.write_bytes(labelled.report().path.with_suffix(".json").read_bytes())
    return path


def some_journal(project: Any) -> Path:
    return sorted((project.folder / "label/events/ana").glob("*.jsonl"))[0]


def rewrite(path: Path, keep: int | None = None) -> None:
    """Write the journal anew with a whole chain of its own."""
    events = [json.loads(line) for line in path.read_text().splitlines()][:keep]
    path.unlink()
    with Journal(path) as journal:
        for event in events:
            data = (
                {**event["data"], "value": "billing"} if "value" in event["data"] else event["data"]
            )
            journal.append(event["kind"], data)


def test_verify_of_an_untouched_project_is_zero(labelled: Any, kept: Path) -> None:
    assert call("verify", labelled.folder.root).exit_code == WELL
    result = call("verify", labelled.folder.root, "--against", kept)
    assert result.exit_code == WELL, result.output
    labelled.label.invite("fatima")  # growing is no fault
    assert call("verify", labelled.folder.root, "--against", kept).exit_code == WELL


def test_verify_shows_an_edit_without_any_report(labelled: Any) -> None:
    path = some_journal(labelled)
    path.write_bytes(path.read_bytes().replace(b'"billing"', b'"returns"', 1))
    result = call("verify", labelled.folder.root)
    assert result.exit_code == NOT_WELL
    assert "edited" in said(result)


def test_verify_shows_a_line_cut_out(labelled: Any) -> None:
    path = some_journal(labelled)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:5] + lines[6:]))
    result = call("verify", labelled.folder.root)
    assert result.exit_code == NOT_WELL
    assert "deleted" in said(result)


@pytest.mark.parametrize(
    ("damage", "verdict"),
    [
        (
            lambda p: p.write_bytes(b"".join(p.read_bytes().splitlines(keepends=True)[:5])),
            "truncated",
        ),
        (lambda p: p.unlink(), "truncated"),
        (lambda p: p.write_bytes(b""), "truncated"),
        (rewrite, "rewritten"),
        (lambda p: rewrite(p, 5), "truncated"),
    ],
)
def test_a_cut_or_rewritten_journal_shows_against_an_earlier_report(
    labelled: Any, kept: Path, damage: Any, verdict: str
) -> None:
    damage(some_journal(labelled))
    alone = call("verify", labelled.folder.root)
    assert alone.exit_code == WELL
    assert "Without --against" in said(alone)
    result = call("verify", labelled.folder.root, "--against", kept)
    assert result.exit_code == NOT_WELL
    assert verdict in said(result)


def test_labels_moved_to_another_annotator_show(labelled: Any, kept: Path) -> None:
    path = some_journal(labelled)
    path.rename(labelled.folder / "label/events/ben" / path.name)
    assert call("verify", labelled.folder.root, "--against", kept).exit_code == NOT_WELL


def test_verify_with_another_key_trusts_nothing(labelled: Any, kept: Path) -> None:
    result = call("verify", labelled.folder.root, "--against", kept, "--key", "00" * 31 + "01")
    assert result.exit_code in (NOT_WELL, CANT)
    assert "none of the given keys signed this" in said(result)
    right = json.loads(kept.read_text())["public_key"]
    assert call("verify", labelled.folder.root, "--against", kept, "--key", right).exit_code == WELL


@pytest.mark.parametrize("key", ["zz", "ab", "00" * 33])
def test_a_key_that_is_none_is_named_as_the_fault(labelled: Any, kept: Path, key: str) -> None:
    result = call("verify", labelled.folder.root, "--against", kept, "--key", key)
    assert result.exit_code == CANT
    assert "key" in said(result).lower()
    assert "not a report.json" not in said(result)


def test_verify_without_the_own_key_makes_none_and_asks_for_it(
    labelled: Any, kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCALEKIT_KEYS", str(tmp_path / "elsewhere"))
    result = call("verify", labelled.folder.root, "--against", kept)
    assert result.exit_code == CANT
    assert "--key" in said(result)
    assert not (tmp_path / "elsewhere").exists()


def test_a_forged_report_is_refused(labelled: Any, kept: Path) -> None:
    heads = json.loads(kept.read_text())
    heads["heads"][0]["head"]["payload"] = heads["heads"][1]["head"]["payload"]
    kept.write_text(json.dumps(heads))
    result = call("verify", labelled.folder.root, "--against", kept)
    assert result.exit_code in (NOT_WELL, CANT)
    assert "changed after signing" in said(result)


@pytest.mark.parametrize("content", ["", "[]", '{"heads": 3}', '{"heads": [{}]}'])
def test_something_else_than_a_report_is_said(labelled: Any, tmp_path: Path, content: str) -> None:
    (tmp_path / "other.json").write_text(content)
    result = call("verify", labelled.folder.root, "--against", tmp_path / "other.json")
    assert result.exit_code == CANT
    assert "not a report.json of a scalekit project" in said(result)


def test_report_writes_one_file_where_asked(labelled: Any, tmp_path: Path) -> None:
    result = call("report", labelled.folder.root, "--to", tmp_path / "r.html")
    assert result.exit_code == WELL
    html = (tmp_path / "r.html").read_text()
    assert "<h2>Evaluate</h2>" in html
    assert not re.search(r"""(?:src|href)\s*=\s*["']?https?:""", html)


def test_report_of_a_notebook_asks_the_network_for_nothing(tmp_path: Path) -> None:
    path = notebook(tmp_path / "n.ipynb", "1 + 1")
    result = call("report", path)
    assert result.exit_code == WELL
    html = (tmp_path / "n.html").read_text()
    assert not re.search(r"""(?:src|href)\s*=\s*["']?https?:""", html)
    (tmp_path / "broken.ipynb").write_text("{}")
    assert call("report", tmp_path / "broken.ipynb").exit_code == CANT


def test_run_stops_at_a_failing_notebook_and_names_the_cell(tmp_path: Path) -> None:
    notebook(tmp_path / "1_good.ipynb", "print('good')")
    bad = notebook(tmp_path / "2_bad.ipynb", "x = 1", "1 / 0", "x = 2")
    never = notebook(tmp_path / "3_never.ipynb", "print('never')")
    before = bad.read_bytes(), never.read_bytes()
    result = call("run", tmp_path)
    assert result.exit_code == NOT_WELL
    assert "2_bad.ipynb, code cell 2: ZeroDivisionError: division by zero" in said(result)
    assert (bad.read_bytes(), never.read_bytes()) == before
    assert "good" in (tmp_path / "1_good.ipynb").read_text().partition("outputs")[2]


def test_run_says_a_line_as_each_notebook_is_done(tmp_path: Path) -> None:
    notebook(tmp_path / "1_good.ipynb", "print('good')")
    notebook(tmp_path / "2_bad.ipynb", "1 / 0")
    result = call("run", tmp_path)
    first, second = result.output.splitlines()
    assert re.fullmatch(r"1_good\.ipynb: \d+ s", first)
    assert "2_bad.ipynb, code cell 1" in second


def test_run_names_the_cell_that_failed_not_one_that_was_meant_to(tmp_path: Path) -> None:
    cells = ("raise ValueError('meant')", "x = 1", "raise KeyError('real')")
    notebook(tmp_path / "n.ipynb", *cells, tags={0: ["raises-exception"]})
    result = call("run", tmp_path)
    assert result.exit_code == NOT_WELL
    assert "code cell 3: KeyError" in said(result)


def test_run_names_the_cell_in_which_the_kernel_died(tmp_path: Path) -> None:
    notebook(tmp_path / "n.ipynb", "x = 1", "import os; os._exit(3)", "x = 2")
    result = call("run", tmp_path)
    assert result.exit_code == NOT_WELL
    assert "n.ipynb, code cell 2" in said(result)


def test_run_on_a_folder_without_notebooks_says_what_to_do(tmp_path: Path) -> None:
    result = call("run", tmp_path)
    assert result.exit_code == CANT
    assert "scalekit new" in said(result)


def test_the_installed_command_says_plainly_what_is_wrong(tmp_path: Path, keys: Path) -> None:
    command = [sys.executable, "-c", "from scalekit.cli import main; main()", "status", "."]
    env = {**os.environ, "SCALEKIT_KEYS": str(keys)}
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)
    assert done.returncode == CANT
    assert "no project here" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
