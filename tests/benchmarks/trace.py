"""What trace finds, and what it names wrongly, in simulated releases; one JSON object a line.

Worlds of tests/evaluate/planted.py: five domains of unequal difficulty, 20 annotators whose own
errors are 5 % with a standard deviation of 3.4 %, 15 batches. A false alarm is anything named in a
release without a fault, natural differences between annotators included. Recovered is the share of
a domain's lost accuracy that comes back when the queue is labelled again (a cohort labels 80 % of
the noes of one domain yes), and when as many items at random are. Against: a lift over 1.3 (a
level disagrees 1.3 times as often as all). ``--quick``: fewer worlds.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

for pool in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "POLARS_MAX_THREADS"):
    os.environ[pool] = "1"
sys.path.insert(0, str(Path(__file__).parents[1] / "evaluate"))

import numpy as np  # noqa: E402
import polars as pl  # noqa: E402
from planted import (  # noqa: E402
    CLASSES,
    Release,
    World,
    first,
    fitted,
    flags,
    proxy,
    queued,
    scored,
    traced,
)

from scalekit.evaluate.confirmation import confirm  # noqa: E402
from scalekit.evaluate.tracing import trace  # noqa: E402

Plant = Callable[[World, Release], Release]
FAULTS: dict[str, tuple[Plant, tuple[str, str]]] = {
    "annotator40": (lambda w, r: w.random_fault(r, r.annotator == 3, 0.4), ("annotator", "a03")),
    "annotator25": (lambda w, r: w.random_fault(r, r.annotator == 3, 0.25), ("annotator", "a03")),
    "batch40": (lambda w, r: w.random_fault(r, r.batch == 3, 0.4), ("batch", "b03")),
}
LIFT = "lift > 1.3"


def say(figure: str, value: float, unit: str, against: str, n: int) -> None:
    said = {"figure": figure, "value": round(value, 4), "unit": unit, "against": against, "n": n}
    print(json.dumps(said), flush=True)


def lifted(table: pl.DataFrame) -> bool:
    """Whether any level disagrees 1.3 times as often as all labels do."""
    whole = table.filter(factor="batch")
    usual = (whole["disagree"] * whole["labels"]).sum() / whole["labels"].sum()
    return bool((table["disagree"] > 1.3 * usual).any())


def false_alarms(n: int, seeds: int) -> None:
    alarms, lifts = [], []
    for seed in range(seeds):
        world = World(seed)
        found = traced(world.release("new", n), world.release("old", 2000, 0.03))
        alarms.append(not found.abstains)
        lifts.append(lifted(found.table))
    name = "null_false_alarm" + ("" if n == 1500 else f"_{n}")
    say(name, float(np.mean(alarms)), "share of releases", LIFT, seeds)
    say(f"{name}_lift", float(np.mean(lifts)), "share of releases", "", seeds)


def recalls(n: int, seeds: int) -> None:
    for fault, (plant, where) in FAULTS.items():
        top, flagged = [], []
        for seed in range(seeds):
            world = World(seed)
            new = plant(world, world.release("new", n))
            found = traced(new, world.release("old", 2000, 0.03))
            top.append(first(found) == where)
            flagged.append(where in flags(found))
        name = fault + ("" if n == 1500 else f"_{n}")
        say(f"{name}_recall_at_1", float(np.mean(top)), "share of releases", "", seeds)
        say(f"{name}_flagged", float(np.mean(flagged)), "share of releases", "", seeds)


def recovery(n: int, seeds: int) -> None:
    rows = list(_repaired(n, seeds))
    lost, targeted, at_random, size, held = (float(np.mean(c)) for c in zip(*rows, strict=True))
    end = "" if n == 1500 else f"_{n}"
    said = "whole relabelling"
    say(f"targeted_recovery{end}", targeted / lost, "share of the loss", said, seeds)
    say(f"random_recovery{end}", at_random / lost, "share of the loss", said, seeds)
    say(f"targeted_share{end}", size, "share of items", said, seeds)
    say(f"targeted_lost_points{end}", 100 * lost, "points of accuracy in the domain", "", seeds)
    say(f"confirmed{end}", held, "share of releases", "5 placebo trainings", seeds)


def _repaired(n: int, seeds: int) -> Iterator[tuple[float, float, float, float, bool]]:
    for seed in range(seeds):
        world = World(seed)
        old, new = world.release("old", n, 0.03), world.release("new", n)
        dev, test = world.release("dev", n // 3, 0.0), world.release("test", 4000, 0.0)
        bad = world.systematic_fault(new, (new.cohort == 1) & (new.domain == 2), 0.8)
        found = traced(bad, old, regressed=["domain2"])
        rows = queued(found)
        others = np.random.default_rng(seed).permutation(n)[: len(rows)]
        none = np.zeros(0, dtype=np.int64)
        releases = [bad.relabelled(r) for r in (none, rows, others, np.arange(n))]
        own = test.domain == 2
        marks = [scored(fitted(r), test)["score"].to_numpy()[own].mean() for r in releases]
        truth = dev.table().with_columns(pl.Series("value", CLASSES[dev.truth]))
        both = pl.concat([bad.features(), dev.features()])
        held = confirm(found, bad.table(), truth, features=both, make_proxy=proxy)
        yield (
            marks[3] - marks[0],
            marks[1] - marks[0],
            marks[2] - marks[0],
            len(rows) / n,
            bool(held.confirmed),
        )


def seconds(labels: int) -> None:
    """Time a trace of texts with the proxy that is the default."""
    world = World(0)
    old, new = world.release("old", labels, 0.03), world.release("new", labels)
    tables = []
    for release in (new, old):
        words = np.array([f"w{i}" for i in range(release.words.shape[1])])
        texts = [" ".join(np.repeat(words, c)) for c in release.words.astype(int)]
        tables.append(release.table().with_columns(pl.Series("text", texts)))
    start = time.process_time()
    trace(tables[0], accepted=tables[1])
    name = f"seconds_{labels // 1000}k"
    say(name, time.process_time() - start, "s of CPU", "", 1)


def main() -> None:
    """Measure and print."""
    quick = "--quick" in sys.argv[1:]
    false_alarms(1500, 12 if quick else 100)
    recalls(1500, 5 if quick else 50)
    recovery(1500, 5 if quick else 30)
    if not quick:
        for n in (600, 4000):
            false_alarms(n, 50)
            recalls(n, 25)
        recovery(4000, 15)
    seconds(2_000 if quick else 20_000)


if __name__ == "__main__":
    main()
