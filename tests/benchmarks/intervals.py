"""What intervals cover, how often tests are wrong, and what they find; one JSON object a line.

Coverage of proportions and of paired differences is a sum over all outcomes, so exact; a bootstrap
of a proportion is taken with endless draws. Tests are simulated: pairs of right and wrong answers
of which the underlying abilities correlate by 0.7, and clusters of 10 items with an intra-class
correlation of 0.3. Nominal are 0.95 and 0.05. Last, what a million results cost to slice.
``--quick``: fewer simulations.
"""

from __future__ import annotations

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
from numpy.typing import NDArray  # noqa: E402
from scipy.stats import binom, multivariate_normal, norm  # noqa: E402

from scalekit.evaluate.paired import mcnemar_p, sign_flip, t_p, tango  # noqa: E402
from scalekit.evaluate.resolution import mcnemar_power, minimum_detectable  # noqa: E402
from scalekit.evaluate.scores import sliced, standard_error, unit_cells  # noqa: E402
from scalekit.intervals import Z95, clopper_pearson, newcombe, wilson  # noqa: E402

Floats = NDArray[np.float64]
Bounds = tuple[Floats, Floats]
SINGLE = ((20, 0.9), (30, 0.95), (100, 0.95), (500, 0.9))
PAIRED = ((20, 0.1, 0.02), (50, 0.1, 0.02), (100, 0.1, 0.1))
TWO = ((20, 0.9, 0.9), (50, 0.95, 0.9))
ABILITY, ACCURACY, GAIN = 0.7, 0.8, 0.04
CLUSTER, ICC = 10, 0.3


def say(figure: str, value: float, unit: str, against: str, n: int) -> None:
    said = {"figure": figure, "value": round(value, 4), "unit": unit, "against": against, "n": n}
    print(json.dumps(said), flush=True)


def arrays(bounds: list[tuple[float, float]]) -> Bounds:
    both = np.array(bounds)
    return both[:, 0], both[:, 1]


def wald(k: Floats, n: int) -> Bounds:
    p = k / n
    spread = Z95 * np.sqrt(p * (1 - p) / n)
    return p - spread, p + spread


def bootstrap(k: Floats, n: int) -> Bounds:
    """Percentiles of endlessly many resamples, which are binomial."""
    return binom.ppf(0.025, n, k / n) / n, binom.ppf(0.975, n, k / n) / n


def proportions() -> None:
    for n, p in SINGLE:
        k = np.arange(n + 1, dtype=np.float64)
        weight = binom.pmf(k, n, p)
        counts = range(n + 1)
        methods: dict[str, Callable[[], Bounds]] = {
            "wilson": lambda n=n, counts=counts: arrays([wilson(c, n) for c in counts]),
            "clopper_pearson": lambda n=n, counts=counts: arrays(
                [clopper_pearson(c, n) for c in counts]
            ),
            "wald": lambda n=n, k=k: wald(k, n),
            "bootstrap": lambda n=n, k=k: bootstrap(k, n),
        }
        for name, make in methods.items():
            low, high = make()
            inside = (low <= p + 1e-12) & (p - 1e-12 <= high)
            say(f"coverage_{name}_n{n}", float(weight[inside].sum()),
                f"share of 95 % intervals that hold p = {p}", "0.95", n)  # fmt: skip


def two_samples() -> None:
    for n, p, q in TWO:
        cells = [(a, b) for a in range(n + 1) for b in range(n + 1)]
        a, b = np.array(cells, dtype=np.float64).T
        weight = binom.pmf(a, n, p) * binom.pmf(b, n, q)
        spread = Z95 * np.sqrt((a / n * (1 - a / n) + b / n * (1 - b / n)) / n)
        plain = ((a - b) / n - spread, (a - b) / n + spread)
        ours = arrays([newcombe(int(x), n, int(y), n) for x, y in cells])
        for name, (low, high) in (("newcombe", ours), ("wald_difference", plain)):
            inside = (low <= p - q + 1e-12) & (p - q - 1e-12 <= high)
            say(f"coverage_{name}_n{n}", float(weight[inside].sum()),
                f"share of 95 % intervals that hold {p} - {q}", "0.95", n)  # fmt: skip


def paired_differences() -> None:
    for n, better, worse in PAIRED:
        b, c = (v.ravel().astype(np.float64) for v in np.mgrid[: n + 1, : n + 1])
        b, c = b[b + c <= n], c[b + c <= n]
        weight = binom.pmf(b, n, better) * binom.pmf(c, n - b, worse / (1 - better))
        mean, truth = (b - c) / n, better - worse
        spread = Z95 * np.sqrt(((b + c) / n - mean**2) / n)
        methods = {"tango": tango(c, b, n), "wald_paired": (mean - spread, mean + spread)}
        for name, (low, high) in methods.items():
            inside = (low <= truth + 1e-12) & (truth - 1e-12 <= high)
            say(f"coverage_{name}_n{n}", float(weight[inside].sum()),
                f"share of 95 % intervals that hold {better} - {worse}", "0.95", n)  # fmt: skip


