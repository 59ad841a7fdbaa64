"""Judge models: whether one agrees with people as they agree with each other, before it scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from math import ceil
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from scalekit.coefficients import bootstrap_alpha
from scalekit.display import View, badge, block, counted, note, table
from scalekit.evaluate.leave_one_out import leave_one_out, pairwise_agreement
from scalekit.evaluate.votes import (
    Array,
    Codes,
    Level,
    Two,
    Votes,
    agreement_of_two,
    agreement_weights,
    codes,
    in_order,
    read_votes,
    share_interval,
)
from scalekit.figures import error_bars, figure
from scalekit.frames import FrameError, require, to_polars
from scalekit.gates import Check
from scalekit.intervals import Z95

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["JudgeAgreement", "JudgeError", "judge_agreement", "scored_by_judge"]

Z80 = 0.8416212335729143  # the 80 % point of the normal distribution: the power asked for


class JudgeError(RuntimeError):
    """A judge's scores were refused: its agreement with people is not shown; says what is."""


@dataclass(frozen=True)
class JudgeAgreement(View):
    """How far a judge agrees with a panel, against how far panelists agree with each other.

    ``table``: for each panelist left out, and over all, ``panelist, items, panelist agrees, judge
    agrees, difference, from, to``: agreement of the panelist, and of the judge, with the other
    panelists, as shares. ``pairs``: ``one, other, items, agreement, from, to, kappa, kappa from,
    kappa to`` for every two, the judge among them. ``majority`` and ``self_consistency`` are a
    share with its interval and the number of items; ``unanswered`` counts verdicts that are
    missing, which agree with nobody. ``needed`` is how many items would settle the
    question with 80 % power if the difference stays as it is; None where it is settled, or where
    more items would not change the answer.
    """

    judge: str
    margin: float
    table: pl.DataFrame
    pairs: pl.DataFrame
    majority: tuple[float, float, float, int]
    tied: int
    unanswered: int
    self_consistency: tuple[float, float, float, int] | None
    alpha: tuple[float, float] | None
    level: Level
    needed: int | None

    @property
    def difference(self) -> tuple[float, float, float]:
        """The judge's agreement less the panelists', with its 95 % interval."""
        row = self.table.row(0, named=True)
        return row["difference"], row["from"], row["to"]

    @property
    def passed(self) -> bool:
        """Whether the judge may stand in for a panelist."""
        return self._beyond_chance and self.difference[1] > -self.margin

    @property
    def _beyond_chance(self) -> bool:
        return self.alpha is not None and self.alpha[0] > 0

    @property
    def verdict(self) -> str:
        """The answer in words, with the reason."""
        mean, low, high = self.difference
        items = counted(self.table["items"][0], "item")
        said = (
            f"on {items} its agreement differs from that between panelists by {mean:+.3f} "
            f"({low:+.3f} to {high:+.3f}); the declared margin is {self.margin:g}"
        )
        if not self._beyond_chance:
            return (
                "may not stand in for a panelist: panelists are not shown to agree with each other "
                f"beyond chance, so nothing can be shown against them; {said}"
            )
        if self.passed:
            return f"may stand in for a panelist: {said}"
        if high < -self.margin:
            return f"may not stand in for a panelist: {said}, and it is worse than that"
        if self.needed is None:
            return (
                f"may not stand in for a panelist: not resolvable at {items}, and the difference "
                f"found is no smaller than the margin, so more items are unlikely to help: {said}"
            )
        return (
            f"may not stand in for a panelist yet: not resolvable at {items}; about "
            f"{self.needed:,} would be, if the difference stays: {said}"
        )

    def check(self) -> Check:
        """Return the check that a judge must pass before its scores enter a measurement."""
        _, low, _ = self.difference
        remedy = "have the panel vote on more items, change the judge, or let people score"
        return Check(
            f"judge {self.judge} agrees as panelists do",
            self.passed,
            f"difference at least {low:+.3f}",
            f"above {-self.margin:+g}",
            "evaluate",
            remedy,
            self.table,
        )

    def plot(self) -> go.Figure:
        """Return the agreement of every two, panelists first, with intervals."""
        import plotly.graph_objects as go

        shown = self.pairs
        drawn = figure(
            "Agreement of every two, with 95 % intervals", x="share of items",
            height=140 + 26 * len(shown),
        )  # fmt: skip
        for name, own in (
            ("two panelists", shown.filter(pl.col("one") != self.judge)),
            (f"{self.judge} and a panelist", shown.filter(pl.col("one") == self.judge)),
        ):
            drawn.add_trace(
                go.Scatter(
                    name=name, x=own["agreement"].to_list(), mode="markers",
                    y=[f"{a} and {b}" for a, b in own.select("one", "other").iter_rows()],
                    error_x=error_bars(own, "agreement"),
                )
            )  # fmt: skip
        return drawn.update_yaxes(autorange="reversed")

    def to_html(self) -> str:
        """Show the verdict, then agreement leaving each panelist out, and of every two."""
        share, low, high, items = self.majority
        votes = f"{share:.3f} ({low:.3f} to {high:.3f}) on {counted(items, 'item')}"
        tied = f"; {counted(self.tied, 'item')} without a majority left out" if self.tied else ""
        return block(
            f"Judge {self.judge}",
            badge(self.passed),
            note(f"It {self.verdict}."),
            note(f"Agreement with the panel's majority: {votes}{tied}."),
            note(self._consistency_said()),
            note(f"Verdicts that are missing, and agree with nobody: {self.unanswered:,}."),
            note("Agreement with the other panelists, each panelist left out in turn:"),
            table(self.table),
            note("Every two:"),
            table(self.pairs),
        )

    def _consistency_said(self) -> str:
        if self.self_consistency is None:
            return "Its self-consistency is not known: no item has two verdicts of it."
        share, low, high, items = self.self_consistency
        said = f"{share:.3f} ({low:.3f} to {high:.3f}) on {counted(items, 'item')}"
        return f"It repeats its own verdict in {said}."


