"""scalekit: build training data you can defend, and train on it with the learning governed.

    import scalekit as sk

    project = sk.Project("support-triage")

The names are loaded when first used, so that the import costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scalekit import audit, collect, decide, evaluate, govern, label, specify
    from scalekit.display import show
    from scalekit.gates import Check, Gate, GateClosedError
    from scalekit.project import Project, ProjectError
    from scalekit.specify import Spec

__version__ = "0.1.0"

_ROOMS = ("audit", "collect", "decide", "evaluate", "govern", "label", "specify")
_NAMES = {
    "Check": "scalekit.gates",
    "Gate": "scalekit.gates",
    "GateClosedError": "scalekit.gates",
    "Project": "scalekit.project",
    "ProjectError": "scalekit.project",
    "show": "scalekit.display",
    "Spec": "scalekit.specify",
}

__all__ = [
    "Check",
    "Gate",
    "GateClosedError",
    "Project",
    "ProjectError",
    "Spec",
    "__version__",
    "audit",
    "collect",
    "decide",
    "evaluate",
    "govern",
    "label",
    "show",
    "specify",
]


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return importlib.import_module(f"scalekit.{name}")
    if name in _NAMES:
        return getattr(importlib.import_module(_NAMES[name]), name)
    raise AttributeError(f"module 'scalekit' has no attribute {name!r}")


def __dir__() -> list[str]:
    return list(__all__)
