"""Contamination of 2,000 test items by 100,000 training documents; one JSON object a line.

Training: paragraphs of 90 to 200 words from the texts and sources on this machine, 1,000 of them
made to hold a test item. Test: items of 50 to 90 words, of which 100 each are in the training text
as they are, in other signs, wrapped anew, inside three other documents, with each 10th or 5th word
changed, or with a third of the words changed and the clauses shuffled; 100 share a span of 13 to 20
or of 8 to 12 words, 100 are of 10 words inside a document; 1,000 are clean: less than 15 % of their
words stand in the training text anyway, in runs of 8. Against dictionaries and sets of runs of
words in Python, which must give each item the same tier. CPU seconds of one process with one
thread. ``--quick``: 10,000 documents, 500 items.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import re
import sys
import time
from collections import Counter, defaultdict

for pool in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "POLARS_MAX_THREADS"):
    os.environ[pool] = "1"

import polars as pl  # noqa: E402
from near_duplicates import paragraphs  # noqa: E402

from scalekit.evaluate import contamination  # noqa: E402
from scalekit.evaluate.contamination import TIERS  # noqa: E402
from scalekit.text import words  # noqa: E402

WORD = re.compile(r"\w+")
FLAGGED = ("LEAK", "SPAN", "REVIEW")


def changed(text: str, every: int, vocabulary: list[str], draw: random.Random) -> str:
    """Return the text with each n-th word replaced."""
    count = itertools.count(1)
    return WORD.sub(lambda word: word[0] if next(count) % every else draw.choice(vocabulary), text)


def reworded(told: list[str], vocabulary: list[str], draw: random.Random) -> str:
    """Return the words with 35 % replaced, in clauses of 12 whose order is drawn."""
    new = [draw.choice(vocabulary) if draw.random() < 0.35 else word for word in told]
    clauses = [new[n : n + 12] for n in range(0, len(new), 12)]
    draw.shuffle(clauses)
    return " ".join(word for clause in clauses for word in clause)


def cut(told: list[str], least: int, most: int, draw: random.Random) -> str:
    """Return some words in a row."""
    size = draw.randint(least, most)
    at = draw.randrange(max(1, len(told) - size))
    return " ".join(told[at : at + size])


def leak(
    kind: str, item: str, others: list[str], vocabulary: list[str], draw: random.Random
) -> str:
    """Return a training document that holds an item in a kind of disguise."""
    told = item.split()
    if kind == "surface":
        return ",  ".join(told).upper() + "!"
    if kind == "rewrap":
        return "\n".join(" ".join(told[n : n + 7]) for n in range(0, len(told), 7))
    if kind in ("embedded", "short10", "span13", "span8"):
        part = (
            item
            if kind in ("embedded", "short10")
            else cut(told, *((13, 20) if kind == "span13" else (8, 12)), draw)
        )
        return f"{others[0]} {part} {others[1]}"
    if kind.startswith("edit"):
        return changed(item, 100 // int(kind[4:]), vocabulary, draw)
    return reworded(told, vocabulary, draw) if kind == "para" else item


KINDS = (
    "exact", "surface", "rewrap", "embedded", "span13", "span8", "edit10", "edit20", "para",
    "short10",
)  # fmt: skip


def corpus(documents: int, tests: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the test items with their kind, and the training documents."""
    draw = random.Random(20260402)
    every = paragraphs(documents + 6 * tests, draw)
    draw.shuffle(every)
    train, fresh = every[:documents], every[documents:]
    vocabulary = WORD.findall(" ".join(train[:500]))
    known = set()  # windows of 8 words that the training text has anyway
    for text in train:
        known.update(grams(text, 8))
    clean, items = [], []
    for text in fresh:
        own = cut(text.split(), 50, 90, draw)
        told = grams(own, 8)
        held = {word for at, gram in enumerate(told) if gram in known for word in range(at, at + 8)}
        if len(told) > 30 and len(held) < 0.15 * (len(told) + 7):
            clean.append(own)
            known.update(told)
    each = tests // 20
    places = draw.sample(range(documents), each * len(KINDS))
    for kind in KINDS:
        for _ in range(each):
            own = clean.pop()
            item = " ".join(own.split()[:10]) if kind == "short10" else own
            items.append((kind, item))
            others = [train[draw.randrange(documents)] for _ in range(2)]
            train[places.pop()] = leak(kind, item, others, vocabulary, draw)
    items += [("clean", text) for text in clean[: tests // 2]]
    test = pl.DataFrame(items, schema=["kind", "text"], orient="row").with_row_index("item_id")
    rows = pl.DataFrame({"text": train}).with_row_index("item_id")
    as_text = pl.col("item_id").cast(pl.String)
    return test.with_columns(as_text), rows.with_columns(as_text)


def grams(text: str, n: int) -> list[tuple[str, ...]]:
    """Return the runs of *n* words."""
    told = folded(text)
    return [tuple(told[i : i + n]) for i in range(len(told) - n + 1)]


def folded(text: str) -> list[str]:
    """Return the words as they are compared."""
    return WORD.findall(text.lower()) if text.isascii() else [w.folded for w in words(text)]


def sets(test: pl.DataFrame, train: pl.DataFrame) -> list[str]:
    """Do the same with dictionaries and sets of runs of words; return each item's tier."""
    items = [folded(text) for text in test["text"]]
    where: dict[tuple[str, ...], list[tuple[int, int]]] = defaultdict(list)
    fours: dict[tuple[str, ...], list[tuple[int, int]]] = defaultdict(list)
    for number, told in enumerate(items):
        n = min(8, len(told))
        for at in range(len(told) - n + 1):
            where[tuple(told[at : at + n])].append((number, at))
        for at in range(len(told) - 3) if n == 8 else ():
            fours[tuple(told[at : at + 4])].append((number, at))
    lengths = sorted({len(gram) for gram in where})
    rows_of: dict[tuple[str, ...], list[int]] = defaultdict(list)
    tiers = ["CLEAN"] * len(items)
    for row, text in enumerate(train["text"]):
        told = folded(text)
        hits: dict[int, list[tuple[int, int]]] = defaultdict(list)
        for n in lengths:
            for at in range(len(told) - n + 1):
                for number, place in where.get(tuple(told[at : at + n]), ()):
                    hits[number].append((place, at))
        for gram in {tuple(told[at : at + 4]) for at in range(len(told) - 3)} & fours.keys():
            if len(rows_of[gram]) < 3:
                rows_of[gram].append(row)
        for number, found in hits.items():
            tiers[number] = min(tiers[number], tier(items[number], told, found), key=TIERS.index)
    rare: dict[tuple[int, int], set[int]] = defaultdict(set)
    for gram, rows in rows_of.items():
        for row in rows if len(rows) < 3 else ():
            for number, place in fours[gram]:
                rare[number, row].update(range(place, place + 4))
    for (number, _), covered in rare.items():
        if tiers[number] == "CLEAN" and len(covered) >= 0.15 * len(items[number]):
            tiers[number] = "REVIEW"
    return tiers


def tier(item: list[str], told: list[str], hits: list[tuple[int, int]]) -> str:
    """Return the tier of an item and a row by the windows that they share."""
    n = min(8, len(item))
    if n < 8 and len(told) > n and len(set(item)) < 4:
        return "CLEAN"
    covered = {word for place, _ in hits for word in range(place, place + n)}
    both, longest = set(hits), 0
    for place, at in both:
        if (place - 1, at - 1) not in both:
            run = n
            while (place + run - n + 1, at + run - n + 1) in both:
                run += 1
            longest = max(longest, run)
    return "LEAK" if len(covered) >= len(item) / 2 else "SPAN" if longest >= 13 else "CLEAN"


def main() -> None:
    """Measure and print."""
    quick = "--quick" in sys.argv[1:]
    test, train = corpus(*((10_000, 500) if quick else (100_000, 2_000)))
    contamination(test.head(50), train.head(50))
    begun = time.process_time()
    found = contamination(test, train)
    ours = time.process_time() - begun
    begun = time.process_time()
    tiers_by_sets = sets(test, train)
    theirs = time.process_time() - begun
    assert tiers_by_sets == found.table["tier"].to_list()
    figures: dict[str, float] = {
        "docs_per_cpu_s": len(train) / ours,
        "docs_per_cpu_s_ratio_sets": theirs / ours,
    }
    tiers = found.table.join(test.select("item_id", "kind"), on="item_id")
    for (kind,), rows in sorted(tiers.group_by("kind")):
        counts = Counter(rows["tier"])
        if kind == "clean":
            figures["clean_flagged"] = counts["LEAK"]
            figures["clean_items"] = len(rows)
            figures["clean_to_look_at"] = sum(counts[t] for t in ("SPAN", "REVIEW")) / len(rows)
        else:
            name = "short" if kind == "short10" else kind
            figures[f"recall_{name}"] = counts["LEAK"] / len(rows)
            figures[f"seen_{name}"] = sum(counts[t] for t in FLAGGED) / len(rows)
    for name, value in figures.items():
        line = {"figure": name, "value": round(value, 4), "documents": len(train)}
        print(json.dumps({**line, "items": len(test)}))


if __name__ == "__main__":
    main()
