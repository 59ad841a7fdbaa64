"""What all stages share: the gates before them, their own gate, and when it turns stale."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, ClassVar

from scalekit.display import View, badge, block, note
from scalekit.gates import STAGES, Gate, GateClosedError
from scalekit.project.decisions import Decisions
from scalekit.project.gatebook import standing, undecided
from scalekit.signing import digest

if TYPE_CHECKING:
    from scalekit.project.project import Project

__all__ = ["Stage", "require_gates"]


def require_gates(project: Project, stages: Sequence[str], refused: str) -> None:
    """Do nothing if the gates of *stages* let on; else raise GateClosedError, saying *refused*."""
    states = standing(project.folder, project.stages)
    for name in stages:
        if not states[name].lets_on:
            raise GateClosedError(f"{refused}: {states[name].why()}")
    if changed := undecided(project.folder):
        raise GateClosedError(f"{refused}: {changed}")


class Stage(View, ABC):
    """One of the five stages, bound to a project."""

    name: ClassVar[str]
    purpose: ClassVar[str]

    def __init__(self, project: Project) -> None:
        self._project = project
        self._folder = project.folder

    @abstractmethod
    def _own_inputs(self) -> list[str]:
        """Digests of what this stage's gate judges, beside what the stages before it judge."""

    @abstractmethod
    def _judge(self) -> Gate:
        """Return the gate as things stand."""

    def inputs(self) -> str:
        """Return the digest of everything this stage's gate depends on."""
        at = STAGES.index(self.name)
        limits = {k: str(v) for k, v in asdict(self._folder.thresholds).items()}
        before = self._project.stages[at - 1].inputs() if at else digest(limits)
        return digest([before, *self._own_inputs()])

    def gate(self) -> Gate:
        """Judge the gate, record the judgement with the digest of its inputs, and return it."""
        found = self._judge()
        checks = [
            {k: str(v) if v is not None else "" for k, v in c.row().items()} | {"waiver": c.waiver}
            for c in found.checks
        ]
        data = {
            "stage": self.name,
            "passed": found.passed,
            "inputs": self.inputs(),
            "checks": checks,
        }
        last = standing(self._folder, self._project.stages)[self.name].judgement
        if last is None or {k: last[k] for k in data} != data:
            self._folder.append("gates.jsonl", "gate", data)
        if found.passed:
            return found
        waiver = Decisions(self._folder).waiver(self.name, checks)
        return replace(found, waived=waiver.said if waiver else "")

    def require_before(self) -> None:
        """Do nothing if every earlier gate is passed and fresh, or waived by a decision.

        Raises
        ------
        GateClosedError
            Naming the first that is not, with its failed checks; or a threshold that was changed
            without a decision.
        """
        require_gates(
            self._project, STAGES[: STAGES.index(self.name)], f"{self.name.title()} can't start"
        )

    def to_html(self) -> str:
        """Show where the stage stands and what its verbs are."""
        state = standing(self._folder, self._project.stages)[self.name]
        passed = {"passed": True, "closed": False, "waived": False}.get(state.state)
        verbs = ", ".join(
            f"{name}()"
            for kind in type(self).__mro__[:-1]
            if issubclass(kind, Stage) and kind is not Stage
            for name, verb in vars(kind).items()
            if not name.startswith("_") and inspect.isfunction(verb)
        )
        said = f"{state.state}. {state.advice}" if passed is None else badge(passed)
        if state.waiver:
            said = f"{said}; {state.waiver.said}"
        return block(self.name.title(), note(self.purpose), note(f"Gate: {said}"), note(verbs))
