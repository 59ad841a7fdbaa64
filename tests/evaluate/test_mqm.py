"""MQM scores against sums by hand and a plain loop; severity of raters; refusals."""

from __future__ import annotations

from collections import defaultdict
from statistics import fmean
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scalekit.evaluate.mqm import Weight, mqm_scores
from scalekit.figures import figure_png
from scalekit.frames import FrameError

NAMES = ("system", "segment", "rater", "category", "severity")


def errors(*rows: tuple[str, str, str, str, str]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=list(NAMES), orient="row")


def test_by_hand() -> None:
    found = mqm_scores(
        errors(
            ("a", "1", "u", "Accuracy/Mistranslation", "Major"),
            ("a", "1", "u", "Fluency/Punctuation", "Minor"),
            ("a", "1", "v", "No-error", "no-error"),
            ("a", "2", "u", "Non-translation!", "Major"),
            ("b", "1", "u", "Style/Awkward", "minor"),
            ("b", "1", "u", "Fluency/Punctuation", "Major"),
            ("b", "2", "u", "Other", "Neutral"),
            ("b", "2", "v", "Found", "HOTW-test"),
        ),
        draws=50,
    )
    scores = dict(found.table.select("system", "score").iter_rows())
    assert scores == pytest.approx({"a": (5.1 / 2 + 25) / 2, "b": (6 + 0) / 2})
    assert found.table["system"].to_list() == ["b", "a"]
    assert found.table["ratings"].to_list() == [2, 3]
    shared = dict(found.raters.select("rater", "above co-raters").iter_rows())
    assert shared == pytest.approx({"u": 5.1, "v": -5.1})
    assert "interval alpha" in found.to_html()
    assert figure_png(found.plot()).startswith(b"\x89PNG")


ROWS = st.lists(
    st.tuples(
        st.sampled_from("abc"),
        st.sampled_from("1234"),
        st.sampled_from("uv"),
        st.sampled_from(["Fluency/Punctuation", "Accuracy/Omission", "Non-translation"]),
        st.sampled_from(["Major", "Minor", "no-error"]),
    ),
    min_size=1,
    max_size=40,
)


@settings(max_examples=60, deadline=None)
@given(rows=ROWS)
def test_equals_a_plain_loop(rows: list[Any]) -> None:
    own: Any = defaultdict(lambda: defaultdict(lambda: defaultdict(float)))
    for system, segment, rater, category, severity in rows:
        if category == "Non-translation":
            points = 25.0
        elif severity == "Minor" and category == "Fluency/Punctuation":
            points = 0.1
        else:
            points = {"Major": 5.0, "Minor": 1.0, "no-error": 0.0}[severity]
        own[system][segment][rater] += points
    found = mqm_scores(errors(*rows), draws=5)
    for row in found.table.to_dicts():
        segments = own[row["system"]].values()
        assert row["score"] == pytest.approx(fmean(fmean(r.values()) for r in segments))
        assert row["segments"] == len(segments)
        assert row["ratings"] == sum(map(len, segments))
    assert found.table["score"].is_sorted()


def test_intervals_resample_segments_for_all_systems_alike() -> None:
    rng = np.random.default_rng(0)
    hard = rng.exponential(12, 200)
    rows = [
        (system, str(n), "u", "Style", "Minor")
        for n in range(200)
        for system, extra in (("a", 0), ("b", 1))
        for _ in range(int(hard[n]) + extra)
    ]
    rows += [("a", str(n), "u", "No-error", "no-error") for n in range(200)]
    found = mqm_scores(errors(*rows), draws=500)
    a, b = found.table.to_dicts()
    # Their intervals overlap, yet "b" is worse on every segment: the ranks are certain.
    assert a["to"] > b["from"]
    assert (a["rank from"], a["rank to"], b["rank from"], b["rank to"]) == (1, 1, 2, 2)
    # The mean of 200: plus and minus two standard errors.
    counts = [sum(r[:2] == ("b", str(n)) for r in rows) for n in range(200)]
    half = 1.96 * np.std(counts) / np.sqrt(200)
    assert b["to"] - b["from"] == pytest.approx(2 * half, rel=0.12)


def test_one_rater_a_segment_says_nothing_of_severity() -> None:
    found = mqm_scores(errors(("a", "1", "u", "x", "Minor"), ("a", "2", "v", "x", "Major")))
    assert found.raters["above co-raters"].to_list() == [None, None]
    assert found.alpha.value is None
    assert "No segment has two raters" in found.to_html()


def test_other_weights() -> None:
    weights = (Weight(10.0, severity="critical"), Weight(2.0))
    rows = errors(("a", "1", "u", "x", "Critical"), ("a", "1", "u", "x", "Major"))
    assert mqm_scores(rows, weights=weights).table["score"].to_list() == [12.0]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"severity": "critical"}, "no weight for severity 'critical', category 'x' \\(1 such row"),
        ({"segment": None}, "1 row without segment"),
        ({"severity": "HOTW-test"}, "there is no row"),
    ],
)
def test_unsound_rows_are_named(change: dict[str, Any], said: str) -> None:
    row = dict(zip(NAMES, ("a", "1", "u", "x", "Minor"), strict=True))
    with pytest.raises(FrameError, match=said):
        mqm_scores([row | change])
