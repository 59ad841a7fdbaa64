"""Agreement coefficients against published values, other packages and their own laws."""

from __future__ import annotations

import krippendorff
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics import cohen_kappa_score

from scalekit.coefficients import (
    METRICS,
    bootstrap_alpha,
    cohen_matrix,
    fleiss_kappa,
    gwet_ac1,
    krippendorff_alpha,
)

COUNTS = hnp.arrays(
    np.int64, st.tuples(st.integers(2, 12), st.integers(2, 5)), elements=st.integers(0, 4)
)


def defined(counts: np.ndarray) -> bool:
    used = counts[counts.sum(axis=1) >= 2]
    return len(used) > 0 and int((used.sum(axis=0) > 0).sum()) >= 2


def package(counts: np.ndarray, level: str, domain: np.ndarray | None = None) -> float:
    """The krippendorff package, given the same counts; unused values change ordinal distances."""
    values = np.arange(1, counts.shape[1] + 1) if domain is None else domain
    used = counts[counts.sum(axis=1) >= 2]
    return float(
        krippendorff.alpha(value_counts=used, value_domain=values, level_of_measurement=level)
    )


@pytest.mark.parametrize("level", METRICS)
@given(counts=COUNTS)
def test_alpha_is_that_of_the_krippendorff_package(level: str, counts: np.ndarray) -> None:
    assume(defined(counts))
    values = np.arange(1, counts.shape[1] + 1, dtype=float)
    ours = krippendorff_alpha(counts, level, values).value
    assert ours == pytest.approx(package(counts, level), abs=1e-9)


@given(counts=COUNTS, seed=st.integers(0, 999))
def test_nominal_alpha_ignores_the_order_of_items_and_the_names_of_values(
    counts: np.ndarray, seed: int
) -> None:
    assume(defined(counts))
    rng = np.random.default_rng(seed)
    shuffled = rng.permutation(rng.permutation(counts, axis=0), axis=1)
    for found in (krippendorff_alpha, fleiss_kappa, gwet_ac1):
        assert found(shuffled).value == pytest.approx(found(counts).value, abs=1e-12)


@given(counts=COUNTS)
def test_items_with_fewer_than_two_labels_do_not_move_alpha(counts: np.ndarray) -> None:
    assume(defined(counts))
    single = np.zeros((1, counts.shape[1]), dtype=np.int64)
    single[0, -1] = 1
    more = np.concatenate([counts, single, np.zeros_like(single)])
    assert krippendorff_alpha(more).value == pytest.approx(krippendorff_alpha(counts).value)


def test_fleiss_by_hand() -> None:
    # 3 items, 3 raters, counts (3,0), (2,1), (1,2). Agreeing pairs: 3/3, 1/3, 1/3; mean 5/9.
    # Shares 6/9 and 3/9; chance 4/9 + 1/9 = 5/9. So kappa is exactly 0.
    assert fleiss_kappa(np.array([[3, 0], [2, 1], [1, 2]])).value == pytest.approx(0, abs=1e-12)
    # (3,0), (0,3), (2,1): observed (1 + 1 + 1/3)/3 = 7/9; shares 5/9, 4/9; chance 41/81.
    # (63/81 - 41/81) / (40/81) = 22/40.
    assert fleiss_kappa(np.array([[3, 0], [0, 3], [2, 1]])).value == pytest.approx(0.55)


def test_ac1_by_hand() -> None:
    # The same table: observed 7/9; chance 2 * (5/9)(4/9) / (2 - 1) = 40/81; (63 - 40) / 41.
    assert gwet_ac1(np.array([[3, 0], [0, 3], [2, 1]])).value == pytest.approx(23 / 41)


def test_ac1_stays_high_where_one_value_is_rare_and_kappa_does_not() -> None:
    # 98 items both "no", 2 items split: the paradox of Feinstein and Cicchetti (1990).
    counts = np.array([[2, 0]] * 98 + [[1, 1]] * 2)
    assert gwet_ac1(counts).value > 0.97
    assert fleiss_kappa(counts).value < 0.01


@pytest.mark.parametrize(
    ("counts", "reason"),
    [
        (np.zeros((0, 2)), "no item has two labels"),
        (np.eye(2), "no item has two labels"),
        (np.array([[2, 0], [3, 0]]), "only one value was ever used"),
    ],
)
def test_what_cannot_be_told_is_undefined_with_the_reason(counts: np.ndarray, reason: str) -> None:
    for found in (krippendorff_alpha(counts), fleiss_kappa(counts)):
        assert found.value is None
        assert reason in found.undefined
        assert "undefined" in str(found)
    assert bootstrap_alpha(counts) is None


def test_interval_and_ratio_need_numbers() -> None:
    counts = np.array([[1, 1], [2, 0]])
    with pytest.raises(ValueError, match="needs numbers"):
        krippendorff_alpha(counts, "interval")
    with pytest.raises(ValueError, match="not negative"):
        krippendorff_alpha(counts, "ratio", np.array([-1.0, 2.0]))
    with pytest.raises(ValueError, match="level must be one of"):
        krippendorff_alpha(counts, "cardinal")  # type: ignore[arg-type]


@pytest.mark.parametrize("level", ["nominal", "ordinal"])
def test_bootstrap_is_a_plain_resampling_of_items(level: str) -> None:
    counts = np.random.default_rng(3).multinomial(3, [0.5, 0.3, 0.2], size=30)
    rng = np.random.default_rng(7)
    draws = [package(counts[rng.integers(0, 30, 30)], level) for _ in range(200)]
    low, high = bootstrap_alpha(counts, level, samples=200, seed=7) or (0, 0)
    assert low == pytest.approx(np.quantile(draws, 0.025), abs=1e-9)
    assert high == pytest.approx(np.quantile(draws, 0.975), abs=1e-9)


def test_bootstrap_of_a_single_item_does_not_fail() -> None:
    low, high = bootstrap_alpha(np.array([[1, 1]]), samples=20) or (None, None)
    assert low == high == pytest.approx(0.0)  # 1 - (1 / 1): each resample is that item again


LABELS = st.lists(
    st.tuples(st.integers(0, 9), st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=60
)


@given(labels=LABELS)
def test_cohen_matrix_is_that_of_scikit_learn(labels: list[tuple[int, int, int]]) -> None:
    given_ = {(i, a): v for i, a, v in labels}
    item = np.array([i for i, _ in given_])
    person = np.array([a for _, a in given_])
    value = np.array(list(given_.values()))
    kappa, shared = cohen_matrix(item, person, value, (10, 4, 4))
    for a in range(4):
        for b in range(4):
            both = [i for i in range(10) if (i, a) in given_ and (i, b) in given_]
            assert shared[a, b] == len(both)
            if a == b or not both:
                continue
            one, other = [given_[i, a] for i in both], [given_[i, b] for i in both]
            if len({*one, *other}) == 1:
                assert np.isnan(kappa[a, b])
            else:
                expected = cohen_kappa_score(one, other)
                assert kappa[a, b] == pytest.approx(expected, abs=1e-9)
                assert kappa[a, b] == kappa[b, a]
