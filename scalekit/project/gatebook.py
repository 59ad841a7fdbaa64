"""The book of gate judgements, and the board drawn from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

from scalekit.decide import DecisionRefusedError, Waiver
from scalekit.display import View, block, note, table
from scalekit.journal import JournalError
from scalekit.project.decisions import Decisions

if TYPE_CHECKING:
    from scalekit.project.folder import Folder
    from scalekit.project.stage import Stage

__all__ = ["Board", "Standing", "standing", "undecided"]

SIGNS = {
    "passed": "✔\u00a0passed",
    "closed": "✘\u00a0closed",
    "waived": "◌\u00a0waived",
    "stale": "◐\u00a0stale",
    "open": "○\u00a0not\u00a0judged",
}


@dataclass(frozen=True)
class Standing:
    """Where one stage stands: ``passed``, ``closed``, ``stale`` or ``open`` (not judged yet).

    ``waived`` is a closed gate behind which the next stage may start, by a decision that ends.
    """

    stage: str
    state: str
    judgement: dict[str, Any] | None
    advice: str
    waiver: Waiver | None = None

    @property
    def lets_on(self) -> bool:
        """Whether the next stage may start."""
        return self.state in ("passed", "waived")

    def why(self) -> str:
        """Return the reason in words, for an error."""
        title = self.stage.title()
        if self.state == "waived" and self.waiver:
            return f"the gate of {title} is {self.waiver.said}. {self.advice}"
        if self.state == "closed":
            return f"the gate of {title} is closed. {self.advice}"
        if self.state == "stale":
            return f"the gate of {title} is stale: what it judged has changed. {self.advice}"
        return f"the gate of {title} has not been judged. {self.advice}"


def standing(folder: Folder, stages: Sequence[Stage]) -> dict[str, Standing]:
    """Return where each stage stands; what follows a stale one is stale itself."""
    last = {e.data["stage"]: e.data for e in folder.events("gates.jsonl", "gate")}
    decisions = Decisions(folder)
    found = {}
    for stage in stages:
        waiver = None
        said = last.get(stage.name)
        if said is None:
            state, advice = "open", f"Run project.{stage.name}.gate()."
            if stage.name == "specify" and not (folder / "spec.yaml").is_file():
                advice = "Write the spec, project.specify.edit(), then run project.specify.gate()."
        elif said["inputs"] != stage.inputs():
            state, advice = "stale", f"Judge it again: project.{stage.name}.gate()."
        elif said["passed"]:
            state, advice = "passed", ""
        else:
            waiver = decisions.waiver(stage.name, said["checks"])
            state, advice = "waived" if waiver else "closed", _remedies(said["checks"])
        found[stage.name] = Standing(stage.name, state, said, advice, waiver)
    return found


def undecided(folder: Folder) -> str:
    """Return which thresholds were changed without a decision, in words; empty when none.

    A ledger that is broken says nothing of thresholds: then that is what stands in the way.
    """
    try:
        changed = Decisions(folder).undecided_thresholds()
    except (DecisionRefusedError, JournalError) as error:
        return str(error)
    if not changed:
        return ""
    said = ", ".join(f"{name} is {now}, decided is {was}" for name, (now, was) in changed.items())
    name, (now, _) = next(iter(changed.items()))
    return (
        f"thresholds were changed without a decision: {said}. Put them back in project.toml, or "
        f"ask: project.decide.propose('change_threshold', {{'threshold': {name!r}, "
        f"'value': {now!r}}}, reason=…)"
    )


def _remedies(checks: Sequence[dict[str, str]]) -> str:
    failed = [c for c in checks if c["passed"] == "False"]
    return " ".join(
        f"{c['check']}: {c['measured']}, needed {c['needed']}. "
        f"Back to {c['back to']}: {c['remedy']}."
        for c in failed
    )


@dataclass(frozen=True)
class Board(View):
    """The gate board: five stages, where each stands, what to do next.

    ``undecided`` are thresholds changed without a decision: while there are any, no stage starts.
    """

    name: str
    profile: str
    states: tuple[Standing, ...]
    purposes: dict[str, str]
    undecided: str = ""

    @property
    def table(self) -> pl.DataFrame:
        """One row for each stage."""
        return pl.DataFrame(
            [
                {
                    "stage": s.stage,
                    "what for": self.purposes[s.stage],
                    "gate": SIGNS[s.state],
                    "what to do": f"{s.waiver.said}. {s.advice}" if s.waiver else s.advice,
                }
                for s in self.states
            ]
        )

    @property
    def next(self) -> str:
        """What to do next, in one sentence."""
        if self.undecided:
            return self.undecided
        for state in self.states:
            if not state.lets_on:
                return state.why()
        waived = [s.stage.title() for s in self.states if s.waiver]
        if waived:
            return (
                f"No gate stands in the way, but {', '.join(waived)} is waived, not passed: mend "
                "what failed before the waiver ends."
            )
        return "All gates are passed: project.report() writes it up."

    @property
    def passed(self) -> bool:
        """Whether every gate is passed and fresh."""
        return all(s.state == "passed" for s in self.states)

    def __str__(self) -> str:
        """Return the board in whole lines, for a terminal."""
        lines = [f"{self.name} ({self.profile})"]
        for row in self.table.to_dicts():
            gate = row["gate"].replace("\u00a0", " ")
            lines.append(f"{gate}  {row['stage']}")
            if row["what to do"]:
                lines.append(f"  → {row['what to do']}")
        return "\n".join([*lines, f"Next: {self.next}"])

    def to_html(self) -> str:
        """Show the board."""
        return block(f"{self.name} ({self.profile})", table(self.table), note(f"Next: {self.next}"))