def judge_agreement(
    verdicts: Any,
    panel: Any,
    *,
    margin: float,
    judge: str = "judge",
    level: Level = "nominal",
    values: Sequence[str] | None = None,
    draws: int = 1000,
    seed: int = 0,
) -> JudgeAgreement:
    """Hold a judge's verdicts against a panel's votes on the same items.

    Each panelist is left out in turn: how far does the panelist agree with the others, how far the
    judge with the same others (as in Calderon, Reichart & Dror 2025, arXiv:2501.10970)? The judge
    may stand in for a panelist when the lower end of the 95 % interval of the difference, items
    being the unit, lies above ``-margin``, and the panelists themselves agree beyond chance (the
    interval of alpha lies above 0).

    Parameters
    ----------
    verdicts
        ``item_id, value``: the judge's. An item that has several was asked several times: each
        weighs the same, and its self-consistency is measured. A missing value (a refusal, an answer
        that could not be read) agrees with nobody: the items that a judge fails are not left out.
    panel
        ``item_id, annotator, value``; items with a single vote say nothing about the panel and are
        left out.
    margin
        By how much less the judge may agree, as a share, declared before looking.
    judge
        Its name, with whatever makes it another judge: model, revision, prompt.
    level
        ``nominal``: equal or not. ``interval``: values are numbers, nearer is better.
    values
        The values in their order; by default those that occur.
    draws, seed
        Bootstrap resamples for the intervals of kappa and alpha, and their seed.

    Raises
    ------
    FrameError
        When a column is missing, a row is unsound, or no item has a verdict and two votes.
    ValueError
        When *margin* is not between 0 and 1.
    """
    if not 0 < margin < 1:
        raise ValueError(f"margin is a share between 0 and 1, got {margin}")
    said = _verdicts(verdicts)
    votes = _votes(said, panel, values)
    own = said.filter(pl.col("item_id").is_in(votes.items))
    shares, first = _shares(own, votes)
    # The last row and column stand for a missing verdict.
    weights = np.pad(agreement_weights(votes.values, level), ((0, 1), (0, 1)))
    compared, deviation = leave_one_out(votes, shares, weights)
    return JudgeAgreement(
        judge=judge,
        margin=margin,
        table=compared,
        pairs=agreement_of_two(_every_two(votes, first, judge), weights, draws=draws, seed=seed),
        majority=_with_majority(votes.counts, shares),
        tied=len(votes.items) - int(_decided(votes.counts).sum()),
        unanswered=own["value"].null_count(),
        self_consistency=_consistency(own, votes, weights),
        alpha=bootstrap_alpha(
            votes.counts, level, _numbers(votes.values, level), samples=draws, seed=seed
        ),
        level=level,
        needed=_needed(compared.row(0, named=True), deviation, margin),
    )


