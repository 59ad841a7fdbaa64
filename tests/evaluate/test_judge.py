"""Judges against panels: counts by hand, a slow reference, and verdicts on planted judges."""

from __future__ import annotations

from collections import defaultdict
from itertools import combinations
from statistics import fmean
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scalekit.evaluate.judge import JudgeError, judge_agreement, scored_by_judge
from scalekit.figures import figure_png
from scalekit.frames import FrameError


def panel_and_judge(
    n: int, *, right: float = 0.9, judge: float = 0.9, people: int = 3, seed: int = 0
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Votes and verdicts that are right with a given probability, else another of three values."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 3, n)

    def said(chance: float) -> Any:
        wrong = (truth + rng.integers(1, 3, n)) % 3
        return np.where(rng.random(n) < chance, truth, wrong)

    votes = [
        pl.DataFrame({"item_id": np.arange(n), "annotator": f"p{k}", "value": said(right)})
        for k in range(people)
    ]
    return pl.concat(votes), pl.DataFrame({"item_id": np.arange(n), "value": said(judge)})


def test_by_hand() -> None:
    panel = [
        {"item_id": item, "annotator": who, "value": value}
        for item, values in {"1": "aaa", "2": "aab", "3": "abc", "4": "b"}.items()
        for who, value in zip("uvw", values, strict=False)
    ]
    verdicts = [{"item_id": i, "value": v} for i, v in zip("12345", "aabbb", strict=True)]
    found = judge_agreement(verdicts, panel, margin=0.1, judge="m")
    every = found.table.row(0, named=True)
    assert every["items"] == 3  # item 4 has one vote, item 5 none
    assert every["panelist agrees"] == pytest.approx((1 + 1 / 3 + 0) / 3)
    assert every["judge agrees"] == pytest.approx((1 + 2 / 3 + 1 / 3) / 3)
    third = found.table.filter(pl.col("panelist") == "w").row(0, named=True)
    assert third["panelist agrees"] == pytest.approx(1 / 3)  # 1, 0, 0
    assert third["judge agrees"] == pytest.approx((1 + 1 + 1 / 2) / 3)
    assert found.majority[0] == 1  # items 1 and 2; the third has no majority
    assert (found.majority[3], found.tied) == (2, 1)
    assert found.pairs.select("one", "other").rows()[-1] == ("m", "w")
    assert found.self_consistency is None


VOTES = st.lists(
    st.tuples(st.integers(0, 6), st.sampled_from("uvwx"), st.sampled_from("123")),
    min_size=4, max_size=28, unique_by=lambda r: r[:2],
)  # fmt: skip
VERDICTS = st.lists(
    st.tuples(st.integers(0, 6), st.sampled_from(["1", "2", "3", None])), min_size=7, max_size=20
)


@settings(max_examples=60, deadline=None)
@given(votes=VOTES, verdicts=VERDICTS, level=st.sampled_from(["nominal", "interval"]))
def test_equals_counting_every_two_votes(votes: list[Any], verdicts: list[Any], level: Any) -> None:
    own, said = defaultdict(list), defaultdict(list)
    for item, _, value in votes:
        own[item].append(value)
    for item, value in verdicts:
        said[item].append(value)
    used = [i for i in own if len(own[i]) > 1 and i in said]
    panel = pl.DataFrame(votes, ["item_id", "annotator", "value"], orient="row")
    judge = pl.DataFrame(verdicts, {"item_id": pl.Int64, "value": pl.String}, orient="row")
    if not used:
        with pytest.raises(FrameError, match="no item has a verdict"):
            judge_agreement(judge, panel, margin=0.1)
        return

    def agree(a: str | None, b: str | None) -> float:
        if a is None or b is None:
            return 0.0
        return float(a == b) if level == "nominal" else 1 - abs(int(a) - int(b)) / 2

    found = judge_agreement(judge, panel, margin=0.1, level=level, values=["1", "2", "3"], draws=2)
    people = [fmean(agree(a, b) for a, b in combinations(own[i], 2)) for i in used]
    judged = [fmean(agree(a, b) for a in said[i] for b in own[i]) for i in used]
    row = found.table.row(0, named=True)
    assert row["panelist agrees"] == pytest.approx(fmean(people))
    assert row["judge agrees"] == pytest.approx(fmean(judged))
    assert row["from"] <= row["difference"] + 1e-9 or row["items"] < 30
    again = [i for i in used if len(said[i]) > 1]
    assert (found.self_consistency is None) == (not again)
    if found.self_consistency:
        pairs = [fmean(agree(a, b) for a, b in combinations(said[i], 2)) for i in again]
        assert found.self_consistency[0] == pytest.approx(fmean(pairs))
    assert found.unanswered == sum(v is None for i in used for v in said[i])
    assert found.passed is ("may stand" in found.verdict)


def test_a_judge_as_good_as_a_panelist_passes_and_a_worse_one_does_not() -> None:
    panel, same = panel_and_judge(800)
    good = judge_agreement(same, panel, margin=0.05, judge="good")
    assert good.passed
    assert good.check().passed
    assert good.needed is None
    worse = judge_agreement(panel_and_judge(800, judge=0.7)[1], panel, margin=0.05, judge="worse")
    assert not worse.passed
    assert worse.difference[2] < -0.05
    assert "worse than that" in worse.verdict
    assert worse.needed is None
    assert "✘" in worse.to_html()
    assert figure_png(good.plot()).startswith(b"\x89PNG")


def test_too_few_items_are_said_to_be_too_few_and_that_many_more_settle_it() -> None:
    panel, judge = panel_and_judge(60, seed=1)
    found = judge_agreement(judge, panel, margin=0.05, draws=50)
    assert not found.passed
    assert found.needed is not None
    assert found.needed > 60
    assert f"about {found.needed:,} would be" in found.verdict
    # Perfect agreement of few shows little: an interval by resampling would close on 0.
    perfect = [{"item_id": i, "annotator": w, "value": i % 2} for i in range(8) for w in "uvw"]
    verdicts = [{"item_id": i, "value": i % 2} for i in range(8)]
    assert not judge_agreement(verdicts, perfect, margin=0.05, draws=50).passed


def test_the_power_is_as_said() -> None:
    # Equals at n = 320: power 1 - Phi(1.96 - 0.05 sqrt(n) / sd), with sd about 0.318, is 0.80.
    passed = [
        judge_agreement(*panel_and_judge(320, seed=s)[::-1], margin=0.05, draws=2).passed
        for s in range(40)
    ]
    assert 0.6 <= np.mean(passed) <= 0.95


def test_a_judge_at_the_margin_seldom_passes() -> None:
    # Panelists agree in .818, the judge with them in .734: .084 less is the margin itself.
    right, judge = 0.9, 0.8
    people = right**2 + 2 * ((1 - right) / 2) ** 2
    less = people - (right * judge + 2 * (1 - right) / 2 * (1 - judge) / 2)
    passed = [
        judge_agreement(
            *panel_and_judge(120, judge=judge, seed=s)[::-1], margin=less, draws=2
        ).passed
        for s in range(150)
    ]
    assert np.mean(passed) <= 0.06


def test_a_panel_that_agrees_by_chance_lets_nobody_in() -> None:
    panel, judge = panel_and_judge(600, right=1 / 3, judge=1 / 3)
    found = judge_agreement(judge, panel, margin=0.1)
    assert found.difference[1] > -0.1
    assert not found.passed
    assert "not shown to agree with each other beyond chance" in found.verdict


def test_verdicts_that_are_missing_count_against_the_judge() -> None:
    panel, judge = panel_and_judge(500)
    silent = judge.with_columns(value=pl.when(pl.col("item_id") % 4 > 0).then("value"))
    found = judge_agreement(silent, panel, margin=0.05, draws=50)
    assert found.unanswered == 125
    assert found.table["items"][0] == 500
    assert not found.passed
    assert "agree with nobody: 125" in found.to_html()


def test_repeated_verdicts_show_how_steady_the_judge_is() -> None:
    panel, judge = panel_and_judge(300)
    flip = judge.with_columns(value=pl.when(pl.col("item_id") < 60).then(9).otherwise("value"))
    twice = judge_agreement(pl.concat([judge, flip]), panel, margin=0.05, draws=20)
    assert twice.self_consistency is not None
    assert twice.self_consistency[0] == pytest.approx(0.8)
    assert twice.self_consistency[3] == 300
    assert "repeats its own verdict in 0.800" in twice.to_html()


def test_scores_of_a_judge_need_its_own_passed_agreement() -> None:
    panel, judge = panel_and_judge(800)
    scores = pl.DataFrame({"item_id": ["a"], "set": ["dev"], "score": [1.0], "judge": ["m@1"]})
    with pytest.raises(JudgeError, match="no agreement of this judge"):
        scored_by_judge(scores, None)
    passed = judge_agreement(judge, panel, margin=0.05, judge="m@1", draws=20)
    assert scored_by_judge(scores, passed)["scored_by"].to_list() == ["m@1"]
    with pytest.raises(JudgeError, match="'m@2': agreement is shown for 'm@1' only"):
        scored_by_judge(scores.with_columns(judge=pl.lit("m@2")), passed)
    bad = panel_and_judge(800, judge=0.5)[1]
    failed = judge_agreement(bad, panel, margin=0.05, judge="m@1", draws=20)
    with pytest.raises(JudgeError, match="may not stand in for a panelist"):
        scored_by_judge(scores, failed)
    with pytest.raises(FrameError, match="score"):
        scored_by_judge(scores.drop("score"), passed)


def test_a_margin_is_a_share_and_values_are_a_scale() -> None:
    panel, judge = panel_and_judge(20)
    with pytest.raises(ValueError, match="margin is a share"):
        judge_agreement(judge, panel, margin=5)
    with pytest.raises(FrameError, match="value '2' is not one of 0, 1"):
        judge_agreement(judge, panel, margin=0.1, values=["0", "1"])
