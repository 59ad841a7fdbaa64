"""Votes as arrays, and their intervals against closed forms, other programs and simulation."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import cohen_kappa_score

from scalekit.evaluate.votes import (
    agreement_weights,
    difference_interval,
    kappa_interval,
    mean_draws,
    read_votes,
    share_interval,
    sound_votes,
)
from scalekit.frames import FrameError
from scalekit.intervals import wilson


def test_votes_become_codes_in_the_order_of_numbers() -> None:
    rows = [("b", "ana", 10), ("a", "ben", 2), ("a", "ana", 2), ("a", "eva", None)]
    votes = read_votes(pl.DataFrame(rows, ["item_id", "annotator", "value"], orient="row"))
    assert (votes.items, votes.raters, votes.values) == (("a", "b"), ("ana", "ben"), ("2", "10"))
    assert votes.said.tolist() == [[0, 0], [1, -1]]
    assert votes.counts.tolist() == [[2, 0], [0, 1]]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"item_id": None}, "1 row without item_id"),
        ({"annotator": "ana"}, "'ana' votes twice on item '1'"),
    ],
)
def test_unsound_votes_are_named(change: dict[str, Any], said: str) -> None:
    rows = [{"item_id": 1, "annotator": w, "value": "x"} for w in ("ana", "ben")]
    with pytest.raises(FrameError, match=said):
        sound_votes([rows[0], rows[1] | change])


def test_values_outside_the_scale_are_named() -> None:
    rows = [{"item_id": 1, "annotator": "ana", "value": "6"}]
    with pytest.raises(FrameError, match="'6' is not one of 1, 2"):
        read_votes(rows, ["1", "2"])
    with pytest.raises(FrameError, match="there is no vote"):
        read_votes([{"item_id": 1, "annotator": "ana", "value": None}])


@pytest.mark.parametrize(("k", "n"), [(0, 1), (0, 20), (3, 20), (19, 20), (20, 20), (50, 200)])
def test_one_vote_an_item_gives_wilsons_interval(k: int, n: int) -> None:
    shares = np.array([1.0] * k + [0.0] * (n - k))
    assert share_interval(shares) == pytest.approx((k / n, *wilson(k, n)), abs=1e-12)


def test_votes_that_depend_on_the_item_widen_the_interval_and_quiet_ones_narrow_it() -> None:
    whole = share_interval(np.array([1.0] * 15 + [0.0] * 15))
    split = share_interval(np.array([2 / 3] * 15 + [1 / 3] * 15))
    assert (whole[0], split[0]) == pytest.approx((0.5, 0.5))
    assert split[2] - split[1] < 0.5 * (whole[2] - whole[1])
    assert share_interval(np.array([])) == pytest.approx((float("nan"), 0, 1), nan_ok=True)


@pytest.mark.parametrize(("n", "truth"), [(20, 0.9), (20, 0.5), (60, 0.95), (200, 0.7)])
def test_the_interval_of_a_share_covers_as_it_says(n: int, truth: float) -> None:
    # Three votes on each item, which agree more than chance: a beta of the item's own share.
    rng = np.random.default_rng(n)
    own = rng.beta(2 * truth, 2 * (1 - truth), size=(3000, n))
    shares = rng.binomial(3, own) / 3
    ends = [share_interval(row)[1:] for row in shares]
    assert np.mean([low <= truth <= high for low, high in ends]) == pytest.approx(0.95, abs=0.025)


@pytest.mark.parametrize("n", [10, 30, 100])
def test_the_interval_of_a_difference_covers_and_never_closes(n: int) -> None:
    rng = np.random.default_rng(n)
    drawn = rng.choice([-1, 0, 1], p=[0.2, 0.7, 0.1], size=(3000, n)).astype(float)
    ends = [difference_interval(row)[1:3] for row in drawn]
    assert np.mean([low <= -0.1 <= high for low, high in ends]) > 0.93
    mean, low, high, _ = difference_interval(np.zeros(n))
    assert mean == 0
    assert high == -low > 0


def test_the_interval_of_a_difference_is_that_of_agresti_and_min() -> None:
    # Written with the four cells of the paired table, each one half larger.
    n11, n10, n01, n00 = 41, 9, 4, 26
    differences = np.array([1.0] * n10 + [-1.0] * n01 + [0.0] * (n11 + n00))
    n, b, c = n11 + n10 + n01 + n00 + 2, n10 + 0.5, n01 + 0.5
    middle = (b - c) / n
    half = 1.959963984540054 * np.sqrt(b + c - (b - c) ** 2 / n) / n
    found = difference_interval(differences)
    assert found[:3] == pytest.approx((5 / 80, middle - half, middle + half))


@pytest.mark.parametrize("level", ["nominal", "interval"])
def test_kappa_is_that_of_scikit_learn(level: Any) -> None:
    rng = np.random.default_rng(1)
    one = rng.integers(0, 4, 300)
    two = np.where(rng.random(300) < 0.6, one, rng.integers(0, 4, 300))
    cells = np.bincount(one * 4 + two, minlength=16).reshape(4, 4).astype(float)
    weights = agreement_weights(["1", "2", "3", "4"], level)
    kappa, low, high = kappa_interval(cells, weights, draws=2000, seed=0)
    theirs = {"nominal": None, "interval": "linear"}[level]
    assert kappa == pytest.approx(cohen_kappa_score(one, two, weights=theirs))
    # The slow way: whole items drawn again, each time scored by the other program.
    drawn = (rng.integers(0, 300, 300) for _ in range(400))
    slow = [cohen_kappa_score(one[i], two[i], weights=theirs) for i in drawn]
    assert (low, high) == pytest.approx(tuple(np.quantile(slow, [0.025, 0.975])), abs=0.02)


def test_kappa_of_two_who_always_say_the_same_is_undefined() -> None:
    cells = np.array([[5.0, 0.0], [0.0, 0.0]])
    found = kappa_interval(cells, np.eye(2), draws=10, seed=0)
    assert found == pytest.approx((float("nan"),) * 3, nan_ok=True)


def test_levels_need_what_they_need() -> None:
    assert agreement_weights(["1", "3", "5"], "interval")[0].tolist() == [1, 0.5, 0]
    with pytest.raises(FrameError, match="needs numbers"):
        agreement_weights(["good", "bad"], "interval")
    with pytest.raises(FrameError, match="nominal or interval"):
        agreement_weights(["1"], "ordinal")  # type: ignore[arg-type]


def test_means_over_resampled_items_are_those_of_drawing_rows() -> None:
    rng = np.random.default_rng(3)
    values = rng.normal(size=(80, 2))
    values[:20, 1] = np.nan
    found = mean_draws(values, 4000, seed=0)
    slow = [np.nanmean(values[rng.integers(0, 80, 80)], axis=0) for _ in range(4000)]
    for quantile in (0.025, 0.5, 0.975):
        assert np.quantile(found, quantile, axis=0) == pytest.approx(
            np.quantile(slow, quantile, axis=0), abs=0.03
        )
