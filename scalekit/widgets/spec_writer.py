"""The spec writer: every edit is a draft on disk, and what is wrong stands beside its field."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any, get_args

from scalekit.display import block, note, table
from scalekit.specify.check import Problem
from scalekit.specify.spec import DEPTHS, Criterion, Example, Metric, Spec
from scalekit.widgets.base import Widget, script, style

__all__ = ["SpecWriter"]

EMPTY: dict[str, Any] = {
    "scalekit_spec": 1,
    "name": "",
    "behaviour": "",
    "task": "choice",
    "categories": [],
    "examples": [],
    "rubric": [],
    "metrics": [],
    "setting": "",
    "assumptions": [],
    "instructions": "",
}


class SpecWriter(Widget):
    """Write a spec in a form; a draft is saved at each edit, a version when nothing is wrong.

    Parameters
    ----------
    draft
        The fields of a spec, as far as they are known.
    check
        Returns what is wrong with a draft, field by field.
    save_draft
        Writes a draft to disk.
    save
        Writes a version; returns what to tell the person (``saved as version 2``).
    """

    _esm = script("spec_writer")
    _css = style("spec_writer")

    def __init__(
        self,
        draft: Mapping[str, Any],
        check: Callable[[Mapping[str, Any]], Sequence[Problem]],
        save_draft: Callable[[dict[str, Any]], None],
        save: Callable[[dict[str, Any]], str],
    ) -> None:
        self._draft: dict[str, Any] = {**copy.deepcopy(EMPTY), **copy.deepcopy(dict(draft))}
        self._check, self._save_draft, self._save = check, save_draft, save
        self._versions: dict[str, dict[str, Any]] = {}
        super().__init__(
            {
                "kinds": _choices(Criterion, "kind"),
                "metrics": _choices(Metric, "name"),
                "examples": _choices(Example, "kind"),
                "depths": {name: list(interval) for name, interval in DEPTHS.items()},
                "store": "scalekit/spec",
            }
        )

    def answer(self, message: Mapping[str, Any]) -> dict[str, Any]:
        """Save a draft or a version, and return what is wrong with it."""
        kind = message.get("kind")
        if kind == "open":
            return {"draft": self._draft, "problems": self._problems()}
        if kind not in ("draft", "save"):
            raise ValueError(f"{kind!r} is not one of open, draft, save")
        if not isinstance(message.get("draft"), dict):
            raise ValueError("a draft is a mapping of fields")
        if message["id"] in self._versions:
            return self._versions[message["id"]]
        self._save_draft(message["draft"])
        self._draft = message["draft"]
        reply: dict[str, Any] = {"problems": self._problems()}
        if kind == "save" and not reply["problems"]:
            reply["said"] = self._save(self._draft)
            self._versions[message["id"]] = reply
        return reply

    def to_html(self) -> str:
        """Show the draft on disk: as a spec, or what is still to settle in it."""
        problems = self._problems()
        if not problems:
            return Spec.model_validate(self._draft).to_html()
        count = f"{len(problems)} thing{'s' if len(problems) > 1 else ''} to settle"
        title = f"Draft of {self._draft.get('name') or 'a spec'}"
        behaviour = note(str(self._draft.get("behaviour", "")))
        return block(title, count, behaviour, table(problems))

    def _problems(self) -> list[dict[str, str]]:
        return [{"field": p.field, "reason": p.reason} for p in self._check(self._draft)]


def _choices(part: Any, field: str) -> list[str]:
    """Return what a field of a spec may be."""
    return list(get_args(part.model_fields[field].annotation))
