"""Preferences between two, as pairs to train on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import polars as pl

from scalekit.display import View, block, counted, note, table
from scalekit.frames import require, to_polars
from scalekit.judgements import pair_consensus
from scalekit.label.tasks import LabelError

__all__ = ["PreferencePairs", "preference_pairs"]


@dataclass(frozen=True)
class PreferencePairs(View):
    """Pairs to train a preference model on, and how many were left out, and why.

    ``table`` has ``item_id, prompt, chosen, rejected, strength, n, agreement, annotators``.
    """

    table: pl.DataFrame
    tied: int
    below: int
    same: int
    min_agreement: float

    def to_html(self) -> str:
        """Show the count of pairs, what was left out, and the first pairs."""
        left_out = (
            f"Left out: {self.tied:,} tied, {self.below:,} with agreement below "
            f"{self.min_agreement:g}, {self.same:,} with the same response twice."
        )
        return block(
            "Preference pairs",
            note(f"{counted(len(self.table), 'pair')}."),
            note(left_out),
            table(self.table, limit=5),
        )


def preference_pairs(
    judgements: Any, responses: Any, *, min_agreement: float = 0.6
) -> PreferencePairs:
    """Turn judgements into rows of a prompt with a chosen and a rejected response.

    Parameters
    ----------
    judgements
        As for :func:`scalekit.judgements.pair_consensus`.
    responses
        A table with ``item_id, name, prompt, response``: one row for each thing compared.
    min_agreement
        The least share of all judgements (ties among them) that the winner needs.

    Raises
    ------
    FrameError
        When a column is missing; naming the first unsound row of the judgements.
    LabelError
        Naming the first repeated response, or pair without its two responses.
    """
    columns = ("item_id", "name", "prompt", "response")
    texts = require(to_polars(responses, "responses"), columns, "responses").select(columns)
    texts = texts.with_columns(pl.col("item_id", "name").cast(pl.String))
    votes = pair_consensus(judgements)
    loser = pl.when(pl.col("winner") == pl.col("first")).then(pl.col("second")).otherwise("first")
    agreed = votes.filter(~pl.col("tied") & (pl.col("share") >= min_agreement))
    pairs = _with_texts(agreed.with_columns(loser.alias("loser")), texts)
    same = pl.col("chosen") == pl.col("rejected")
    # Under 0 where the few who prefer the rejected one do so more strongly.
    margin = (
        pl.when(pl.col("winner") == pl.col("first")).then("strength").otherwise(-pl.col("strength"))
    )
    tied = int(votes["tied"].sum())
    return PreferencePairs(
        table=pairs.filter(~same).select(
            "item_id", "prompt", "chosen", "rejected", margin.alias("strength"), "n",
            pl.col("share").alias("agreement"), "annotators",
        ),
        tied=tied,
        below=len(votes) - tied - len(agreed),
        same=pairs.select(same.sum()).item(),
        min_agreement=min_agreement,
    )  # fmt: skip


def _with_texts(pairs: pl.DataFrame, texts: pl.DataFrame) -> pl.DataFrame:
    twice = texts.filter(pl.struct("item_id", "name").is_duplicated())
    if len(twice):
        item, name = twice.select("item_id", "name").row(0)
        raise LabelError(f"responses: {name!r} has more than one response to item {item!r}")
    for column, name in (("chosen", "winner"), ("rejected", "loser")):
        own = texts if column == "chosen" else texts.drop("prompt")
        own = own.rename({"name": name, "response": column})
        pairs = pairs.join(own, on=["item_id", name], how="left", maintain_order="left")
        lacking = pairs.filter(pl.col(column).is_null())
        if len(lacking):
            item, said = lacking.select("item_id", name).row(0)
            raise LabelError(
                f"responses: {said!r} has no response to item {item!r} "
                f"({counted(len(lacking), 'such pair')})"
            )
    return pairs
