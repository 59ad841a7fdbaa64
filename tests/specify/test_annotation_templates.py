"""Assets as labelling projects: well formed, and what is labelled there comes back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as Xml

import pytest

from scalekit.label import Criterion, Task, read_labels
from scalekit.specify import (
    Asset,
    AssetError,
    argilla_settings,
    label_studio_config,
    library,
    write_template,
)

SHELF = library(Path("nowhere"))
CONTROLS = ("Choices", "Number", "Pairwise", "TextArea")


def task_of(asset: Asset) -> Task:
    return Task("rubric", "rubric", criteria=tuple(
        Criterion(c.name, c.text, 0, c.points) for c in asset.rubric))  # fmt: skip


@pytest.mark.parametrize("asset", SHELF.assets, ids=lambda a: a.id)
def test_label_studios_xml_is_well_formed_and_every_control_has_its_object(asset: Asset) -> None:
    root = Xml.fromstring(label_studio_config(asset))
    objects = {e.get("name"): e for e in root if e.tag in ("Text", "Paragraphs")}
    for element in root.iter():
        if element.tag in CONTROLS:
            assert set(element.get("toName", "").split(",")) <= set(objects)
    names = [e.get("name") for e in root if e.get("name")]
    assert len(names) == len(set(names))
    assert {e.get("value") for e in objects.values()} == {f"${n}" for n in objects}
    if asset.unit == "pairwise":
        assert root.find("Pairwise").get("toName") == "first,second"
    else:
        assert [e.get("name") for e in root.iter("Number")] == [c.name for c in asset.rubric]
        assert [int(e.get("max")) for e in root.iter("Number")] == [c.points for c in asset.rubric]
    paragraphs = root.find("Paragraphs")
    assert (paragraphs is not None) == (asset.unit == "multi-turn")


@pytest.mark.parametrize("asset", SHELF.assets, ids=lambda a: a.id)
def test_argillas_settings_hold_what_a_server_asks_for(asset: Asset) -> None:
    found = json.loads(json.dumps(argilla_settings(asset)))
    keys = {"guidelines", "questions", "fields", "vectors", "metadata", "allow_extra_metadata"}
    assert set(found) == keys
    names = [p["name"] for part in ("fields", "questions", "metadata") for p in found[part]]
    assert len(names) == len(set(names))
    assert all(n == n.lower() and " " not in n for n in names)
    assert any(q["required"] for q in found["questions"])
    for question in found["questions"]:
        options = [o["value"] for o in question["settings"].get("options", [])]
        assert len(options) == len(set(options))
        if question["settings"]["type"] == "rating":
            assert options == list(range(max(options) + 1))
            assert max(options) <= 10
    for criterion in asset.rubric:
        assert criterion.fail_example in found["guidelines"]


def test_what_label_studio_exports_of_such_a_project_is_read_back() -> None:
    asset = SHELF.find("code.sql.query")
    root = Xml.fromstring(label_studio_config(asset))
    points = {c.name: n % (c.points + 1) for n, c in enumerate(asset.rubric)}
    result: list[dict[str, Any]] = [
        {"from_name": e.get("name"), "to_name": e.get("toName"), "type": "number",
         "value": {"number": points[str(e.get("name"))]}}
        for e in root.iter("Number")
    ]  # fmt: skip
    result.append({"from_name": "verdict", "to_name": "response", "type": "choices",
                   "value": {"choices": ["same rows"]}})  # fmt: skip
    record = {"id": 1, "data": {"item_id": "q1"},
              "annotations": [{"completed_by": 7, "result": result}]}  # fmt: skip
    found = read_labels([record], task_of(asset))
    assert json.loads(found.table["value"][0]) == points
    choice = Task.choice("verdict", [c.name for c in asset.categories])
    assert read_labels([record], choice).table["value"].to_list() == ["same rows"]


def test_what_argilla_exports_of_such_a_project_is_read_back() -> None:
    asset = SHELF.find("code.sql.query")
    questions = [q for q in argilla_settings(asset)["questions"]
                 if q["settings"]["type"] == "rating"]  # fmt: skip
    answers = {q["name"]: max(o["value"] for o in q["settings"]["options"]) for q in questions}
    responses = {n: [{"value": v, "user_id": "u", "status": "submitted"}]
                 for n, v in answers.items()}  # fmt: skip
    record = {"id": "r", "fields": {}, "metadata": {"item_id": "q1"}, "responses": responses}
    found = read_labels([record], task_of(asset))
    assert json.loads(found.table["value"][0]) == {c.name: c.points for c in asset.rubric}


def test_names_that_clash_and_other_endings_are_refused(tmp_path: Path) -> None:
    asset = SHELF.find("code.sql.query")
    clash = asset.rubric[0].model_copy(update={"name": "schema"})
    other = asset.model_copy(update={"rubric": (clash,)})
    with pytest.raises(AssetError, match="'schema' would name two things"):
        label_studio_config(other)
    many = asset.model_copy(update={"rubric": (asset.rubric[0].model_copy(update={"points": 11}),)})
    with pytest.raises(AssetError, match="11 points"):
        argilla_settings(many)
    with pytest.raises(AssetError, match=r"\.json for Argilla or \.xml"):
        write_template(asset, tmp_path / "a.yaml")
    assert not list(tmp_path.iterdir())
    Xml.parse(write_template(asset, tmp_path / "a.xml"))
    json.loads(write_template(asset, tmp_path / "a.json").read_text())
