"""Bradley-Terry, position bias and consensus of pairs, against closed forms and other solvers."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from scalekit.bradley_terry import bradley_terry
from scalekit.figures import figure_png
from scalekit.frames import FrameError
from scalekit.judgements import pair_consensus, position_bias

OTHER = {"first": "second", "second": "first", "tie": "tie", None: None}
NAMES = "abcd"
JUDGEMENTS = st.lists(
    st.tuples(
        st.integers(0, 5),
        st.permutations(NAMES).map(lambda p: (p[0], p[1])),
        st.sampled_from(["first", "second", "tie"]),
        st.sampled_from(["first", "second", None]),
        st.sampled_from("uvw"),
        st.sampled_from([1, 2, 3, None]),
    ),
    min_size=1,
    max_size=30,
)
SCHEMA = {
    "item_id": pl.Int64, "first": pl.String, "second": pl.String, "outcome": pl.String,
    "shown_first": pl.String, "annotator": pl.String, "strength": pl.Int64,
}  # fmt: skip


def table(drawn: list[Any]) -> pl.DataFrame:
    rows = [(item, *pair, *rest) for item, pair, *rest in drawn]
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def played(
    strength: list[float], n: int, *, position: float = 0.0, ties: float = 0.0, seed: int = 0
) -> pl.DataFrame:
    """Judgements of random pairs on random sides, one to an item, from the model itself."""
    rng = np.random.default_rng(seed)
    k = len(strength)
    one = rng.integers(0, k, n)
    two = (one + rng.integers(1, k, n)) % k
    side = rng.choice([1, -1], n)
    worth = np.array(strength)
    wins = rng.random(n) < expit(worth[one] - worth[two] + position * side)
    outcome = np.where(rng.random(n) < ties, "tie", np.where(wins, "first", "second"))
    names = np.array([f"m{i}" for i in range(k)])
    return pl.DataFrame(
        {
            "item_id": np.arange(n),
            "first": names[one],
            "second": names[two],
            "outcome": outcome,
            "shown_first": np.where(side > 0, "first", "second"),
        }
    )


def strengths(found: Any) -> dict[str, float]:
    return dict(found.table.select("name", "strength").rows())


def flipped(frame: pl.DataFrame) -> pl.DataFrame:
    """The same judgements with the columns first and second exchanged."""
    return frame.with_columns(
        first=pl.col("second"),
        second=pl.col("first"),
        outcome=pl.col("outcome").replace(OTHER),
        shown_first=pl.col("shown_first").replace(OTHER),
    )


def design(frame: pl.DataFrame, names: list[str]) -> tuple[Any, Any, Any]:
    """Rows of +1, -1 and the side; outcomes; weights: a tie is both, each of half the weight."""
    rows, wins, weights = [], [], []
    for r in frame.to_dicts():
        x = [0.0] * (len(names) + 1)
        x[names.index(r["first"])], x[names.index(r["second"])] = 1.0, -1.0
        x[-1] = {"first": 1.0, "second": -1.0}.get(r["shown_first"], 0.0)
        for win, weight in {"first": [(1, 1)], "second": [(0, 1)]}.get(
            r["outcome"], [(1, 0.5), (0, 0.5)]
        ):
            rows.append(x)
            wins.append(win)
            weights.append(weight)
    return np.array(rows), np.array(wins), np.array(weights)


def test_two_things_have_a_closed_form() -> None:
    outcomes = ["first"] * 9 + ["second"] * 4 + ["tie"] * 6
    frame = pl.DataFrame({"outcome": outcomes}).with_columns(
        item_id=0, first=pl.lit("a"), second=pl.lit("b")
    )
    found = bradley_terry(frame, draws=1)
    gap = np.log((9 + 3) / (4 + 3))
    assert strengths(found) == pytest.approx({"a": gap / 2, "b": -gap / 2}, abs=1e-9)
    assert found.table.row(0)[-3:] == (9, 4, 6)
    assert (found.judgements, found.ties, found.items) == (19, 6, 1)
    assert "is not known" in found.notes[0]


def test_two_things_on_both_sides_have_a_closed_form() -> None:
    won = {("first", "first"): 30, ("second", "first"): 10, ("first", "second"): 12}
    won |= {("second", "second"): 18}
    frame = pl.DataFrame(
        [
            {"item_id": 0, "first": "a", "second": "b", "outcome": o, "shown_first": s}
            for (o, s), n in won.items()
            for _ in range(n)
        ]
    )
    found = bradley_terry(frame, draws=1)
    left, right = np.log(30 / 10), np.log(12 / 18)
    assert strengths(found)["a"] == pytest.approx((left + right) / 4, abs=1e-9)
    assert found.position == pytest.approx((left - right) / 2, abs=1e-9)


@pytest.mark.parametrize("seed", range(4))
def test_equals_a_logistic_regression_without_penalty(seed: int) -> None:
    frame = played([1.0, 0.2, -0.1, -0.4, -0.7], 400, position=0.5, ties=0.2, seed=seed)
    frame = frame.with_columns(
        shown_first=pl.when(pl.col("item_id") % 7 > 0).then("shown_first")
    )  # some sides are not known
    names = [f"m{i}" for i in range(5)]
    x, y, weight = design(frame, names)
    model = LogisticRegression(C=1e12, fit_intercept=False, tol=1e-12, max_iter=10_000)
    coef = model.fit(x[:, 1:], y, sample_weight=weight).coef_[0]
    theirs = np.append(0.0, coef[:-1])
    found = bradley_terry(frame, draws=1)
    ours = [strengths(found)[n] for n in names]
    assert ours == pytest.approx(theirs - theirs.mean(), abs=1e-4)
    assert found.position == pytest.approx(coef[-1], abs=1e-4)


def test_equals_hunters_minorization_maximization() -> None:
    frame = played([0.8, 0.1, -0.3, -0.6], 300, ties=0.3, seed=5)
    names = ["m0", "m1", "m2", "m3"]
    x, y, weight = design(frame, names)
    wins, met = np.zeros(4), np.zeros((4, 4))
    for row, won, w in zip(x[:, :4], y, weight, strict=True):
        i, j = int(row.argmax()), int(row.argmin())
        wins[i if won else j] += w
        met[i, j] += w
        met[j, i] += w
    worth = np.ones(4)
    for _ in range(5000):  # equation 3 of Hunter (2004)
        worth = wins / (met / (worth[:, None] + worth[None, :])).sum(axis=1)
        worth /= np.exp(np.log(worth).mean())
    found = bradley_terry(frame, position=False, draws=1)
    assert [strengths(found)[n] for n in names] == pytest.approx(np.log(worth), abs=1e-8)
    assert found.position is None
    assert found.position_interval is None
    assert found.notes == ()


def test_planted_strengths_and_position_are_recovered() -> None:
    planted = [1.2, 0.3, 0.0, -0.5, -1.0]
    found = bradley_terry(played(planted, 40_000, position=0.6), draws=200)
    assert [strengths(found)[f"m{i}"] for i in range(5)] == pytest.approx(planted, abs=0.06)
    assert found.position == pytest.approx(0.6, abs=0.04)
    assert found.position_interval is not None
    low, high = found.position_interval
    assert low < 0.6 < high
    assert found.table["rank"].to_list() == [1, 2, 3, 4, 5]
    assert found.table["rank to"].to_list() == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("seed", range(3))
def test_without_position_effect_the_term_is_near_zero(seed: int) -> None:
    found = bradley_terry(played([0.9, 0.0, -0.9], 20_000, seed=seed), draws=100)
    assert found.position == pytest.approx(0, abs=0.05)


def test_side_bias_does_not_move_strengths_but_does_when_ignored() -> None:
    frame = played([0.5, -0.5], 20_000, position=1.0)
    keep = (pl.col("first") == "m0") == (pl.col("shown_first") == "first")  # m0 on the first side
    lopsided = frame.filter(keep | (pl.col("item_id") % 5 == 0))
    assert strengths(bradley_terry(lopsided, draws=1))["m0"] == pytest.approx(0.5, abs=0.06)
    assert strengths(bradley_terry(lopsided, position=False, draws=1))["m0"] > 0.7


@settings(max_examples=40, deadline=None)
@given(drawn=JUDGEMENTS, times=st.integers(2, 3), shuffle=st.randoms(use_true_random=False))
def test_what_must_not_matter_does_not(drawn: list[Any], times: int, shuffle: Any) -> None:
    frame = table(drawn)
    found = bradley_terry(frame, draws=3)
    late = pl.col("item_id") > 2
    other = pl.concat([flipped(frame.filter(late)), frame.filter(~late)])
    mixed = frame.sample(fraction=1, shuffle=True, seed=shuffle.randint(0, 99))
    for same in (other, mixed):
        again = bradley_terry(same, draws=3)
        assert strengths(again) == pytest.approx(strengths(found), abs=1e-7)
        assert again.table.select("from", "to").to_numpy() == pytest.approx(
            found.table.select("from", "to").to_numpy(), abs=1e-7
        )
        assert again.position == pytest.approx(found.position, abs=1e-7)
    if not any("prior" in n for n in found.notes if not n.startswith("In ")):
        more = bradley_terry(pl.concat([frame] * times), draws=1)
        assert strengths(more) == pytest.approx(strengths(found), abs=1e-6)
    assert sum(strengths(found).values()) == pytest.approx(0, abs=1e-7)


@settings(max_examples=30, deadline=None)
@given(drawn=JUDGEMENTS)
def test_exchanging_the_names_of_two_flips_the_sign(drawn: list[Any]) -> None:
    frame = table([(i, ("a", "b") if p < p[::-1] else ("b", "a"), *r) for i, p, *r in drawn])
    turned = frame.with_columns(pl.col("first", "second").replace({"a": "b", "b": "a"}))
    found, again = bradley_terry(frame, draws=1), bradley_terry(turned, draws=1)
    assert strengths(again)["a"] == pytest.approx(-strengths(found)["a"], abs=1e-8)
    assert again.position == pytest.approx(found.position, abs=1e-8)


def finite_by_linear_programme(frame: pl.DataFrame, *, position: bool) -> bool:
    """Konis (2007): finite and unique if no direction agrees with every outcome, even weakly."""
    x, y, _ = design(frame, sorted({*frame["first"], *frame["second"]}))
    signed = (x * np.where(y > 0, 1, -1)[:, None])[:, 1 : None if position else -1]
    if np.linalg.matrix_rank(signed) < signed.shape[1]:
        return False
    found = linprog(-signed.sum(axis=0), A_ub=-signed, b_ub=np.zeros(len(signed)), bounds=(-1, 1))
    return bool(-found.fun < 1e-7)


@settings(max_examples=150, deadline=None)
@given(drawn=JUDGEMENTS)
def test_a_prior_is_used_exactly_where_there_is_no_finite_maximum(drawn: list[Any]) -> None:
    frame = table(drawn)
    found = bradley_terry(frame, draws=1)
    finite = finite_by_linear_programme(frame, position=found.position is not None)
    prior = [n for n in found.notes if "prior" in n and not n.startswith("In ")]
    assert bool(prior) is not finite
    assert np.isfinite(list(strengths(found).values())).all()


def test_parts_that_never_lost_to_each_other_are_named() -> None:
    rows = [("a", "b", "first"), ("a", "b", "first"), ("c", "d", "tie")]
    frame = pl.DataFrame(rows, schema=["first", "second", "outcome"], orient="row")
    found = bradley_terry(frame.with_row_index("item_id"), draws=5)
    assert "not strongly connected" in found.notes[-1]
    assert "3 parts" in found.notes[-1]
    assert "(a; b; c, d)" in found.notes[-1]
    worth = strengths(found)["a"]
    # The maximum of 2 log expit(2 s) - (2 s^2) / (2 * 9): its slope vanishes.
    assert 4 * expit(-2 * worth) == pytest.approx(2 * worth / 9, abs=1e-9)
    assert strengths(found)["c"] == pytest.approx(0, abs=1e-9)


def test_position_without_bound_or_without_change_is_said() -> None:
    rows = [("first", "first")] * 3 + [("second", "second")] * 2
    frame = pl.DataFrame(rows, schema=["outcome", "shown_first"], orient="row").with_row_index(
        "item_id"
    )
    frame = frame.with_columns(first=pl.lit("a"), second=pl.lit("b"))
    found = bradley_terry(frame, draws=5)
    assert "position is unbounded" in found.notes[0]
    assert found.position is not None
    assert 0 < found.position < 6
    fixed = bradley_terry(frame.with_columns(shown_first=pl.lit("first")), draws=5)
    assert fixed.position is None
    assert "sides change too little" in fixed.notes[0]
    assert strengths(fixed)["a"] == pytest.approx(np.log(3 / 2) / 2)


def test_intervals_are_those_of_theory_and_items_are_the_unit() -> None:
    frame = played([0.3, -0.3], 2000, seed=3)
    share = (frame["outcome"] == "first").mean()
    found = bradley_terry(frame, position=False, draws=2000).table
    gap = 2 * found["strength"][0]
    error = 1 / np.sqrt(2000 * expit(gap) * expit(-gap))
    width = 2 * (found["to"][0] - found["from"][0])
    assert share is not None
    assert width == pytest.approx(2 * 1.96 * error, rel=0.08)
    four = bradley_terry(pl.concat([frame] * 4), position=False, draws=2000).table
    assert 2 * (four["to"][0] - four["from"][0]) == pytest.approx(width, rel=1e-6)


def test_same_seed_same_numbers() -> None:
    frame = played([0.5, 0.0, -0.5], 200, position=0.3)
    assert bradley_terry(frame, draws=50).table.equals(bradley_terry(frame, draws=50).table)
    other = bradley_terry(frame, draws=50, seed=1).table
    assert not bradley_terry(frame, draws=50).table.equals(other)


def test_strengths_show_themselves() -> None:
    found = bradley_terry(played([0.5, 0.0, -0.5], 300, position=0.3, ties=0.1), draws=50)
    said = found.to_html()
    assert "ties as half a win" in said
    assert "of two equals the first shown is preferred" in said
    assert figure_png(found.plot())[:4] == b"\x89PNG"
    plain = bradley_terry(played([0.5, -0.5], 300), position=False, draws=5)
    assert "is not estimated" in plain.to_html()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"outcome": "left"}, "outcome 'left' is not first, second or tie"),
        ({"second": "a"}, "second 'a' is not another"),
        ({"first": None}, "first None names nothing"),
        ({"item_id": None}, "item_id None names no item"),
        ({"shown_first": "left"}, "shown_first 'left' is not first or second"),
        ({"strength": 6}, "strength 6 is not a number from 1 to 5"),
        ({"outcome": None}, "none has an outcome"),
    ],
)
def test_unsound_judgements_are_named(change: dict[str, Any], said: str) -> None:
    row = {"item_id": "i", "first": "a", "second": "b", "outcome": "first", "shown_first": "first"}
    with pytest.raises(FrameError, match=said):
        bradley_terry([{**row, "strength": 2} | change])


def test_missing_column_and_draws_are_named() -> None:
    with pytest.raises(FrameError, match="outcome"):
        bradley_terry(pl.DataFrame({"item_id": [1], "first": ["a"], "second": ["b"]}))
    with pytest.raises(FrameError, match="shown_first"):
        position_bias(played([0.0, 0.0], 5).drop("shown_first"))
    with pytest.raises(ValueError, match="draws"):
        bradley_terry(played([0.0, 0.0], 5), draws=0)


def test_position_bias_counts_and_tests() -> None:
    rows = [("first", "first", "u")] * 9 + [("second", "first", "u")] + [("tie", "first", "v")] * 2
    rows += [("second", "second", "v")] * 3 + [("first", None, "v")]
    frame = pl.DataFrame(rows, schema=["outcome", "shown_first", "annotator"], orient="row")
    frame = frame.with_columns(first=pl.lit("a"), second=pl.lit("b")).with_row_index("item_id")
    found = position_bias(frame)
    assert found["annotator"].to_list() == ["(all)", "u", "v"]
    assert found["n"].to_list() == [13, 10, 3]
    assert found["for first"].to_list() == [12, 9, 3]
    assert found["ties"].to_list() == [2, 0, 2]
    assert found["unknown"].to_list() == [1, 0, 1]
    assert found["share"].to_list() == pytest.approx([12 / 13, 0.9, 1])
    # By hand: 2 (1 + 10) / 1024; 2 / 8; 2 (1 + 13) / 8192.
    assert found["p"].to_list() == pytest.approx([28 / 8192, 22 / 1024, 0.25])
    assert found["from"][1] == pytest.approx(0.5958, abs=5e-5)  # Wilson 1927, 9 of 10
    nobody = position_bias(frame.filter(pl.col("outcome") == "tie").drop("annotator"))
    assert nobody.row(0) == ("(all)", 0, 0, None, 0.0, 1.0, None, 2, 0)
    assert nobody.height == 1


@settings(max_examples=60, deadline=None)
@given(drawn=JUDGEMENTS)
def test_consensus_is_a_plain_count(drawn: list[Any]) -> None:
    frame = table(drawn)
    votes: dict[Any, list[tuple[str, float | None, str]]] = {}
    for item, (one, two), outcome, _, who, strong in drawn:
        winner = {"first": one, "second": two}.get(outcome, "tie")
        low, high = sorted((one, two))
        worth = None if strong is None else strong * (1 if winner == low else -1)
        mark = 0.0 if winner == "tie" else worth
        votes.setdefault((str(item), low, high), []).append((winner, mark, who))
    found = {(r["item_id"], r["first"], r["second"]): r for r in pair_consensus(frame).to_dicts()}
    assert set(found) == set(votes)
    for key, given_ in votes.items():
        row, count = found[key], Counter(w for w, _, _ in given_)
        best = max(count.values())
        top = [w for w, n in count.items() if n == best]
        winner = top[0] if len(top) == 1 and top[0] != "tie" else None
        assert (row["winner"], row["tied"], row["n"]) == (winner, winner is None, len(given_))
        assert row["share"] == (None if winner is None else best / len(given_))
        known = [m for _, m, _ in given_ if m is not None]
        assert row["strength"] == (pytest.approx(np.mean(known)) if known else None)
        assert row["annotators"] == sorted({w for _, _, w in given_})
        assert (row["for first"], row["ties"]) == (count[key[1]], count["tie"])
    assert pair_consensus(flipped(frame)).equals(pair_consensus(frame))
