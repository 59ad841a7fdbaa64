"""Taking what is sealed out of a project's folder."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from scalekit.evaluate import Seal
from scalekit.frames import write_parquet
from scalekit.project.folder import Folder

__all__ = ["take_out"]

OPEN_COLUMNS = ("item_id", "batch_id", "source", "tier", "category", "kept")


def take_out(folder: Folder, seals: Sequence[Seal]) -> list[str]:
    """Take out the items, their copies and rows set aside of them; return the ids.

    Of the audited items the ids and their place stay, so that labels still count.
    """
    sealed = [i for one in seals for i in one.item_ids()]

    def held(texts: list[str]) -> list[bool]:
        found = [one.holds(texts) for one in seals]
        return [any(hits) for hits in zip(*found, strict=True)]

    marks = pl.read_parquet(folder / "audit/marks.parquet")
    copies = marks.filter(pl.col("kept_id").is_in(sealed))["item_id"].to_list()
    hidden = pl.col("item_id").is_in([*sealed, *copies])
    for stage in ("collect", "audit/parts"):
        for path in (folder / stage).glob("*.parquet"):
            frame = pl.read_parquet(path)
            if path.name.endswith(".quarantine.parquet"):
                hits = pl.Series(held(frame["content"].to_list()), dtype=pl.Boolean)
                blank = pl.when(~hits).then(pl.col("content"))
                frame = frame.with_columns(blank.alias("content"))
                write_parquet(frame, path)
            elif frame.filter(hidden).height:
                write_parquet(frame.filter(~hidden), path)
    for path in (folder / "audit/pairs").glob("*.parquet"):
        path.unlink()  # texts of candidates for near-copies; the next audit makes them again
    for path in (folder / "collect/evidence").rglob("*.copy"):
        if any(held([path.read_text(encoding="utf-8", errors="replace")])):
            path.unlink()  # its digest stays on the batch's record
    audited = folder / "audit/items.parquet"
    frame = pl.read_parquet(audited).filter(~pl.col("item_id").is_in(copies))
    content = [c for c in frame.columns if c not in OPEN_COLUMNS]
    blanks = [pl.when(~hidden).then(pl.col(c)).alias(c) for c in content]
    write_parquet(frame.with_columns(blanks), audited)
    delivered = folder / "label/manifest.parquet"
    if delivered.is_file() and pl.read_parquet(delivered).filter(hidden).height:
        # Its digests would confirm a guess of a sealed text; training asks for a new delivery.
        for path in (delivered, delivered.with_name("manifest.dsse.json")):
            path.unlink(missing_ok=True)
    return sorted([*sealed, *copies])
