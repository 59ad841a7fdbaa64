"""Gates: what a stage must show before the next may start, and where a failure sends you back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import polars as pl

from scalekit.display import View, badge, block, note, table

__all__ = ["STAGES", "Check", "Gate", "GateClosedError"]

STAGES = ("specify", "collect", "audit", "label", "evaluate")
"""The five gated stages, in order."""


class GateClosedError(RuntimeError):
    """A stage was asked to run behind a gate that is not passed; says which and why."""


@dataclass(frozen=True)
class Check(View):
    """One thing a stage must show.

    ``measured`` and ``threshold`` are shown as given; ``send_back_to`` is the stage to return to
    when it fails, ``remedy`` one sentence on what to do there, ``evidence`` a small table.
    ``waiver`` says how hard it is to waive: what is "never" can't be waived by anyone.
    """

    name: str
    passed: bool
    measured: str
    threshold: str
    send_back_to: str
    remedy: str
    evidence: pl.DataFrame | None = None
    waiver: Literal["soft", "hard", "never"] = "soft"

    def row(self) -> dict[str, Any]:
        """The check as a row of :attr:`Gate.table`."""
        return {
            "check": self.name,
            "passed": self.passed,
            "measured": self.measured,
            "needed": self.threshold,
            "back to": "" if self.passed else self.send_back_to,
            "remedy": "" if self.passed else self.remedy,
        }

    def __str__(self) -> str:
        """Return the check in whole lines, for a terminal: what was found, what to do."""
        sign = "✔" if self.passed else "✘"
        found = f"{sign} {self.name}: {self.measured} (needed: {self.threshold})"
        remedy = f"\n  → back to {self.send_back_to}: {self.remedy}"
        return found if self.passed else found + remedy

    def to_html(self) -> str:
        """Show the check and its evidence."""
        return block(self.name, badge(self.passed), table([self.row()]), table(self.evidence))


@dataclass(frozen=True)
class Gate(View):
    """The checks of one stage; open when all passed.

    ``waived`` says by whom and until when a closed gate is waived: the next stage may start, but
    the gate is not passed.
    """

    stage: str
    checks: tuple[Check, ...] = field(default_factory=tuple)
    waived: str = ""

    @property
    def passed(self) -> bool:
        """Whether every check passed (a gate without checks has not been judged)."""
        return bool(self.checks) and all(c.passed for c in self.checks)

    @property
    def failed(self) -> tuple[Check, ...]:
        """The checks that did not pass."""
        return tuple(c for c in self.checks if not c.passed)

    @property
    def send_back_to(self) -> str | None:
        """The earliest stage that a failed check names, or None."""
        named = [c.send_back_to for c in self.failed]
        return min(named, key=STAGES.index) if named else None

    @property
    def table(self) -> pl.DataFrame:
        """One row for each check."""
        columns = ("check", "passed", "measured", "needed", "back to", "remedy")
        rows = [c.row() for c in self.checks]
        return pl.DataFrame(rows, schema=None if rows else dict.fromkeys(columns, pl.String))

    def require(self) -> None:
        """Do nothing if the gate is passed or waived.

        Raises
        ------
        GateClosedError
            Naming each failed check, where it sends back to, and the remedy.
        """
        if self.passed or self.waived:
            return
        raise GateClosedError(reasons(self.stage, self.failed))

    def __str__(self) -> str:
        """Return every check in whole lines, for a terminal."""
        said = badge(self.passed if self.checks else None).replace("\u00a0", " ")
        stands = ", ".join([said, *([self.waived] if self.waived else [])])
        return "\n".join([f"Gate of {self.stage.title()}: {stands}", *map(str, self.checks)])

    def to_html(self) -> str:
        """Show the checks; below, the evidence of those that failed."""
        rows = self.table.drop("back to", "remedy") if self.passed else self.table
        if self.checks:
            said = pl.when("passed").then(pl.lit("✔ yes")).otherwise(pl.lit("✘ no"))
            rows = rows.with_columns(said.alias("passed"))
        parts = [table(rows)]
        shown: list[str] = []
        for check in self.failed:
            evidence = table(check.evidence)
            if evidence and evidence not in shown:
                shown.append(evidence)
                parts += [note(f"Evidence on “{check.name}”:"), evidence]
        stands = [badge(self.passed), *([self.waived] if self.waived else [])]
        return block(f"Gate of {self.stage.title()}", *stands, *parts)


def reasons(stage: str, failed: Sequence[Check]) -> str:
    """Return the message of a closed gate."""
    if not failed:
        return f"the gate of {stage.title()} has not been judged yet; run project.{stage}.gate()"
    lines = [
        f"- {c.name}: {c.measured}, needed {c.threshold}. Back to {c.send_back_to}: {c.remedy}"
        for c in failed
    ]
    return "\n".join([f"the gate of {stage.title()} is closed:", *lines])
