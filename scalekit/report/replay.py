"""Replay: every score again from the stored predictions, bit for bit.

Of each measurement the single results are stored (not of a sealed set): from them the scores of
sets and categories and their intervals are computed again and held against what was stored, each
number by its bits. What can't be replayed is named, not passed over.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from scalekit.display import View, block, counted, table
from scalekit.intervals import wilson
from scalekit.journal import read

__all__ = ["Replay", "replay"]

RESULTS = "evaluate/measured"
SAME, OTHER, NOT = "the same", "another", "not replayed"
SCHEMA = dict.fromkeys(("file", "score of", "stored", "replayed", "verdict"), pl.String)


@dataclass(frozen=True)
class Replay(View):
    """What became of each stored score.

    ``table`` has ``file, score of, stored, replayed, verdict``: "the same", "another", or "not
    replayed" with the reason in *replayed*. True when no score is another and one at least is the
    same.
    """

    table: pl.DataFrame

    @property
    def differing(self) -> pl.DataFrame:
        """The scores that come out otherwise."""
        return self.table.filter(pl.col("verdict") == OTHER)

    def __bool__(self) -> bool:
        verdicts = self.table["verdict"].to_list()
        return OTHER not in verdicts and SAME in verdicts

    def to_html(self) -> str:
        """Say how many scores are the same; show the others."""
        counts = dict(self.table["verdict"].value_counts().iter_rows())
        said = f"{counted(counts.get(SAME, 0), 'score')} the same, bit for bit."
        rest = self.table.filter(pl.col("verdict") != SAME)
        return block("Replay", said, table(rest))


def replay(root: Path | str) -> Replay:
    """Compute the scores of every measurement in the project's folder *root* again.

    A sealed set's scores are held against the answers in its journal of looks instead: its items
    are in nobody's hands.
    """
    root = Path(root)
    rows: list[Mapping[str, str]] = []
    for path in sorted((root / RESULTS).glob("*-results.parquet")):
        stem = path.name.removesuffix("-results.parquet")
        results = pl.read_parquet(path)
        for part, by in (("sets", ["set"]), ("categories", ["set", "category"])):
            stored = path.with_name(f"{stem}-{part}.parquet")
            if stored.is_file():
                name = stored.relative_to(root).as_posix()
                rows += _file(name, pl.read_parquet(stored), results, by, _answers(root))
    return Replay(pl.DataFrame(rows, schema=SCHEMA))


def _file(
    name: str,
    stored: pl.DataFrame,
    results: pl.DataFrame,
    by: list[str],
    answers: set[tuple[int, int]],
) -> Iterable[Mapping[str, str]]:
    for row in stored.to_dicts():
        where = ", ".join(str(row[c]) for c in by if c in row)
        said = {"file": name, "score of": where, "stored": _shown(row)}
        own = results.filter(pl.all_horizontal(pl.col(c) == row.get(c) for c in by))
        if not {"right", "n", "accuracy", "from", "to"} <= set(row):
            yield {**said, "replayed": "not of right and wrong answers", "verdict": NOT}
        elif "clusters" in row:
            yield {**said, "replayed": "its interval counts clusters", "verdict": NOT}
        elif own.is_empty() and by == ["set"] and (row["right"], row["n"]) in answers:
            again = _score(row["right"], row["n"])
            verdict = SAME if _equal(row, again) else OTHER
            yield {**said, "replayed": f"{_shown(again)}, as answered by the seal",
                   "verdict": verdict}  # fmt: skip
        elif own.is_empty():
            yield {**said, "replayed": "no single results are stored", "verdict": NOT}
        else:
            # The score itself is replayed too: a prediction is right when it is the category.
            right = int((own["prediction"] == own["category"]).sum())
            again = _score(right, len(own))
            same = _equal(row, again) and int(own["score"].sum()) == right
            yield {**said, "replayed": _shown(again), "verdict": SAME if same else OTHER}


def _answers(root: Path) -> set[tuple[int, int]]:
    """Return what the seals answered: how many were right, of how many."""
    found = set()
    for path in sorted((root / "evaluate/sealed").glob("*.looks.jsonl")):
        for event in read(path):
            if event.kind == "answer" and {"right", "n"} <= set(event.data):
                found.add((int(event.data["right"]), int(event.data["n"])))
    return found


def _score(right: int, n: int) -> dict[str, Any]:
    low, high = wilson(right, n)
    return {"right": right, "n": n, "accuracy": right / n, "from": low, "to": high}


def _equal(stored: Mapping[str, Any], again: Mapping[str, Any]) -> bool:
    return all(_bits(stored[name]) == _bits(value) for name, value in again.items())


def _bits(value: float) -> bytes:
    return struct.pack(">d", float(value))


def _shown(row: Mapping[str, Any]) -> str:
    return ", ".join(f"{k} {row[k]!r}" for k in ("right", "n", "accuracy", "from", "to")
                     if k in row)  # fmt: skip
