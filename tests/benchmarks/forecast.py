"""How true are forecasts of the dev score? One JSON object a line.

Bags of words of two classes in five domains; a logistic regression. An accepted release of 1,600
items with 3 % wrong labels; new data of 600 to 1,500 items of another mix with 5 to 30 % wrong, a
tenth of it checked against gold; 600 dev items. The forecast by noise injection is held against
what the proxy then scores, and against "same as last time". Then the learning curve of 600 items,
against what 500 more bought on 3,000 items; and how often past runs are said to tell the next, of
noise and of a true signal. 36 trials, 24 curves, 400 draws; ``--quick``: 12, 3 and 100.
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

from scalekit.evaluate.cross_run import cross_run
from scalekit.evaluate.examples import examples, right
from scalekit.evaluate.noise_forecast import Forecast, forecast
from scalekit.evaluate.sample_sizes import learning_curve

DOMAINS, WORDS, LENGTH = 5, 200, 15
HARD = (1.8, 1.5, 1.35, 1.2, 1.05)  # how far the classes' words lie apart, domain by domain


def proxy() -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=10.0, tol=1e-3, max_iter=200)


def calm_proxy() -> Any:
    """Return one whose score rises steadily; the other dips where items and words are as many."""
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=0.3, tol=1e-3, max_iter=200)


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


def bought(seed: int) -> tuple[bool, float, float]:
    """Return whether the gain by 500 more items lies in its interval, the gain, and the error."""
    world = World(1000 + seed)
    dev, of_dev = world.release("dev", 600, 0.0)
    many, of_many = world.release("many", 3000, 0.0)
    old, of_old = world.release("old", 600, 0.05)
    found = learning_curve(
        old, dev, more=500, features=pl.concat([of_old, of_dev]), make_proxy=calm_proxy, seed=seed
    )
    gains = []
    for draw in range(3):
        new, of_new = world.release(f"new{draw}", 1100, 0.05)
        features = pl.concat([of_new, of_many])
        asked = examples(many, features, "many")
        scores = [right(calm_proxy, examples(new[:n], features, "new"), asked) for n in (600, 1100)]
        gains.append(scores[1].mean() - scores[0].mean())
    gain = float(np.mean(gains))
    low, high = found.interval
    return low <= gain <= high, gain, abs(found.gain - gain)


def claimed(runs: int, correlation: float, seed: int) -> bool:
    """Return whether past runs with one telling signal of two are said to show skill."""
    rng = np.random.default_rng(seed)
    gold, alpha, rest = rng.normal(0, 1, (3, runs))
    score = 0.8 + 0.03 * (correlation * gold + (1 - correlation**2) ** 0.5 * rest)
    table = pl.DataFrame(
        {"run_id": range(runs), "gold_accuracy": gold, "alpha": alpha, "score": score}
    )
    found = cross_run(table.with_columns(proxy=pl.lit("p"), dev=pl.lit("d")))
    return found.standing != "exploratory"


def told(figure: str, value: float, unit: str, against: str, n: int) -> None:
    line = {"figure": figure, "value": round(value, 3), "unit": unit, "against": against, "n": n}
    print(json.dumps(line), flush=True)


def main() -> None:
    """Measure and print."""
    quick = "--quick" in sys.argv[1:]
    trials, curves, draws = (12, 3, 100) if quick else (36, 24, 400)
    begun = time.perf_counter()
    found = [trial(seed) for seed in range(trials)]
    seconds = (time.perf_counter() - begun) / trials
    came = "what the proxy scored"
    told("mae_pp", mean(100 * abs(s.expected - c) for s, c in found), "points", came, trials)
    told("naive_mae_pp", mean(100 * abs(s.last - c) for s, c in found), "points", came, trials)
    told("coverage95", mean(s.low <= c <= s.high for s, c in found), "share", "0.95", trials)
    width = mean(100 * (s.high - s.low) for s, _ in found)
    told("interval_width_pp", width, "points", "", trials)
    told("seconds_each", seconds, "s", "", trials)
    curve = [bought(seed) for seed in range(curves)]
    against = f"gain of {100 * mean(gain for _, gain, _ in curve):.1f} points by 500 more items"
    told("curve_coverage95", mean(inside for inside, _, _ in curve), "share", "0.95", curves)
    told("curve_mae_pp", 100 * mean(error for _, _, error in curve), "points", against, curves)
    for runs, correlation in ((8, 0.0), (12, 0.0), (8, 0.9), (12, 0.9)):
        share = mean(claimed(runs, correlation, seed) for seed in range(draws))
        against = f"signal correlates with {correlation} with the score"
        told(f"cross_run_claims_{runs}", share, "share", against, draws)


if __name__ == "__main__":
    main()
