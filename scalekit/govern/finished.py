"""A finished run, read from its record."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from scalekit.display import View, block, counted, note, table
from scalekit.figures import figure
from scalekit.govern.record import RunRecord

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from scalekit.govern.classifier import TextClassifier
    from scalekit.govern.provenance import Provenance

__all__ = ["FinishedRun"]

SMOOTH = 20  # updates in a moving mean


class FinishedRun(View):
    """What a sealed run was and did; nothing here needs the process that trained it."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.record = RunRecord(self.folder)

    @cached_property
    def model(self) -> TextClassifier:
        """The released text classifier."""
        from scalekit.govern.classifier import TextClassifier

        return TextClassifier.load(self.folder / "checkpoint.safetensors")

    @property
    def settings(self) -> dict[str, object]:
        """How it was run."""
        return dict(self.record.header["settings"])

    @cached_property
    def updates(self) -> pl.DataFrame:
        """One row for each update; columns by depth group are arrays."""
        return self.record.rows("updates").collect()

    @property
    def table(self) -> pl.DataFrame:
        """Mean loss of each epoch, and how evenly its batches' examples contributed."""
        per_epoch = -(-len(self.record.examples) // int(self.settings["batch"]))  # type: ignore[call-overload]
        epoch = ((pl.col("update") - 1) // per_epoch + 1).cast(pl.Int64).alias("epoch")
        losses = self.record.rows("ledger").group_by(epoch).agg(pl.col("loss").mean()).collect()
        even = self.updates.group_by(epoch).agg(
            pl.col("effective").arr.min().mean().alias("effective contributors"),
            pl.len().alias("updates"),
        )
        return losses.join(even, on="epoch").sort("epoch")

    def plot(self) -> go.Figure:
        """Return the loss by update, by rubric of the examples (moving mean)."""
        import plotly.graph_objects as go

        rows = self.record.rows("ledger").select("update", "loss", "example").collect()
        ends = self.record.examples.select("example", pl.col("rubric").alias("taught"))
        means = (
            rows.join(ends, on="example").group_by("taught", "update").agg(pl.col("loss").mean())
        )
        drawn = figure("Training loss by rubric", x="update", y="loss (moving mean)")
        drawn.update_layout(showlegend=True)  # also of one line: it is the rubric's name
        for (taught,), part in means.sort("taught", "update").group_by(
            "taught", maintain_order=True
        ):
            smooth = part["loss"].rolling_mean(SMOOTH, min_samples=1).round(4).to_list()
            line = go.Scatter(x=part["update"].to_list(), y=smooth, mode="lines", name=str(taught))
            drawn.add_trace(line)
        return drawn

    def depth_profile(self) -> pl.DataFrame:
        """Return, by depth group, what the last tenth of the updates showed.

        ``depth``, ``applied`` (mean applied norm of an example), ``effective`` contributors as a
        share of the active ones, ``capped`` share, ``effective rank`` of the outputs.
        """
        last = self.updates.tail(max(1, len(self.updates) // 10))
        ledger = self.record.rows("ledger").filter(pl.col("update") >= last["update"][0]).collect()
        rows = []
        for i, name in enumerate(self.record.depths):
            at = {c: last[c].arr.get(i) for c in ("effective", "capped", "active", "rank")}
            rank = at["rank"].drop_nans()
            rows.append(
                {
                    "depth": name,
                    "applied": ledger["applied_norm"].arr.get(i).mean(),
                    "effective": at["effective"].mean(),
                    "capped": (at["capped"] / at["active"].clip(1)).mean(),
                    "effective rank": rank.mean() if len(rank) else None,
                }
            )
        return pl.DataFrame(rows)

    def hardest(self, n: int = 10) -> pl.DataFrame:
        """Return the examples of highest loss in the last epoch, with label and loss."""
        rows = self.record.rows("ledger").group_by("example").agg(pl.col("loss").last()).collect()
        named = self.record.examples.select("example", "item_id", "label").join(rows, on="example")
        return named.drop("example").sort("loss", "item_id", descending=[True, False]).head(n)

    def provenance(self) -> Provenance:
        """Return who answers where the model's answers come from."""
        from scalekit.govern.provenance import Provenance

        return Provenance(self.folder)

    def to_html(self) -> str:
        """Show what was trained, how, and how it ended."""
        examples, updates = len(self.record.examples), len(self.updates)
        routed = "by depth profile" if self.settings["routing"] else "off"
        budget = self.record.header["budget"]
        limits = "enforced" if budget and budget["enforced"] else "monitored only"
        said = (
            f"{examples:,} examples, {counted(updates, 'update')}, each recorded. Routing "
            f"{routed}, entropy budget {limits}."
        )
        rows = self.table
        ends = pl.concat([rows.head(1), rows.tail(1)]).unique(maintain_order=True)
        title = "Governed run" if self.settings["routing"] else "Run without routing"
        return block(title, note(said), table(ends), table(self.depth_profile()))
