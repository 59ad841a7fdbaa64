"""Notebooks run, in normal form, baked, and written as one page."""

from __future__ import annotations

import base64
import re
from pathlib import Path

import nbformat
import pytest

from scalekit.report.notebooks import (
    NotebookError,
    bake,
    execute,
    normal_form,
    notebook_html,
    read_notebook,
)


def write(path: Path, *cells: str) -> Path:
    nb = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in cells])
    nbformat.write(nb, path)
    return path


FIGURE = """
from scalekit.figures import figure
import plotly.graph_objects as go
figure("Counts", y="n").add_trace(go.Bar(x=["a", "b"], y=[1, 2]))
"""


@pytest.fixture(scope="module")
def executed(tmp_path_factory: pytest.TempPathFactory) -> nbformat.NotebookNode:
    folder = tmp_path_factory.mktemp("books")
    return execute(write(folder / "book.ipynb", "print(1)\nprint(2)", FIGURE, "40 + 2"))


def test_execution_counts_cells_and_leaves_the_file_alone(tmp_path: Path) -> None:
    path = write(tmp_path / "book.ipynb", "x = 1", "x + 1")
    before = path.read_bytes()
    seen: list[tuple[int, int]] = []
    nb = execute(path, lambda done, total: seen.append((done, total)))
    assert seen == [(1, 2), (2, 2)]
    assert nb.cells[1].outputs[0].data["text/plain"] == "2"
    assert path.read_bytes() == before


def test_a_failing_cell_is_named_with_its_error(tmp_path: Path) -> None:
    path = write(tmp_path / "book.ipynb", "1", "raise ValueError('no such column')", "3")
    with pytest.raises(NotebookError, match=r"book.ipynb, code cell 2: ValueError: no such column"):
        execute(path)


def test_what_is_no_notebook_is_refused_with_its_name(tmp_path: Path) -> None:
    path = tmp_path / "book.ipynb"
    path.write_text("{}")
    with pytest.raises(NotebookError, match=r"book.ipynb: not a notebook"):
        read_notebook(path)


def test_normal_form_is_idempotent_and_merges_streams(executed: nbformat.NotebookNode) -> None:
    once = normal_form(nbformat.from_dict(executed))
    again = normal_form(nbformat.reads(nbformat.writes(once), as_version=4))
    assert nbformat.writes(once) == nbformat.writes(again)
    assert once.cells[0].outputs[0].text == "1\n2\n"
    assert [c.execution_count for c in once.cells] == [1, 2, 3]


def test_a_figure_is_baked_as_a_picture_and_shown_without_network(
    executed: nbformat.NotebookNode,
) -> None:
    baked = bake(nbformat.from_dict(executed))
    picture = base64.b64decode(baked.cells[1].outputs[0].data["image/png"])
    assert picture.startswith(b"\x89PNG")
    html = notebook_html(baked, "book")
    assert "data:image/png;base64," in html
    asked = re.findall(r"""(?:src|href)\s*=\s*["'](https?:[^"']+)""", html)
    assert not asked
