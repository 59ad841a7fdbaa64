"""A project's own account: what an accepted task cost, what its gates spared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from scalekit.label import every_label, read_events
from scalekit.project.annotators import EVENTS
from scalekit.report import Amount, Line, TaskCost, avoided_runs, task_cost, time_by_part

if TYPE_CHECKING:
    from scalekit.project.project import Project

__all__ = ["cost_of", "runs_avoided"]


def cost_of(
    project: Project,
    rates: float | Mapping[str, float],
    *amounts: Amount,
    currency: str = "",
) -> TaskCost:
    """Return what an accepted task of *project* cost.

    Labour, gold and rework are the time of all labels ever given; review, panel, set-up, tools and
    compute come as *amounts* (:func:`scalekit.report.entered`, ``amortised``) or count as missing.
    Accepted is what has a consensus.

    Parameters
    ----------
    rates
        Money for an hour: one number, or one for each annotator or tier.

    Raises
    ------
    LabelError
        When there are no labels, or an annotator has no rate.
    FrameError
        When nothing was accepted.
    """
    label = project.label
    by_time = time_by_part(
        every_label(read_events(project.folder / EVENTS)),
        rates,
        gold=label.gold["item_id"].to_list(),
        source=EVENTS,
        tiers=label.tiers,
    )
    accepted = len(label.consensus().drop_nulls("value"))
    return task_cost([*by_time, *amounts], accepted, currency=currency)


def runs_avoided(
    project: Project, *, run_cost: float, share_failing: float, waived: Sequence[str] = ()
) -> Line | None:
    """Return what the project's gates spared, as :func:`scalekit.report.avoided_runs`."""
    return avoided_runs(
        project.folder / "gates.jsonl", run_cost=run_cost, share_failing=share_failing,
        waived=waived,
    )  # fmt: skip
