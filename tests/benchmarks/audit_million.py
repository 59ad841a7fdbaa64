"""One million generated documents through a project's audit; one JSON object a line.

Documents of 60 to 180 words drawn from the words of the texts on this machine, as often as they
stand there; one in ten is an edited copy of another (2 to 10 % of its words changed), one in fifty
a copy in other signs, one in fifty holds personal data. Twenty batches come in by ``collect.add``,
then the audit runs with two processes. Wall seconds, and the peak of memory of all processes
together, looked at five times a second. ``--quick``: 20,000 documents.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import psutil

import scalekit as sk
from scalekit.engine import Pool

BATCHES = 20
CATEGORIES = ("question", "complaint", "praise")


def vocabulary() -> tuple[list[str], Any]:
    """Return words and how often each is to be drawn."""
    import random

    from near_duplicates import paragraphs

    counts = Counter(" ".join(paragraphs(4000, random.Random(1))).split())
    words, many = zip(*counts.most_common(30_000), strict=True)
    return list(words), np.array(many) / sum(many)


def batch(number: int, rows: int, path: Path, words: list[str], often: Any) -> None:
    """Write one batch of documents."""
    draw = np.random.default_rng([20261121, number])
    sizes = draw.integers(60, 181, rows)
    told = draw.choice(len(words), int(sizes.sum()), p=often)
    texts, start = [], 0
    for size, kind in zip(sizes, draw.random(rows), strict=True):
        own = told[start : start + size]
        start += size
        if kind < 0.12 and texts:
            copy = texts[int(draw.integers(len(texts)))]
            texts.append(copy.upper() if kind < 0.02 else edited(copy, words, draw))
            continue
        text = " ".join(words[w] for w in own)
        texts.append(f"{text} write to me{len(texts)}@example.com" if kind > 0.98 else text)
    table = pl.DataFrame({
        "item_id": [f"d{number}-{n}" for n in range(rows)],
        "text": texts,
        "category": draw.choice(CATEGORIES, rows),
    })  # fmt: skip
    table.write_parquet(path)


def edited(text: str, words: list[str], draw: np.random.Generator) -> str:
    """Return the text with 2 to 10 % of its words changed."""
    told = text.split()
    for at in draw.integers(0, len(told), max(1, int(len(told) * draw.uniform(0.02, 0.1)))):
        told[at] = words[int(draw.integers(len(words)))]
    return " ".join(told)


def spec() -> dict[str, Any]:
    """Return a spec for these documents."""
    shares = [0.34, 0.33, 0.33]
    return {
        "name": "million",
        "behaviour": "Given one document, name what kind of message it is to be taken for.",
        "categories": [
            {"name": n, "share": s} for n, s in zip(CATEGORIES, shares, strict=True)
        ],
        "examples": [
            {"text": f"A handwritten {n} number {k}", "category": n, "kind": kind, "note": "said"}
            for n in CATEGORIES
            for k, kind in enumerate(("ideal", "edge", "ideal"))
        ],
        "rubric": [{"name": "one", "text": "one kind", "kind": "must", "depth": "surface"}],
        "metrics": [{"name": "accuracy", "target": 0.7, "margin": 0.05}],
        "instructions": "Choose the kind of what is asked for.",
    }  # fmt: skip


class Memory(threading.Thread):
    """Looks at the memory of this process and its children, and remembers the most."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.peak = 0

    def run(self) -> None:
        """Look, until the program ends."""
        own = psutil.Process()
        while True:
            total = 0
            for process in (own, *own.children(recursive=True)):
                with contextlib.suppress(psutil.Error):
                    total += process.memory_info().rss
            self.peak = max(self.peak, total)
            time.sleep(0.2)


def main() -> None:
    """Measure and print."""
    rows = 20_000 if "--quick" in sys.argv[1:] else 1_000_000
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths = [folder / f"batch{n}.parquet" for n in range(BATCHES)]
        known = vocabulary()
        with multiprocessing.get_context("spawn").Pool(2) as pool:
            pool.starmap(
                batch, [(n, rows // BATCHES, path, *known) for n, path in enumerate(paths)]
            )
        memory = Memory()
        memory.start()
        project = sk.Project(folder / "million", profile="pretraining")
        project.specify.save(spec())
        assert project.specify.gate().passed
        figures: dict[str, float] = {"megabytes_of_text": 0}
        begun = time.perf_counter()
        for path in paths:
            project.collect.add(path, source="generated here", tier="first-party",
                                rights="LicenseRef-own", collected="2026-11-21")  # fmt: skip
            lengths = pl.scan_parquet(path).select(pl.col("text").str.len_bytes().sum())
            figures["megabytes_of_text"] += lengths.collect().item() / 1e6
            path.unlink()
        figures["collect_s"] = time.perf_counter() - begun
        assert project.collect.gate().passed
        begun = time.perf_counter()
        report = project.audit.run(engine=Pool(2))
        figures["audit_s"] = time.perf_counter() - begun
        begun = time.perf_counter()
        project.audit.run(engine=Pool(2))
        figures["audit_again_s"] = time.perf_counter() - begun
        for rule, marked in report.table.select("rule", "rows").iter_rows():
            figures[f"rows_{rule}"] = marked
        figures["peak_mb"] = memory.peak / 1e6
        for figure, value in figures.items():
            print(json.dumps({"figure": figure, "value": round(value, 1), "documents": rows}))


if __name__ == "__main__":
    main()
