from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

import scalekit as sk
from scalekit.specify import SpecError


@pytest.fixture
def good(samples: Path) -> dict[str, Any]:
    return yaml.safe_load((samples / "spec.yaml").read_text(encoding="utf-8"))


def files(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}


BAD: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "two sentences": (
        lambda s: s.update(behaviour="Name the intent of the message. Then answer it politely."),
        r"- behaviour: one sentence is needed, these are 2",
    ),
    "no examples": (lambda s: s.update(examples=[]), r"- examples: write at least one by hand"),
    "an unknown category": (
        lambda s: s["examples"][2].update(category="refunds"),
        r"- examples\[2\]\.category: unknown category 'refunds'; there are account_access, billing",
    ),
}


@pytest.mark.parametrize("case", BAD)
@pytest.mark.parametrize("form", ["fields", "file", "Spec"])
def test_a_bad_spec_is_refused_and_nothing_is_written(
    tmp_path: Path, good: dict[str, Any], case: str, form: str
) -> None:
    change, said = BAD[case]
    change(good)
    project = sk.Project(tmp_path / "p")
    (tmp_path / "bad.yaml").write_text(yaml.safe_dump(good), encoding="utf-8")
    before = files(tmp_path / "p")
    forms = {"fields": good, "file": tmp_path / "bad.yaml", "Spec": sk.Spec.model_validate(good)}
    with pytest.raises(SpecError, match=rf"the spec was not saved:\n{said}"):
        project.specify.save(forms[form])
    assert files(tmp_path / "p") == before


def test_a_bad_spec_leaves_the_last_good_one(tmp_path: Path, good: dict[str, Any]) -> None:
    project = sk.Project(tmp_path / "p")
    project.specify.save(good)
    before = files(tmp_path / "p")
    with pytest.raises(SpecError):
        project.specify.save({**good, "examples": []})
    assert files(tmp_path / "p") == before
    assert len(project.specify.versions()) == 1


def test_a_spec_of_a_newer_format_is_refused_and_not_overwritten(
    tmp_path: Path, good: dict[str, Any]
) -> None:
    project = sk.Project(tmp_path / "p")
    project.specify.save(good)
    path = tmp_path / "p" / "spec.yaml"
    path.write_text(path.read_text().replace("scalekit_spec: 1", "scalekit_spec: 7"))
    before = files(tmp_path / "p")
    with pytest.raises(SpecError, match=r"spec\.yaml: written in spec format 7.*update scalekit"):
        _ = project.specify.spec
    with pytest.raises(SpecError, match="spec format 7"):
        project.specify.save({**good, "scalekit_spec": 7})
    with pytest.raises(SpecError, match="written in spec format 7"):
        project.specify.save(good)
    assert files(tmp_path / "p") == before


def test_the_spec_saved_is_the_spec_read_and_saving_it_again_makes_no_version(
    tmp_path: Path, good: dict[str, Any]
) -> None:
    project = sk.Project(tmp_path / "p")
    good["instructions"] += " A latin-1 ellipsis\x85 and a line\u2028break."
    saved = project.specify.save(good)
    assert project.specify.spec == saved
    project.specify.save(project.specify.spec)
    assert len(project.specify.versions()) == 1


@pytest.mark.parametrize("given", [[1], None, 3])
def test_what_is_no_spec_is_named(tmp_path: Path, given: Any) -> None:
    with pytest.raises(SpecError, match=f"this is {type(given).__name__}"):
        sk.Project(tmp_path / "p").specify.save(given)


def test_a_spec_in_a_folder_that_cannot_be_written_names_the_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("kept")
    with pytest.raises(sk.ProjectError, match=r"no project can be made here .*choose a folder"):
        sk.Project(tmp_path / "file" / "p")
    with pytest.raises(sk.ProjectError, match="no project can be made here"):
        sk.Project(tmp_path / "file")
    with pytest.raises(sk.ProjectError, match="no project can be made here"):
        sk.Project("/proc/scalekit")
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_text() == "kept"
