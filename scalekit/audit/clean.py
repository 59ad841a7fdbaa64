"""The audit of items: mended texts, marks with reasons, balance, and what to collect next."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

from scalekit.audit.balance import Balance, balance, filled_or_padded
from scalekit.audit.copies import LOWEST, Copies, with_batches
from scalekit.audit.duplicates import exact_duplicates, resolved, similar_pairs
from scalekit.audit.mending import MENDED, mend
from scalekit.audit.normalise import CHANGES
from scalekit.display import View, block, counted, note, table
from scalekit.frames import ids_unique, require, to_polars
from scalekit.gates import Check, Gate

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["AuditReport", "audit", "gate"]

MARKS = {
    "item_id": pl.String,
    "rule": pl.String,
    "reason": pl.String,
    "kept_id": pl.String,
    "score": pl.Float64,
    "batch_id": pl.String,
    "kept_batch_id": pl.String,
}
SEALED = (
    "{} count without their text, which is sealed: they keep their place in every share, and no "
    "copy is looked for among them any more."
)
DROPPING = ("exact-duplicate", "near-duplicate", "junk", "chosen")
"""Rules that take a row out; ``personal-data`` only masks it."""


@dataclass(frozen=True)
class AuditReport(View):
    """What the audit found.

    ``items``: every item, mended, with ``kept``. ``marks``: one row for each finding
    (``item_id, rule, reason``, for copies ``kept_id, score``, and the batches of both). ``balance``
    is over kept rows. ``batches`` says of each batch whether it filled the gaps that were open or
    padded, and how much of it is left out. ``pairs`` are all texts that are alike, and
    *near_duplicate* from where on one of them goes.
    """

    items: pl.DataFrame
    marks: pl.DataFrame
    balance: Balance
    batches: pl.DataFrame
    changes: pl.DataFrame
    pairs: pl.DataFrame
    near_duplicate: float

    @property
    def copies(self) -> Copies:
        """The near-copies, to be seen at other thresholds without a new search."""
        apart = self.marks.filter(pl.col("rule").is_in(["junk", "chosen", "exact-duplicate"]))
        texts = self.items.drop_nulls("text").join(apart, on="item_id", how="anti")
        return Copies(texts, self.pairs, self.near_duplicate)

    @property
    def table(self) -> pl.DataFrame:
        """One row for each rule: how many rows it marked, and what happens to them."""
        found = dict(self.marks["rule"].value_counts().iter_rows())
        restored = self.marks.join(self.kept, on="item_id")
        back = dict(restored["rule"].value_counts().iter_rows())
        return pl.DataFrame(
            [
                {
                    "rule": rule,
                    "rows": found.get(rule, 0),
                    "what happens": "left out" if rule in DROPPING else "masked, kept",
                    "restored": back.get(rule, 0) if rule in DROPPING else 0,
                }
                for rule in (*DROPPING, "personal-data")
                if rule != "chosen" or found.get(rule)
            ]
        )

    @property
    def kept(self) -> pl.DataFrame:
        """The items that go on to labelling."""
        return self.items.filter("kept")

    def findings(self, rule: str) -> pl.DataFrame:
        """Return the marked rows of one rule, with the text and the copy that was kept."""
        texts = self.items.select("item_id", "batch_id", "text")
        kept = texts.select(pl.col("item_id").alias("kept_id"), pl.col("text").alias("kept text"))
        marked = self.marks.filter(pl.col("rule") == rule)
        found = marked.drop("batch_id").join(texts, on="item_id", how="left", maintain_order="left")
        found = found.join(kept, on="kept_id", how="left", maintain_order="left")
        columns = ["item_id", "batch_id", "reason", "text"]
        if rule.endswith("duplicate"):
            columns += ["kept_id", "kept text", "score", "kept_batch_id"]
        return found.select(columns)

    def plot(self) -> go.Figure:
        """Return the balance figure."""
        return self.balance.plot()

    def to_html(self) -> str:
        """Show counts by rule, mends, the batches and the balance."""
        kept, every = len(self.kept), len(self.items)
        sealed = self.items["text"].null_count()
        return block(
            "Audit",
            note(f"{kept:,} of {every:,} rows go on to labelling. Nothing was deleted."),
            note(SEALED.format(counted(sealed, "item"))) if sealed else "",
            table(self.table),
            note("Texts mended:"),
            table(self.changes),
            note("What each batch brought:"),
            table(self.batches),
            self.balance.to_html(),
        )


def audit(
    items: Any,
    targets: Mapping[str, float],
    *,
    threshold: float = 0.7,
    restored: Collection[str] = (),
    thin_below: float = 0.8,
    at_least: int = 1,
    gaps: Mapping[str, int] | None = None,
    sealed: pl.DataFrame | None = None,
    pairs: pl.DataFrame | None = None,
    chosen: pl.DataFrame | None = None,
) -> AuditReport:
    """Audit items: is the set clean, and is it balanced?

    Parameters
    ----------
    items
        ``item_id, text, batch_id``, and ``tier`` and ``category`` if known. Mended items (from
        :func:`~scalekit.audit.mending.mend`) are taken as they are.
    targets
        Category to target share.
    threshold
        Jaccard similarity of word 3-grams from which a text is a near-duplicate.
    restored
        Items that stay although they are marked.
    thin_below, at_least
        As in :func:`~scalekit.audit.balance.balance`.
    gaps
        The gaps that were open when the newest batches were collected (category to items needed);
        without it, the categories that are short in the batch seen first.
    sealed
        Items kept by an earlier audit whose content is sealed since (``text`` null): they count for
        the balance and go on as they are.
    pairs
        Texts that are alike, as from :func:`~scalekit.audit.duplicates.similar_pairs`, if they were
        searched for already.
    chosen
        ``item_id, reason`` of the items that somebody chose to leave out.

    Raises
    ------
    FrameError
        When a column is missing or an item_id repeats.
    """
    table = require(to_polars(items, "items"), ("item_id", "text", "batch_id"), "items")
    table = ids_unique(table, "item_id", "items").with_columns(pl.col("item_id").cast(pl.String))
    if "category" not in table.columns:
        table = table.with_columns(pl.lit(None, dtype=pl.String).alias("category"))
    if not set(MENDED) <= set(table.columns):
        table = mend(table.drop(c for c in MENDED if c in table.columns))
    marks, pairs = _marks(table, threshold, pairs, chosen)
    gone = set(marks.filter(pl.col("rule").is_in(DROPPING))["item_id"]) - set(restored)
    table = table.with_columns((~pl.col("item_id").is_in(list(gone))).alias("kept"))
    if sealed is not None and len(sealed):
        table = pl.concat([table, sealed], how="diagonal")
    kept = table.filter("kept")
    found = balance(kept, targets, thin_below=thin_below, at_least=at_least)
    short = gaps if gaps is not None else _first_gaps(kept, targets, thin_below, at_least)
    dropped = pl.DataFrame({"item_id": sorted(gone)}, schema={"item_id": pl.String})
    batches = filled_or_padded(table, dropped, short)
    lost = pl.col("rows") - pl.col("kept")
    batches = batches.with_columns((lost / pl.col("rows")).alias("left out"))
    counts = table.explode("changes")["changes"].drop_nulls()
    made = [{"mended": c, "texts": int((counts == c).sum())} for c in CHANGES]
    return AuditReport(table, marks, found, batches, pl.DataFrame(made), pairs, threshold)


def _marks(
    table: pl.DataFrame,
    threshold: float,
    pairs: pl.DataFrame | None,
    chosen: pl.DataFrame | None,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return what is found in each row, and which texts are alike."""
    junk = table.filter(pl.col("junk").is_not_null())
    rows: list[tuple[str, str, str, str | None, float | None]] = [
        (i, "junk", why, None, None) for i, why in junk.select("item_id", "junk").rows()
    ]
    real = table.filter(pl.col("junk").is_null())
    if chosen is not None:
        there = chosen.join(real, on="item_id", how="semi").unique("item_id", maintain_order=True)
        rows += [
            (i, "chosen", why, None, None) for i, why in there.select("item_id", "reason").rows()
        ]
        real = real.join(there, on="item_id", how="anti", maintain_order="left")
    exact = exact_duplicates(real)
    rows += [(i, "exact-duplicate", f"says the same as {k}", k, s) for i, k, s in exact.rows()]
    rest = real.join(exact, on="item_id", how="anti", maintain_order="left")
    if pairs is None:
        pairs = similar_pairs(rest, lowest=min(LOWEST, threshold))
    else:
        ids = rest.select("item_id")
        pairs = pairs.join(ids, on="item_id", how="semi")
        pairs = pairs.join(ids, left_on="other_id", right_on="item_id", how="semi")
    near = resolved(rest, pairs, threshold)
    rows += [(i, "near-duplicate", f"{s:.0%} of {k}", k, s) for i, k, s in near.rows()]
    private = table.filter(pl.col("personal").list.len() > 0).select("item_id", "personal")
    rows += [(i, "personal-data", ", ".join(kinds), None, None) for i, kinds in private.rows()]
    schema = {name: MARKS[name] for name in list(MARKS)[:5]}
    return with_batches(pl.DataFrame(rows, schema=schema, orient="row"), table), pairs


