"""The book of gate judgements, and the board drawn from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

from scalekit.display import View, block, note, table

if TYPE_CHECKING:
    from scalekit.project.folder import Folder
    from scalekit.project.stage import Stage

__all__ = ["Board", "Standing", "standing"]

SIGNS = {
    "passed": "✔\u00a0passed",
    "closed": "✘\u00a0closed",
    "stale": "◐\u00a0stale",
    "open": "○\u00a0not\u00a0judged",
}


@dataclass(frozen=True)
class Standing:
    """Where one stage stands: ``passed``, ``closed``, ``stale`` or ``open`` (not judged yet)."""

    stage: str
    state: str
    judgement: dict[str, Any] | None
    advice: str

    def why(self) -> str:
        """Return the reason in words, for an error."""
        title = self.stage.title()
        if self.state == "closed":
            return f"the gate of {title} is closed. {self.advice}"
        if self.state == "stale":
            return f"the gate of {title} is stale: what it judged has changed. {self.advice}"
        return f"the gate of {title} has not been judged. {self.advice}"


def standing(folder: Folder, stages: Sequence[Stage]) -> dict[str, Standing]:
    """Return where each stage stands; what follows a stale one is stale itself."""
    last = {e.data["stage"]: e.data for e in folder.events("gates.jsonl", "gate")}
    found = {}
    for stage in stages:
        said = last.get(stage.name)
        if said is None:
            state, advice = "open", f"Run project.{stage.name}.gate()."
        elif said["inputs"] != stage.inputs():
            state, advice = "stale", f"Judge it again: project.{stage.name}.gate()."
        elif said["passed"]:
            state, advice = "passed", ""
        else:
            state, advice = "closed", _remedies(said["checks"])
        found[stage.name] = Standing(stage.name, state, said, advice)
    return found


def _remedies(checks: Sequence[dict[str, str]]) -> str:
    failed = [c for c in checks if c["passed"] == "False"]
    return " ".join(
        f"{c['check']}: {c['measured']}, needed {c['needed']}. "
        f"Back to {c['back to']}: {c['remedy']}."
        for c in failed
    )


@dataclass(frozen=True)
class Board(View):
    """The gate board: five stages, where each stands, what to do next."""

    name: str
    profile: str
    states: tuple[Standing, ...]
    purposes: dict[str, str]

    @property
    def table(self) -> pl.DataFrame:
        """One row for each stage."""
        return pl.DataFrame(
            [
                {
                    "stage": s.stage,
                    "what for": self.purposes[s.stage],
                    "gate": SIGNS[s.state],
                    "what to do": s.advice,
                }
                for s in self.states
            ]
        )

    @property
    def next(self) -> str:
        """What to do next, in one sentence."""
        for state in self.states:
            if state.state != "passed":
                return state.why()
        return "All gates are passed: project.report() writes it up."

    @property
    def passed(self) -> bool:
        """Whether every gate is passed and fresh."""
        return all(s.state == "passed" for s in self.states)

    def to_html(self) -> str:
        """Show the board."""
        return block(f"{self.name} ({self.profile})", table(self.table), note(f"Next: {self.next}"))
