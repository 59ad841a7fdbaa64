"""One JupyterLab and one browser for all tests of this folder."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from lab import Desk, Notebook, Server, chromium, chromium_path, jupyter_lab


def _need_browser() -> None:
    missing = [] if chromium_path() else ["Chromium (apt install chromium)"]
    if importlib.util.find_spec("playwright") is None:
        missing.append("playwright (pip install playwright)")
    if not missing:
        return
    reason = f"no browser tests without {' and '.join(missing)}"
    if os.environ.get("CI") == "true":
        pytest.fail(f"{reason}; CI must have them")
    pytest.skip(reason)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    _need_browser()
    with jupyter_lab(tmp_path_factory.mktemp("lab")) as running:
        yield running


@pytest.fixture(scope="session")
def desk(server: Server) -> Iterator[Desk]:
    with chromium() as browser:
        yield Desk(server, browser.new_page(viewport={"width": 1280, "height": 900}))


@pytest.fixture
def folder(server: Server, request: pytest.FixtureRequest) -> Path:
    """A folder for one test, below the one that the server serves."""
    made = server.root / request.node.name
    made.mkdir()
    return made


@pytest.fixture
def open_notebook(desk: Desk, request: pytest.FixtureRequest) -> Iterator[Callable[..., Notebook]]:
    """Open a notebook with the given cells.

    The test fails where the browser's console has an error or a warning, or another machine is
    asked for anything.
    """
    opened: list[Notebook] = []

    def open_one(*cells: str) -> Notebook:
        name = f"{request.node.name}-{len(opened)}.ipynb"
        opened.append(desk.open(name, cells))
        return opened[-1]

    yield open_one
    if desk.theme != "Light":
        desk.wear("Light", "body")
    for notebook in opened:
        notebook.close()
    assert not desk.foreign_requests()
    errors, desk.errors = desk.errors, []
    assert not errors
