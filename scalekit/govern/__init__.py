"""Govern: training whose every update is routed, bounded, enforced, recorded, and explained."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scalekit.govern.classifier import TextClassifier
    from scalekit.govern.governor import GovernError, Governor, govern
    from scalekit.govern.guard import Guard
    from scalekit.govern.run import Plain, Run, fit
    from scalekit.govern.strength import EntropyBudget
    from scalekit.govern.oracle import Verification, verify

# torch is loaded with the first name that needs it, not with the room.
_WHERE = {
    "EntropyBudget": "strength", "GovernError": "governor", "Governor": "governor",
    "Guard": "guard", "Plain": "run", "Run": "run", "TextClassifier": "classifier",
    "Verification": "oracle", "fit": "run", "govern": "governor", "verify": "oracle",
}  # fmt: skip

__all__ = [
    "EntropyBudget", "GovernError", "Governor", "Guard", "Plain", "Run", "TextClassifier",
    "Verification", "fit", "govern", "verify",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_WHERE[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
