"""The spec writer's Python half: drafts and versions, each acknowledged with what is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from scalekit.specify import SpecError, problems
from scalekit.widgets import SpecWriter

GOOD: dict[str, Any] = {
    "scalekit_spec": 1,
    "name": "triage",
    "behaviour": "The model sorts an incoming message into the queue of the right team.",
    "task": "choice",
    "categories": [
        {"name": "billing", "description": "", "share": 0.5},
        {"name": "delivery", "description": "", "share": 0.5},
    ],
    "examples": [{"text": "Charged twice.", "category": "billing", "kind": "ideal", "note": ""}],
    "rubric": [],
    "metrics": [],
    "setting": "",
    "assumptions": [],
    "instructions": "",
}


class Desk:
    """A spec writer over a folder, and what it sent."""

    def __init__(self, folder: Path, draft: dict[str, Any]) -> None:
        self.folder = folder
        self.versions = 0
        self.fails: Exception | None = None
        self.sent: list[dict[str, Any]] = []
        self.widget = SpecWriter(draft, problems, self.save_draft, self.save)
        self.widget.send = self.sent.append

    def save_draft(self, draft: dict[str, Any]) -> None:
        if self.fails:
            raise self.fails
        (self.folder / "draft.yaml").write_text(yaml.safe_dump(draft))

    def save(self, draft: dict[str, Any]) -> str:
        self.versions += 1
        return f"saved as version {self.versions}"

    def say(self, **message: Any) -> dict[str, Any]:
        self.widget._receive(self.widget, message, [])
        return self.sent[-1]


def test_an_edit_is_a_draft_on_disk_and_its_problems_come_back(tmp_path: Path) -> None:
    desk = Desk(tmp_path, {})
    reply = desk.say(id="e1", kind="draft", draft={**GOOD, "behaviour": "Sort it. Answer it."})
    assert [p["field"] for p in reply["problems"]] == ["behaviour"]
    assert yaml.safe_load((tmp_path / "draft.yaml").read_text())["behaviour"].startswith("Sort")
    assert desk.say(id="e2", kind="draft", draft=GOOD) == {"reply": "e2", "problems": []}
    assert desk.versions == 0


def test_opening_returns_all_fields_of_a_bare_draft(tmp_path: Path) -> None:
    reply = Desk(tmp_path, {"name": "triage"}).say(id="o1", kind="open")
    assert set(reply["draft"]) == set(GOOD)
    assert reply["draft"]["name"] == "triage"
    assert reply["problems"]


def test_a_version_is_saved_once_however_often_it_is_asked_for(tmp_path: Path) -> None:
    desk = Desk(tmp_path, GOOD)
    for _ in range(2):
        reply = desk.say(id="s1", kind="save", draft=GOOD)
        assert reply == {"reply": "s1", "problems": [], "said": "saved as version 1"}
    assert desk.say(id="s2", kind="save", draft=GOOD)["said"] == "saved as version 2"


def test_a_version_with_problems_is_not_saved(tmp_path: Path) -> None:
    desk = Desk(tmp_path, GOOD)
    reply = desk.say(id="s1", kind="save", draft={**GOOD, "examples": []})
    assert [p["field"] for p in reply["problems"]] == ["examples"]
    assert "said" not in reply
    assert desk.versions == 0


@pytest.mark.parametrize(
    ("error", "final"), [(OSError("no space left"), False), (SpecError("not a spec"), True)]
)
def test_an_exception_becomes_an_error(tmp_path: Path, error: Exception, final: bool) -> None:
    desk = Desk(tmp_path, GOOD)
    desk.fails = error
    reply = desk.say(id="e1", kind="draft", draft=GOOD)
    assert reply == {"reply": "e1", "error": str(error), "final": final}


@pytest.mark.parametrize(
    "message", [{"kind": "draft"}, {"kind": "draft", "draft": 3}, {"kind": "x"}]
)
def test_a_message_that_is_none_is_refused(tmp_path: Path, message: dict[str, Any]) -> None:
    assert Desk(tmp_path, GOOD).say(id="e1", **message)["final"] is True


def test_the_summary_shows_the_spec_or_what_is_to_settle(tmp_path: Path) -> None:
    desk = Desk(tmp_path, {**GOOD, "examples": [], "name": "<script>alert(1)</script>"})
    assert "1 thing to settle" in desk.widget.to_html()
    assert "write at least one by hand" in desk.widget.to_html()
    assert "<script" not in desk.widget.to_html()
    desk.say(id="e1", kind="draft", draft=GOOD)
    assert "Spec of triage" in desk.widget.to_html()


def test_a_draft_that_could_not_be_saved_is_not_shown_as_saved(tmp_path: Path) -> None:
    desk = Desk(tmp_path, GOOD)
    desk.fails = OSError("no space left")
    desk.say(id="e1", kind="draft", draft={**GOOD, "name": "other"})
    assert "Spec of triage" in desk.widget.to_html()


def test_the_given_draft_is_left_alone(tmp_path: Path) -> None:
    draft = {"name": "triage", "categories": [{"name": "a"}]}
    desk = Desk(tmp_path, draft)
    desk.say(id="e1", kind="draft", draft=GOOD)
    assert draft == {"name": "triage", "categories": [{"name": "a"}]}
