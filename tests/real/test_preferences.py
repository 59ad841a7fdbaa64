"""Three people's preferences between models' answers: PandaLM's test set (arXiv:2306.05087)."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from scalekit.label import bradley_terry, pair_consensus, preference_pairs

DATA = Path(__file__).parents[2].parent / "shared" / "data" / "pandalm_testset"
pytestmark = pytest.mark.skipif(
    not DATA.is_dir(), reason=f"needs PandaLM's test set in {DATA}, see its NOTE.md"
)


@pytest.fixture(scope="module")
def pairs() -> pl.DataFrame:
    rows = [json.loads(line) for line in (DATA / "pairs.jsonl").read_text().splitlines()]
    names = pl.col("cmp_key").str.split("_")
    return pl.DataFrame(rows).with_columns(
        item_id="idx", first=names.list.first(), second=names.list.last()
    )


@pytest.fixture(scope="module")
def judgements(pairs: pl.DataFrame) -> pl.DataFrame:
    who = ["annotator1", "annotator2", "annotator3"]
    long = pairs.unpivot(
        who, index=["item_id", "first", "second"], variable_name="annotator", value_name="said"
    )
    said = {0: "tie", 1: "first", 2: "second"}
    return long.with_columns(outcome=pl.col("said").replace_strict(said))


def test_the_majority_is_as_published(pairs: pl.DataFrame, judgements: pl.DataFrame) -> None:
    found = pair_consensus(judgements).with_columns(pl.col("item_id").cast(pl.Int64))
    own = found.select("item_id", "winner", "tied").join(pairs, on="item_id")
    assert own["tied"].sum() == 105
    assert (own["winner"] == own["first"]).sum() == 422
    assert (own["winner"] == own["second"]).sum() == 472


def test_pairs_to_train_on_are_the_decided_items(
    pairs: pl.DataFrame, judgements: pl.DataFrame
) -> None:
    prompt = pl.format("{}\n{}", "instruction", "input")
    responses = pl.concat(
        [
            pairs.select("item_id", prompt=prompt, name=side, response=response)
            for side, response in (("first", "response1"), ("second", "response2"))
        ]
    )
    found = preference_pairs(judgements, responses)
    assert found.tied == 105
    assert found.below == 0  # a plurality of three is two of three
    assert len(found.table) + found.same == 422 + 472
    strict = preference_pairs(judgements, responses, min_agreement=1)
    assert strict.below > 0
    assert strict.table["agreement"].unique().to_list() == [1.0]


def test_strengths_order_the_models_as_their_wins_do(judgements: pl.DataFrame) -> None:
    found = bradley_terry(judgements, draws=200)
    assert found.notes == ("No position term: what was shown first is not known.",)
    shown = found.table
    share = (pl.col("wins") + pl.col("ties") / 2) / pl.sum_horizontal("wins", "losses", "ties")
    assert shown.select(share.alias("s"))["s"].is_sorted(descending=True)
    assert (shown["from"] < shown["strength"]).all()
    assert (shown["strength"] < shown["to"]).all()
