"""From an output back to layers, examples, batches, annotators and rubrics; and the other way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import polars as pl
import torch
from torch import Tensor, nn
from torch.nn import functional

from scalekit.display import View, block, counted, note, table
from scalekit.figures import figure
from scalekit.frames import ids_unique, require, to_polars
from scalekit.govern.batch import GovernError
from scalekit.govern.classifier import TextClassifier
from scalekit.govern.depths import depth_map
from scalekit.govern.governor import govern
from scalekit.govern.record import RecordError, RunRecord
from scalekit.govern.record.recorder import RELEASED

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["Explanation", "Provenance", "Taught", "influence"]

Array = np.ndarray[Any, Any]
Loss = Callable[[nn.Module, Any], Tensor]
Who = Literal["annotator", "batch", "rubric", "label"]
COLUMNS = {"annotator": "annotators", "batch": "batch_id", "rubric": "rubric", "label": "label"}
DAMPING = 0.1


def influence(
    sums: Array, moments: Array, count: int, query: Array, damping: float = DAMPING
) -> Array:
    """Return the influence of each example at each depth on each query, [N, Q, L].

    Sketched, whitened TracIn: ``sum_e,l . (F_l / n + damping tr(F_l) / (n k) I)^-1 q_l`` with the
    running sums [N, L, k] of an example's applied gradients, their second moments F [L, k, k] and
    the query's own gradient sketches [Q, L, k]. Positive: training on the example lowered the
    query's loss (Pruthi et al. 2020, arXiv:2002.08484; whitening as in TRAK, Park et al. 2023,
    arXiv:2303.14186).
    """
    k = sums.shape[2]
    mean = moments.astype(np.float64) / max(count, 1)
    size = np.trace(mean, axis1=1, axis2=2) / k
    damped = mean + (damping * size + 1e-30)[:, None, None] * np.eye(k)
    whitened = np.linalg.solve(damped, query.astype(np.float64).transpose(1, 2, 0))
    found: Array = np.einsum("nlk,lkq->nql", sums, whitened.astype(np.float32), optimize=True)
    return found


def _owners(examples: pl.DataFrame, who: Who) -> pl.DataFrame:
    """Return ``example, who, share``: an example of several annotators counts in equal parts."""
    column = COLUMNS[who]
    kept = examples.select("example", pl.col(column).alias("who"))
    if kept["who"].dtype != pl.List:
        return kept.with_columns(pl.lit(1.0).alias("share"))
    parts = kept.with_columns((1 / pl.col("who").list.len()).alias("share"))
    return parts.filter(pl.col("who").list.len() > 0).explode("who")


@dataclass(frozen=True)
class Explanation(View):
    """What taught the model to answer as it did.

    ``scores`` [N, L]: influence of each training example at each depth, positive in favour of the
    answer; ``examples`` the record's table, row by row.
    """

    question: str
    answer: str
    scores: Array
    examples: pl.DataFrame
    depths: tuple[str, ...]

    @property
    def table(self) -> pl.DataFrame:
        """All examples by influence, with where they came from and the depth they act at most."""
        total = self.scores.sum(1)
        strongest = [self.depths[i] for i in self.scores.argmax(1)]
        columns = ["item_id", "label", "annotators", "batch_id", "rubric"]
        columns += ["text"] if "text" in self.examples.columns else []
        return (
            self.examples.select(columns)
            .with_columns(
                pl.Series("influence", total.round(6), dtype=pl.Float64),
                pl.Series("mostly at", strongest, dtype=pl.String),
            )
            .sort("influence", "item_id", descending=[True, False])
        )

    def with_texts(self, items: Any) -> Explanation:
        """Return the same with texts, for the record has none: *items* has ``item_id, text``."""
        texts = require(to_polars(items, "items"), ("item_id", "text"), "items")
        texts = ids_unique(texts.select("item_id", "text"), "item_id", "items")
        kept = self.examples.drop("text", strict=False)
        return replace(
            self, examples=kept.join(texts, on="item_id", how="left", maintain_order="left")
        )

    def top(self, n: int = 10) -> pl.DataFrame:
        """Return the examples most in favour of the answer."""
        return self.table.head(n)

    def against(self, n: int = 10) -> pl.DataFrame:
        """Return the examples most against it."""
        return self.table.tail(n).reverse()

    def by(self, who: Who) -> pl.DataFrame:
        """Return influence summed by ``annotator``, ``batch``, ``rubric`` or ``label``.

        In favour and against apart, and the number of examples.
        """
        total = self.examples.select("example").with_columns(pl.Series("score", self.scores.sum(1)))
        joined = _owners(self.examples, who).join(total, on="example")
        part = pl.col("score") * pl.col("share")
        return (
            joined.group_by("who")
            .agg(
                part.filter(part > 0).sum().alias("in favour"),
                part.filter(part < 0).sum().alias("against"),
                pl.len().alias("examples"),
            )
            .rename({"who": who})
            .sort("in favour", who, descending=[True, False])
        )

    def plot(self) -> go.Figure:
        """Return the influence by depth, in favour and against."""
        import plotly.graph_objects as go

        drawn = figure("Influence on this answer by depth", x="depth group", y="influence")
        favour = np.clip(self.scores, 0, None).sum(0)
        against = np.clip(self.scores, None, 0).sum(0)
        for name, values in (("in favour", favour), ("against", against)):
            heights = [round(float(v), 6) for v in values]
            drawn.add_trace(go.Bar(x=list(self.depths), y=heights, name=name))
        return drawn

    def to_html(self) -> str:
        """Show the answer and what taught it."""
        said = f"“{self.question}” → {self.answer}." if self.question else f"→ {self.answer}."
        rows = self.top(8).with_columns(pl.col("influence").round(3))
        return block("Explanation", note(said), table(rows), table(self.by("annotator")))


@dataclass(frozen=True)
class Taught(View):
    """What part of the run's learning came from some of its examples, by depth."""

    what: str
    table: pl.DataFrame

    def plot(self) -> go.Figure:
        """Return the share of what each depth absorbed."""
        import plotly.graph_objects as go

        drawn = figure(f"Taught by {self.what}", x="depth group", y="share of applied norms")
        names = self.table["depth"].to_list()
        return drawn.add_trace(
            go.Bar(x=names, y=self.table["share"].round(4).to_list(), name="share")
        )

    def to_html(self) -> str:
        """Show the shares."""
        return block(f"Taught by {self.what}", table(self.table))