def cells_of(p: float, q: float) -> list[float]:
    """Return the shares of items that both, only a, only b and neither has right."""
    at = [norm.ppf(p), norm.ppf(q)]
    both = float(multivariate_normal.cdf(at, cov=[[1, ABILITY], [ABILITY, 1]]))
    return [both, p - both, q - both, 1 - p - q + both]


def tests_of_pairs(simulations: int) -> None:
    for n in (300, 1000):
        for what, gain in (("type1", 0.0), ("power", GAIN)):
            rng = np.random.default_rng(n)
            shares = cells_of(ACCURACY, ACCURACY + gain)
            both, only_a, only_b, _ = rng.multinomial(n, shares, simulations).T
            exact, mid_p = mcnemar_p(only_a, only_b)
            a, b = (both + only_a) / n, (both + only_b) / n
            pooled = (a + b) / 2
            z = (b - a) / np.sqrt(2 * pooled * (1 - pooled) / n)
            found = {
                "mcnemar": mid_p <= 0.05,
                "mcnemar_exact": exact <= 0.05,
                "unpaired_z": np.abs(z) > Z95,
            }
            unit = f"rejected at 0.05, true difference {100 * gain:g} points"
            for name, rejected in found.items():
                other = "McNemar" if name == "unpaired_z" else "unpaired z"
                against = "0.05" if what == "type1" else other
                say(f"{what}_{name}_n{n}", float(rejected.mean()), unit, against, simulations)


def tests_of_clusters(simulations: int) -> None:
    for clusters in (10, 30):
        rng = np.random.default_rng(clusters)
        shape = (simulations, clusters, CLUSTER)
        shared = rng.normal(0, ICC**0.5, shape[:2])[:, :, None]
        values = (shared + rng.normal(0, (1 - ICC) ** 0.5, shape)) / 10
        study, cluster, _ = np.indices(shape)
        rows = pl.DataFrame(
            {"d": values.ravel(), "study": study.ravel(), "cluster": cluster.ravel()}
        )
        for name, column in (("clustered", "cluster"), ("naive", None)):
            cells = unit_cells(rows, "d", ["study"], column)
            mean, squares, n, units = cells.select("mean", "squares", "n", "units").to_numpy().T
            error = standard_error(squares, n, units)
            tested = {f"{name}_t": t_p(mean, error, units - 1)}
            if column is not None:
                tested["clustered_z"] = 2 * norm.sf(np.abs(mean / error))
            for test, p in tested.items():
                say(f"type1_{test}_{clusters}", float((p <= 0.05).mean()),
                    f"rejected at 0.05, clusters of {CLUSTER}, ICC {ICC}", "0.05",
                    simulations)  # fmt: skip


def tests_of_few(simulations: int) -> None:
    """Ten graded differences, many small and a few large: a sign flip keeps to its level."""
    rng = np.random.default_rng(10)
    sizes = rng.choice([0.1, 0.9], (simulations, 10), p=[0.9, 0.1])
    drawn = rng.choice([-1, 1], sizes.shape) * sizes
    rate = np.mean([sign_flip(d) <= 0.05 for d in drawn])
    say("type1_sign_flip_10", float(rate), "rejected at 0.05, 10 items, two sizes", "0.05",
        simulations)  # fmt: skip


def resolution() -> None:
    for n, psi in ((200, 0.2), (500, 0.1), (1000, 0.05)):
        say(f"power_at_detectable_n{n}", mcnemar_power(n, minimum_detectable(n, psi), psi),
            f"exact power at the difference called detectable, discordance {psi}", "0.8",
            n)  # fmt: skip


def slices(turns: int) -> None:
    rng = np.random.default_rng(0)
    n = 1_000_000
    columns: dict[str, Any] = {"set": ["dev"] * n, "source": rng.integers(0, 1000, n)}
    counted = pl.DataFrame({**columns, "score": rng.integers(0, 2, n)})
    graded = pl.DataFrame({**columns, "score": rng.random(n)})
    for name, rows in (("right_or_wrong", counted), ("graded", graded)):
        times = []
        for _ in range(turns):
            start = time.process_time()
            sliced(rows, ["source"])
            times.append(time.process_time() - start)
        say(f"slices_seconds_{name}", median(times), "s of CPU, 1,000,000 results, 1,000 slices",
            "", turns)  # fmt: skip


def main() -> None:
    """Measure and print."""
    quick = "--quick" in sys.argv[1:]
    proportions()
    two_samples()
    paired_differences()
    tests_of_pairs(20_000 if quick else 200_000)
    tests_of_clusters(5_000 if quick else 20_000)
    tests_of_few(2_000 if quick else 10_000)
    resolution()
    slices(3 if quick else 9)


if __name__ == "__main__":
    main()
