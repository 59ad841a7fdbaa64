"""Places in the plane: the same each time, topics apart, whatever the vectors come from."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.metrics import silhouette_score
from sklearn.neighbors import NearestNeighbors

from scalekit.audit.layout import given_vectors, layout, text_vectors
from scalekit.frames import FrameError

SYLLABLES = ("ba", "ko", "mi", "tu", "ra", "le", "so", "ni", "fe", "du")


def topics(rows: int, groups: int, seed: int = 0) -> tuple[list[str], Any]:
    """Texts of eight words each: most from a topic's own thirty words, some that all share."""
    rng = np.random.default_rng(seed)

    def word() -> str:
        return "".join(rng.choice(SYLLABLES, 3))

    own = [[word() for _ in range(30)] for _ in range(groups)]
    common = [word() for _ in range(40)]
    group = rng.integers(0, groups, rows)
    texts = [" ".join([*rng.choice(own[g], 5), *rng.choice(common, 3)]) for g in group]
    return texts, group


def purity(places: Any, group: Any, rows: Any = None, k: int = 10) -> float:
    """The share of the nearest neighbours that are of the same group."""
    asked = np.arange(len(places)) if rows is None else rows
    near = NearestNeighbors(n_neighbors=k + 1).fit(places)
    found = near.kneighbors(places[asked], return_distance=False)[:, 1:]
    return float((group[found] == group[asked][:, None]).mean())


def test_two_topics_lie_apart_and_the_map_is_the_same_each_time() -> None:
    texts, group = topics(300, 2)
    places = layout(text_vectors(texts))
    assert silhouette_score(places, group) > 0.5
    assert purity(places, group) > 0.98
    assert np.abs(places).max() == pytest.approx(1)
    assert np.array_equal(places, layout(text_vectors(texts)))
    assert not np.array_equal(places, layout(text_vectors(texts, seed=1), seed=1))


def test_what_is_not_laid_out_lies_beside_its_like() -> None:
    texts, group = topics(900, 6)
    places = layout(text_vectors(texts), laid_out=300)
    drawn = np.sort(np.random.default_rng(0).choice(900, 300, replace=False))
    rest = np.setdiff1d(np.arange(900), drawn)
    assert purity(places, group, drawn) > 0.9
    assert purity(places, group, rest) > 0.9
    assert np.isfinite(places).all()
    assert np.abs(places).max() <= 1 + 1e-6


def test_texts_without_spaces_are_compared_by_their_pieces() -> None:
    rng = np.random.default_rng(0)
    own = ["配送包裹快递到达延迟", "发票金额退款银行卡错"]
    group = np.repeat([0, 1], 60)
    texts = ["".join(rng.permutation(list(own[g] * 2))[:8]) + own[g][:5] for g in group]
    assert purity(layout(text_vectors(texts)), group) > 0.9


@pytest.mark.parametrize(
    "texts",
    [[], ["one"], ["one", "two"], ["a b", "a b", "a b"], ["", "", "", ""], ["same text"] * 20,
     ["!!", "??", "..", ",,", ";;"], ["a", "b c d", "", "e"]],
)  # fmt: skip
def test_few_empty_and_equal_texts_have_a_place_too(texts: list[str]) -> None:
    places = layout(text_vectors(texts))
    assert places.shape == (len(texts), 2)
    assert np.isfinite(places).all()


@pytest.mark.parametrize("width", [1, 2, 5, 300])
def test_the_researchers_own_vectors_are_taken(width: int) -> None:
    rng = np.random.default_rng(0)
    group = np.repeat([0, 1], 50)
    vectors = rng.normal(size=(100, width)) * 0.1
    vectors[:, 0] += np.where(group, 3.0, -3.0)
    found = given_vectors(vectors.tolist(), 100)
    assert found.shape[1] == min(width, 99)
    assert purity(layout(found), group) > 0.98


@pytest.mark.parametrize(
    ("vectors", "reason"),
    [
        ([[1.0, 2.0]], "3 rows are needed"),
        ([1.0, 2.0, 3.0], "3 rows are needed"),
        ([[], [], []], "3 rows are needed"),
        ([[1.0], [float("nan")], [2.0]], "row 1 holds a number that is not finite"),
        ([["a"], ["b"], ["c"]], "not readable as an array"),
        ([[1.0], [1.0, 2.0], [3.0]], "not readable as an array"),
    ],
)
def test_vectors_that_do_not_fit_are_refused(vectors: Any, reason: str) -> None:
    with pytest.raises(FrameError, match=reason):
        given_vectors(vectors, 3)
