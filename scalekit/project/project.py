"""The project: a folder, five gated stages, and the board that says where each stands."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from scalekit.display import View
from scalekit.project.audit import Audit
from scalekit.project.collect import Collect
from scalekit.project.decide import Decide
from scalekit.project.evaluate import Evaluate
from scalekit.project.folder import Folder
from scalekit.project.gatebook import Board, standing, undecided
from scalekit.project.label import Label
from scalekit.project.specify import Specify
from scalekit.project.stage import Stage
from scalekit.project.train import Train
from scalekit.report import Amount, Line, Package, Report, Return, TaskCost

__all__ = ["Project"]


class Project(View):
    """A data project in a folder, made if it is not there.

    Parameters
    ----------
    folder
        Where it lies.
    profile
        ``light``, ``full`` (default) or ``pretraining``; counts only when the project is made.

    Raises
    ------
    ProjectError
        When the folder can't be used: read-only, half a project, or from a newer version.
    """

    def __init__(self, folder: str | Path, *, profile: str | None = None) -> None:
        self.folder = Folder.open(Path(folder), profile)
        self.specify = Specify(self)
        self.collect = Collect(self)
        self.audit = Audit(self)
        self.label = Label(self)
        self.evaluate = Evaluate(self)
        self.train = Train(self)
        self.decide = Decide(self)

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The five stages, in order."""
        return self.specify, self.collect, self.audit, self.label, self.evaluate

    @property
    def name(self) -> str:
        """The project's name."""
        return self.folder.name

    def board(self) -> Board:
        """Return the gate board."""
        found = standing(self.folder, self.stages)
        purposes = {s.name: s.purpose for s in self.stages}
        states = tuple(found.values())
        return Board(self.name, self.folder.profile, states, purposes, undecided(self.folder))

    def report(self, path: str | Path | None = None) -> Report:
        """Write the report: one HTML file that needs no network, and ``report.json`` beside it.

        *path* is the HTML file; by default ``report.html`` in the project.
        """
        from scalekit.project.reporting import write_report

        return write_report(self, Path(path) if path else self.folder / "report.html")

    def package(self, path: str | Path | None = None, **about: Any) -> Package:
        """Write the evidence package: a signed zip that a reader checks with the public key alone.

        *about* and what is raised are those of :func:`scalekit.project.packaging.pack`: at least
        ``responsible`` and ``licence``.
        """
        from scalekit.project.packaging import pack

        return pack(self, path, **about)

    def cost(
        self, rates: float | Mapping[str, float], *amounts: Amount, currency: str = ""
    ) -> TaskCost:
        """Return what an accepted task cost, with all its parts; what nobody knows is said.

        *rates* are money for an hour; *amounts* and what is raised are those of
        :func:`scalekit.project.returns.cost_of`.
        """
        from scalekit.project.returns import cost_of

        return cost_of(self, rates, *amounts, currency=currency)

    def account(self, rates: float | Mapping[str, float], *lines: Line, **about: Any) -> Return:
        """Return what the way of working saved: targeted relabelling, runs that gates spared.

        *about* (``run_cost, share_failing, currency``) and what is raised are those of
        :func:`scalekit.project.returns.account_of`.
        """
        from scalekit.project.returns import account_of

        return account_of(self, rates, *lines, **about)

    def __str__(self) -> str:
        """Return the gate board in whole lines, for a terminal."""
        return str(self.board())

    @property
    def table(self) -> pl.DataFrame:
        """The gate board's table."""
        return self.board().table

    def to_html(self) -> str:
        """Show the gate board."""
        return self.board().to_html()
