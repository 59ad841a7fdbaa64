"""``project.audit``: is the set clean, is it balanced, what to collect next."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from scalekit.audit import (
    EXACT_UP_TO,
    LAYOUT_VERSION,
    LOWEST,
    MEND_VERSION,
    AuditReport,
    Balance,
    Crossings,
    Harm,
    ItemMap,
    Languages,
    Quality,
    Slice,
    SliceBook,
    audit,
    crossings,
    gate,
    harm,
    item_map,
    languages,
    mend,
    part_pairs,
    quality,
)
from scalekit.display import Progress
from scalekit.engine import Engine, Local, cut
from scalekit.frames import FrameError, require, to_polars, write_parquet
from scalekit.gates import Check, Gate
from scalekit.journal import Event
from scalekit.project.folder import who
from scalekit.project.stage import Stage
from scalekit.signing import digest

if TYPE_CHECKING:
    from scalekit.widgets import Slicer, ThresholdSlider

__all__ = ["Audit"]

AUDITS = "audit/audits.jsonl"
TABLES = ("items", "marks", "batches", "changes", "pairs")
SLICES = "audit/slices.jsonl"
CHOSEN = {"item_id": pl.String, "reason": pl.String}


class Audit(Stage):
    """Clean and balance what was collected."""

    name = "audit"
    purpose = "Clean: mended, no copies, no junk, private data masked. Balanced: no gaps."

    def run(self, engine: Engine | None = None) -> AuditReport:
        """Audit all batches in use; batches audited before are not mended again.

        *engine* works the parts: :class:`scalekit.engine.Pool` in several processes, ``Ray`` on a
        cluster; by default this process. The result is the same, and a run that was stopped goes on
        where it was.

        Raises
        ------
        GateClosedError
            When an earlier gate is not passed.
        EngineError
            When a worker died; what is finished is kept.
        """
        self.require_before()
        report = self._audit(engine or Local())
        for name in TABLES:
            write_parquet(getattr(report, name), self._folder / f"audit/{name}.parquet")
        write_parquet(report.balance.table, self._folder / "audit/balance.parquet")
        gaps = dict(report.balance.gaps.select("category", "still needed").iter_rows())
        batches = [b.batch_id for b in self._project.collect.batches()]
        said = {"batches": batches, "gaps": gaps, "kept": len(report.kept), "of": self.inputs()}
        last = self._folder.events(AUDITS, "audit")
        if not last or last[-1].data != said:
            self._folder.append(AUDITS, "audit", said)
        return report

    def report(self) -> AuditReport:
        """Return the last audit.

        Raises
        ------
        FrameError
            When none has run.
        """
        if not self._folder.events(AUDITS, "audit"):
            raise FrameError("no audit has run yet: project.audit.run()")
        tables = {n: pl.read_parquet(self._folder / f"audit/{n}.parquet") for n in TABLES}
        shares = pl.read_parquet(self._folder / "audit/balance.parquet")
        found = Balance(shares, int(shares["items"].sum()))
        return AuditReport(
            **tables, balance=found, near_duplicate=self._folder.thresholds.near_duplicate
        )

    def _audit(self, engine: Engine) -> AuditReport:
        limits = self._folder.thresholds
        into = self._folder / "audit/parts"
        with Progress("Mending batches") as progress:
            batches = cut(self._project.collect.parts(), into)
            parts = engine.run(mend, batches, into, {}, progress, MEND_VERSION)
        items = pl.concat(map(pl.read_parquet, parts), how="diagonal")
        pairs = self._pairs(parts, items["item_id"], engine) if len(items) > EXACT_UP_TO else None
        before = self._before_newest()
        restored, chosen = self._choices()
        return audit(
            items,
            self._project.specify.spec.shares,
            threshold=limits.near_duplicate,
            restored=restored,
            thin_below=limits.thin_below,
            at_least=limits.at_least,
            gaps=before.data["gaps"] if before else None,
            sealed=self._sealed(),
            pairs=pairs,
            chosen=pl.DataFrame(list(chosen.items()), schema=CHOSEN, orient="row"),
        )

    def _choices(self) -> tuple[list[str], dict[str, str]]:
        """Return the items that stay, and those left out with the reason: the last act counts."""
        stays: dict[str, None] = {}
        chosen: dict[str, str] = {}
        for event in self._folder.events(AUDITS):
            if event.kind == "restored":
                stays[event.data["item_id"]] = None
                chosen.pop(event.data["item_id"], None)
            elif event.kind == "chosen":
                chosen |= event.data["items"]
                for item in event.data["items"]:
                    stays.pop(item, None)
        return list(stays), chosen

    def _pairs(self, parts: list[Path], ids: pl.Series, engine: Engine) -> pl.DataFrame:
        """Return the texts that are alike among more than are compared one with another."""
        lowest = min(LOWEST, self._folder.thresholds.near_duplicate)
        with ExitStack() as steps:
            found = part_pairs(
                parts, self._folder / "audit/pairs", threshold=lowest, engine=engine,
                progress=lambda step: steps.enter_context(Progress(step)),
            )  # fmt: skip
        return found.select(
            ids.gather(found["left"]).alias("item_id"),
            ids.gather(found["right"]).alias("other_id"),
            "score",
        )

    def _sealed(self) -> pl.DataFrame | None:
        """Return the audited items of the batches in use whose content was sealed."""
        path = self._folder / "audit/items.parquet"
        if not path.is_file():
            return None
        now = [b.batch_id for b in self._project.collect.batches()]
        audited = pl.read_parquet(path)
        return audited.filter(
            pl.col("text").is_null() & pl.col("batch_id").is_in(now) & pl.col("kept")
        )

    def _before_newest(self) -> Event | None:
        """Return the last audit that had only some of the batches in use."""
        now = {b.batch_id for b in self._project.collect.batches()}
        earlier = self._folder.events(AUDITS, "audit")
        return next((e for e in reversed(earlier) if set(e.data["batches"]) < now), None)

    def leave_out(self, marks: Any, why: str) -> int:
        """Leave marked items out of what goes on; run the audit again afterwards.

        For what :meth:`quality` (``.dropped("words")``), :meth:`languages` and :meth:`harm`
        (``.marks``) show, a quality classifier, or a choice of one's own. Nothing is deleted:
        :meth:`restore` brings an item back.

        Parameters
        ----------
        marks
            ``item_id``; ``rule`` and ``reason`` if known.
        why
            Why these items are not to be learned from.

        Returns
        -------
        int
            How many items were not left out by choice before.

        Raises
        ------
        FrameError
            When a column is missing, an item is not in use, or no reason is given.
        """
        rows = require(to_polars(marks, "marks"), ("item_id",), "marks")
        if not why.strip():
            raise FrameError("say why the items are left out")
        rows = rows.with_columns(pl.col("item_id").cast(pl.String))
        there = set(self._project.collect.items()["item_id"])
        if strange := [item for item in rows["item_id"] if item not in there]:
            raise FrameError(f"marks: there is no item {strange[0]!r} in the batches in use")
        known = self._choices()[1]
        said = [pl.col(c).cast(pl.String) for c in ("rule", "reason") if c in rows.columns]
        told = pl.concat_str([pl.lit(why.strip()), *said], separator=": ", ignore_nulls=True)
        fresh = rows.filter(~pl.col("item_id").is_in(list(known)))
        items = dict(fresh.select("item_id", told.alias("reason")).iter_rows())
        if items:
            self._folder.append(AUDITS, "chosen", {"because": why, "items": items})
        return len(items)

    def restore(self, item_id: str, why: str) -> None:
        """Keep an item although a rule marked it; run the audit again afterwards.

        Raises
        ------
        FrameError
            When there is no such item, or no reason is given.
        """
        if item_id not in self._project.collect.items()["item_id"].to_list():
            raise FrameError(f"there is no item {item_id!r} in the batches in use")
        if not why.strip():
            raise FrameError("say why the item stays")
        if item_id not in self._choices()[0]:
            self._folder.append(AUDITS, "restored", {"item_id": item_id, "because": why})

    def items(self) -> pl.DataFrame:
        """Return the items that go on to labelling: mended, masked, without copies and junk.

        Items that were sealed since are not among them. Raises as :meth:`report` does.
        """
        return self.report().kept.drop_nulls("text")

    def item_ids(self) -> list[str]:
        """Return the ids of all items that went on to labelling, those sealed since included."""
        return self.report().kept["item_id"].to_list()

    def quality(self, *families: str) -> Quality:
        """Show what the rules of Gopher, C4 and FineWeb would keep of the items; drops nothing.

        As :func:`scalekit.audit.quality`.
        """
        return quality(self.items(), families=families)

    def languages(self, *expected: str) -> Languages:
        """Say which language each item is in, as :func:`scalekit.audit.languages`; drops none."""
        return languages(self.items(), expected or None)

    def harm(self, classifier: Callable[[list[str]], Any] | None = None) -> Harm:
        """Name candidates of harm; as :func:`scalekit.audit.harm`, drops nothing."""
        return harm(self.items(), classifier=classifier)

    def crossings(self, row: str = "category", column: str = "tier") -> Crossings:
        """Cross two columns of the items; as :func:`scalekit.audit.crossings`."""
        return crossings(self.items(), row, column, at_least=1)

    def threshold(self) -> ThresholdSlider:
        """Open a slider over the similarity from which near-copies go; nothing is searched again.

        The threshold itself is ``near_duplicate`` in ``project.toml``.
        """
        from scalekit.widgets import ThresholdSlider

        return ThresholdSlider(self.report().copies)

    def gaps(self) -> pl.DataFrame:
        """Return the collection requests of the last audit: ``category, still needed``."""
        last = self._folder.events(AUDITS, "audit")
        gaps = last[-1].data["gaps"] if last else {}
        rows = {"category": list(gaps), "still needed": list(gaps.values())}
        return pl.DataFrame(rows, schema={"category": pl.String, "still needed": pl.Int64})

    def map(self, also: Any = None, **options: Any) -> Slicer:
        """Open the map of the items: like texts lie together; choose some and name them, a slice.

        *also* is a table with ``item_id`` and more columns to colour by, for example labels or
        scores; *options* are those of :func:`scalekit.audit.item_map`.
        """
        from scalekit.widgets import Slicer

        items = self.items()
        if also is not None:
            more = require(to_polars(also, "also"), ("item_id",), "also").unique("item_id")
            new = [c for c in more.columns if c not in items.columns]
            items = items.join(
                more.select("item_id", *new), on="item_id", how="left", maintain_order="left"
            )
        made = self._item_map(items, options)
        return Slicer(made, SliceBook(self._folder / SLICES), marks=self.report().marks, by=who())

    def _item_map(self, items: pl.DataFrame, options: dict[str, Any]) -> ItemMap:
        """Lay the items out, or where the last map had the same items, as there."""
        if {"vectors", "encoder", "places"} & set(options):
            return item_map(items, **options)
        how = {k: v for k, v in options.items() if k != "by"}
        of = digest([LAYOUT_VERSION, how, items["item_id"].to_list(), items["text"].to_list()])
        path = self._folder / "audit/map.parquet"
        kept = pl.read_parquet(path) if path.is_file() else None
        if kept is not None and kept["of"].first() == of:
            made = item_map(items, places=kept.select("x", "y"), **options)
            return replace(made, method=kept["method"][0])
        made = item_map(items, **options)
        said = [pl.lit(v).alias(n) for n, v in (("of", of), ("method", made.method))]
        write_parquet(made.table.select("item_id", "x", "y", *said), path)
        return made

    @property
    def slices(self) -> list[str]:
        """The names of the slices."""
        return list(SliceBook(self._folder / SLICES).ids())

    def slice(self, name: str) -> Slice:
        """Return a slice: ``item_ids`` to label, ``statistics``, ``review()`` and ``request()``.

        Raises as :meth:`scalekit.audit.SliceBook.slice` does.
        """
        book = SliceBook(self._folder / SLICES)
        return book.slice(name, self.items(), marks=self.report().marks)

    def _own_inputs(self) -> list[str]:
        restored, chosen = self._choices()
        return [*restored, *chosen]

    def _judge(self) -> Gate:
        limits = self._folder.thresholds
        runs = self._folder.events(AUDITS, "audit")
        if not runs or runs[-1].data["of"] != self.inputs():
            run = "run project.audit.run() first"
            return Gate(
                "audit",
                (Check("audited", False, "not the batches in use", "all of them", "audit", run),),
            )
        before = self._before_newest()
        now = [b.batch_id for b in self._project.collect.batches()]
        asked = before is not None and before.data["gaps"]
        fresh = [b for b in now if before and b not in before.data["batches"]] if asked else []
        return gate(
            self.report(),
            max_left_out=limits.max_left_out,
            max_source_loss=limits.max_source_loss,
            thin_categories=limits.thin_categories,
            new_batches=fresh,
        )
