"""What was collected: batches ranked by their source, and the gate of Collect."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from scalekit.collect.provenance import Batch
from scalekit.display import View, block, counted, note, table
from scalekit.frames import TIERS
from scalekit.gates import Check, Gate

__all__ = ["SourceTable", "gate"]

_PARTICULAR = re.compile(r"'[^']*'|\d[\d,.]*")


WHY = {
    "first-party": "our own: how it came about is known",
    "licensed": "a named owner answers for it by contract",
    "public-web": "anyone may have written it; known by its address only",
    "synthetic": "made, not observed: it only fills a named gap",
}
"""Why a tier has its rank: of two copies of a text, the one of the better rank stays."""


@dataclass(frozen=True)
class SourceTable(View):
    """The batches of a project, the most trusted sources first.

    ``quarantine``: the rows set aside (``batch, file, row, reason, content``). ``altered``: the
    batches whose kept evidence is no longer the file that was recorded.
    """

    batches: tuple[Batch, ...]
    retired: dict[str, str]
    quarantine: pl.DataFrame
    altered: frozenset[str] = frozenset()

    @property
    def table(self) -> pl.DataFrame:
        """One row for each batch: rank, where from, by what right, who, how much, evidence."""
        ranked = sorted(self.batches, key=lambda b: (TIERS.index(b.tier), b.batch_id))
        rows = [
            {
                "rank": TIERS.index(b.tier) + 1,
                "batch": b.batch_id,
                "tier": b.tier,
                "source": b.source,
                "rights": b.rights,
                "collected": b.collected,
                "collector": b.collector,
                "rows": b.rows,
                "set aside": b.quarantined,
                "of these no text": b.passed_over,
                "evidence": self._evidence(b),
                "retired because": self.retired.get(b.batch_id, ""),
            }
            for b in ranked
        ]
        return pl.DataFrame(rows)

    @property
    def tiers(self) -> pl.DataFrame:
        """One row for each tier in use: its rank, why, batches, rows and share of all rows."""
        used = [b for b in self.batches if b.batch_id not in self.retired]
        every = sum(b.rows for b in used)
        rows = []
        for rank, tier in enumerate(TIERS, 1):
            own = [b.rows for b in used if b.tier == tier]
            if own:
                share = f"{sum(own) / every:.0%}" if every else "–"
                rows.append({"rank": rank, "tier": tier, "why": WHY[tier], "batches": len(own),
                             "rows": sum(own), "share": share})  # fmt: skip
        return pl.DataFrame(rows)

    @property
    def reasons(self) -> pl.DataFrame:
        """Rows set aside, counted by batch and kind of reason, with the first of each."""
        if self.quarantine.is_empty():
            return pl.DataFrame()
        kind = pl.col("reason").str.replace_all(_PARTICULAR.pattern, "…").alias("kind")
        first = [pl.first(c).alias(f"first {c}") for c in ("file", "row", "reason", "content")]
        counted_by = self.quarantine.group_by("batch", kind, maintain_order=True)
        found = counted_by.agg(pl.len().cast(pl.Int64).alias("rows"), *first).drop("kind")
        return found.sort("rows", descending=True, maintain_order=True)

    def _evidence(self, batch: Batch) -> str:
        if batch.evidence is None:
            return ""
        kept = "copy kept" if batch.evidence.kept else "too large to keep"
        if batch.batch_id in self.altered:
            kept = "✘ the copy is missing or was changed"
        found = batch.evidence
        return f"{found.file} ({found.size:,} bytes, {kept}, sha256 {found.sha256[:12]}…)"

    def to_html(self) -> str:
        """Show the batches, the tiers with their share, and the rows set aside by reason."""
        if not self.batches:
            return block("Sources", note("No batch yet: project.collect.add(…) brings one in."))
        shown = self.table
        optional = ("of these no text", "evidence", "retired because")
        empty = [c for c in optional if not any(shown[c])]
        aside = len(self.quarantine)
        used = len(self.batches) - len(self.retired)
        return block(
            "Sources",
            f"{used} {'batch' if used == 1 else 'batches'} in use",
            table(shown.drop(empty)),
            note("Rank, and why; shares of the rows in use:") if len(self.tiers) else "",
            table(self.tiers),
            note(f"{counted(aside, 'row')} set aside, all in .quarantine:") if aside else "",
            table(self.reasons, limit=12, where=".reasons"),
        )


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
