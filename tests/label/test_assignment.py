"""Assignment: exact overlap, even loads and pairs, balanced sides, rounds that repeat nothing."""

from __future__ import annotations

from collections import Counter
from itertools import combinations, product
from math import comb
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, hypergeom

from scalekit.label import LabelError
from scalekit.label.assignment import assign, balance, disagreement_round, top_up
from scalekit.label.qualification import attention, qualification, qualified

PEOPLE = ["ana", "ben", "cy", "dora", "emil", "fay"]


def items(count: int) -> list[dict[str, str]]:
    return [{"item_id": f"i{n}"} for n in range(count)]


def work(assigned: pl.DataFrame) -> pl.DataFrame:
    return assigned.filter(pl.col("kind") == "work")


def shared(assigned: pl.DataFrame) -> Counter[tuple[str, str]]:
    """Count by hand how many items each two share."""
    found: Counter[tuple[str, str]] = Counter()
    for _, rows in work(assigned).group_by("item_id"):
        found.update(combinations(sorted(rows["annotator"]), 2))
    return found


@given(st.integers(1, 60), st.integers(1, 6), st.integers(0, 5), st.integers(0, 9), st.booleans())
def test_overlap_is_exact_loads_are_even_and_sides_balanced(
    count: int, overlap: int, more: int, seed: int, pairs: bool
) -> None:
    people = [f"p{n}" for n in range(overlap + more)]
    found = assign(items(count), people, overlap=overlap, seed=seed, pairs=pairs)
    assert set(Counter(found["item_id"]).values()) == {overlap}
    assert found.select("item_id", "annotator").is_duplicated().sum() == 0
    loads = Counter(dict.fromkeys(people, 0)) + Counter(found["annotator"])
    have = [loads[p] for p in people]
    assert max(have) - min(have) <= 1
    for _, rows in found.group_by("annotator"):
        assert sorted(rows["place"]) == list(range(len(rows)))
    if not pairs:
        assert found["side"].is_null().all()
        return
    gold = assign(items(count), people, overlap=overlap, seed=seed, pairs=True, gold=["g1", "g2"])
    for table, who in product((found, work(gold)), ("annotator", "item_id")):
        for _, rows in table.group_by(who):
            sides = Counter(rows["side"])
            assert abs(sides["first"] - sides["second"]) <= 1


@given(st.permutations(range(12)), st.permutations(PEOPLE), st.integers(0, 3))
def test_only_what_is_assigned_and_the_seed_decide(
    order: list[int], people: list[str], seed: int
) -> None:
    rows = items(12)
    found = assign([rows[n] for n in order], people, seed=seed, gold=["g1", "g2"], pairs=True)
    again = assign(rows, PEOPLE, seed=seed, gold=["g2", "g1"], pairs=True)
    assert found.equals(again)


def test_another_seed_assigns_otherwise() -> None:
    assert not assign(items(30), PEOPLE, seed=1).equals(assign(items(30), PEOPLE, seed=2))


@pytest.mark.parametrize(("count", "people", "overlap"), [(600, 6, 2), (1000, 10, 3), (990, 12, 5)])
def test_each_two_share_nearly_equally_many(count: int, people: int, overlap: int) -> None:
    names = [f"p{n}" for n in range(people)]
    found = shared(assign(items(count), names, overlap=overlap, seed=3))
    expected = count * comb(overlap, 2) / comb(people, 2)
    assert len(found) == comb(people, 2)
    assert all(abs(n - expected) <= 3 for n in found.values())


def test_a_hundred_thousand_items_for_fifty_annotators() -> None:
    names = [f"p{n}" for n in range(50)]
    rows = pl.DataFrame({"item_id": [f"i{n}" for n in range(100_000)]})
    found = balance(assign(rows, names, overlap=3, seed=1, pairs=True))
    assert (found.overlap, found.load) == ((3, 3), (6000, 6000))
    assert found.shared[1] - found.shared[0] <= 6
    sides = found.table["first on the left"]
    assert (sides - 3000).abs().max() == 0


