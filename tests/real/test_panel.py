"""PandaLM's test set (arXiv:2306.05087): three people as a panel, two judge models against them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from scalekit.coefficients import bootstrap_alpha
from scalekit.evaluate.judge import JudgeAgreement, JudgeError, judge_agreement, scored_by_judge
from scalekit.evaluate.pairwise import WinRates, win_rates
from scalekit.evaluate.votes import read_votes

DATA = Path(__file__).parents[2].parent / "shared" / "data" / "pandalm_testset"
pytestmark = pytest.mark.skipif(
    not DATA.is_dir(), reason=f"needs PandaLM's test set in {DATA}, see its NOTE.md"
)
KAPPAS = {"12": 0.85, "13": 0.88, "23": 0.86}  # as published, between annotators
JUDGES = {"gpt-3.5": "judge_gpt35", "pandalm-7b": "judge_pandalm7b"}


@pytest.fixture(scope="module")
def expected() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((DATA / "expected.json").read_text())["computed_here"]
    return found


@pytest.fixture(scope="module")
def votes() -> pl.DataFrame:
    return pl.read_csv(DATA / "labels_long.csv").rename(
        {"annotator_id": "annotator", "label": "value"}
    )


def verdicts(judge: str, unread: str | None) -> pl.DataFrame:
    """A judge's verdicts; *unread* is what an answer counts as from which none could be read."""
    said = pl.col(JUDGES[judge]).cast(pl.String).replace({"Tie": "0", "garbage": unread})
    return pl.read_csv(DATA / "model_judges.csv").select("item_id", said.alias("value"))


@pytest.fixture(scope="module")
def held(votes: pl.DataFrame) -> dict[str, JudgeAgreement]:
    return {
        judge: judge_agreement(verdicts(judge, None), votes, margin=0.05, judge=judge)
        for judge in JUDGES
    }


def test_panelists_agree_as_published(
    votes: pl.DataFrame, held: dict[str, JudgeAgreement], expected: dict[str, Any]
) -> None:
    pairs = held["gpt-3.5"].pairs.filter(pl.col("one") != "gpt-3.5").to_dicts()
    assert [r["kappa"] for r in pairs] == pytest.approx(
        expected["cohen_kappa 1-2,1-3,2-3 (sklearn)"], abs=5e-5
    )
    for row in pairs:
        assert row["items"] == 999
        assert row["kappa from"] < KAPPAS[row["one"][-1] + row["other"][-1]] < row["kappa to"]
        assert row["kappa to"] - row["kappa from"] < 0.08
    ends = bootstrap_alpha(read_votes(votes).counts)
    assert ends is not None
    assert ends[0] < expected["krippendorff_alpha_nominal"] < ends[1]
    assert held["gpt-3.5"].alpha == ends


def test_judges_agree_with_the_majority_as_computed_elsewhere(
    votes: pl.DataFrame, held: dict[str, JudgeAgreement], expected: dict[str, Any]
) -> None:
    theirs = expected["judge accuracy vs human majority: gpt-3.5, pandalm-7b"]
    for judge, share in zip(JUDGES, theirs, strict=True):
        # There, an answer that could not be read was counted as a tie.
        as_tie = judge_agreement(verdicts(judge, "0"), votes, margin=0.05, draws=2)
        assert as_tie.majority[0] == pytest.approx(share, abs=5e-5)
        assert as_tie.majority[1] < share < as_tie.majority[2]
        assert (as_tie.majority[3], as_tie.tied) == (999, 0)
    assert held["gpt-3.5"].unanswered == 25
    assert held["gpt-3.5"].majority[0] < theirs[0]
    assert held["pandalm-7b"].majority[0] == pytest.approx(theirs[1], abs=5e-5)


@pytest.mark.parametrize("judge", list(JUDGES))
def test_neither_judge_may_stand_in_for_a_panelist(
    held: dict[str, JudgeAgreement], judge: str
) -> None:
    found = held[judge]
    assert not found.passed
    assert found.difference[2] < -0.15
    assert (found.table["to"] < -0.05).all()  # whichever panelist is left out
    with pytest.raises(JudgeError, match="it is worse than that"):
        scored_by_judge([{"item_id": "0", "set": "test", "score": 1}], found)


def test_each_panelist_may_stand_in_for_another(votes: pl.DataFrame) -> None:
    for who in ("annotator1", "annotator2", "annotator3"):
        own, others = (
            votes.filter((pl.col("annotator") == who) == itself) for itself in (True, False)
        )
        assert judge_agreement(own, others, margin=0.05, judge=who, draws=200).passed


@pytest.fixture(scope="module")
def judged(votes: pl.DataFrame) -> pl.DataFrame:
    names = pl.read_csv(DATA / "model_judges.csv").select(
        "item_id",
        pl.col("cmp_key").str.split("_").list.first().alias("first"),
        pl.col("cmp_key").str.split("_").list.last().alias("second"),
    )
    outcome = pl.col("value").replace_strict({0: "tie", 1: "first", 2: "second"})
    return votes.join(names, on="item_id").with_columns(outcome.alias("outcome"))


@pytest.fixture(scope="module")
def rated(judged: pl.DataFrame) -> WinRates:
    return win_rates(judged, draws=300)


def test_models_are_rated_with_intervals(judged: pl.DataFrame, rated: WinRates) -> None:
    assert len(rated.table) == 5
    assert rated.table["votes"].sum() == 2 * len(judged) == 2 * 2997
    assert rated.pairs["votes"].sum() == 2997
    plain = pl.concat(
        [
            judged.select(pl.col(side).alias("model"), pl.when(pl.col("outcome") == "tie").then(0.5)
                          .otherwise((pl.col("outcome") == side).cast(pl.Float64)).alias("worth"))
            for side in ("first", "second")
        ]
    ).group_by("model").agg(pl.col("worth").mean())  # fmt: skip
    joined = rated.table.join(plain, on="model")
    # Three votes on every item: the mean over items is that over votes.
    assert joined["win rate"].to_list() == pytest.approx(joined["worth"].to_list())
    for row in rated.table.to_dicts():
        assert row["from"] < row["win rate"] < row["to"]
        assert row["strength from"] < row["strength"] < row["strength to"]
        # 300 to 500 items each: some points either way, and no less than that.
        assert 0.04 < row["to"] - row["from"] < 0.12
    assert rated.table["rank"].to_list() == [1, 2, 3, 4, 5]
    assert rated.table["model"][0] == "llama-7b"
    assert rated.table["strength"].is_sorted(descending=True)


def test_strengths_say_how_often_two_models_win(rated: WinRates) -> None:
    worth = dict(rated.table.select("model", "strength").iter_rows())
    inside = 0
    for row in rated.pairs.to_dicts():
        apart = worth[row["model"]] - worth[row["other"]]
        inside += row["from"] <= 1 / (1 + 2.718281828459045**-apart) <= row["to"]
    assert inside >= len(rated.pairs) - 2  # one line fits the ten pairs, nearly


def test_the_panels_votes_are_kept(rated: WinRates, expected: dict[str, Any]) -> None:
    kept = rated.votes.select("for first", "ties", "for second")
    assert len(kept) == 999
    share = (kept.max_horizontal() == 3).mean()
    assert share == pytest.approx(expected["share_items_full_agreement"], abs=5e-5)
    assert rated.bias is None  # what stood first is not known
    assert rated.alpha.value == pytest.approx(expected["krippendorff_alpha_nominal"], abs=0.01)
