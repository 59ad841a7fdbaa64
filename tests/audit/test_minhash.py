"""MinHash near-duplicates: exact scores, the exact join as oracle, nothing drawn."""

from __future__ import annotations

import random
import string

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scalekit.audit import near_duplicates
from scalekit.audit.minhash import minhash_pairs, recall_of
from scalekit.shingling import shingle_hashes
from scalekit.text import jaccard_pairs, words

SIGNS = st.characters(min_codepoint=32, max_codepoint=0x24F) | st.sampled_from("🅰🄰Ⓐ‿_⚧️☑ꦤ꧀")
TEXTS = st.lists(
    st.lists(st.sampled_from(["a", "b", "É", "d!", "ﬁn", "x_1", "ΟΔΟΣ", "中文"]), max_size=7)
    .map(" ".join) | st.text(SIGNS, max_size=12),
    max_size=12,
)  # fmt: skip


def sets_by_hand(texts: list[str], n: int) -> list[set[tuple[str, ...]]]:
    found = []
    for text in texts:
        own = [w.folded for w in words(text)]
        size = min(n, len(own))
        grams = {tuple(own[i : i + size]) for i in range(len(own) - size + 1)}
        found.append(grams if own else set())
    return found


@settings(deadline=None, max_examples=300)
@given(TEXTS, st.integers(1, 4))
def test_the_hashed_sets_are_those_of_the_words(texts: list[str], n: int) -> None:
    hashed = shingle_hashes(pl.Series(texts, dtype=pl.String), n)
    parts = [
        set(hashed.hashes[a:b].tolist())
        for a, b in zip(hashed.starts, hashed.starts[1:], strict=False)
    ]
    known = sets_by_hand(texts, n)
    assert [len(p) for p in parts] == [len(k) for k in known]
    for i in range(len(texts)):
        for j in range(i):
            assert len(parts[i] & parts[j]) == len(known[i] & known[j])


@settings(deadline=None, max_examples=150)
@given(TEXTS, st.sampled_from([0.3, 0.7, 1.0]), st.integers(1, 3))
def test_every_pair_that_is_found_has_its_exact_score(
    texts: list[str], threshold: float, n: int
) -> None:
    found = minhash_pairs(pl.Series(texts, dtype=pl.String), n, threshold)
    exact = jaccard_pairs(texts, n, threshold)
    truth = {(a, b): s for a, b, s in zip(exact.left, exact.right, exact.score, strict=True)}
    for left, right, score in zip(found.left, found.right, found.score, strict=True):
        assert score == pytest.approx(truth[left, right], abs=1e-12)
    same = {pair for pair, score in truth.items() if score == 1}
    assert same <= set(zip(found.left.tolist(), found.right.tolist(), strict=True))


def documents(many: int, seed: int) -> list[str]:
    """Return documents of 60 words of a small vocabulary, some copied with a few words changed."""
    draw = random.Random(seed)
    vocabulary = ["".join(draw.choices(string.ascii_lowercase, k=6)) for _ in range(3000)]
    texts: list[list[str]] = []
    for _ in range(many):
        if texts and draw.random() < 0.4:
            copy = list(draw.choice(texts))
            for _ in range(draw.choice([0, 1, 2, 3])):
                copy[draw.randrange(len(copy))] = draw.choice(vocabulary)
            texts.append(copy)
        else:
            texts.append(draw.choices(vocabulary, k=60))
    return [" ".join(text) for text in texts]


def test_pairs_are_missed_no_more_often_than_the_bands_say() -> None:
    texts = documents(6000, 1)
    exact = jaccard_pairs(texts, 3, 0.7)
    found = minhash_pairs(pl.Series(texts), 3, 0.7)
    truth = set(zip(exact.left.tolist(), exact.right.tolist(), strict=True))
    ours = set(zip(found.left.tolist(), found.right.tolist(), strict=True))
    assert ours <= truth
    expected = np.mean([1 - recall_of(score, 24, 5) for score in exact.score])
    assert len(truth) > 4000
    assert len(truth - ours) / len(truth) <= 3 * expected + 0.002
    assert len(ours) / len(truth) >= 0.995


def test_the_chance_of_a_candidate_is_the_textbooks() -> None:
    assert recall_of(0.7, 24, 5) == pytest.approx(1 - (1 - 0.7**5) ** 24)
    assert recall_of(1.0) == 1
    assert recall_of(0.0) == 0


def test_a_template_with_thousands_of_copies_leaves_one() -> None:
    texts = [
        f"Dear customer your order number {n} has been sent today with care" for n in range(3000)
    ]
    texts += documents(500, 2)
    items = pl.DataFrame({"item_id": [str(n) for n in range(len(texts))], "text": texts})
    found = near_duplicates(items, threshold=0.5, method="minhash")
    gone = set(found["item_id"])
    assert len([n for n in range(3000) if str(n) not in gone]) == 1
    kept = set(items["item_id"]) - gone
    assert set(found["kept_id"]) <= kept


@settings(deadline=None, max_examples=60)
@given(TEXTS)
def test_the_method_changes_nothing_where_all_is_found(texts: list[str]) -> None:
    ids = [str(n) for n in range(len(texts))]
    items = pl.DataFrame(
        {"item_id": ids, "text": texts}, schema={"item_id": pl.String, "text": pl.String}
    )
    exact = near_duplicates(items, threshold=1.0, method="exact")
    assert near_duplicates(items, threshold=1.0, method="minhash").equals(exact)


def test_a_method_that_is_none_and_a_threshold_that_can_not_be_are_said() -> None:
    items = pl.DataFrame({"item_id": ["1"], "text": ["x"]})
    with pytest.raises(ValueError, match="method 'fast' is not one of"):
        near_duplicates(items, method="fast")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"threshold must be in \(0, 1\], got 0"):
        near_duplicates(items, threshold=0, method="minhash")
