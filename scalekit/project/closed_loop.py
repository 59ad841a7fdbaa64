"""The loop in a project: what was accepted, and where what came since departs from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import polars as pl

from scalekit.display import counted
from scalekit.evaluate import Confirmation, Measured, Trace, Where, confirm, trace
from scalekit.frames import FrameError
from scalekit.label import every_label, read_events
from scalekit.project.annotators import EVENTS
from scalekit.project.folder import who
from scalekit.project.forecasting import FORECASTS, Forecasting
from scalekit.project.releases import RELEASES
from scalekit.report import Cycle, Outcomes, four_outcomes, task_cost, time_by_part

__all__ = ["ClosedLoop"]

WHAT: dict[str, tuple[str, Callable[[dict[str, Any]], str]]] = {
    "accepted": ("release", lambda d: f"{counted(d['items'], 'item')} accepted: {d['why']}"),
    "forecast": (
        "forecast",
        lambda d: "dev {:.3f} ({:.3f} to {:.3f})".format(
            *(float(d[n]) for n in ("expected", "from", "to"))
        ),
    ),
    "outcome": ("forecast met", lambda d: f"dev {float(d['score']):.3f}"),
    "traced": ("trace", lambda d: "; ".join(d["findings"]) or "nothing flagged"),
    "remediated": ("relabelled", lambda d: f"{counted(len(d['item_ids']), 'item')} queued"),
    "cycle": (
        "cycle closed",
        lambda d: "; ".join(f"{r['outcome']}: {r['verdict']}" for r in d["outcomes"]),
    ),
}


class ClosedLoop(Forecasting):
    """From a measurement back to the labels, and forward again."""

    def trace(
        self,
        *,
        cohorts: Mapping[str, Sequence[str]] | None = None,
        regressed: Where | Sequence[str] | None = None,
        moved: bool = False,
        **options: Any,
    ) -> Trace:
        """Trace disagreement that is more than usual to batches, annotators, cohorts and domains.

        Looks at the labels that came after the last accepted release (all labels, where there is
        none), before or after training. Where gold was given, it is evidence too. A domain is the
        category that an item was collected under, else its label. :meth:`relabel` takes
        what it finds. Every trace is on record.

        Parameters
        ----------
        cohorts
            Teams, shifts or offices, each with its annotators.
        regressed
            Where the benchmark got worse (:func:`scalekit.evaluate.regressed_domains`, or names).
        moved
            Show beside it which examples moved the last run to its wrong answers on dev; the run
            must have been trained on these labels.
        options
            As for :func:`scalekit.evaluate.trace`.

        Raises
        ------
        FrameError
            When nothing was labelled since the release, or a cohort names a stranger.
        """
        accepted = self.accepted()
        training = self._judgements(cohorts or {})
        influence = self._influence() if moved else None
        also = ("gold",) if training["gold"].count() else ()
        found = trace(
            training, accepted=accepted, regressed=regressed, also=also, influence=influence,
            **options,
        )  # fmt: skip
        said = {"findings": list(found.findings), "labels": len(training), "actor": who()}
        self._folder.append(RELEASES, "traced", said)
        return found

    def confirm(self, found: Trace) -> Confirmation:
        """Train the proxy without the doubted labels, and without as many drawn at random.

        As :func:`scalekit.evaluate.confirm`, on dev; before the labels are changed.

        Raises
        ------
        FrameError
            When dev has no item of the traced domains, or labels came since the trace.
        """
        dev = self._dev().rename({"category": "value"})
        return confirm(found, self._judgements({}), dev)

    def relabel(self, found: Trace) -> pl.Series:
        """Put the queue of a trace on record and return its items, the most doubtful first.

        For ``project.label.open(annotator, item_ids=…, round=…)``.
        """
        items = found.queue["item_id"]
        said = {"item_ids": items.to_list(), "findings": list(found.findings), "actor": who()}
        self._folder.append(RELEASES, "remediated", said)
        return items

    def outcomes(
        self, before: Measured, after: Measured, *, rates: float | None = None, currency: str = ""
    ) -> Outcomes:
        """Say what came of the turn of the loop since the last release: the four outcomes.

        Parameters
        ----------
        before, after
            The model of the release and the one now, measured on the dev items as they stand.
        rates
            Money for an hour of labelling; without it cost is not measured.

        Raises
        ------
        FrameError
            When there is no release, nothing was labelled since, or the dev items differ.
        """
        released = self._folder.events(RELEASES, "accepted")
        self._accepted_or_refuse()
        self.since()
        votes = self._project.label.consensus().drop_nulls("value")["item_id"]
        # By what was there at the release: of what is sealed since, votes and gold still count.
        old = votes.is_in(self._seen()["item_id"].to_list())
        alpha = tuple(map(float, released[-1].data["alpha"])) or None
        at, decide = released[-1].at, self._project.decide
        earlier, later = decide.escalated(until=at), decide.escalated(since=at)
        cycles = [
            self._cycle("release", before, votes.filter(old), alpha, earlier, rates, currency),
            self._cycle("now", after, votes.filter(~old), self._alpha(), later, rates, currency),
        ]
        found = four_outcomes(*cycles)
        said = {"release": len(released), **found.record()}
        self._folder.append(RELEASES, "cycle", said)
        return found

    def history(self) -> pl.DataFrame:
        """Return what was done in the loop, in order: ``at, what, said``.

        Releases, forecasts with what they came to, traces, queues labelled again, cycles closed.
        """
        told = [
            {"at": event.at, "what": WHAT[event.kind][0], "said": WHAT[event.kind][1](event.data)}
            for journal in (RELEASES, FORECASTS)
            for event in self._folder.events(journal)
        ]
        schema = dict.fromkeys(("at", "what", "said"), pl.String)
        return pl.DataFrame(told, schema=schema).sort("at", maintain_order=True)

    def cycles(self) -> list[Outcomes]:
        """Return the outcomes of every cycle that was closed, the first one first."""
        return [Outcomes.from_record(e.data) for e in self._folder.events(RELEASES, "cycle")]

    def _cycle(
        self, name: str, measured: Measured, items: pl.Series, alpha: Any, escalated: int | None,
        rates: float | None, currency: str,
    ) -> Cycle:  # fmt: skip
        label = self._project.label
        mine = items.to_list()
        votes = label.consensus().drop_nulls("value").filter(pl.col("item_id").is_in(mine))
        gold = votes.join(label.gold, on="item_id", suffix="_gold")
        wrong = int((gold["value"] != gold["value_gold"]).sum())
        spent = None
        if rates is not None:
            times = every_label(read_events(self._folder / EVENTS))
            by_time = time_by_part(
                times.filter(pl.col("item_id").is_in(mine)), rates,
                gold=label.gold["item_id"].to_list(), source=EVENTS, tiers=label.tiers,
            )  # fmt: skip
            spent = task_cost(by_time, len(votes), currency=currency)
        return Cycle(
            name,
            results=measured.results.filter(pl.col("set") == "dev"),
            gold=(wrong, len(gold)) if len(gold) else None,
            cost=spent,
            agreement=alpha,
            escalated=(escalated, len(votes)) if escalated is not None else None,
        )

    def _judgements(self, cohorts: Mapping[str, Sequence[str]]) -> pl.DataFrame:
        """Return one row for each judgement on what is not in the release."""
        label = self._project.label
        teams = {name: team for team, names in cohorts.items() for name in names}
        if strangers := sorted(set(teams) - set(label.annotators)):
            raise FrameError(
                f"cohorts: {strangers[0]!r} is no annotator here; there are "
                f"{', '.join(label.annotators)}"
            )
        judged = label.counted().select("item_id", "annotator", "value")
        judged = judged.join(self._new_items(), on="item_id")
        if judged.is_empty():
            raise FrameError(
                "nothing was labelled since the accepted release: collect and label, then trace"
            )
        gold = label.gold.select("item_id", pl.col("value").alias("right"))
        team = pl.col("annotator").replace_strict(teams, default=None, return_dtype=pl.String)
        return judged.join(gold, on="item_id", how="left").select(
            "item_id", "text", "annotator", "value", "batch_id",
            pl.col("domain").fill_null(pl.col("value")), team.alias("cohort"),
            (pl.col("value") != pl.col("right")).cast(pl.Int64).alias("gold"),
        )  # fmt: skip

    def _influence(self) -> pl.DataFrame:
        """Return how far each example moved the last run to its wrong answers on dev."""
        wrong = self.failures().filter(pl.col("set") == "dev")["text"].to_list()
        found = self._project.train.provenance().explain(wrong)
        return found.table.select("item_id", "influence")
