"""Translations that experts marked: WMT21 TED and WMT23 English-German, against what was published.

Both are of google/wmt-mqm-human-evaluation: one rater a segment in the first, three in the second.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from scalekit.evaluate.mqm import MqmScores, mqm_scores

DATA = Path(__file__).parents[2].parent / "shared" / "data"
SETS = ("wmt_mqm_ted_ende", "wmt_sxs_ende")
pytestmark = pytest.mark.skipif(
    not all((DATA / s).is_dir() for s in SETS),
    reason=f"needs {' and '.join(SETS)} in {DATA}, see their NOTE.md",
)


def known(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((DATA / name / "expected.json").read_text())
    return found


def value_of(figures: dict[str, Any], start: str) -> Any:
    return next(v for k, v in figures.items() if k.startswith(start))


@pytest.fixture(scope="module")
def ted() -> MqmScores:
    errors = pl.read_parquet(DATA / SETS[0] / "mqm_errors.parquet")
    return mqm_scores(errors.rename({"seg_id": "segment"}))


@pytest.fixture(scope="module")
def news() -> MqmScores:
    errors = pl.read_parquet(DATA / SETS[1] / "annotations.parquet")
    return mqm_scores(errors.rename({"global_seg_id": "segment"}))


def test_14_systems_score_as_published(ted: MqmScores) -> None:
    said = value_of(known(SETS[0])["published"], "system MQM")
    published = {name: float(score) for name, score in re.findall(r"([\w.-]+) ([\d.]+)", said)}
    ours = dict(ted.table.select("system", "score").iter_rows())
    ours["ref.A"] = ours.pop("ref")
    assert len(ours) == len(published) == 14
    assert ours == pytest.approx(published, abs=0.0101)  # two decimals, of which one was cut off
    assert ted.table["segments"].to_list() == [529] * 14


def test_14_systems_score_as_computed_elsewhere(ted: MqmScores) -> None:
    theirs = value_of(known(SETS[0])["computed_here"], "system MQM")
    ours = dict(ted.table.select("system", "score").iter_rows())
    assert ours == pytest.approx(theirs, abs=5.1e-4)
    assert list(theirs) == ted.table["system"].to_list()


def test_raters_differ_and_one_a_segment_can_not_say_why(ted: MqmScores) -> None:
    theirs = value_of(known(SETS[0])["computed_here"], "per-rater mean")
    ours = {r[0]: list(r[1:]) for r in ted.raters.select("rater", "score", "ratings").iter_rows()}
    assert set(ours) == set(theirs)
    for rater, (score, ratings) in theirs.items():
        assert ours[rater] == [pytest.approx(score, abs=5.1e-4), ratings]
    assert ted.raters["shared"].sum() == 0
    assert "No segment has two raters" in ted.to_html()


def test_ranks_are_no_surer_than_the_segments_allow(ted: MqmScores) -> None:
    assert (ted.table["from"] < ted.table["score"]).all()
    assert (ted.table["score"] < ted.table["to"]).all()
    wide = ted.table["rank to"] - ted.table["rank from"]
    assert wide.max() >= 4  # the middle of the table is not in order
    assert (ted.table["rank from"] <= ted.table["rank"]).all()
    assert (ted.table["rank"] <= ted.table["rank to"]).all()
    best, worst = ted.table["rank to"].first(), ted.table["rank from"].last()
    assert isinstance(best, int) and isinstance(worst, int)  # noqa: PT018
    assert best < worst


def test_three_raters_a_segment_agree_as_computed_elsewhere(news: MqmScores) -> None:
    figures = known(SETS[1])["computed_here"]
    ours = dict(news.table.select("system", "score").iter_rows())
    assert ours == pytest.approx(figures["system mean MQM"], abs=5.1e-4)
    alpha = value_of(figures, "krippendorff_alpha_interval")
    assert news.alpha.value == pytest.approx(alpha, abs=1e-6)
    assert set(news.segments["raters"]) == {3}


def test_severity_is_told_against_raters_of_the_same_segment(news: MqmScores) -> None:
    apart = news.raters
    assert apart["shared"].to_list() == apart["ratings"].to_list()
    mean = (apart["above co-raters"] * apart["shared"]).sum() / apart["shared"].sum()
    assert mean == pytest.approx(0, abs=1e-9)  # what one is above, the others are below
    assert apart["above co-raters"].max() > 4  # points a segment, where the mean is 5.5
