"""A training run whose every update passes a governor and leaves a record."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import polars as pl
import torch
from torch import Tensor, nn

from scalekit.display import View, block, note, table
from scalekit.figures import figure
from scalekit.frames import ids_unique, require, to_polars
from scalekit.govern.classifier import TextClassifier

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["Governor", "Plain", "Run", "fit"]

RECORD = {"update": pl.Int64, "epoch": pl.Int64, "item_id": pl.String, "loss": pl.Float64}


class Governor(Protocol):
    """Stands between the losses of a batch and the weights.

    A run calls, for each update and in this order, :meth:`combine` (before the backward pass),
    :meth:`allow` (after it: gradients may be changed, or the update refused by an exception) and,
    once the optimizer has stepped, :meth:`updated`.
    """

    def combine(self, losses: Tensor, item_ids: Sequence[str]) -> Tensor:
        """Return the scalar to go backward from; *losses* has one entry for each example."""
        ...

    def allow(self, model: nn.Module, item_ids: Sequence[str]) -> None:
        """Look at the gradients of *model* before the step."""
        ...

    def updated(self, model: nn.Module, item_ids: Sequence[str]) -> None:
        """Look at the weights of *model* after the step."""
        ...


class Plain:
    """The governor that governs nothing: the mean loss, every gradient as it is."""

    def combine(self, losses: Tensor, item_ids: Sequence[str]) -> Tensor:
        """Return the mean loss."""
        return losses.mean()

    def allow(self, model: nn.Module, item_ids: Sequence[str]) -> None:
        """Allow every update."""

    def updated(self, model: nn.Module, item_ids: Sequence[str]) -> None:
        """Look at nothing."""


@dataclass(frozen=True)
class Run(View):
    """A finished run: the model, and one row of the record for each update and example in it."""

    model: TextClassifier
    record: pl.DataFrame

    @property
    def table(self) -> pl.DataFrame:
        """Mean loss of each epoch."""
        epochs = self.record.group_by("epoch", maintain_order=True)
        return epochs.agg(pl.col("loss").mean(), pl.col("update").n_unique().alias("updates"))

    def plot(self) -> go.Figure:
        """Return the loss by epoch."""
        import plotly.graph_objects as go

        rows = self.table
        drawn = figure("Training loss", x="epoch", y="mean loss")
        losses = [round(v, 4) for v in rows["loss"]]
        line = go.Scatter(x=rows["epoch"].to_list(), y=losses, mode="lines+markers", name="loss")
        return drawn.add_trace(line)

    def hardest(self, n: int = 10) -> pl.DataFrame:
        """Return the examples of highest loss in the last epoch: worth a second look."""
        last = self.record.filter(pl.col("epoch") == pl.col("epoch").max())
        return (
            last.select("item_id", "loss").sort("loss", "item_id", descending=[True, False]).head(n)
        )

    def to_html(self) -> str:
        """Show what was trained and how the loss went."""
        examples = self.record["item_id"].n_unique()
        updates = self.record["update"].n_unique()
        said = f"{examples:,} examples, {updates:,} updates, each recorded."
        rows = self.table
        ends = pl.concat([rows.head(1), rows.tail(1)]).unique(maintain_order=True)
        return block("Training run", note(said), table(ends))


def fit(
    examples: Any,
    categories: Sequence[str],
    *,
    governor: Governor | None = None,
    epochs: int = 12,
    batch: int = 32,
    rate: float = 2e-3,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Run:
    """Train a :class:`~scalekit.govern.classifier.TextClassifier`.

    Parameters
    ----------
    examples
        ``item_id, text, category``.
    categories
        All categories, in the order of the model's output.
    governor
        Decides what each example may change; by default nothing is governed.
    epochs, batch, rate, seed
        Passes over the examples, examples in an update, learning rate of AdamW, seed of weights,
        order and dropout.
    progress
        Called as ``progress(done, total)`` after each epoch.

    Raises
    ------
    FrameError
        When a column is missing or an id repeats.
    ValueError
        When there is nothing to train on, or an example has an unknown category.
    """
    table = require(to_polars(examples, "examples"), ("item_id", "text", "category"), "examples")
    table = ids_unique(table, "item_id", "examples").sort("item_id")
    unknown = sorted(set(table["category"]) - set(categories), key=str)
    if table.is_empty() or unknown:
        why = f"unknown categories: {', '.join(map(str, unknown))}" if unknown else "no examples"
        raise ValueError(f"nothing was trained; {why}")
    governor = governor or Plain()
    model = TextClassifier(categories, seed=seed)
    ids, texts = table["item_id"].to_list(), table["text"].to_list()
    target = torch.tensor([categories.index(c) for c in table["category"]])
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=0.01)
    rows: list[tuple[int, int, str, float]] = []
    update = 0
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        for epoch in range(1, epochs + 1):
            model.train()
            for chosen in torch.split(torch.randperm(len(ids)), batch):
                update += 1
                named = [ids[i] for i in chosen.tolist()]
                losses = nn.functional.cross_entropy(
                    model([texts[i] for i in chosen.tolist()]), target[chosen], reduction="none"
                )
                optimizer.zero_grad()
                governor.combine(losses, named).backward()  # type: ignore[no-untyped-call]
                governor.allow(model, named)
                optimizer.step()
                governor.updated(model, named)
                found = zip(named, losses.tolist(), strict=True)
                rows += [(update, epoch, item, loss) for item, loss in found]
            if progress is not None:
                progress(epoch, epochs)
    return Run(model, pl.DataFrame(rows, schema=RECORD, orient="row"))