class Provenance:
    """Answers where a run's outputs come from, from its record alone.

    Parameters
    ----------
    folder
        Of a sealed run.
    model
        With the released weights; by default the text classifier in the folder.
    loss
        From model and batch to each example's loss [B] at the answer to be explained; by default,
        for texts, the loss at what the model itself answers.

    Raises
    ------
    RecordError
        When there is no record, or it is not sealed: the projection is revealed at the seal.
    """

    def __init__(
        self, folder: str | Path, model: nn.Module | None = None, loss: Loss | None = None
    ) -> None:
        self.record = RunRecord(Path(folder))
        sealed = [e.data for e in self.record.events if e.kind == "sealed"]
        if not sealed:
            raise RecordError(f"{folder}: not sealed yet; finish the run first")
        self._nonce = bytes.fromhex(sealed[-1]["nonce"])
        self.model = model or TextClassifier.load(self.record.folder / RELEASED)
        self._loss = loss or _own_answer

    @cached_property
    def store(self) -> Any:
        """The running store."""
        return self.record.store()

    def sketches(self, batch: Any, examples: int) -> Array:
        """Return the gradient sketches [B, L, k] of a batch at the released weights."""
        model = self.model.eval()
        header = self.record.header
        depths = depth_map(model, self._depth_of)
        governor = govern(model, depths=depths, sketch=header["sketch"], nonce=self._nonce)
        try:
            if [leaf.described() for leaf in governor.leaves] != header["leaves"]:
                raise GovernError("this model is not built as the one that was trained")
            whole = torch.ones(examples, len(governor.depths.groups))
            with governor.batch([str(i) for i in range(examples)], mask=whole):
                self._loss(model, batch).sum().backward()  # type: ignore[no-untyped-call]
            model.zero_grad(set_to_none=True)
            sketch = governor.harvests[-1].sketch
            assert sketch is not None
            found: Array = sketch.detach().cpu().numpy()
        finally:
            governor.release()
        return found

    def _depth_of(self, leaf: str) -> str:
        """Return the name of the depth group that *leaf* was in; frozen leaves don't matter."""
        for said in self.record.header["leaves"]:
            whole = said["name"] if said["part"] is None else said["name"].rpartition(".")[0]
            if whole == leaf:
                return self.record.depths[said["depth"]]
        return self.record.depths[0]

    def scores(self, batch: Any, examples: int, *, damping: float = DAMPING) -> Array:
        """Return the influence of every training example on each of a batch, [N, Q, L]."""
        rows = self.record.examples["example"].to_numpy()
        query = self.sketches(batch, examples)
        store = self.store
        return influence(store.of(rows), store.moments, int(store.count[0]), query, damping)

    def explain(self, what: Any) -> Explanation:
        """Explain the model's answer to a text, or to a batch as one.

        Raises
        ------
        GovernError
            When the model is not the one that was trained.
        """
        texts = [what] if isinstance(what, str) else what
        found = self.scores(texts, len(texts)).sum(1)
        answer = ""
        if isinstance(self.model, TextClassifier):
            answer = ", ".join(dict.fromkeys(self.model.predict(list(texts))))
        question = what if isinstance(what, str) else counted(len(texts), "text")
        return Explanation(question, answer, found, self.record.examples, self.record.depths)

    def taught_by(
        self, *, annotator: str | None = None, batch: str | None = None, rubric: str | None = None
    ) -> Taught:
        """Return what share of each depth's learning some examples make.

        Applied gradient norms summed over all updates, from the ledger; examples of several
        annotators count in equal parts.

        Raises
        ------
        ValueError
            Unless exactly one is named, and it is in the record.
        """
        asked = {"annotator": annotator, "batch": batch, "rubric": rubric}
        named = {k: v for k, v in asked.items() if v is not None}
        if len(named) != 1:
            raise ValueError("name one: taught_by(annotator=…), (batch=…) or (rubric=…)")
        ((who, name),) = named.items()
        owners = _owners(self.record.examples, who)  # type: ignore[arg-type]
        mine = owners.filter(pl.col("who") == name)
        if mine.is_empty():
            known = ", ".join(sorted(set(owners["who"])))
            raise ValueError(f"no example of {who} {name!r}; there are {known}")
        totals = self.record.totals()
        every = totals.group_by("depth", maintain_order=True).agg(
            pl.col("applied").sum().alias("all")
        )
        own = (
            totals.join(mine, on="example")
            .group_by("depth")
            .agg((pl.col("applied") * pl.col("share")).sum().alias("own"))
        )
        part = float(mine["share"].sum()) / len(self.record.examples)
        order = pl.DataFrame({"depth": list(self.record.depths)})
        rows = (
            order.join(every, on="depth", how="left", maintain_order="left")
            .join(own, on="depth", how="left", maintain_order="left")
            .with_columns((pl.col("own") / pl.col("all")).fill_nan(0).fill_null(0).alias("share"))
            .select("depth", "share", pl.lit(part).alias("share of the examples"))
        )
        return Taught(f"{who} {name}", rows)

    def self_influence(self) -> pl.DataFrame:
        """Return the examples by the effort they took: candidates for a wrong label.

        ``item_id, label, annotators, batch_id, effort``: raw gradient norms (what the example asked
        for, before any cap) summed over updates and depths; the highest first.
        """
        rows = self.record.rows("ledger").select(
            "example",
            pl.col("raw_norm")
            .arr.to_list()
            .list.eval(pl.element().pow(2))
            .list.sum()
            .sqrt()
            .alias("n"),
        )
        effort = rows.group_by("example").agg(pl.col("n").sum().alias("effort")).collect()
        columns = ("item_id", "label", "annotators", "batch_id")
        joined = self.record.examples.join(effort, on="example")
        return joined.select(*columns, "effort").sort("effort", "item_id", descending=[True, False])


def _own_answer(model: nn.Module, texts: Sequence[str]) -> Tensor:
    logits = model(texts)
    return functional.cross_entropy(logits, logits.argmax(1), reduction="none")
