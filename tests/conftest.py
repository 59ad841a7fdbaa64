"""Keys in a folder of their own for every test, and the sample project at two stages."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import settings

import scalekit as sk

# No time gates a test, on a busy machine least of all.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

SAMPLES = Path(__file__).parents[1] / "data_samples" / "support-triage"
ANNOTATORS = ("ana", "ben", "chloe", "dora", "emil")
FERNWAY = {"tier": "first-party", "rights": "LicenseRef-Fernway-internal"}
BATCHES: dict[str, dict[str, str]] = {
    "helpdesk_export.csv": {
        **FERNWAY, "batch_id": "helpdesk", "source": "helpdesk export", "text": "message",
        "item_id": "ticket", "category": "queue",
    },
    "partner_chat.jsonl": {
        "batch_id": "chat", "source": "chat partner", "tier": "licensed", "item_id": "id",
        "rights": "LicenseRef-chat-partner-2026", "category": "topic",
    },
    "forum_posts.csv": {
        "batch_id": "forum", "source": "user forum", "tier": "public-web", "text": "body",
        "rights": "CC-BY-4.0", "item_id": "post", "category": "tag",
    },
    "requests_inbox.csv": {
        **FERNWAY, "batch_id": "requests", "source": "privacy and plan inbox", "text": "message",
        "item_id": "ticket", "category": "queue",
    },
    "synthetic_delivery.jsonl": {
        "batch_id": "synthetic", "source": "generated", "tier": "synthetic", "rights": "CC0-1.0",
        "gap": "cancellation", "generator": "template generator", "item_id": "id",
        "category": "topic",
    },
}  # fmt: skip
FIRST_THREE = tuple(BATCHES)[:3]


def add_batch(project: Any, file: str) -> Any:
    return project.collect.add(SAMPLES / file, collected="2026-10-02", **BATCHES[file])


def _audited_once(root: Path) -> Any:
    project = sk.Project(root)
    project.specify.save(SAMPLES / "spec.yaml")
    project.specify.gate()
    for file in FIRST_THREE:
        add_batch(project, file)
    project.collect.gate()
    project.audit.run()
    project.audit.gate()
    return project


@pytest.fixture(autouse=True)
def keys(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fresh folder of private keys, outside every project and checkout."""
    folder = tmp_path_factory.mktemp("keys")
    monkeypatch.setenv("SCALEKIT_KEYS", str(folder))
    return folder


@pytest.fixture(scope="session")
def samples() -> Path:
    return SAMPLES


@pytest.fixture(scope="session")
def add() -> Callable[[Any, str], Any]:
    """``add(project, file)`` brings one file of the sample in."""
    return add_batch


@pytest.fixture(scope="session")
def _audited_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("audited") / "support-triage"
    _audited_once(root)
    return root


@pytest.fixture(scope="session")
def _ready_folder(tmp_path_factory: pytest.TempPathFactory, _audited_folder: Path) -> Path:
    root = tmp_path_factory.mktemp("ready") / "support-triage"
    shutil.copytree(_audited_folder, root)
    project = sk.Project(root)
    add_batch(project, "requests_inbox.csv")
    project.collect.gate()
    project.audit.run()
    assert project.audit.gate().passed
    return root


@pytest.fixture(scope="session")
def _labelled_folder(tmp_path_factory: pytest.TempPathFactory, _ready_folder: Path) -> Path:
    root = tmp_path_factory.mktemp("labelled") / "support-triage"
    shutil.copytree(_ready_folder, root)
    project = sk.Project(root)
    project.label.invite(*ANNOTATORS)
    project.label.import_table(pl.read_csv(SAMPLES / "labels_round1.csv"))
    project.label.leave_out("emil", "fast, and seldom of the others' opinion")
    project.label.import_table(pl.read_csv(SAMPLES / "labels_round2.csv"), round=2)
    assert project.label.gate().passed
    return root


@pytest.fixture
def audited(tmp_path: Path, _audited_folder: Path) -> Any:
    """The sample project after the first audit: three batches, two gaps, the gate closed."""
    root = tmp_path / "support-triage"
    shutil.copytree(_audited_folder, root)
    return sk.Project(root)


@pytest.fixture
def ready(tmp_path: Path, _ready_folder: Path) -> Any:
    """The sample project with the gate of Audit passed; nobody is invited."""
    root = tmp_path / "support-triage"
    shutil.copytree(_ready_folder, root)
    return sk.Project(root)


@pytest.fixture
def labelled(tmp_path: Path, _labelled_folder: Path) -> Any:
    """The sample project with every gate up to Label passed; nothing is sealed."""
    root = tmp_path / "support-triage"
    shutil.copytree(_labelled_folder, root)
    return sk.Project(root)


@pytest.fixture
def sealed(labelled: Any) -> Any:
    """The sample project, decontaminated, sealed and delivered; keys lie in this test's folder."""
    labelled.evaluate.decontaminate()
    labelled.evaluate.seal()
    labelled.label.deliver()
    return labelled
