"""Near-duplicates among 100,000 documents, against rensa and datasketch; one JSON object a line.

Documents: paragraphs of 90 to 200 words from the texts and sources that lie on this machine (88 %),
and edited copies of them (12 %: none, 2, 5, 10, 15, 20 or 30 % of the words substituted, dropped or
inserted; some in capitals). Truth: all pairs with Jaccard similarity of word 5-grams >= .8, by the
exact join. CPU seconds of one process with one thread, from texts to pairs; peers get the same
shingles' texts. A peer that is not installed is left out. Wrong removals: texts that went and are
not that much alike, by their sets of words, to one that stayed. Peak of memory: of a process that
finds the near-duplicates of 400,000 generated documents in 16 files. ``--quick``: 10,000 documents.
"""

from __future__ import annotations

import importlib.util
import json
import os
import random
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

for pool in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "POLARS_MAX_THREADS"):
    os.environ[pool] = "1"

import polars as pl  # noqa: E402

from scalekit.audit import near_duplicates, part_pairs  # noqa: E402
from scalekit.audit.minhash import minhash_pairs  # noqa: E402
from scalekit.shingling import shingle_hashes  # noqa: E402
from scalekit.text import jaccard_pairs, shingles, words  # noqa: E402

N, THRESHOLD, BANDS, ROWS = 5, 0.8, 16, 8
RATES = (0, 0, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3)
PLACES = ("/usr/share/doc", sysconfig.get_paths()["stdlib"], sysconfig.get_paths()["purelib"])


def paragraphs(many: int, draw: random.Random) -> list[str]:
    """Return paragraphs of the texts and sources on this machine, in a drawn order."""
    files = sorted(
        path
        for place in PLACES
        for path in Path(place).rglob("*")
        if path.suffix in (".py", ".txt", ".md", ".rst", ".html") and path.is_file()
    )
    draw.shuffle(files)
    found: list[str] = []
    for path in files:
        told = path.read_text(encoding="utf-8", errors="ignore").split()
        at = 0
        while len(told) - at >= 90:
            size = draw.randint(90, 200)
            found.append(" ".join(told[at : at + size]))
            at += size
        if len(found) >= many:
            break
    return found[:many]


def edited(text: str, rate: float, vocabulary: list[str], draw: random.Random) -> str:
    """Return a copy with a share of its words substituted (60 %), dropped or with one inserted."""
    kept: list[str] = []
    for word in text.split():
        kind = draw.random() if draw.random() < rate else 1.0
        if kind < 0.6:
            kept.append(draw.choice(vocabulary))
        elif kind >= 0.8:
            kept += [word, draw.choice(vocabulary)] if kind < 1.0 else [word]
    said = " ".join(kept)
    return said.upper() if draw.random() < 0.3 else said


def corpus(many: int) -> pl.Series:
    """Return the documents."""
    draw = random.Random(20260301)
    base = paragraphs(int(many * 0.88), draw)
    vocabulary = " ".join(base[:500]).split()
    copies = [
        edited(draw.choice(base), draw.choice(RATES), vocabulary, draw)
        for _ in range(many - len(base))
    ]
    texts = [*base, *copies]
    draw.shuffle(texts)
    return pl.Series(texts)


def shingled(texts: pl.Series) -> Iterator[list[str]]:
    """Return the word 5-grams of each text, for the peers."""
    for text in texts:
        found = text.lower().split()
        yield [" ".join(found[i : i + N]) for i in range(max(1, len(found) - N + 1))]


def datasketch(texts: pl.Series) -> set[tuple[int, int]]:
    """Return the pairs that datasketch's MinHashLSH finds, not verified."""
    from datasketch import MinHash, MinHashLSH

    index = MinHashLSH(threshold=THRESHOLD, num_perm=128)
    pairs = set()
    for row, grams in enumerate(shingled(texts)):
        signature = MinHash(num_perm=128)
        signature.update_batch([g.encode() for g in set(grams)])
        pairs |= {(int(other), row) for other in index.query(signature)}
        index.insert(str(row), signature)
    return pairs


