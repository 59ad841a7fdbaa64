"""What strict nbval does not see: a stripped, stale, failing or unreadable template."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path

import nbformat
import pytest

from scalekit.report.notebooks import normal_form

BOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))
PLOTLY = "application/vnd.plotly.v1+json"
STAGES = ("1_specify", "2_collect", "3_audit", "4_label", "5_train", "6_evaluate")


def code_cells(path: Path) -> list[nbformat.NotebookNode]:
    return [c for c in nbformat.read(path, as_version=4).cells if c.cell_type == "code"]


def test_there_are_six_in_the_order_of_the_stages_and_a_tour_of_ten_cells() -> None:
    assert tuple(b.stem for b in BOOKS) == (*STAGES, "first_label", "tour")
    assert len(code_cells(BOOKS[-1])) == 10


@pytest.mark.parametrize("path", BOOKS, ids=lambda p: p.stem)
def test_template_is_executed_and_in_normal_form(path: Path) -> None:
    nb = nbformat.read(path, as_version=4)
    nbformat.validate(nb)
    cells = code_cells(path)
    assert [c.execution_count for c in cells] == list(range(1, len(cells) + 1))
    # nbval compares nothing in a cell that has no outputs.
    assert all(c.outputs or c.source.startswith("import") for c in cells if _shows(c.source))
    assert normal_form(deepcopy(nb)) == nb, "run `make notebooks`"


def _shows(source: str) -> bool:
    last = source.rstrip().splitlines()[-1]
    return not last.startswith((" ", ")", "import", "from")) and " = " not in last


@pytest.mark.parametrize("path", BOOKS, ids=lambda p: p.stem)
def test_every_output_can_be_seen_without_kernel_or_script(path: Path) -> None:
    for cell in code_cells(path):
        for output in cell.outputs:
            assert output.output_type != "error"
            assert output.get("name") != "stderr", output.text
            data = output.get("data", {"text/plain": ""})
            assert PLOTLY not in data or "image/png" in data, cell.source
            assert "<script" not in data.get("text/html", "")


@pytest.mark.parametrize("path", BOOKS, ids=lambda p: p.stem)
def test_cells_are_short_and_no_path_of_a_machine_is_shown(path: Path) -> None:
    for cell in code_cells(path):
        assert len(cell.source.splitlines()) <= 30, cell.source
        assert "/tmp/" not in json.dumps(cell.outputs), cell.source
        assert "/home/" not in json.dumps(cell.outputs), cell.source


@pytest.mark.parametrize("path", BOOKS[:6], ids=lambda p: p.stem)
def test_each_stage_opens_behind_a_gate_and_ends_at_its_own(path: Path) -> None:
    sources = [c.source for c in code_cells(path)]
    stage = path.stem[2:]
    if stage != "specify":
        assert ".gate()" in sources[0]
    if stage != "train":
        assert any(f"project.{stage}.gate()" in s for s in sources[-3:])
