"""The gate of Label: enough labels, enough agreement, nobody careless, ties resolved."""

from __future__ import annotations

import polars as pl

from scalekit.display import counted
from scalekit.gates import Check, Gate
from scalekit.label.agreement import Agreement
from scalekit.label.consensus import careless

__all__ = ["gate"]


def gate(
    measured: Agreement,
    consensus: pl.DataFrame,
    *,
    items: int,
    annotators: int,
    alpha: float,
    worst_value_alpha: float,
    max_tied: float,
    kappa: float,
) -> Gate:
    """Return the gate of Label.

    Alpha is held against its whole interval's lower end: a small sample does not pass by luck.
    *items* is how many items there are to label, *annotators* how many labels an item needs.
    """
    covered = consensus.filter(pl.col("n") >= annotators)
    low = measured.interval[0] if measured.interval else None
    worst = measured.by_value.filter(pl.col("labels") >= 5).drop_nulls("alpha").head(1)
    weakest = worst.row(0, named=True) if len(worst) else None
    hasty = careless(measured.by_annotator, kappa=kappa)
    tied = int(consensus["tied"].sum())
    share = tied / max(len(consensus), 1)
    return Gate(
        "label",
        (
            Check("every item labelled often enough", len(covered) >= items,
                  f"{len(covered)} of {items} items", f"{annotators} labels each", "label",
                  "go on labelling: project.label.open(annotator=…)"),
            Check("agreement", low is not None and low >= alpha,
                  str(measured.alpha) + (f", at least {low:.3f}" if low is not None else ""),
                  f"lower end of alpha's interval {alpha}", "label",
                  "read the confusions, sharpen the instructions, label the items again"),
            Check("agreement on the weakest value",
                  weakest is not None and weakest["alpha"] >= worst_value_alpha,
                  f"{weakest['value']}: {weakest['alpha']:.3f}" if weakest else "undefined",
                  f"alpha {worst_value_alpha}", "label",
                  "the instructions leave this value open: add an edge case that decides it",
                  measured.confusions.head(3)),
            Check("nobody careless", hasty.is_empty(), counted(len(hasty), "annotator"),
                  f"none with kappa up to {kappa} at half the others' time", "label",
                  "talk to them, leave their labels out, have the items labelled again", hasty),
            Check("ties resolved", share <= max_tied, f"{tied} ({share:.1%})",
                  f"at most {max_tied:.0%}", "label",
                  "decide the tied items: project.label.adjudicate(…)"),
        ),
    )  # fmt: skip
