from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import scalekit

ROOT = Path(scalekit.__file__).parent
GROUND = {
    "journal",
    "signing",
    "frames",
    "text",
    "gates",
    "display",
    "figures",
    "engine",
    "shingling",
    "intervals",
    "coefficients",
    "roc",
    "judgements",
    "bradley_terry_fit",
    "bradley_terry",
}
ROOMS = {"specify", "collect", "audit", "label", "govern", "evaluate", "decide"}
FLOORS = [GROUND, ROOMS, {"widgets", "report"}, {"project"}, {"cli"}]
FILES = sorted(p for p in ROOT.rglob("*.py") if "templates" not in p.relative_to(ROOT).parts)


def module(path: Path) -> str:
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module(p): p for p in FILES}


def imported(path: Path, *, types: bool) -> set[str]:
    """The modules of the package that a file names: at its top, in functions and, if asked, for
    types alone."""
    found = set()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING" and not types:
            node.body = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            base = node.module or ""
            inner = {f"{base}.{alias.name}" for alias in node.names}
            found |= {name if name in MODULES else base for name in inner}
    return {name for name in found if name.split(".")[0] == "scalekit"}


IMPORTS = {name: imported(path, types=True) for name, path in MODULES.items()}


def part(name: str) -> str:
    return [*name.split("."), ""][1]


def floor(name: str) -> int:
    return next(i for i, level in enumerate(FLOORS) if part(name) in level)


def test_every_file_belongs_to_a_floor() -> None:
    known = set().union(*FLOORS)
    assert len(MODULES) > 30
    assert {part(name) for name in MODULES} - {""} <= known
    for names in IMPORTS.values():
        assert names - {"scalekit"} <= set(MODULES), names - set(MODULES)


@pytest.mark.parametrize("name", [n for n in MODULES if n != "scalekit"])
def test_imports_only_go_down(name: str) -> None:
    for other in IMPORTS[name] - {"scalekit"}:
        same = part(other) == part(name)
        ground = part(name) in GROUND and part(other) in GROUND
        assert same or ground or floor(other) < floor(name), f"{name} imports {other}"


def test_only_the_command_line_and_the_report_ask_the_package_for_a_name() -> None:
    askers = {part(name) for name, others in IMPORTS.items() if "scalekit" in others}
    assert askers <= {"cli", "report", "project"}


def test_the_ground_knows_nothing_of_stages() -> None:
    for name, others in IMPORTS.items():
        if part(name) in GROUND:
            assert {part(o) for o in others} <= GROUND, name


def test_there_are_no_circles() -> None:
    # Take away, again and again, the modules that import nothing that is left.
    left = {name: imported(path, types=False) - {name} for name, path in MODULES.items()}
    left.pop("scalekit")
    while left:
        free = {name for name, others in left.items() if not others & set(left)}
        assert free, f"a circle among {sorted(left)}"
        left = {name: others for name, others in left.items() if name not in free}


def test_importing_the_package_loads_no_room_and_no_heavy_library() -> None:
    code = "import scalekit, sys; print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {m for m in done.stdout.split() if m.startswith("scalekit")}
    assert loaded == {"scalekit"}
    assert not {"polars", "torch", "plotly", "sklearn"} & set(done.stdout.split())


def test_the_rooms_need_neither_torch_nor_a_notebook() -> None:
    rooms = ", ".join(f"scalekit.{r}" for r in sorted(ROOMS - {"govern"}))
    code = f"import {rooms}, sys; print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "ipywidgets", "anywidget", "matplotlib"} & set(done.stdout.split())


def test_every_public_name_is_there() -> None:
    for name in scalekit.__all__:
        assert getattr(scalekit, name) is not None
    for name in MODULES:
        if name in ("scalekit.cli", "scalekit"):
            continue
        loaded = __import__(name, fromlist=["_"])
        for public in loaded.__all__:
            assert hasattr(loaded, public), f"{name}.{public}"
    with pytest.raises(AttributeError, match="nothing"):
        _ = scalekit.nothing