def rensa(texts: pl.Series) -> set[tuple[int, int]]:
    """Return the pairs that rensa's RMinHashLSH finds, not verified."""
    from rensa import RMinHash, RMinHashLSH

    index = RMinHashLSH(threshold=THRESHOLD, num_perm=128, num_bands=BANDS)
    pairs = set()
    for row, grams in enumerate(shingled(texts)):
        signature = RMinHash(num_perm=128, seed=42)
        signature.update(grams)
        pairs |= {(int(other), row) for other in index.query(signature)}
        index.insert(row, signature)
    return pairs


def ours(texts: pl.Series) -> set[tuple[int, int]]:
    """Return our pairs, every one verified."""
    found = minhash_pairs(texts, N, THRESHOLD, bands=BANDS, rows=ROWS)
    return set(zip(found.left.tolist(), found.right.tolist(), strict=True))


def timed(
    find: Callable[[pl.Series], set[tuple[int, int]]], texts: pl.Series
) -> tuple[set[tuple[int, int]], float]:
    """Return what is found, and the CPU seconds that it took."""
    begun = time.process_time()
    found = find(texts)
    return found, time.process_time() - begun


def wrong_removals(texts: pl.Series) -> int:
    """Count texts that went without being like one that stayed, by sets of words in Python."""
    items = pl.DataFrame({"item_id": [str(n) for n in range(len(texts))], "text": texts})
    gone = near_duplicates(items, threshold=THRESHOLD, n=N, method="minhash")
    stays = set(items["item_id"]) - set(gone["item_id"])
    wrong = 0
    for item, kept in gone.select("item_id", "kept_id").iter_rows():
        one, other = (
            set(shingles([w.folded for w in words(texts[int(i)])], N)) for i in (item, kept)
        )
        wrong += kept not in stays or len(one & other) < THRESHOLD * len(one | other)
    return wrong


def peak_of_parts(documents: int, folder: Path) -> float:
    """Return the peak of memory, in MB, of a process that works through files of documents."""
    from audit_million import batch, vocabulary

    known = vocabulary()
    for n in range(16):
        batch(n, documents // 16, folder / f"{n}.parquet", *known)
    done = subprocess.run(
        [sys.executable, __file__, "--parts", str(folder)], check=True, capture_output=True
    )
    return float(done.stdout)


def main() -> None:
    """Measure and print."""
    if "--parts" in sys.argv:
        folder = Path(sys.argv[-1])
        part_pairs([folder / f"{n}.parquet" for n in range(16)], folder / "work")
        # Not ru_maxrss: that of the process that started this one is inherited.
        status = Path("/proc/self/status").read_text().split()
        print(int(status[status.index("VmHWM:") + 1]) / 1024)
        return
    texts = corpus(10_000 if "--quick" in sys.argv[1:] else 100_000)
    shingle_hashes(texts.head(100), N)  # byte code and tables are there
    found, seconds = timed(ours, texts)
    joined = jaccard_pairs(texts.to_list(), N, THRESHOLD)
    truth = set(zip(joined.left.tolist(), joined.right.tolist(), strict=True))
    figures: dict[str, Any] = {
        "recall": len(found & truth) / len(truth),
        "precision": len(found & truth) / len(found),
        "docs_per_cpu_s": len(texts) / seconds,
        "wrong_removals": wrong_removals(texts),
    }
    for name, peer in (("datasketch", datasketch), ("rensa", rensa)):
        if importlib.util.find_spec(name) is None:
            continue
        theirs, took = timed(peer, texts)
        figures[f"docs_per_cpu_s_ratio_{name}"] = took / seconds
        figures[f"recall_{name}"] = len(theirs & truth) / len(truth)
        figures[f"precision_{name}"] = len(theirs & truth) / max(1, len(theirs))
    many = 40_000 if "--quick" in sys.argv[1:] else 400_000
    with tempfile.TemporaryDirectory() as folder:
        figures[f"peak_mb_{many // 1000}k"] = peak_of_parts(many, Path(folder))
    size = sum(len(words(text)) for text in texts.head(1000)) / 1000
    for name, value in figures.items():
        line = {"figure": name, "value": round(value, 4), "documents": len(texts)}
        print(json.dumps({**line, "pairs": len(truth), "words": round(size)}))


if __name__ == "__main__":
    main()
