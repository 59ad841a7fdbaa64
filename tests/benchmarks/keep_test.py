"""How often are synthetic items kept that help, and that do not? One JSON object a line.

Bags of words of two classes in five domains, a logistic regression, 120 real items. ``useless``:
100 items with so many wrong labels that they add nothing on average, and of these simulations
those whose gain on 4,000 further items is within a point of 0; ``useful``: 1,000 items that add
about 8 points. Held out are 200 or 600 real items. Against it: keeping whatever scored better
once. 60 simulations of each; ``--quick``: 6.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import numpy as np
import polars as pl

from scalekit.evaluate.examples import examples, right
from scalekit.evaluate.keep_test import keep_synthetic

DOMAINS, WORDS, LENGTH, REAL = 5, 120, 12, 120
SETS = {"useless": (100, 0.18), "useful": (1000, 0.02)}


def proxy() -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=0.3, tol=1e-3, max_iter=200)


class World:
    """What words mean; all releases of a simulation."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        topic = self.rng.normal(0, 0.7, (DOMAINS, 1, WORDS))
        apart = self.rng.normal(0, 1, (DOMAINS, 1, WORDS))
        chances = np.exp(topic + apart * np.array([-0.5, 0.5])[:, None])
        self.chances = chances / chances.sum(2, keepdims=True)
        self.features: list[pl.DataFrame] = []

    def release(self, name: str, n: int, wrong: float = 0.0) -> pl.DataFrame:
        """Return ``item_id, category, domain``."""
        domain, truth = self.rng.integers(0, DOMAINS, n), self.rng.integers(0, 2, n)
        words = self.rng.multinomial(LENGTH, self.chances[domain, truth]).astype(float)
        label = np.where(self.rng.random(n) < wrong, 1 - truth, truth).astype(str)
        ids = pl.DataFrame({"item_id": [f"{name}{i}" for i in range(n)]})
        self.features.append(ids.hstack(pl.DataFrame(words)))
        return ids.with_columns(category=pl.Series(label), domain=pl.Series(domain.astype(str)))


def simulated(kind: str, held: int, seed: int) -> tuple[bool, bool, float]:
    """Return whether the rule keeps, whether one look would, and the true gain."""
    world = World(seed)
    real, asked = world.release("r", REAL), world.release("h", held)
    n, wrong = SETS[kind]
    made, many = world.release("s", n, wrong), world.release("m", 4000)
    features = pl.concat(world.features)
    found = keep_synthetic(real, made, asked, features=features, make_proxy=proxy, seed=seed)
    with_it = pl.concat([real, made])
    once, truly = (
        [right(proxy, examples(t, features, ""), examples(on, features, "")).mean()
         for t in (real, with_it)]
        for on in (asked, many)
    )  # fmt: skip
    return found.keep, once[1] > once[0], float(truly[1] - truly[0])


def main() -> None:
    """Measure and print."""
    times = 6 if "--quick" in sys.argv[1:] else 60
    for kind in SETS:
        for held in (200, 600):
            found = [simulated(kind, held, seed) for seed in range(times)]
            if kind == "useless":
                found = [trial for trial in found if abs(trial[2]) < 0.01]
            kept, naive, gain = np.mean(found, axis=0)
            against = f"{naive:.2f} kept by one look, true gain {100 * gain:+.1f} points"
            line = {"figure": f"kept_{kind}_{held}", "value": round(float(kept), 3)}
            print(json.dumps({**line, "unit": "share", "against": against, "n": len(found)}),
                  flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
