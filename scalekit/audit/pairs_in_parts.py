"""Near-duplicates of more texts than memory holds: parts are signed, exchanged and compared.

Every step maps Parquet files to Parquet files (:mod:`scalekit.engine`): it can run in processes or
on a cluster, a restart finds what is finished, and a new part is all that has to be signed anew.
The pairs are those of :func:`scalekit.audit.minhash.minhash_pairs`, whichever engine worked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from scalekit.audit.minhash import BANDS, ROWS, band_keys, candidates, jaccard
from scalekit.engine import Engine, Local
from scalekit.frames import write_parquet
from scalekit.shingling import Places
from scalekit.signing import digest_file

__all__ = ["compare", "fetch", "part_pairs", "sign"]

UNIT = 50_000  # pairs compared at a time; their texts are in memory together
PAIRS = {"left": pl.Int64, "right": pl.Int64, "score": pl.Float64}
VERSION = 1
Stage = Callable[[str], Callable[[int, int], None] | None]


def part_pairs(
    parts: Sequence[Path],
    into: Path,
    *,
    n: int = 3,
    threshold: float = 0.7,
    bands: int = BANDS,
    rows: int = ROWS,
    engine: Engine | None = None,
    progress: Stage = lambda _: None,
) -> pl.DataFrame:
    """Return near-duplicates among the texts of all parts: ``left, right, score``.

    Rows are counted through all parts, in order; every score is exact.

    Parameters
    ----------
    parts
        Parquet files with ``text``.
    into
        A folder for what is in between; kept, so that the next run is short.
    n, threshold, bands, rows
        As in :func:`~scalekit.audit.minhash.minhash_pairs`.
    engine
        Who works (default: this process).
    progress
        Given the name of a step, returns what is called with parts done and parts in all.

    Raises
    ------
    ValueError
        When *threshold* is not in (0, 1].
    """
    if not 0 < threshold <= 1:
        raise ValueError(f"threshold must be in (0, 1], got {threshold}")
    work = engine or Local()
    how: dict[str, Any] = {"n": n, "bands": bands, "rows": rows}
    keys = work.run(sign, parts, into, how, progress("Signing texts"), VERSION)
    sizes = [pl.scan_parquet(part).select(pl.len()).collect().item() for part in parts]
    starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    row = np.concatenate(
        [_column(key, "row") + start for key, start in zip(keys, starts, strict=False)]
        or [np.empty(0, dtype=np.int64)]
    )
    columns = (
        np.concatenate([_column(key, f"band{band}") for key in keys]) for band in range(bands)
    )
    left, right = candidates(row, columns if len(row) else ())
    units = list(_units(left, right, into))
    orders = list(_orders(parts, starts, left, right, into))
    texts = work.run(fetch, orders, into, {}, progress("Fetching candidates"), VERSION)
    how = {"n": n, "texts": [str(path) for path in texts]}
    found = work.run(compare, units, into, how, progress("Comparing candidates"), VERSION)
    every = pl.concat([pl.read_parquet(path) for path in found] or [pl.DataFrame(schema=PAIRS)])
    return every.filter(pl.col("score") >= threshold)


def sign(part: pl.DataFrame, n: int, bands: int, rows: int) -> pl.DataFrame:
    """Return the band keys of a part's texts."""
    return band_keys(part["text"], n, bands, rows)


def fetch(order: pl.DataFrame) -> pl.DataFrame:
    """Return the texts that units ask of a part: ``unit, row, text``."""
    if order.is_empty():
        return pl.DataFrame(schema={"unit": pl.Int64, "row": pl.Int64, "text": pl.String})
    texts = pl.read_parquet(order["part"][0], columns=["text"])["text"]
    text = texts.gather(order["row"] - order["start"])
    return order.select("unit", "row").with_columns(text.alias("text"))


def compare(unit: pl.DataFrame, n: int, texts: Sequence[str]) -> pl.DataFrame:
    """Return the exact similarity of a unit's pairs: ``left, right, score``."""
    mine = pl.col("unit") == unit["unit"][0]
    held = pl.concat(pl.scan_parquet(path).filter(mine).collect() for path in texts).sort("row")
    place = held["row"].to_numpy()
    left, right = (np.searchsorted(place, unit[side].to_numpy()) for side in ("left", "right"))
    score = jaccard(held["text"], left, right, n)
    return unit.select("left", "right").with_columns(pl.Series("score", score))


def _column(path: Path, name: str) -> Any:
    return pl.read_parquet(path, columns=[name])[name].to_numpy()


def _units(left: Places, right: Places, into: Path) -> Iterator[Path]:
    """Write the pairs in files of as many as are compared at a time."""
    for number, start in enumerate(range(0, len(left), UNIT)):
        own = {"left": left[start : start + UNIT], "right": right[start : start + UNIT]}
        path = into / f"unit-{number}.parquet"
        write_parquet(pl.DataFrame(own).with_columns(pl.lit(number).alias("unit")), path)
        yield path


def _orders(
    parts: Sequence[Path], starts: Places, left: Places, right: Places, into: Path
) -> Iterator[Path]:
    """Write, for each part, which of its rows which unit needs."""
    unit = np.arange(len(left)) // UNIT
    needed = np.unique(np.concatenate([unit << 40 | left, unit << 40 | right]))
    row = needed & ((1 << 40) - 1)
    for number, part in enumerate(parts):
        own = needed[(row >= starts[number]) & (row < starts[number + 1])]
        order = pl.DataFrame({"unit": own >> 40, "row": own & ((1 << 40) - 1)}).with_columns(
            pl.lit(int(starts[number])).alias("start"),
            pl.lit(str(part)).alias("part"),
            pl.lit(digest_file(part)).alias("digest"),
        )
        path = into / f"order-{number}.parquet"
        write_parquet(order, path)
        yield path
