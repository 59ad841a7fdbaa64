"""Notebooks as reports: run them, bring them to a normal form, bake them, write them as HTML."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from scalekit.figures import figure_png
from scalekit.frames import write_atomically

__all__ = ["NotebookError", "bake", "execute", "normal_form", "notebook_html", "read_notebook"]

PLOTLY = "application/vnd.plotly.v1+json"
WIDGET = "application/vnd.jupyter.widget-view+json"


class NotebookError(RuntimeError):
    """A notebook can't be read, or a cell of it failed; the message says which."""


def read_notebook(path: Path) -> Any:
    """Read a notebook.

    Raises
    ------
    NotebookError
        When the file is not one.
    """
    import nbformat

    try:
        return nbformat.read(path, as_version=4)
    except (OSError, ValueError, nbformat.ValidationError, AttributeError) as error:
        raise NotebookError(f"{path}: not a notebook ({error})") from error


def execute(path: Path, on_cell: Callable[[int, int], None] | None = None) -> Any:
    """Run the notebook at *path* from top to bottom and return it; the file is not changed.

    Widget state is not stored: it would hide the static views in every export.

    Raises
    ------
    NotebookError
        When a cell fails: with the notebook, the cell and the error.
    """
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

    nb = read_notebook(path)
    code = [i for i, c in enumerate(nb.cells) if c.cell_type == "code"]

    at = 0

    def starts(cell: Any, cell_index: int, **_: Any) -> None:
        nonlocal at
        at = cell_index

    def done(cell: Any, cell_index: int, **_: Any) -> None:
        if on_cell is not None and cell_index in code:
            on_cell(code.index(cell_index) + 1, len(code))

    client = NotebookClient(
        nb,
        timeout=600,
        kernel_name="python3",
        store_widget_state=False,
        record_timing=False,
        extra_arguments=["--log-level=ERROR"],
        resources={"metadata": {"path": str(path.parent)}},
        on_cell_start=starts,
        on_cell_executed=done,
    )
    try:
        client.execute(env={**os.environ, "SCALEKIT_PROGRESS": "off"})
    except (CellExecutionError, DeadKernelError, CellTimeoutError) as error:
        said = f"{getattr(error, 'ename', type(error).__name__)}: {getattr(error, 'evalue', error)}"
        place = code.index(at) + 1 if at in code else 0
        raise NotebookError(f"{path.name}, code cell {place}: {said}") from error
    return nb


def normal_form(nb: Any) -> Any:
    """Bring an executed notebook to the form in which equal runs give equal bytes.

    Cell ids from place and content, counts from 1, streams merged, no timing, no widget state, no
    outputs that show nothing.
    """
    import nbformat

    nb.metadata = nbformat.from_dict(
        {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        }
    )
    count = 0
    for place, cell in enumerate(nb.cells):
        cell.id = f"{place:02d}-{hashlib.sha256(cell.source.encode()).hexdigest()[:8]}"
        tags = cell.metadata.get("tags")
        cell.metadata = nbformat.from_dict({"tags": tags} if tags else {})
        if cell.cell_type == "code":
            count += 1
            cell.execution_count = count
            cell.outputs = _normal_outputs(cell.outputs, count)
    return nb


def _normal_outputs(outputs: list[Any], count: int) -> list[Any]:
    import nbformat

    kept: list[Any] = []
    for output in outputs:
        if output.output_type == "execute_result":
            output.execution_count = count
        data = output.get("data")
        if data is not None:
            output.metadata = nbformat.from_dict({})
            data.pop(WIDGET, None)
            if not data or data.get("text/html") == "":
                continue
        if output.output_type == "stream" and kept and kept[-1].get("name") == output.name:
            kept[-1].text += output.text
            continue
        kept.append(output)
    return kept


def bake(nb: Any) -> Any:
    """Put a picture beside each interactive figure, so that it shows where no script runs."""
    nb.metadata.pop("widgets", None)
    for cell in nb.cells:
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if PLOTLY in data and "image/png" not in data:
                data["image/png"] = base64.b64encode(figure_png(data[PLOTLY])).decode() + "\n"
            if WIDGET in data and len(data) > 1:
                del data[WIDGET]
    return nb


def notebook_html(nb: Any, title: str) -> str:
    """Return an executed notebook as one HTML page that asks the network for nothing."""
    from nbconvert import HTMLExporter

    exporter = HTMLExporter(
        mathjax_url="", require_js_url="", jquery_url="", exclude_input_prompt=True,
        exclude_output_prompt=True, embed_images=True,
    )  # fmt: skip
    body, _ = exporter.from_notebook_node(bake(nb), {"metadata": {"name": title}})
    environment = exporter.environment
    dark, *_ = environment.loader.get_source(environment, "static/theme-dark.css")
    style = f"<style>@media (prefers-color-scheme: dark) {{{dark}}}</style>"
    return str(body).replace("</head>", f"{style}</head>", 1)


def write_notebook(nb: Any, path: Path) -> None:
    """Write a notebook atomically."""
    import nbformat

    write_atomically(path, nbformat.writes(nb) + "\n")
