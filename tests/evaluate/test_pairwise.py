"""Win rates against plain counting, closed forms and planted strengths."""

from __future__ import annotations

from collections import defaultdict
from statistics import fmean
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scalekit.bradley_terry import bradley_terry
from scalekit.coefficients import krippendorff_alpha
from scalekit.evaluate.pairwise import win_rates
from scalekit.figures import figure_png
from scalekit.frames import FrameError
from scalekit.intervals import wilson

WORTH = {"first": 1.0, "tie": 0.5, "second": 0.0}
ROWS = st.lists(
    st.tuples(
        st.integers(0, 4),
        st.permutations("abc").map(lambda p: (p[0], p[1])),
        st.sampled_from(["first", "second", "tie"]),
        st.sampled_from("uvw"),
    ),
    min_size=1,
    max_size=25,
    unique_by=lambda r: (r[0], frozenset(r[1]), r[3]),
)


def frame(rows: list[Any]) -> pl.DataFrame:
    flat = [(str(i), *pair, outcome, who) for i, pair, outcome, who in rows]
    names = ["item_id", "first", "second", "outcome", "annotator"]
    return pl.DataFrame(flat, schema=dict.fromkeys(names, pl.String), orient="row")


@settings(max_examples=60, deadline=None)
@given(rows=ROWS)
def test_rates_are_plain_means_of_item_shares(rows: list[Any]) -> None:
    found = win_rates(frame(rows), draws=2)
    by_pair: Any = defaultdict(lambda: defaultdict(list))
    by_model: Any = defaultdict(lambda: defaultdict(list))
    for item, (one, two), outcome, _ in rows:
        worth = WORTH[outcome]
        for model, other, own in ((one, two, worth), (two, one, 1 - worth)):
            by_pair[model, other][item].append(own)
            by_model[model][item].append(own)
    for row in found.pairs.to_dicts():
        own = by_pair[row["model"], row["other"]]
        assert row["win rate"] == pytest.approx(fmean(map(fmean, own.values())))
        assert row["win rate"] >= 0.5 - 1e-12
        votes = [v for said in own.values() for v in said]
        told = (row["wins"], row["losses"], row["ties"])
        assert told == tuple(votes.count(w) for w in (1.0, 0.0, 0.5))
        assert (row["items"], row["votes"]) == (len(own), len(votes))
        assert row["resolved"] is (row["from"] > 0.5)
    assert {frozenset(r[:2]) for r in found.pairs.iter_rows()} == {frozenset(p) for p in by_pair}
    for row in found.table.to_dicts():
        own = by_model[row["model"]]
        assert row["win rate"] == pytest.approx(fmean(map(fmean, own.values())))
        assert row["from"] <= row["win rate"] <= row["to"]
    assert found.votes.select(
        pl.sum_horizontal("for first", "ties", "for second").sum()
    ).item() == len(rows)
    flat = found.votes.select("for first", "ties", "for second").to_numpy().astype(float)
    assert found.alpha == krippendorff_alpha(flat)


def test_two_models_of_one_vote_have_wilsons_interval_and_the_closed_form() -> None:
    said = ["first"] * 30 + ["second"] * 10
    rows = [(i, ("a", "b"), outcome, "u") for i, outcome in enumerate(said)]
    found = win_rates(frame(rows), draws=20)
    row = found.pairs.row(0, named=True)
    assert (row["from"], row["to"]) == pytest.approx(wilson(30, 40))
    assert row["resolved"]
    assert found.table["strength"][0] == pytest.approx(np.log(3) / 2)
    assert found.bias is None
    assert found.alpha.value is None  # one vote an item
    assert "no item has two labels" in found.to_html()


def test_a_pair_given_in_both_directions_is_one_pair() -> None:
    rows = [
        (0, ("a", "b"), "first", "u"),
        (0, ("b", "a"), "second", "v"),
        (1, ("b", "a"), "tie", "u"),
    ]
    found = win_rates(frame(rows), draws=2)
    assert found.votes.rows() == [("0", "a", "b", 2, 0, 0), ("1", "b", "a", 0, 1, 0)]
    assert found.pairs["win rate"].to_list() == [0.75]


def test_outputs_that_are_the_same_are_ties_as_if_shown() -> None:
    rows = [(i, ("a", "b"), "first", who) for i in range(6) for who in "uvw"]
    same = pl.DataFrame({"prompt_id": ["8", "9"], "first_name": "a", "second_name": "b"})
    found = win_rates(frame(rows), same=same, draws=5)
    shown = rows + [(i, ("a", "b"), "tie", who) for i in (8, 9) for who in "uvw"]
    whole = win_rates(frame(shown), draws=5)
    assert found.table.equals(whole.table)
    assert found.pairs.equals(whole.pairs)
    assert found.same == 2
    assert len(found.votes) == 6  # nobody voted on the others
    assert "2 pairs with the same output twice are ties, unseen" in found.to_html()


def planted(n: int, position: float = 0.0, seed: int = 0) -> pl.DataFrame:
    """Three panelists who share most of their taste, on models of worth 0.8, 0, -0.8."""
    rng = np.random.default_rng(seed)
    worth = {"a": 0.8, "b": 0.0, "c": -0.8}
    rows = []
    for item in range(n):
        one, two = (str(name) for name in rng.permutation(list(worth))[:2])
        liking = rng.normal(0, 0.7)
        for who in "uvw":
            side = "first" if rng.random() < 0.5 else "second"
            push = position if side == "first" else -position
            margin = worth[one] - worth[two] + liking + push
            outcome = "first" if rng.random() < 1 / (1 + np.exp(-margin)) else "second"
            rows.append((str(item), one, two, outcome, who, side))
    names = ["item_id", "first", "second", "outcome", "annotator", "shown_first"]
    return pl.DataFrame(rows, schema=names, orient="row")


def test_planted_models_are_ranked_and_the_position_is_shown() -> None:
    judged = planted(500, position=0.6)
    found = win_rates(judged, draws=200)
    assert found.table["model"].to_list() == ["a", "b", "c"]
    assert found.table["rank"].to_list() == [1, 2, 3]
    assert found.pairs["resolved"].all()
    assert found.bias is not None
    assert found.bias["from"][0] > 0.5
    assert found.strengths.position == bradley_terry(judged, draws=1).position
    assert found.interval is not None
    told = found.to_html()
    assert "the ceiling" in told
    assert "what stood first is preferred" in told
    assert figure_png(found.plot()).startswith(b"\x89PNG")


def test_the_interval_of_a_win_rate_covers() -> None:
    covered = []
    truth = win_rates(planted(6000, seed=99), draws=1).pairs
    rates = {(r[0], r[1]): r[7] for r in truth.iter_rows()}
    for seed in range(60):
        own = win_rates(planted(120, seed=seed), draws=1).pairs
        for row in own.iter_rows(named=True):
            pair = (row["model"], row["other"])
            rate = rates.get(pair, 1 - rates.get(pair[::-1], 0))
            covered.append(row["from"] <= rate <= row["to"])
    assert np.mean(covered) > 0.9


def test_nothing_to_rank_is_said() -> None:
    with pytest.raises(FrameError, match="none has an outcome"):
        win_rates(
            frame([(0, ("a", "b"), "tie", "u")]).with_columns(outcome=pl.lit(None, pl.String))
        )