def test_checks_lie_between_the_work_each_at_most_once() -> None:
    gold, attention = [f"g{n}" for n in range(10)], ["read-this"]
    found = assign(
        items(300), PEOPLE, overlap=2, seed=4, gold=gold, attention=attention, gold_every=20
    )
    assert set(Counter(work(found)["annotator"]).values()) == {100}
    places = []
    for _, rows in found.group_by("annotator", maintain_order=True):
        kinds = Counter(rows["kind"])
        assert (kinds["gold"], kinds["attention"]) == (5, 1)
        assert rows["item_id"].is_unique().all()
        at = rows.filter(pl.col("kind") == "gold")["place"].sort().to_list()
        assert max(np.diff([0, *at, len(rows)])) <= 42  # one in each stretch of 20 items
        places.append(tuple(at))
    assert len(set(places)) > 1  # not the same places for everybody


def test_experts_alone_get_what_needs_them_and_loads_still_even_out() -> None:
    rows = [{"item_id": f"i{n}", "needs": "expert" if n < 10 else None} for n in range(60)]
    tiers = {"ana": "expert", "ben": "expert", "cy": "generalist"}
    found = assign(rows, PEOPLE, overlap=2, seed=1, tiers=tiers)
    hard = found.filter(pl.col("item_id").is_in([f"i{n}" for n in range(10)]))
    assert set(hard["annotator"]) == {"ana", "ben"}
    loads = Counter(found["annotator"])
    assert max(loads.values()) - min(loads.values()) <= 1


def test_the_priority_of_active_learning_comes_first_for_everybody() -> None:
    rows = [{"item_id": f"i{n}", "priority": float(n % 7)} for n in range(42)]
    found = assign(rows, PEOPLE, overlap=2, seed=1)
    given_ = {row["item_id"]: row["priority"] for row in rows}
    for _, own in found.sort("place").group_by("annotator"):
        scores = [given_[i] for i in own["item_id"]]
        assert scores == sorted(scores, reverse=True)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"overlap": 7}, "to go to 7 annotators; 6 can have it"),
        ({"overlap": 0}, "to go to 0 annotators"),
        ({"annotators": ["ana", "ana"]}, "annotator 'ana' stands twice"),
        ({"items": [*items(2), *items(1)]}, "item 'i0' stands twice"),
        ({"tiers": {"ana": "boss"}}, "ana: tier 'boss' is not one of generalist, expert"),
        ({"items": [{"item_id": "x", "needs": "doctor"}]}, "needs 'doctor'; tiers are"),
        (
            {"items": [{"item_id": "x", "needs": "expert"}], "tiers": {"ana": "expert"}},
            "'x' is to go to 2 annotators; 1 of tier 'expert' can have it",
        ),
    ],
)
def test_what_can_not_be_assigned_is_said_with_numbers(change: dict[str, object], why: str) -> None:
    asked = {"items": items(5), "annotators": PEOPLE, "overlap": 2, "tiers": None, **change}
    with pytest.raises(LabelError, match=why):
        assign(asked["items"], asked["annotators"], overlap=asked["overlap"],  # type: ignore[arg-type]
               tiers=asked["tiers"], seed=1)  # type: ignore[arg-type]  # fmt: skip


@given(st.sets(st.sampled_from(PEOPLE), min_size=1, max_size=3), st.integers(0, 40), st.booleans())
def test_a_top_up_gives_away_exactly_what_was_left_undone(
    gone: set[str], done: int, pairs: bool
) -> None:
    found = assign(items(30), PEOPLE, overlap=3, seed=2, pairs=pairs)
    labels = found.sort("place", "annotator").head(done)
    stay = [p for p in PEOPLE if p not in gone]
    more = top_up(found, labels, stay, seed=2)
    both = pl.concat([found, more])
    assert both.select("item_id", "annotator").is_duplicated().sum() == 0
    kept = found.filter(pl.col("annotator").is_in(stay))
    whole = pl.concat([kept, labels.filter(pl.col("annotator").is_in(list(gone))), more])
    assert set(Counter(whole["item_id"]).values()) == {3}
    assert set(more["round"]) <= {2}
    assert more["side"].is_null().all() != pairs or more.is_empty()