def _first_gaps(
    kept: pl.DataFrame, targets: Mapping[str, float], thin_below: float, at_least: int
) -> dict[str, int]:
    first = kept.head(1)["batch_id"].to_list()
    start = kept.filter(pl.col("batch_id").is_in(first))
    found = balance(start, targets, thin_below=thin_below, at_least=at_least).gaps
    return dict(found.select("category", "still needed").iter_rows())


def gate(
    report: AuditReport,
    *,
    max_left_out: float,
    max_source_loss: float = 1.0,
    thin_categories: int,
    new_batches: Collection[str] = (),
) -> Gate:
    """Return the gate of Audit: clean, and balanced.

    *max_left_out* is the share of rows that may be left out, *max_source_loss* that of any one
    batch (more is an alarm: a source of templates, or a rule that fits it badly),
    *thin_categories* how many categories may be thin (none may be missing), *new_batches* those
    collected to fill gaps, which must not only pad.
    """
    every, kept = len(report.items), len(report.kept)
    share = 1 - kept / every if every else 1.0
    statuses = dict(report.balance.table["status"].value_counts().iter_rows())
    missing, thin = statuses.get("missing", 0), statuses.get("thin", 0)
    unknown = report.balance.table.filter(pl.col("status") == "unknown")
    padding = report.batches.filter(
        pl.col("batch").is_in(list(new_batches)) & (pl.col("verdict") == "padded")
    )
    gaps = report.balance.gaps
    emptied = report.batches.filter(pl.col("left out") > max_source_loss)
    return Gate(
        "audit",
        (
            Check("clean", share <= max_left_out,
                  f"{every - kept} of {every} rows left out ({share:.1%})",
                  f"at most {max_left_out:.0%}", "collect",
                  "a source that loses so much is not worth its cost: replace it", report.table),
            Check("no source loses too much", emptied.is_empty(),
                  f"{len(emptied)} of {len(report.batches)} batches",
                  f"none over {max_source_loss:.0%}", "collect",
                  "look at what was left out of it: report.findings(…); replace it, or restore "
                  "rows that a rule takes wrongly", emptied),
            Check("no category missing", not missing, f"{missing} missing", "0", "collect",
                  "collect what the gaps ask for", gaps),
            Check("few categories thin", thin <= thin_categories, f"{thin} thin",
                  f"at most {thin_categories}", "collect", "collect what the gaps ask for", gaps),
            Check("no category outside the spec", unknown.is_empty(), f"{len(unknown)} unknown",
                  "0", "specify", "add the category to the spec, or map it to one there", unknown),
            Check("new batches fill gaps", padding.is_empty(),
                  counted(len(padding), "padding batch"), "0", "collect",
                  "retire the batch: project.collect.retire(…)", padding),
        ),
    )  # fmt: skip
