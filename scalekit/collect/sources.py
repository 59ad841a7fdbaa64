"""What was collected: batches ranked by their source, and the gate of Collect."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from scalekit.collect.provenance import Batch
from scalekit.display import View, block, note, table
from scalekit.frames import TIERS
from scalekit.gates import Check, Gate

__all__ = ["Sources", "gate"]


@dataclass(frozen=True)
class Sources(View):
    """The batches of a project, the most trusted sources first."""

    batches: tuple[Batch, ...]
    retired: dict[str, str]
    quarantine: pl.DataFrame

    @property
    def table(self) -> pl.DataFrame:
        """One row for each batch: where from, by what right, how much."""
        ranked = sorted(self.batches, key=lambda b: (TIERS.index(b.tier), b.batch_id))
        rows = [
            {
                "batch": b.batch_id,
                "tier": b.tier,
                "source": b.source,
                "rights": b.rights,
                "collected": b.collected,
                "rows": b.rows,
                "set aside": b.quarantined,
                "retired because": self.retired.get(b.batch_id, ""),
            }
            for b in ranked
        ]
        return pl.DataFrame(rows)

    def to_html(self) -> str:
        """Show the batches and the rows that were set aside."""
        if not self.batches:
            return block("Sources", note("No batch yet: project.collect.add(…) brings one in."))
        aside = note(f"{len(self.quarantine)} rows set aside:") if len(self.quarantine) else ""
        return block("Sources", table(self.table), aside, table(self.quarantine, limit=8))


def gate(batches: Sequence[Batch], *, max_quarantined_share: float) -> Gate:
    """Return the gate of Collect, over the batches in use (not the retired ones)."""
    rows = sum(b.rows for b in batches)
    aside = sum(b.quarantined - b.passed_over for b in batches)
    share = aside / (rows + aside) if rows else 0.0
    top = TIERS.index(min((b.tier for b in batches), key=TIERS.index)) if batches else len(TIERS)
    made = sum(b.rows for b in batches if b.tier == "synthetic")
    return Gate(
        "collect",
        (
            Check("batches with source, date and rights", bool(batches),
                  f"{len(batches)} batches, {rows:,} rows", "at least 1 batch", "collect",
                  "add a batch with project.collect.add(…)"),
            Check("a source better than synthetic", top < TIERS.index("synthetic"),
                  TIERS[top] if batches else "none", "real text", "collect",
                  "start from real text; synthetic text only fills a named gap"),
            Check("synthetic rows are the minority", made * 2 <= rows, f"{made:,} of {rows:,}",
                  "at most half", "collect", "replace generated rows by collected ones"),
            Check("few rows set aside", share <= max_quarantined_share, f"{aside} ({share:.1%})",
                  f"at most {max_quarantined_share:.0%}", "collect",
                  "look at project.collect.sources(), mend the files and add them again"),
        ),
    )  # fmt: skip
