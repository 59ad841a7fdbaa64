"""The synthetic keep test: its error against simulation, its rule, and diversity."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest

from scalekit.evaluate.diversity import distinct_n, diversity, neighbour_entropy
from scalekit.evaluate.keep_test import KeepTest, _two_way, keep_synthetic
from scalekit.frames import FrameError


def proxy() -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(max_iter=300)


class World:
    """Two classes along five of twenty features, in domains a and b."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.features: list[pl.DataFrame] = []

    def drawn(self, name: str, n: int, wrong: float = 0.0, domains: str = "ab") -> pl.DataFrame:
        truth = self.rng.integers(0, 2, n)
        x = self.rng.normal(0, 1, (n, 20))
        x[:, :5] += 1.2 * (truth[:, None] - 0.5)
        label = np.where(self.rng.random(n) < wrong, 1 - truth, truth).astype(str)
        ids = pl.DataFrame({"item_id": [f"{name}{i}" for i in range(n)]})
        self.features.append(ids.hstack(pl.DataFrame(x)))
        domain = [domains[i % len(domains)] for i in range(n)]
        return ids.with_columns(category=pl.Series(label), domain=pl.Series(domain))

    def tested(self, *tables: pl.DataFrame, **more: Any) -> KeepTest:
        return keep_synthetic(*tables, features=pl.concat(self.features), make_proxy=proxy, **more)


def test_items_that_teach_are_kept_and_noise_is_dropped() -> None:
    world = World(0)
    real, asked = world.drawn("r", 40), world.drawn("h", 400)
    good, noise = world.drawn("g", 600), world.drawn("n", 600, wrong=0.5)
    kept, dropped = world.tested(real, good, asked), world.tested(real, noise, asked)
    assert kept.keep
    assert 0 < kept.low < kept.gain
    assert "Keep the synthetic items" in kept.to_html()
    assert not dropped.keep
    assert "Drop the synthetic items" in dropped.to_html()
    assert kept.parts["part"].to_list() == ["held-out", "a", "b"]
    assert kept.parts["items"].to_list() == [400, 200, 200]
    assert kept.seeds["with synthetic"].mean() - kept.seeds["real only"].mean() == pytest.approx(
        kept.gain
    )
    assert len(kept.plot().data[0].x) == 3


def test_the_default_is_to_drop() -> None:
    world = World(1)
    real, asked = world.drawn("r", 300), world.drawn("h", 60)
    found = world.tested(real, world.drawn("g", 30), asked)
    assert not found.keep
    assert "show gains from" in found.reason


def test_one_domain_that_is_surely_worse_is_enough_to_drop() -> None:
    world = World(2)
    real, asked = world.drawn("r", 20), world.drawn("h", 1600, domains="aaab")
    good = world.drawn("g", 800, domains="a")
    # What holds in domain a is turned about in b.
    told = asked["category"].cast(pl.Int64)
    turned = asked.with_columns(
        pl.when(pl.col("domain") == "b")
        .then(1 - told)
        .otherwise(told)
        .cast(pl.String)
        .alias("category")
    )
    found = world.tested(real, good, turned)
    assert found.low > 0
    assert found.parts.filter(pl.col("part") == "b")["verdict"].to_list() == ["inferior"]
    assert not found.keep
    assert "but worse by more than 2 on b" in found.reason


def test_handwritten_examples_are_a_part_of_their_own() -> None:
    world = World(3)
    real, asked, hand = world.drawn("r", 40), world.drawn("h", 100), world.drawn("w", 20)
    found = world.tested(real, world.drawn("g", 600), asked, handwritten=hand)
    assert found.parts["part"].to_list() == ["held-out", "a", "b", "handwritten"]
    assert found.parts["items"].to_list() == [100, 50, 50, 20]


def test_the_standard_error_is_that_of_items_and_seeds() -> None:
    # Gains made of an item's part, a seed's part and the rest: their variances are known.
    rng = np.random.default_rng(4)
    means, errors = [], []
    for _ in range(2000):
        items, seeds = rng.normal(0, 0.3, 50), rng.normal(0, 0.1, (6, 1))
        mean, error, _ = _two_way(0.05 + items + seeds + rng.normal(0, 0.4, (6, 50)))
        means.append(mean)
        errors.append(error**2)
    truth = 0.3**2 / 50 + 0.1**2 / 6 + 0.4**2 / 300
    assert np.var(means) == pytest.approx(truth, rel=0.1)
    assert np.mean(errors) == pytest.approx(truth, rel=0.1)


def test_gains_that_do_not_vary_prove_little() -> None:
    mean, error, _ = _two_way(np.zeros((3, 20)))
    assert mean == 0
    assert error > 0


def test_faulty_input_is_named() -> None:
    world = World(5)
    real, made, asked = world.drawn("r", 40), world.drawn("g", 40), world.drawn("h", 40)
    with pytest.raises(FrameError, match="3 pairs"):
        world.tested(real, made, asked, seeds=2)
    with pytest.raises(FrameError, match="real items: item 'r0' is also held out"):
        world.tested(real, made, pl.concat([asked, real[:1]]))


def test_distinct_n_by_hand() -> None:
    assert distinct_n(["a b a b", "a c"], 1) == 3 / 6
    # ab, ba, ab, ac: n-grams do not run over the end of a text.
    assert distinct_n(["a b a b", "a c"], 2) == 3 / 4
    assert distinct_n(["a b a b", "a c"], 1, words=2) == 1.0
    assert distinct_n([], 1) == 0.0


def test_neighbour_entropy_has_its_ends() -> None:
    real = ["red house", "green tree", "blue sea", "grey stone"]
    assert neighbour_entropy(real, real) == pytest.approx(1.0)
    assert neighbour_entropy(["red", "house", "red house", "a red"], real) == 0.0
    with pytest.raises(FrameError, match="no text has a word"):
        neighbour_entropy(["a"], ["?"])


def test_templates_lose_diversity_and_texts_go_through_the_default_proxy() -> None:
    rng = np.random.default_rng(6)
    words = [f"word{i}" for i in range(200)]

    def texts(name: str, n: int, some: int) -> pl.DataFrame:
        category = rng.integers(0, 2, n)
        said = [" ".join([*rng.choice(words[:some], 6), ["yes", "no"][c]]) for c in category]
        ids = [f"{name}{i}" for i in range(n)]
        return pl.DataFrame({"item_id": ids, "text": said, "category": category.astype(str)})

    seen: list[tuple[int, int]] = []
    found = keep_synthetic(
        texts("r", 60, 200), texts("s", 60, 8), texts("h", 60, 200), seeds=3,
        progress=lambda *at: seen.append(at),
    )  # fmt: skip
    assert seen == [(i, 6) for i in range(7)]
    drop = dict(found.diversity.select("measure", "drop").iter_rows())
    assert drop["distinct-1"] > 0.5
    assert drop["nearest-neighbour entropy"] > 0.1
    assert "nearest-neighbour entropy" in found.to_html()
    same = ["one two", "three four", "five six", "seven eight"]
    assert diversity(same, same)["drop"].to_list()[0] == 0
