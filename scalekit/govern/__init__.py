"""Govern: training whose every update is routed, bounded, enforced, recorded, and explained."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scalekit.govern.batch import GovernError
    from scalekit.govern.callbacks import hugging_face_callback, lightning_callback
    from scalekit.govern.classifier import TextClassifier
    from scalekit.govern.depths import DepthError, DepthMap, depth_map
    from scalekit.govern.finished import FinishedRun
    from scalekit.govern.governor import Governor, govern
    from scalekit.govern.guard import Guard
    from scalekit.govern.localisation import Localisation, localise
    from scalekit.govern.manifest import Manifest, ManifestError
    from scalekit.govern.oracle import Verification, verify
    from scalekit.govern.prov_export import prov_graph
    from scalekit.govern.provenance import Explanation, Provenance, Taught, influence
    from scalekit.govern.readout import Readout
    from scalekit.govern.record import Closed, RecordError, RunRecord, verify_run
    from scalekit.govern.representation import RepresentationFloor, effective_rank
    from scalekit.govern.routes import RouteError, register_route
    from scalekit.govern.run import GovernedRun
    from scalekit.govern.settings import Examples, Settings
    from scalekit.govern.step_report import StepReport
    from scalekit.govern.strength import EntropyBudget
    from scalekit.govern.verification import verify_folder

# torch is loaded with the first name that needs it, not with the room.
_WHERE = {
    "hugging_face_callback": "callbacks",
    "lightning_callback": "callbacks",
    "Localisation": "localisation",
    "localise": "localisation",
    "verify_folder": "verification",
    "FinishedRun": "finished",
    "Explanation": "provenance",
    "Provenance": "provenance",
    "Taught": "provenance",
    "influence": "provenance",
    "prov_graph": "prov_export",
    "Closed": "record",
    "depth_map": "depths",
    "DepthError": "depths",
    "DepthMap": "depths",
    "effective_rank": "representation",
    "EntropyBudget": "strength",
    "Examples": "settings",
    "govern": "governor",
    "GovernedRun": "run",
    "GovernError": "batch",
    "Governor": "governor",
    "Guard": "guard",
    "Manifest": "manifest",
    "ManifestError": "manifest",
    "Readout": "readout",
    "RecordError": "record",
    "register_route": "routes",
    "RepresentationFloor": "representation",
    "RouteError": "routes",
    "RunRecord": "record",
    "Settings": "settings",
    "StepReport": "step_report",
    "TextClassifier": "classifier",
    "Verification": "oracle",
    "verify": "oracle",
    "verify_run": "record",
}

__all__ = [
    "Closed",
    "DepthError",
    "DepthMap",
    "EntropyBudget",
    "Examples",
    "Explanation",
    "FinishedRun",
    "GovernError",
    "GovernedRun",
    "Governor",
    "Guard",
    "Localisation",
    "Manifest",
    "ManifestError",
    "Provenance",
    "Readout",
    "RecordError",
    "RepresentationFloor",
    "RouteError",
    "RunRecord",
    "Settings",
    "StepReport",
    "Taught",
    "TextClassifier",
    "Verification",
    "depth_map",
    "effective_rank",
    "govern",
    "hugging_face_callback",
    "influence",
    "lightning_callback",
    "localise",
    "prov_graph",
    "register_route",
    "verify",
    "verify_folder",
    "verify_run",
]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_WHERE[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
