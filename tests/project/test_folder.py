"""The project's folder: made once, refused with a reason when it can't be used."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import tomli_w

import scalekit as sk
from scalekit import ProjectError

WHOLE = {"format": 1, "name": "p", "profile": "full", "thresholds": {}}


def written(root: Path, content: str) -> Path:
    root.mkdir(exist_ok=True)
    (root / "project.toml").write_text(content)
    return root


def test_a_new_project_is_one_plain_file(tmp_path: Path) -> None:
    project = sk.Project(tmp_path / "triage")
    assert [p.name for p in (tmp_path / "triage").iterdir()] == ["project.toml"]
    assert project.name == "triage"
    assert project.folder.profile == "full"


def test_opening_again_changes_nothing(tmp_path: Path) -> None:
    sk.Project(tmp_path / "p", profile="light")
    before = (tmp_path / "p/project.toml").read_bytes()
    assert sk.Project(tmp_path / "p", profile="full").folder.profile == "light"
    assert (tmp_path / "p/project.toml").read_bytes() == before


def test_a_folder_with_other_files_becomes_a_project(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    sk.Project(tmp_path)
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_a_project_named_by_a_relative_path_stays_where_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    project = sk.Project("triage")
    monkeypatch.chdir(tmp_path / "elsewhere")  # %cd in a notebook
    project.label.invite("ana")
    assert not list((tmp_path / "elsewhere").iterdir())
    assert sk.Project(tmp_path / "triage").label.annotators == ["ana"]


@pytest.mark.parametrize("below", ["file", "file/project", "file/deep/project"])
def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path, below: str) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ProjectError, match="no project can be made here"):
        sk.Project(tmp_path / below)
    assert (tmp_path / "file").read_text() == "in the way"


@pytest.mark.parametrize("left", ["label", "collect", "spec.yaml", "gates.jsonl", "evaluate"])
def test_half_a_project_is_refused_and_left_alone(tmp_path: Path, left: str) -> None:
    (tmp_path / left).mkdir()
    with pytest.raises(ProjectError, match=f"half a project: {left}") as refused:
        sk.Project(tmp_path)
    assert "copy" in str(refused.value)
    assert not (tmp_path / "project.toml").exists()


def test_a_newer_project_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match=r"newer scalekit \(project format 2.*update scalekit"):
        sk.Project(written(tmp_path, tomli_w.dumps({**WHOLE, "format": 2})))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("format = ", "not readable as TOML"),
        ("", "'format' is missing"),
        ('format = 1\nname = "p"\n', "'profile' is missing"),
        (tomli_w.dumps({**WHOLE, "profile": "strict"}), "strict"),
        (tomli_w.dumps({**WHOLE, "profile": ["full"]}), "profile"),
        (tomli_w.dumps({**WHOLE, "thresholds": 3}), "thresholds"),
        (tomli_w.dumps({**WHOLE, "thresholds": {"apha": 0.5}}), "'apha' is unknown.*alpha"),
        (tomli_w.dumps({**WHOLE, "thresholds": {"alpha": "high"}}), "must be a number"),
        (tomli_w.dumps({**WHOLE, "thresholds": {"alpha": True}}), "must be a number"),
        (tomli_w.dumps({**WHOLE, "thresholds": {"alpha": float("nan")}}), "alpha"),
        (tomli_w.dumps({**WHOLE, "thresholds": {"alpha": -1.0}}), "alpha"),
        (tomli_w.dumps({**WHOLE, "thresholds": {"examples_per_category": 0}}), "examples_per"),
    ],
)
def test_a_broken_project_file_is_named_with_the_field(
    tmp_path: Path, content: str, said: str
) -> None:
    with pytest.raises(ProjectError, match=said) as refused:
        sk.Project(written(tmp_path, content))
    assert "project.toml" in str(refused.value)


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "project.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ProjectError, match="not readable"):
        sk.Project(tmp_path)


def test_an_unknown_profile_is_refused_and_nothing_made(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match="light, full, pretraining"):
        sk.Project(tmp_path / "p", profile="lite")
    assert not (tmp_path / "p").exists()


def test_profiles_ask_for_more_or_less() -> None:
    from scalekit.project.profiles import PROFILES

    light, full = PROFILES["light"], PROFILES["full"]
    assert light.alpha < full.alpha
    assert light.labels_per_item < full.labels_per_item
    assert light.examples_per_category < full.examples_per_category
    assert all(p.examples_per_category >= 1 for p in PROFILES.values())


def test_thresholds_of_the_project_count(tmp_path: Path, samples: Any) -> None:
    content = tomli_w.dumps({**WHOLE, "thresholds": {"examples_per_category": 5}})
    project = sk.Project(written(tmp_path, content))
    project.specify.save(samples / "spec.yaml")
    failed = project.specify.gate().failed
    assert [c.threshold for c in failed] == ["at least 5 in each"]


def test_two_kernels_cannot_write_one_journal_at_once(tmp_path: Path) -> None:
    from scalekit.journal import Journal, JournalError

    project = sk.Project(tmp_path / "p")
    with (
        Journal(tmp_path / "p/label/log.jsonl"),
        pytest.raises(JournalError, match="another process or kernel"),
    ):
        project.label.invite("ana")
    project.label.invite("ana")
    assert project.label.annotators == ["ana"]
