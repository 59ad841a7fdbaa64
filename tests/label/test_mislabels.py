"""Confident learning, against the paper's formulas written out and planted wrong labels."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from scalekit.frames import FrameError
from scalekit.label.events import LabelError
from scalekit.label.mislabels import confident_joint, joint, mislabel_candidates, out_of_fold

VALUES = ("x", "y", "z")
WORDS = {
    "x": ["invoice", "refund", "card", "charged", "payment", "fee"],
    "y": ["crash", "screen", "frozen", "update", "login", "error"],
    "z": ["parcel", "courier", "late", "delivery", "address", "box"],
}
EVIDENCE = hnp.arrays(float, st.tuples(st.integers(1, 25), st.just(3)), elements=st.integers(1, 9))


def tables(chances: Any, code: Any) -> tuple[pl.DataFrame, pl.DataFrame]:
    ids = [f"i{n:04d}" for n in range(len(code))]
    given_ = pl.DataFrame({"item_id": ids, "value": [VALUES[c] for c in code]})
    own = {v: chances[:, k] for k, v in enumerate(VALUES)}
    return given_, pl.DataFrame({"item_id": ids, **own})


def slow(chances: Any, code: Any) -> tuple[list[list[int]], list[list[float]], dict[int, Any]]:
    """Confident learning as the paper says it, one number at a time."""
    n, values = len(code), range(len(VALUES))
    threshold = {}
    for j in values:
        own = [chances[r][j] for r in range(n) if code[r] == j]
        threshold[j] = sum(own) / len(own) if own else float("inf")
    counts = [[0] * len(VALUES) for _ in values]
    for r in range(n):
        reached = [j for j in values if chances[r][j] >= threshold[j]]
        if reached:
            counts[code[r]][max(reached, key=lambda j: chances[r][j])] += 1
    distribution = []
    for i in values:
        size = sum(1 for c in code if c == i)
        row = counts[i] if sum(counts[i]) else [float(i == j) for j in values]
        distribution.append([c / sum(row) * size / n for c in row])
    found: dict[int, Any] = {}
    for i in values:
        for j in values:
            if i == j:
                continue
            gaps = sorted((-(chances[r][j] - chances[r][i]), r) for r in range(n) if code[r] == i)
            for gap, r in gaps[: round(distribution[i][j] * n)]:
                if -gap > 0 and (r not in found or -gap > found[r][1]):
                    found[r] = (j, -gap)
    return counts, distribution, found


@settings(max_examples=200, deadline=None)
@given(evidence=EVIDENCE, data=st.data())
def test_equals_the_formulas_written_out(evidence: Any, data: Any) -> None:
    n = len(evidence)
    # Binary tenths are avoided: a mean of equals must reach its own threshold in both.
    chances = evidence / evidence.sum(axis=1, keepdims=True)
    code = np.array(data.draw(st.lists(st.integers(0, 2), min_size=n, max_size=n)))
    chances = np.round(chances * 64) / 64
    chances[:, 2] = 1 - chances[:, 0] - chances[:, 1]
    counts, distribution, found = slow(chances.tolist(), code.tolist())
    ours = confident_joint(chances, code)
    assert ours.tolist() == counts
    assert joint(ours, code) == pytest.approx(np.array(distribution))
    given_, probabilities = tables(chances, code)
    result = mislabel_candidates(None, given_, probabilities)
    rows = {int(r["item_id"][1:]): r for r in result.table.to_dicts()}
    assert set(rows) == set(found)
    for r, (j, gap) in found.items():
        assert rows[r]["suggested"] == VALUES[j]
        assert rows[r]["given"] == VALUES[code[r]]
        assert rows[r]["margin"] == pytest.approx(gap)
        assert rows[r]["self_confidence"] == pytest.approx(chances[r][code[r]])
    off = sum(distribution[i][j] for i in range(3) for j in range(3) if i != j)
    assert result.noise == pytest.approx(off, abs=1e-12)
    assert result.table["rank"].to_list() == list(range(1, len(found) + 1))
    assert result.table["margin"].is_sorted(descending=True)


def test_a_worked_example() -> None:
    # Thresholds: x (.9 + .8 + .1) / 3 = .6, y (.7 + .9) / 2 = .8; the third x is confidently y.
    chances = np.array([[0.9, 0.1, 0], [0.8, 0.2, 0], [0.1, 0.9, 0], [0.3, 0.7, 0], [0.1, 0.9, 0]])
    given_, probabilities = tables(chances, np.array([0, 0, 0, 1, 1]))
    found = mislabel_candidates(None, given_, probabilities)
    assert confident_joint(chances, np.array([0, 0, 0, 1, 1])).tolist() == [
        [2, 1, 0], [0, 1, 0], [0, 0, 0],
    ]  # fmt: skip
    assert found.table.row(0) == ("i0002", "x", "y", 0.1, pytest.approx(0.8), 1)
    assert (len(found.table), found.items, found.noise) == (1, 5, pytest.approx(0.2))
    assert found.joint.row(0) == ("x", pytest.approx(0.4), pytest.approx(0.2), 0.0)
    assert "20.00% of the labels" in found.to_html()


def planted(n: int = 240, wrong: int = 18) -> tuple[pl.DataFrame, pl.DataFrame, set[str]]:
    """Texts of three kinds, with some labels turned to another value."""
    rng = np.random.default_rng(0)
    rows, bad = [], set()
    for k in range(n):
        kind = VALUES[k % 3]
        value = kind
        if k < wrong:
            value = VALUES[(k + 1 + k // 9) % 3]
            bad.add(f"i{k}")
        text = " ".join(rng.choice(WORDS[kind], 4)) + f" please {rng.integers(100)}"
        rows.append({"item_id": f"i{k}", "text": text, "value": value})
    frame = pl.DataFrame(rows)
    return frame.select("item_id", "text"), frame.select("item_id", "value"), bad


def test_planted_wrong_labels_are_found_and_order_does_not_matter() -> None:
    items, given_, bad = planted()
    found = mislabel_candidates(items, given_)
    flagged = set(found.table["item_id"])
    assert flagged <= bad
    assert len(flagged) >= 0.85 * len(bad)
    assert found.noise == pytest.approx(len(bad) / 240, abs=0.02)
    assert found.not_judged == ()
    again = mislabel_candidates(items.reverse(), given_.sample(fraction=1, shuffle=True, seed=1))
    assert again.table.equals(found.table)


def test_numbers_serve_as_features() -> None:
    rng = np.random.default_rng(1)
    code = np.repeat([0, 1], 60)
    grid = rng.normal(size=(120, 3)) + 4 * code[:, None]
    stated = np.where(np.arange(120) % 20 == 0, 1 - code, code)
    ids = np.arange(120)
    items = pl.DataFrame({"item_id": ids, "a": grid[:, 0], "b": grid[:, 1] * 1000, "c": 1.0})
    found = mislabel_candidates(items, {"item_id": ids, "value": stated.astype(str)})
    assert set(found.table["item_id"]) == {str(i) for i in range(0, 120, 20)}


def test_the_same_text_never_stands_in_training_and_test() -> None:
    # Each pair of twins has a word of its own: only a leak could tell the twins' label.
    rng = np.random.default_rng(2)
    code = rng.integers(0, 2, 200)
    groups = np.repeat(np.arange(100), 2)
    code = code[groups]
    features = np.eye(100)[groups]
    chances = out_of_fold(features, code, groups, folds=5, seed=0)
    own = chances[np.arange(200), code]
    assert (own[::2] == own[1::2]).all()
    assert (own < 0.7).all()  # a leak would put them near 0.9
    leaked = out_of_fold(features, code, np.arange(200), folds=5, seed=0)
    assert leaked[np.arange(200), code].mean() > own.mean() + 0.1


def test_twins_that_differ_in_case_and_signs_are_one_text() -> None:
    # Words of their own and labels by chance: only a twin in the other folds could confirm them.
    rng = np.random.default_rng(3)
    texts = ["".join(rng.choice(list("abcdefghijklmnop"), 12)) for _ in range(100)]
    items = pl.DataFrame(
        {"item_id": np.arange(200), "text": texts + [f"  {t.upper()} !!" for t in texts]}
    )
    value = rng.choice(["x", "y"], 100).tolist()
    found = mislabel_candidates(items, {"item_id": np.arange(200), "value": value * 2})
    assert found.noise > 0.3


def test_values_with_too_few_items_are_not_judged() -> None:
    items, given_, _ = planted(wrong=0)
    rare = pl.DataFrame(
        {"item_id": [f"r{k}" for k in range(9)], "text": ["All the same text."] * 9}
    )
    labels = rare.select("item_id", pl.lit("rare").alias("value"))
    found = mislabel_candidates(pl.concat([items, rare]), pl.concat([given_, labels]))
    assert found.not_judged == ("rare",)
    assert found.items == 240
    assert "too few items of them: rare" in found.to_html()
    with pytest.raises(LabelError, match="fewer than two values have 5 distinct items"):
        mislabel_candidates(rare, labels)


def test_unsound_tables_are_named() -> None:
    items, given_, _ = planted(30, 0)
    chances = np.full((30, 3), 1 / 3)
    _, even = tables(chances, np.zeros(30, dtype=int))
    even = even.with_columns(item_id=given_["item_id"])
    assert mislabel_candidates(None, given_, even).table.is_empty()
    with pytest.raises(LabelError, match="no column for the value 'z'"):
        mislabel_candidates(None, given_, even.drop("z"))
    with pytest.raises(LabelError, match=r"item 'i0' has none that sum to 1 \(30 such items\)"):
        mislabel_candidates(None, given_, even.with_columns(x=0.9))
    with pytest.raises(LabelError, match=r"item 'i29' has none that sum to 1 \(1 such item\)"):
        mislabel_candidates(None, given_, even[:29])
    with pytest.raises(LabelError, match="'i29' is given a value but is not there"):
        mislabel_candidates(items[:29], given_)
    with pytest.raises(LabelError, match="folds"):
        mislabel_candidates(items, given_, folds=1)
    with pytest.raises(LabelError, match="'text', or columns of finite numbers"):
        mislabel_candidates(items.select("item_id"), given_)
    for texts in ([chr(0x4E00 + k) for k in range(30)], ["…"] * 15 + ["!"] * 15):
        with pytest.raises(LabelError, match="nothing can be learnt"):
            mislabel_candidates(items.with_columns(text=pl.Series(texts)), given_)
    with pytest.raises(FrameError, match="repeat"):
        mislabel_candidates(items, pl.concat([given_, given_]))
    with pytest.raises(FrameError, match="value"):
        mislabel_candidates(items, given_.drop("value"))