@given(st.lists(st.sampled_from(PEOPLE), min_size=2, max_size=4, unique=True), st.integers(0, 3))
def test_top_ups_after_top_ups_give_nothing_away_twice(gone: list[str], seed: int) -> None:
    found = assign(items(20), PEOPLE, overlap=2, seed=seed)
    nothing = found.head(0).select("item_id", "annotator")
    for many in range(1, len(gone) + 1):
        stay = [p for p in PEOPLE if p not in gone[:many]]
        more = top_up(found, nothing, stay, seed=seed)
        assert top_up(pl.concat([found, more]), nothing, stay, seed=seed).is_empty()
        found = pl.concat([found, more])
        held = found.filter(pl.col("annotator").is_in(stay))
        assert set(Counter(held["item_id"]).values()) == {2}
    assert set(found["instead_of"].drop_nulls()) == set(gone)
    assert found.select("item_id", "annotator").is_duplicated().sum() == 0


def test_a_top_up_takes_ids_that_are_numbers() -> None:
    found = assign([{"item_id": n} for n in range(6)], PEOPLE[:3], overlap=2, seed=1)
    done = found.select(pl.col("item_id").cast(pl.Int64), "annotator")
    assert top_up(found, done, PEOPLE[1:4], seed=1).is_empty()


def test_a_qualification_is_not_handed_over() -> None:
    found = qualification([f"g{n}" for n in range(20)], PEOPLE, seed=1)
    assert top_up(found, found.head(0), PEOPLE[1:], seed=1).is_empty()
    assert balance(found).load == (20, 20)


def test_a_top_up_evens_out_what_everybody_has() -> None:
    found = assign(items(60), PEOPLE, overlap=2, seed=2)
    more = top_up(found, found.head(0), PEOPLE[1:], seed=2)
    loads = Counter(pl.concat([found, more]).filter(pl.col("annotator") != "ana")["annotator"])
    assert max(loads.values()) - min(loads.values()) <= 2


def test_the_most_disputed_go_to_experts_who_have_not_had_them() -> None:
    found = assign(items(40), PEOPLE, overlap=2, seed=5)
    entropy = [{"item_id": f"i{n}", "entropy": n / 40} for n in range(40)]
    tiers = {"emil": "expert", "fay": "expert", "dora": "expert"}
    more = disagreement_round(found, entropy, PEOPLE, seed=5, share=0.25, tiers=tiers)
    assert set(more["item_id"]) == {f"i{n}" for n in range(30, 40)}
    assert set(more["annotator"]) <= set(tiers)
    assert pl.concat([found, more]).select("item_id", "annotator").is_duplicated().sum() == 0
    agreed = [{**row, "entropy": 0.0} for row in entropy]
    assert disagreement_round(found, agreed, PEOPLE, seed=5).is_empty()
    with pytest.raises(LabelError, match="share must be above 0"):
        disagreement_round(found, entropy, PEOPLE, seed=5, share=0)


def test_experts_come_first_as_far_as_they_go_and_needs_are_kept() -> None:
    found = assign(items(10), PEOPLE, overlap=1, seed=5)
    entropy = [{"item_id": f"i{n}", "entropy": 1.0} for n in range(10)]
    more = disagreement_round(found, entropy, PEOPLE, seed=5, share=1, extra=2,
                              tiers={"fay": "expert"})  # fmt: skip
    had = set(found.filter(pl.col("annotator") == "fay")["item_id"])
    assert set(more.filter(pl.col("annotator") == "fay")["item_id"]) | had == set(found["item_id"])
    others = [p for p in PEOPLE if p not in found.filter(item_id="i3")["annotator"]]
    with pytest.raises(LabelError, match="'i3' is to go to 2 annotators; 1 of tier 'expert' can"):
        disagreement_round(found, entropy, PEOPLE, seed=5, share=1, extra=2,
                           tiers={others[0]: "expert"}, needs={"i3": "expert"})  # fmt: skip


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ({"item_id": "i1", "entropy": float("nan")}, "that of item 'i1' is not a number"),
        ({"item_id": "i1", "entropy": None}, "that of item 'i1' is not a number"),
        ({"item_id": "zz", "entropy": 1.0}, "item 'zz' was never assigned"),
    ],
)
def test_an_entropy_that_can_not_be_used_is_named(row: dict[str, object], why: str) -> None:
    found = assign(items(10), PEOPLE, seed=5)
    with pytest.raises(LabelError, match=why):
        disagreement_round(found, [{"item_id": "i0", "entropy": 1.0}, row], PEOPLE, seed=5)


