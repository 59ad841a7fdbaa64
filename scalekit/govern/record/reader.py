"""Reading a record."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl

from scalekit.govern.record.recorder import CHAIN, EXAMPLES, HEADER, RecordError, read_header
from scalekit.govern.record.segments import live_segments
from scalekit.govern.record.store import RunningStore
from scalekit.journal import Event, read

__all__ = ["RunRecord"]


class RunRecord:
    """A record on disk, sealed or not.

    Raises
    ------
    RecordError
        When there is none in *folder*.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)
        if not (self.folder / HEADER).is_file():
            raise RecordError(f"{folder}: no record of a governed run here ({HEADER} is missing)")
        self.header: dict[str, Any] = read_header(self.folder)

    @cached_property
    def events(self) -> list[Event]:
        """The chain's events; a broken chain raises JournalError."""
        return read(self.folder / CHAIN)

    @property
    def depths(self) -> tuple[str, ...]:
        """Names of the depth groups."""
        return tuple(self.header["depths"])

    @cached_property
    def examples(self) -> pl.DataFrame:
        """The manifest's table: what the example numbers mean."""
        return pl.read_parquet(self.folder / EXAMPLES)

    def segments(self, table: str) -> list[dict[str, Any]]:
        """Return the live segments of ``ledger`` or ``updates``."""
        return [s for s in live_segments(self.events) if s["file"].startswith(f"{table}/")]

    def rows(self, table: str) -> pl.LazyFrame:
        """Return the rows of ``ledger`` or ``updates``, in order."""
        files = [self.folder / s["file"] for s in self.segments(table)]
        if not files:
            raise RecordError(f"{self.folder}: nothing is recorded in {table} yet")
        return pl.scan_parquet(files)

    def totals(self) -> pl.DataFrame:
        """Return, for each example and depth, the sum of applied norms over all updates.

        ``example, depth, applied``; with a sum of 0 where it never taught.
        """
        frames = [
            self.rows("ledger")
            .group_by("example")
            .agg(pl.col("applied_norm").arr.get(i).sum().alias("applied"))
            .with_columns(pl.lit(name).alias("depth"))
            for i, name in enumerate(self.depths)
        ]
        found = pl.concat(frames).collect()
        return found.select("example", "depth", "applied").sort("example", "depth")

    def store(self) -> RunningStore:
        """Return the running store of the sealed run, or of the last checkpoint."""
        from safetensors.numpy import load_file

        sealed = self.folder / "store.safetensors"
        if not sealed.is_file():
            kept = [e.data["folder"] for e in self.events if e.kind == "checkpoint"]
            if not kept:
                raise RecordError(f"{self.folder}: no store is kept before the first checkpoint")
            sealed = self.folder / kept[-1] / "store.safetensors"
        return RunningStore.restore(dict(load_file(sealed)), seed=self.header["seed"])