def scored_by_judge(scores: Any, agreement: JudgeAgreement | None) -> pl.DataFrame:
    """Return a judge's scores with its name beside them, if it may stand in for a panelist.

    *scores* has ``item_id, set, score`` and, if known, ``judge``: whose they are. The column
    ``scored_by`` is added, so that no table mixes them with people's unseen.

    Raises
    ------
    JudgeError
        When no agreement is shown, it is not passed, or it is another judge's; with the reason.
    FrameError
        When a column is missing.
    """
    given = require(to_polars(scores, "scores"), ("item_id", "set", "score"), "scores")
    if agreement is None:
        raise JudgeError(
            "no agreement of this judge with a panel is shown; have people vote on the same items, "
            "then judge_agreement(verdicts, panel, margin=…)"
        )
    if "judge" in given.columns:
        others = sorted(set(given["judge"].cast(pl.String).fill_null("")) - {agreement.judge})
        if others:
            raise JudgeError(
                f"scores of judge {others[0]!r}: agreement is shown for {agreement.judge!r} only"
            )
        given = given.drop("judge")
    if not agreement.passed:
        raise JudgeError(f"judge {agreement.judge!r} {agreement.verdict}")
    return given.with_columns(pl.lit(agreement.judge).alias("scored_by"))


def _verdicts(verdicts: Any) -> pl.DataFrame:
    columns = ("item_id", "value")
    rows = require(to_polars(verdicts, "verdicts"), columns, "verdicts").select(columns)
    return rows.with_columns(pl.col(columns).cast(pl.String)).drop_nulls("item_id")


def _votes(said: pl.DataFrame, panel: Any, values: Sequence[str] | None) -> Votes:
    """Return the panel's votes on the items that have two of them and a verdict."""
    votes = read_votes(panel, None, "panel")
    seen = in_order(sorted({*votes.values, *said["value"].drop_nulls()}))
    order = seen if values is None else [*map(str, values)]
    if strange := sorted(set(seen) - set(order)):
        raise FrameError(f"value {strange[0]!r} is not one of {', '.join(order)}")
    votes = read_votes(panel, order, "panel")
    judged = set(said["item_id"])
    enough = (votes.said >= 0).sum(axis=1) >= 2
    both = [bool(e) and i in judged for e, i in zip(enough, votes.items, strict=True)]
    kept = np.flatnonzero(both)
    if not len(kept):
        raise FrameError("no item has a verdict of the judge and votes of two panelists")
    here = np.flatnonzero((votes.said[kept] >= 0).any(axis=0))
    return Votes(
        tuple(votes.items[i] for i in kept),
        tuple(votes.raters[r] for r in here),
        votes.values,
        votes.said[np.ix_(kept, here)],
    )


def _verdict_codes(own: pl.DataFrame, votes: Votes) -> Codes:
    """Return each verdict's place among the values; a missing one stands after the last."""
    missing = "\0"
    return codes(own["value"].fill_null(missing), [*votes.values, missing])


def _shares(own: pl.DataFrame, votes: Votes) -> tuple[Array, Codes]:
    """Return the shares of an item's verdicts that each value has, and its first verdict."""
    shares = np.zeros((len(votes.items), len(votes.values) + 1))
    place, value = codes(own["item_id"], votes.items), _verdict_codes(own, votes)
    np.add.at(shares, (place, value), 1.0)
    first = np.empty(len(votes.items), dtype=np.int64)
    first[place[::-1]] = value[::-1]
    return shares / shares.sum(axis=1, keepdims=True), first


def _needed(overall: dict[str, Any], deviation: float, margin: float) -> int | None:
    room = overall["difference"] + margin
    if overall["from"] > -margin or room <= 0:
        return None
    # The power is that of the plain mean; never fewer items than were not enough.
    wanted = ((Z95 + Z80) * deviation / room) ** 2
    return max(int(overall["items"]) + 1, ceil(float(wanted)))


def _decided(counts: Array) -> Any:
    best = counts.max(axis=1)
    return (counts == best[:, None]).sum(axis=1) == 1


def _with_majority(counts: Array, shares: Array) -> tuple[float, float, float, int]:
    kept = _decided(counts)
    own = shares[kept, counts[kept].argmax(axis=1)]
    return (*share_interval(own), len(own))


def _consistency(
    own: pl.DataFrame, votes: Votes, weights: Array
) -> tuple[float, float, float, int] | None:
    again = own.filter(pl.len().over("item_id") > 1)
    if again.is_empty():
        return None
    items = again["item_id"].unique().sort().to_list()
    counts = np.zeros((len(items), len(weights)))
    np.add.at(counts, (codes(again["item_id"], items), _verdict_codes(again, votes)), 1.0)
    return (*share_interval(pairwise_agreement(counts, weights)), len(items))


def _every_two(votes: Votes, first: Codes, judge: str) -> list[Two]:
    """Return every two panelists with what they said, then the judge with each."""
    people = list(zip(votes.raters, votes.said.T, strict=True))
    return [
        *((a, b, left, right) for (a, left), (b, right) in combinations(people, 2)),
        *((judge, b, first, right) for b, right in people),
    ]


def _numbers(values: Sequence[str], level: Level) -> Array | None:
    return np.array([float(v) for v in values]) if level == "interval" else None
