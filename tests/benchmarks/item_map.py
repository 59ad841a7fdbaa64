"""The map of 5,000 and of 100,000 items: seconds, size, and how true it is; one JSON object a line.

Documents: 20 to 60 words on one of 60 topics; a third of the words are the topic's own, the rest
common ones by Zipf's law. ``purity``: the share of the ten nearest neighbours on the same topic, in
the plane, in the 100 dimensions it is made from, and in the plane of the first two principal
components; of the 100,000 for those that were placed beside the laid-out ones. ``--quick``: no
100,000.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from typing import Any

import numpy as np
import polars as pl
from sklearn.neighbors import NearestNeighbors

from scalekit.audit import item_map, slice_statistics
from scalekit.audit.layout import LAID_OUT, text_vectors
from scalekit.audit.slices import WordCounts

TOPICS, COMMON, OWN = 60, 5_000, 60
SYLLABLES = ("ba", "ko", "mi", "tu", "ra", "le", "so", "ni", "fe", "du", "ga", "po")


def documents(many: int) -> pl.DataFrame:
    """Return ``item_id, text, category``."""
    draw = np.random.default_rng(20260401)
    words = np.array(
        sorted({"".join(draw.choice(SYLLABLES, draw.integers(3, 6))) for _ in range(12_000)})
    )
    draw.shuffle(words)
    common, own = words[:COMMON], words[COMMON : COMMON + TOPICS * OWN].reshape(TOPICS, OWN)
    zipf = 1 / np.arange(1, COMMON + 1)
    topic = draw.integers(0, TOPICS, many)
    sizes = draw.integers(20, 61, many)
    filler = iter(np.array_split(draw.choice(common, sizes.sum(), p=zipf / zipf.sum()),
                                 sizes.cumsum()[:-1]))  # fmt: skip
    texts = []
    for t, size in zip(topic, sizes, strict=True):
        said = next(filler)
        at = draw.random(size) < 1 / 3
        said[at] = draw.choice(own[t], at.sum())
        texts.append(" ".join(said))
    ids = [f"i{n}" for n in range(many)]
    return pl.DataFrame({"item_id": ids, "text": texts, "category": topic.astype(str)})


def purity(places: Any, topic: Any, asked: Any) -> float:
    """Return the share of the ten nearest that are on the same topic."""
    near = NearestNeighbors(n_neighbors=11).fit(places)
    found = near.kneighbors(places[asked], return_distance=False)[:, 1:]
    return float((topic[found] == topic[asked][:, None]).mean())


def measured(many: int) -> dict[str, float]:
    """Return the figures of a map of *many* items."""
    items = documents(many)
    topic = items["category"].to_numpy()
    begun, worked = time.perf_counter(), time.process_time()
    made = item_map(items)
    seconds, cpu = time.perf_counter() - begun, time.process_time() - worked
    plane = made.table.select("x", "y").to_numpy()
    draw = np.random.default_rng(0)
    laid = np.sort(np.random.default_rng(0).choice(many, min(many, LAID_OUT), replace=False))
    rest = np.setdiff1d(np.arange(many), laid) if many > LAID_OUT else laid
    asked = np.sort(draw.choice(rest, min(len(rest), 3_000), replace=False))
    figures = {
        "seconds": seconds,
        "cpu_seconds": cpu,
        "purity_in_the_plane": purity(plane, topic, asked),
        "figure_bytes": float(len(made.plot().to_json())),
        "static_view_bytes": float(len(made.to_html())),
    }
    if many == LAID_OUT:
        vectors = text_vectors(items["text"].to_list())
        figures["purity_in_100_dimensions"] = purity(vectors, topic, asked)
        middle = vectors - vectors.mean(axis=0)
        components = np.linalg.svd(middle, full_matrices=False)[2][:2]
        figures["purity_in_principal_plane"] = purity(middle @ components.T, topic, asked)
    counts = WordCounts(items["text"])
    chosen = items.filter(pl.col("category") == "7")["item_id"]
    begun = time.perf_counter()
    slice_statistics(items, chosen, counts=counts)
    figures["slice_statistics_ms"] = 1000 * (time.perf_counter() - begun)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    figures["peak_mb"] = peak / (1024 if sys.platform == "linux" else 1024**2)
    return figures


def main() -> None:
    """Measure and print."""
    sizes = (LAID_OUT,) if "--quick" in sys.argv[1:] else (LAID_OUT, 100_000)
    for many in sizes:
        for name, value in measured(many).items():
            print(json.dumps({"figure": name, "value": round(value, 3), "items": many}))


if __name__ == "__main__":
    main()
