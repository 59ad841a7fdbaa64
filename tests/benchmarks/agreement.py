"""What agreement and consensus cost, against the field's libraries; one JSON object a line.

Simulated labels: five values, five labels an item, 50 annotators of differing skill; 10,000,
100,000 and 1,000,000 labels. Both sides count for themselves from the same codes (Dawid-Skene: from
the same table of texts). One thread, A and B in turn within one run, medians. A library that is not
installed is left out. ``--quick``: up to 100,000 labels, fewer turns.
"""

from __future__ import annotations

import importlib.util
import itertools
import json
import os
import sys
import time
from collections.abc import Callable
from statistics import median
from typing import Any

for pool in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "POLARS_MAX_THREADS"):
    os.environ[pool] = "1"

import numpy as np  # noqa: E402
import polars as pl  # noqa: E402

from scalekit.label import bootstrap_alpha, cohen_matrix, dawid_skene, krippendorff_alpha  # noqa: E402

VALUES, EACH, ANNOTATORS = 5, 5, 50
Codes = np.ndarray[Any, Any]


def simulate(labels: int, seed: int = 0) -> tuple[Codes, Codes, Codes]:
    """Return codes of item, annotator and value, one for each label."""
    rng = np.random.default_rng(seed)
    items = labels // EACH
    truth = rng.integers(0, VALUES, items)
    skill = rng.uniform(0.5, 0.95, ANNOTATORS)
    first = rng.integers(0, ANNOTATORS, items)
    annotator = ((first[:, None] + rng.permutation(ANNOTATORS)[:EACH]) % ANNOTATORS).ravel()
    item = np.repeat(np.arange(items), EACH)
    right = rng.random(labels) < skill[annotator]
    value = np.where(right, truth[item], rng.integers(0, VALUES, labels))
    return item, annotator, value


def counted(item: Codes, value: Codes) -> Codes:
    """Return how often each item got each value."""
    items = int(item.max()) + 1
    return np.bincount(item * VALUES + value, minlength=items * VALUES).reshape(items, VALUES)


def compare(ours: Callable[[], Any], theirs: Callable[[], Any], turns: int) -> tuple[float, float]:
    """Return the median CPU seconds of both, called in turn after one call to warm up."""
    pair: tuple[tuple[Callable[[], Any], list[float]], ...] = ((ours, []), (theirs, []))
    for turn in range(turns + 1):
        for call, times in pair if turn % 2 else reversed(pair):
            start = time.process_time()
            call()
            if turn:
                times.append(time.process_time() - start)
    return median(pair[0][1]), median(pair[1][1])


def say(figure: str, value: float, unit: str, against: str, n: int) -> None:
    said = {"figure": figure, "value": round(value, 3), "unit": unit, "against": against, "n": n}
    print(json.dumps(said), flush=True)


def alpha(item: Codes, _: Codes, value: Codes, turns: int) -> None:
    import krippendorff

    def theirs() -> None:
        found = krippendorff.alpha(
            value_counts=counted(item, value), level_of_measurement="nominal"
        )
        assert abs(found - (krippendorff_alpha(counted(item, value)).value or 0)) < 1e-9

    def plain() -> None:
        krippendorff.alpha(value_counts=counted(item, value), level_of_measurement="nominal")

    theirs()  # the same number, once
    a, b = compare(lambda: krippendorff_alpha(counted(item, value)), plain, turns)
    say(f"alpha_ratio_krippendorff_{len(item)}", b / a, "x faster", "krippendorff", turns)


def cohen(item: Codes, annotator: Codes, value: Codes, turns: int) -> None:
    from sklearn.metrics import cohen_kappa_score

    shape = (int(item.max()) + 1, ANNOTATORS, VALUES)

    def theirs() -> Codes:
        own = [(item[annotator == a], value[annotator == a]) for a in range(ANNOTATORS)]
        kappa = np.eye(ANNOTATORS)
        for a, b in itertools.combinations(range(ANNOTATORS), 2):
            _, i, j = np.intersect1d(own[a][0], own[b][0], assume_unique=True, return_indices=True)
            if len(i):
                kappa[a, b] = kappa[b, a] = cohen_kappa_score(own[a][1][i], own[b][1][j])
            else:
                kappa[a, b] = kappa[b, a] = np.nan
        return kappa

    mine, _ = cohen_matrix(item, annotator, value, shape)
    assert np.allclose(mine, theirs(), atol=1e-9, equal_nan=True)
    a, b = compare(lambda: cohen_matrix(item, annotator, value, shape), theirs, max(1, turns // 3))
    say(f"cohen_matrix_ratio_sklearn_{len(item)}", b / a, "x faster", "scikit-learn loop", turns)


def consensus(item: Codes, annotator: Codes, value: Codes, turns: int) -> None:
    if importlib.util.find_spec("crowdkit") is None:
        return
    from crowdkit.aggregation import DawidSkene

    table = pl.DataFrame({"item_id": item, "annotator": annotator, "value": value})
    table = table.select(pl.all().cast(pl.String))
    frame = table.rename({"item_id": "task", "annotator": "worker", "value": "label"}).to_pandas()
    a, b = compare(
        lambda: dawid_skene(table, iterations=10),
        lambda: DawidSkene(n_iter=10, tol=-np.inf).fit_predict(frame),
        max(1, turns // 3),
    )
    say(
        f"dawid_skene_ratio_crowdkit_{len(item)}",
        b / a,
        "x faster",
        "crowd-kit, both 10 iterations",
        turns,
    )


def interval(item: Codes, _: Codes, value: Codes, turns: int) -> None:
    counts = counted(item, value)
    again = compare(lambda: bootstrap_alpha(counts), lambda: None, max(1, turns // 3))
    say(f"alpha_ci_seconds_{len(item) // 1000}k", again[0], "s of CPU, 1,000 resamples", "", turns)


def main() -> None:
    """Measure and print."""
    quick = "--quick" in sys.argv[1:]
    for labels in (10_000, 100_000) if quick else (10_000, 100_000, 1_000_000):
        codes = simulate(labels)
        for measure in (alpha, cohen, consensus, interval):
            measure(*codes, 3 if quick else 9)


if __name__ == "__main__":
    main()
