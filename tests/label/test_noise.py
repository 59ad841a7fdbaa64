"""Dawid and Skene's posterior, and the noise of delivered labels, against planted truths."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from scalekit.frames import FrameError
from scalekit.label import dawid_skene, majority, most_probable, noise_estimate

VALUES = ("a", "b", "c")


def votes(items: int, skills: list[float], seed: int = 0) -> tuple[pl.DataFrame, dict[str, str]]:
    """Labels of annotators who are right with these probabilities, else say another value."""
    rng = np.random.default_rng(seed)
    truth = {f"i{n:04d}": str(rng.choice(VALUES)) for n in range(items)}
    rows = []
    for item, right in truth.items():
        for k, skill in enumerate(skills):
            other = str(rng.choice([v for v in VALUES if v != right]))
            value = right if rng.random() < skill else other
            rows.append({"item_id": item, "annotator": f"p{k}", "value": value})
    return pl.DataFrame(rows), truth


def slow(labels: pl.DataFrame, rounds: int) -> dict[tuple[str, str], float]:
    """The same expectation maximisation, one number at a time."""
    rows = labels.rows()
    items, people = sorted({r[0] for r in rows}), sorted({r[1] for r in rows})
    own = {i: [r for r in rows if r[0] == i] for i in items}
    p = {(i, v): sum(r[2] == v for r in own[i]) / len(own[i]) for i in items for v in VALUES}
    for _ in range(rounds):
        confusion = {}
        for who in people:
            for t in VALUES:
                row = {g: 0.5 * (1 + 2 * (g == t)) for g in VALUES}
                for item, person, given in rows:
                    if person == who:
                        row[given] += p[item, t]
                confusion |= {(who, t, g): row[g] / sum(row.values()) for g in VALUES}
        prior = {v: sum(p[i, v] for i in items) / len(items) for v in VALUES}
        for i in items:
            raw = {
                v: prior[v] * np.prod([confusion[w, v, g] for _, w, g in own[i]]) for v in VALUES
            }
            p |= {(i, v): raw[v] / sum(raw.values()) for v in VALUES}
    return p


def test_the_posterior_is_that_of_the_algorithm_written_out() -> None:
    labels, _ = votes(20, [0.9, 0.7, 0.6])
    labels = labels.filter(pl.int_range(pl.len()) % 7 != 0)  # some labels are missing
    found = dawid_skene(labels, iterations=4)
    expected = slow(labels, 4)
    for item, value, posterior in found.rows():
        assert posterior == pytest.approx(expected[item, value], abs=1e-6)


def test_a_careful_annotator_outweighs_two_careless_ones() -> None:
    labels, truth = votes(400, [0.95, 0.45, 0.45, 0.45])
    best = dawid_skene(labels).sort("posterior").group_by("item_id").last()
    right = [truth[i] == v for i, v in best.select("item_id", "value").rows()]
    voted = majority(labels)
    plain = [truth[i] == v for i, v in voted.select("item_id", "value").rows()]
    assert sum(right) > sum(plain) + 20


@pytest.mark.parametrize("skill", [0.95, 0.8, 0.7])
def test_the_estimate_from_votes_is_near_the_share_that_is_wrong(skill: float) -> None:
    labels, truth = votes(2000, [skill] * 3)
    delivered = majority(labels).drop_nulls("value").select("item_id", "value")
    wrong = np.mean([truth[i] != v for i, v in delivered.rows()])
    found = noise_estimate(labels, delivered)
    assert found.source == "consensus"
    assert found.estimate == pytest.approx(wrong, abs=0.02)


def test_gold_decides_when_there_is_enough() -> None:
    labels, truth = votes(200, [0.8])
    delivered = labels.select("item_id", "value")
    gold = pl.DataFrame([{"item_id": i, "value": v} for i, v in list(truth.items())[:50]])
    found = noise_estimate(labels, delivered, gold)
    wrong = [truth[i] != v for i, v in delivered.head(50).rows()]
    assert (found.source, found.n) == ("gold", 50)
    assert found.estimate == pytest.approx(np.mean(wrong))
    assert found.interval is not None
    assert found.interval[0] < found.estimate < found.interval[1]
    few = noise_estimate(labels, delivered, gold.head(9))
    assert (few.source, few.estimate) == ("none", None)  # one label each says nothing
    assert "Not measured" in few.to_html()


def test_missing_columns_are_named() -> None:
    with pytest.raises(FrameError, match="annotator"):
        dawid_skene(pl.DataFrame({"item_id": ["a"], "value": ["x"]}))
    assert dawid_skene(pl.DataFrame({"item_id": [], "annotator": [], "value": []})).is_empty()


@pytest.mark.parametrize(("items", "margin"), [(400, -0.01), (2000, 0.005)])
def test_the_model_earns_its_place_as_labels_grow(items: int, margin: float) -> None:
    """Five of 50 annotators of differing skill on each item: 40 labels an annotator, then 200."""
    model, vote = [], []
    for seed in range(6):
        rng = np.random.default_rng(seed)
        truth = rng.integers(0, 5, items)
        who = np.array([rng.choice(50, 5, replace=False) for _ in range(items)])
        right = rng.random(who.shape) < rng.uniform(0.4, 0.95, 50)[who]
        said = np.where(right, truth[:, None], (truth[:, None] + rng.integers(1, 5, who.shape)) % 5)
        rows = {"item_id": np.repeat(np.arange(items), 5), "annotator": who.ravel(),
                "value": said.ravel()}  # fmt: skip
        labels = pl.DataFrame(rows)
        best = dawid_skene(labels).sort("posterior").unique("item_id", keep="last")
        counts = labels.group_by("item_id", "value").len().sort("len", "value")
        most = counts.unique("item_id", keep="last")
        for found, kept in ((best, model), (most, vote)):
            answers = {int(i): int(v) for i, v in found.select("item_id", "value").iter_rows()}
            kept.append(np.mean([answers[i] == t for i, t in enumerate(truth)]))
    assert np.mean(model) >= np.mean(vote) + margin


def test_the_most_probable_value_and_its_entropy() -> None:
    rows = [("1", "a", 0.5), ("1", "b", 0.5), ("2", "a", 1.0), ("2", "b", 0.0), ("3", "b", 0.75),
            ("3", "a", 0.25)]  # fmt: skip
    posterior = pl.DataFrame(rows, schema=["item_id", "value", "posterior"], orient="row")
    found = most_probable(posterior)
    assert found.select("item_id", "value", "posterior").rows() == [
        ("1", "a", 0.5), ("2", "a", 1.0), ("3", "b", 0.75),
    ]  # fmt: skip
    assert found["entropy"].to_list() == pytest.approx([1.0, 0.0, 0.8112781244591328])