def test_gold_among_the_items_is_taken_out_of_the_work() -> None:
    found = assign(items(20), PEOPLE, overlap=2, seed=1, gold=["i0"], attention=["i1"])
    kinds = dict(found.select("item_id", "kind").unique().iter_rows())
    assert (kinds.pop("i0"), kinds.pop("i1")) == ("gold", "attention")
    assert set(kinds.values()) == {"work"}
    assert len(kinds) == 18


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        ({"gold": ["g"], "attention": ["g"]}, "'g' is both gold and an attention check"),
        ({"gold": ["g", None]}, "gold: an item has no id"),
        ({"gold_every": 0}, "gold_every must be at least 1, got 0"),
        ({"tiers": {"zoe": "expert"}}, "tiers: 'zoe' is not one of the annotators ana, ben"),
    ],
)
def test_checks_and_tiers_that_can_not_be_meant_are_refused(
    asked: dict[str, Any], why: str
) -> None:
    with pytest.raises(LabelError, match=why):
        assign(items(5), PEOPLE, seed=1, **asked)
    with pytest.raises(LabelError, match="item 0 has no name"):
        assign([{"item_id": None}, {"item_id": "a"}], PEOPLE, seed=1)


def test_balance_counts_what_a_hand_would() -> None:
    found = assign(items(31), PEOPLE, overlap=2, seed=6, gold=["g1", "g2"])
    said = balance(found)
    counts = shared(found)
    every = [counts[pair] for pair in combinations(sorted(PEOPLE), 2)]
    assert said.shared == (min(every), max(every))
    assert said.load == (10, 11)
    assert said.table["items"].sum() == 62
    assert "Round 1. Each item goes to 2 annotators" in said.to_html()


def test_everybody_qualifies_on_the_same_gold_in_an_order_of_their_own() -> None:
    gold = [f"g{n}" for n in range(50)]
    found = qualification(gold, PEOPLE, count=20, seed=1)
    orders = {tuple(own["item_id"]) for _, own in found.sort("place").group_by("annotator")}
    assert len(orders) == 6
    assert len({frozenset(order) for order in orders}) == 1
    assert set(found["round"]) == {0}
    with pytest.raises(LabelError, match="needs as many gold items: 3"):
        qualification(gold[:3], PEOPLE, seed=1)


def test_who_is_qualified() -> None:
    gold = [{"item_id": f"g{n}", "value": "yes"} for n in range(20)]
    right = {"ana": 20, "ben": 16, "cy": 15}
    labels = [
        {"item_id": f"g{n}", "annotator": who, "value": "yes" if n < count else "no"}
        for who, count in right.items()
        for n in range(20)
    ] + [{"item_id": f"g{n}", "annotator": "dora", "value": "yes"} for n in range(7)]
    found = {row["annotator"]: row for row in qualified(labels, gold).to_dicts()}
    assert [found[w]["passed"] for w in ("ana", "ben", "cy", "dora")] == [True, True, False, False]
    for who, count in right.items():
        interval = binomtest(count, 20).proportion_ci(method="wilson")
        assert (found[who]["from"], found[who]["to"]) == pytest.approx(tuple(interval))
    assert found["cy"]["because"] == "75% right, 80% needed: 1 right answer short"
    assert found["dora"]["because"] == "3 gold items still to answer"
    often = [{"item_id": "g0", "annotator": "ed", "value": "yes"}] * 12
    assert qualified(often, gold).select("right", "of", "passed").rows() == [(1, 1, False)]
    with pytest.raises(LabelError, match="no label is on a gold item"):
        qualified(labels, [{"item_id": "x", "value": "yes"}])


def test_who_misses_attention_checks() -> None:
    checks = [{"item_id": f"c{n}", "value": "yes"} for n in range(30)]
    missed = {"ana": 1, "ben": 2, "cy": 15}
    labels = [
        {"item_id": f"c{n}", "annotator": who, "value": "no" if n < count else "yes"}
        for who, count in missed.items()
        for n in range(30)
    ]
    found = attention(labels, checks)
    assert found["annotator"].to_list() == ["cy", "ben", "ana"]
    assert found.select("found", "missed").rows() == [(15, 15), (28, 2), (29, 1)]
    assert found["inattentive"].to_list() == [True, False, False]
    # By hand: at most 15 of cy's 30 checks among the 72 found of all 90 (hypergeometric).
    assert found["p"][0] == pytest.approx(hypergeom(90, 72, 30).cdf(15))
    alone = attention(labels[:30], checks)
    assert alone["inattentive"].to_list() == [False]
