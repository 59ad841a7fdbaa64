"""Majority vote, ties, and what the annotators outvote."""

from __future__ import annotations

from collections import Counter
from math import log2

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalekit.frames import FrameError
from scalekit.label import LabelError, against_given, compare_consensus, majority

VOTES = st.lists(
    st.tuples(st.sampled_from("abc"), st.sampled_from("uvwx"), st.sampled_from("123")),
    min_size=1,
    unique_by=lambda v: v[:2],
)


def table(votes: list[tuple[str, str, str]]) -> pl.DataFrame:
    return pl.DataFrame(votes, schema=["item_id", "annotator", "value"], orient="row")


@given(votes=VOTES, left_out=st.sets(st.sampled_from("uvwx"), max_size=2))
def test_majority_is_a_plain_count(votes: list[tuple[str, str, str]], left_out: set[str]) -> None:
    found = {r["item_id"]: r for r in majority(table(votes), leave_out=left_out).to_dicts()}
    counts: dict[str, Counter[str]] = {}
    for item, who, value in votes:
        if who not in left_out:
            counts.setdefault(item, Counter())[value] += 1
    assert set(found) == set(counts)
    for item, given_ in counts.items():
        best = max(given_.values())
        winners = [v for v, n in given_.items() if n == best]
        n = sum(given_.values())
        row = found[item]
        assert row["tied"] == (len(winners) > 1)
        assert row["value"] == (winners[0] if len(winners) == 1 else None)
        assert (row["votes"], row["n"]) == (best, n)
        assert row["share"] == pytest.approx(best / n)
        entropy = -sum(c / n * log2(c / n) for c in given_.values())
        assert row["entropy"] == pytest.approx(entropy, abs=1e-12)


def test_no_votes_give_an_empty_table() -> None:
    assert majority(table([]).cast(pl.String)).is_empty()


def test_against_given_needs_three_quarters_and_no_tie() -> None:
    votes = [("a", w, "x") for w in "1234"]
    votes += [("b", w, v) for w, v in zip("1234", "xxxy", strict=True)]
    votes += [("c", w, v) for w, v in zip("1234", "xxyy", strict=True)]
    votes += [("d", w, "y") for w in "1234"]
    votes += [("e", w, v) for w, v in zip("123", "xxy", strict=True)]
    items = pl.DataFrame(
        {"item_id": list("abcde"), "text": list("abcde"), "category": list("yyyyy")}
    )
    found = against_given(majority(table(votes)), items)
    assert found["item_id"].to_list() == ["a", "b"]  # 4 of 4, 3 of 4; 2 of 3 is too few
    assert found["annotators say"].to_list() == ["x", "x"]


def test_missing_column_is_named() -> None:
    with pytest.raises(FrameError, match="annotator"):
        majority(pl.DataFrame({"item_id": ["a"], "value": ["x"]}))


def test_methods_are_held_against_gold_and_the_model_must_earn_its_place() -> None:
    rng = np.random.default_rng(5)
    truth = {f"i{n}": str(rng.integers(3)) for n in range(300)}
    gold = [{"item_id": i, "value": v} for i, v in truth.items()]
    careful = {"a": 0.95, "b": 0.9}

    def labels(accuracy: dict[str, float]) -> pl.DataFrame:
        rows = []
        for item, value in truth.items():
            for who, right in accuracy.items():
                said = value if rng.random() < right else str(rng.integers(3))
                rows.append((item, who, said))
        return pl.DataFrame(rows, schema=["item_id", "annotator", "value"], orient="row")

    even = compare_consensus(labels({**careful, "c": 0.9}), gold)
    assert even["method"].to_list() == ["majority", "Dawid-Skene"]
    assert even.filter(pl.col("chosen"))["method"].to_list() == ["majority"]
    spoiled = compare_consensus(labels({**careful, "x": 0, "y": 0, "z": 0}), gold)
    assert spoiled.filter(pl.col("chosen"))["method"].to_list() == ["Dawid-Skene"]
    row = spoiled.row(1, named=True)
    assert row["from"] < row["accuracy"] == row["right"] / 300 < row["to"]
    with pytest.raises(LabelError, match="no gold item has a label"):
        compare_consensus(labels(careful), [{"item_id": "other", "value": "1"}])
