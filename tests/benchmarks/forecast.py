"""How true are forecasts of the dev score? One JSON object a line.

Bags of words of two classes in five domains; a logistic regression. An accepted release of 1,600
items with 3 % wrong labels; new data of 600 to 1,500 items of another mix with 5 to 30 % wrong, a
tenth of it checked against gold; 600 dev items. The forecast by noise injection is held against
what the proxy then scores, and against "same as last time". 36 trials; ``--quick``: 12.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass
from statistics import mean
from typing import Any

import numpy as np
import polars as pl

from scalekit.evaluate.examples import examples, right
from scalekit.evaluate.noise_forecast import Forecast, forecast

DOMAINS, WORDS, LENGTH = 5, 200, 15
HARD = (1.8, 1.5, 1.35, 1.2, 1.05)  # how far the classes' words lie apart, domain by domain


def proxy() -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=10.0, tol=1e-3, max_iter=200)


@dataclass
class World:
    """What words mean; releases drawn from it share their features in one table."""

    seed: int

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)
        topic = self.rng.normal(0, 0.7, (DOMAINS, 1, WORDS))
        apart = self.rng.normal(0, 1, (DOMAINS, 1, WORDS)) * np.array(HARD)[:, None, None]
        chances = np.exp(topic + apart * np.array([-0.5, 0.5])[:, None])
        self.chances = chances / chances.sum(2, keepdims=True)

    def release(self, name: str, n: int, wrong: float, mix: Any = None) -> tuple[Any, Any]:
        """Return ``item_id, category, truth, domain`` and the features."""
        domain = self.rng.choice(DOMAINS, n, p=mix)
        truth = self.rng.integers(0, 2, n)
        words = self.rng.multinomial(LENGTH, self.chances[domain, truth])
        label = np.where(self.rng.random(n) < wrong, 1 - truth, truth)
        items = pl.DataFrame(
            {
                "item_id": [f"{name}{i}" for i in range(n)],
                "category": label.astype(str),
                "truth": truth.astype(str),
                "domain": domain.astype(str),
            }
        )
        counts = pl.DataFrame(words.astype(float), schema=[f"w{i}" for i in range(WORDS)])
        return items, items.select("item_id").hstack(counts)


def checked(items: pl.DataFrame, seed: int) -> pl.DataFrame:
    """Return a tenth of the items, the label given beside gold."""
    value, gold = pl.col("category").alias("value"), pl.col("truth").alias("gold")
    return items.sample(len(items) // 10, seed=seed).select("domain", value, gold)


def trial(seed: int) -> tuple[Forecast, float]:
    """Return a forecast and what came."""
    world = World(seed)
    rng = world.rng
    dev, of_dev = world.release("dev", 600, 0.0)
    old, of_old = world.release("old", 1600, 0.03)
    n, wrong = int(rng.integers(600, 1501)), rng.uniform(0.05, 0.3)
    new, of_new = world.release("new", n, wrong, rng.dirichlet(np.full(DOMAINS, 20)))
    said = forecast(
        old,
        dev,
        checked(new, seed),
        accepted_checks=checked(old, seed),
        planned=dict(new["domain"].value_counts().iter_rows()),
        features=pl.concat([of_old, of_dev]),
        make_proxy=proxy,
        seed=seed,
    )
    features = pl.concat([of_new, of_dev])
    came = right(proxy, examples(new, features, "new"), examples(dev, features, "dev"))
    return said, float(came.mean())


def main() -> None:
    """Measure and print."""
    trials = 12 if "--quick" in sys.argv[1:] else 36
    begun = time.perf_counter()
    found = [trial(seed) for seed in range(trials)]
    errors = [100 * abs(said.expected - came) for said, came in found]
    naive = [100 * abs(said.last - came) for said, came in found]
    inside = [said.low <= came <= said.high for said, came in found]
    width = mean(100 * (said.high - said.low) for said, _ in found)
    for figure, value, unit, against in (
        ("mae_pp", mean(errors), "points", "what the proxy scored"),
        ("naive_mae_pp", mean(naive), "points", "what the proxy scored"),
        ("coverage95", mean(inside), "share", "0.95"),
        ("interval_width_pp", width, "points", ""),
        ("seconds_each", (time.perf_counter() - begun) / trials, "s", ""),
    ):
        line = {"figure": figure, "value": round(value, 3), "unit": unit}
        print(json.dumps({**line, "against": against, "n": trials}), flush=True)


if __name__ == "__main__":
    main()
