"""Preferences as pairs to train on: what is agreed on, and what is left out and counted."""

from __future__ import annotations

import polars as pl
import pytest

from scalekit.frames import FrameError
from scalekit.label import LabelError, preference_pairs


def pairs_to_train() -> tuple[pl.DataFrame, pl.DataFrame]:
    said = {1: "ABA", 2: "TTA", 3: "AB", 4: "BBB", 5: "AATBB", 6: "ATB"}
    rows = [
        {
            "item_id": item, "first": "x", "second": "y", "annotator": f"p{k}", "strength": k + 1,
            "outcome": {"A": "first", "B": "second", "T": "tie"}[letter],
        }
        for item, letters in said.items()
        for k, letter in enumerate(letters[:3])
    ]  # fmt: skip
    responses = pl.DataFrame(
        [
            {"item_id": i, "name": n, "prompt": f"ask {i}", "response": f"{n} says {i}"}
            for i in said
            for n in "xy"
        ]
    )
    return pl.DataFrame(rows), responses


def test_pairs_hold_the_consensus_and_count_what_is_left_out() -> None:
    judgements, responses = pairs_to_train()
    found = preference_pairs(judgements, responses)
    assert found.table.to_dicts() == [
        {
            "item_id": "1", "prompt": "ask 1", "chosen": "x says 1", "rejected": "y says 1",
            "strength": pytest.approx((1 - 2 + 3) / 3), "n": 3, "agreement": pytest.approx(2 / 3),
            "annotators": ["p0", "p1", "p2"],
        },
        {
            "item_id": "4", "prompt": "ask 4", "chosen": "y says 4", "rejected": "x says 4",
            "strength": 2.0, "n": 3, "agreement": 1.0, "annotators": ["p0", "p1", "p2"],
        },
        {
            "item_id": "5", "prompt": "ask 5", "chosen": "x says 5", "rejected": "y says 5",
            "strength": 1.0, "n": 3, "agreement": pytest.approx(2 / 3),
            "annotators": ["p0", "p1", "p2"],
        },
    ]  # fmt: skip
    assert (found.tied, found.below, found.same) == (3, 0, 0)
    strict = preference_pairs(judgements, responses, min_agreement=0.75)
    assert strict.table["item_id"].to_list() == ["4"]
    assert (strict.tied, strict.below) == (3, 2)
    assert "2 with agreement below 0.75" in strict.to_html()


def test_the_same_response_twice_is_no_pair() -> None:
    judgements, responses = pairs_to_train()
    same = responses.with_columns(
        response=pl.when(pl.col("item_id") == 4).then(pl.lit("same")).otherwise("response")
    )
    found = preference_pairs(judgements, same)
    assert found.table["item_id"].to_list() == ["1", "5"]
    assert found.same == 1


def test_responses_that_lack_or_repeat_are_named() -> None:
    judgements, responses = pairs_to_train()
    lacking = responses.filter(pl.col("response") != "y says 1")
    with pytest.raises(LabelError, match="'y' has no response to item '1' \\(1 such pair"):
        preference_pairs(judgements, lacking)
    with pytest.raises(LabelError, match="more than one response"):
        preference_pairs(judgements, pl.concat([responses, responses[:1]]))
    with pytest.raises(FrameError, match="prompt"):
        preference_pairs(judgements, responses.drop("prompt"))


def test_the_strength_of_a_pair_is_the_chosen_ones_and_under_0_where_the_few_feel_more() -> None:
    said = [("first", 1), ("first", 1), ("second", 5)]
    judged = [
        {
            "item_id": "q",
            "first": "a",
            "second": "b",
            "outcome": o,
            "strength": s,
            "annotator": str(n),
        }
        for n, (o, s) in enumerate(said)
    ]
    texts = [
        {"item_id": "q", "name": n, "prompt": "why?", "response": f"by {n}"} for n in ("a", "b")
    ]
    row = preference_pairs(judged, texts).table.row(0, named=True)
    assert (row["chosen"], row["rejected"]) == ("by a", "by b")
    assert row["strength"] == pytest.approx(-1.0)
    turned = [{**r, "first": "b", "second": "a"} for r in judged]
    assert preference_pairs(turned, texts).table.row(0, named=True)["chosen"] == "by b"
