"""Where does the learning sit? Put layers back to their first weights and see what is lost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

from scalekit.display import View, block, note, table
from scalekit.figures import figure
from scalekit.frames import require, to_polars
from scalekit.govern.classifier import TextClassifier
from scalekit.govern.finished import FinishedRun

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["Localisation", "localise"]


@dataclass(frozen=True)
class Localisation(View):
    """Accuracy by run and rubric, with all weights and with some layers put back."""

    table: pl.DataFrame
    reset: tuple[str, ...]

    def plot(self) -> go.Figure:
        """Return what is left of each skill after the reset."""
        import plotly.graph_objects as go

        drawn = figure(f"What is left without {', '.join(self.reset)}", y="accuracy")
        for (run,), part in self.table.group_by("run", maintain_order=True):
            heights = part["left"].round(4).to_list()
            bars = go.Bar(x=part["rubric"].to_list(), y=heights, name=str(run))
            drawn.add_trace(bars)
        drawn.update_layout(yaxis={"range": [0, 1.05]})
        return drawn

    def to_html(self) -> str:
        """Show what was lost."""
        said = f"{', '.join(self.reset)} put back to the first weights."
        return block("Localisation", note(said), table(self.table))


def localise(runs: Mapping[str, FinishedRun], items: Any, *, reset: Sequence[str]) -> Localisation:
    """Measure what each rubric's examples lose when depth groups go back to their first weights.

    Parameters
    ----------
    runs
        By name.
    items
        The training items: ``item_id, text, category``.
    reset
        Names of depth groups.

    Raises
    ------
    ValueError
        When a run has no such depth group.
    """
    given = require(to_polars(items, "items"), ("item_id", "text", "category"), "items")
    rows = []
    for name, run in runs.items():
        strange = [g for g in reset if g not in run.record.depths]
        if strange:
            known = ", ".join(run.record.depths)
            raise ValueError(f"{name}: no depth group {strange[0]!r}; there are {known}")
        both = given.join(run.record.examples.select("item_id", "rubric"), on="item_id")
        texts = both["text"].to_list()
        answers = {"all": run.model.predict(texts), "left": _without(run, reset).predict(texts)}
        right = both.select(
            "rubric",
            *((pl.Series(k, v) == pl.col("category")).alias(k) for k, v in answers.items()),
        )
        means = right.group_by("rubric").agg(pl.len().alias("n"), pl.col("all", "left").mean())
        rows.append(
            means.sort("rubric").select(pl.lit(name).alias("run"), "rubric", "n", "all", "left")
        )
    return Localisation(pl.concat(rows), tuple(reset))


def _without(run: FinishedRun, reset: Sequence[str]) -> TextClassifier:
    """Return the released model with the weights of depth groups as the run began with them."""
    from safetensors.torch import load_file

    first = load_file(run.folder / "checkpoints/00000000/model.safetensors")
    places = {run.record.depths.index(name) for name in reset}
    model = TextClassifier.load(run.folder / "checkpoint.safetensors")
    kept = model.state_dict()
    for leaf in run.record.header["leaves"]:
        if leaf["depth"] in places:
            kept.update({name: first[name] for name in leaf["parameters"]})
    model.load_state_dict(kept)
    return model
