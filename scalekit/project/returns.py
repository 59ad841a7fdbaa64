"""A project's own account: what an accepted task cost, and what the way of working saved."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from scalekit.label import every_label, read_events
from scalekit.project.annotators import EVENTS
from scalekit.project.releases import RELEASES
from scalekit.report import (
    Amount,
    Line,
    Return,
    TaskCost,
    avoided_runs,
    remediation_line,
    return_on_cost,
    task_cost,
    time_by_part,
)

if TYPE_CHECKING:
    from scalekit.project.project import Project

__all__ = ["account_of", "cost_of"]


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


def account_of(
    project: Project,
    rates: float | Mapping[str, float],
    *lines: Line,
    run_cost: float | None = None,
    share_failing: float = 0.5,
    currency: str = "",
) -> Return:
    """Return what the way of working saved in *project*, line by line.

    Labelling only a trace's queue again, against all items since the release, at what an accepted
    item costs; and, with *run_cost*, the training runs that closed gates spared.

    Parameters
    ----------
    rates
        As for :func:`cost_of`.
    lines
        What no journal knows: :func:`scalekit.report.reuse_line`, or a :class:`Line` for the cost
        of tools and reviews.
    run_cost, share_failing
        What one training run costs, and the share of those on bad data that would have been thrown
        away.

    Raises
    ------
    LabelError, FrameError
        As :func:`cost_of`.
    ValueError
        When *share_failing* is not in [0, 1] or *run_cost* under 0.
    """
    found: list[Line | None] = [_remediated(project, rates), *lines]
    if run_cost is not None:
        journal = project.folder / "gates.jsonl"
        found.append(avoided_runs(journal, run_cost=run_cost, share_failing=share_failing))
    return return_on_cost(found, currency=currency)


def _remediated(project: Project, rates: float | Mapping[str, float]) -> Line | None:
    """Return what targeted queues saved since the last release; None where there was none."""
    events = project.folder.events(RELEASES)
    last = max((n for n, e in enumerate(events) if e.kind == "accepted"), default=-1)
    queues = [e for e in events[last + 1 :] if e.kind == "remediated"]
    if not queues:
        return None
    again = {item for e in queues for item in e.data["item_ids"]}
    spent = cost_of(project, rates)
    return remediation_line(
        items=len(again | set(project.evaluate.since()["item_id"])),
        flagged=len(again),
        unit_cost=spent.per_accepted,
        interval=spent.interval,
        records=[f"{Path(RELEASES).name}#{e.hash[:16]}" for e in queues],
    )
