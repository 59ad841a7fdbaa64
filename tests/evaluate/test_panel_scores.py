"""Rubric scores by a panel: means by hand, paired differences, agreement, refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy.stats import ttest_1samp

from scalekit.coefficients import krippendorff_alpha
from scalekit.evaluate.panel import OVERALL, panel_scores
from scalekit.figures import figure_png
from scalekit.frames import FrameError

SCALE = {"clear": (1, 5), "kind": (0, 1)}


def votes_and_key(n: int = 40, seed: int = 0) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Three panelists on two models, of which "b" is one point clearer."""
    rng = np.random.default_rng(seed)
    rows, key = [], []
    for prompt in range(n):
        ease = rng.integers(1, 4)
        for model in "ab":
            item = f"{model}{prompt}"
            key.append((item, f"q{prompt}", model))
            for who in "uvw":
                clear = ease + (model == "b") + (rng.random() < 0.3)
                rows.append((item, who, "clear", str(min(5, clear))))
                rows.append((item, who, "kind", str(int(rng.random() < 0.5))))
    votes = pl.DataFrame(rows, ["item_id", "annotator", "part", "value"], orient="row")
    return votes, pl.DataFrame(key, ["item_id", "prompt_id", "model"], orient="row")


def test_means_by_hand() -> None:
    said = {("x1", "u"): (5, 1), ("x1", "v"): (3, 1), ("x2", "u"): (2, 0), ("y1", "u"): (1, 0)}
    votes = [
        {"item_id": item, "annotator": who, "part": part, "value": str(points)}
        for (item, who), given in said.items()
        for part, points in zip(SCALE, given, strict=True)
    ]
    key = [("x1", "1", "x"), ("x2", "2", "x"), ("y1", "1", "y")]
    found = panel_scores(
        votes, pl.DataFrame(key, ["item_id", "prompt_id", "model"], orient="row"), SCALE
    )
    rows = {(r["model"], r["criterion"]): r for r in found.table.to_dicts()}
    assert rows["x", "clear"]["mean"] == pytest.approx((4 + 2) / 2)
    assert rows["x", "kind"]["mean"] == pytest.approx(0.5)
    # (3/4 + 1) / 2 of the points on the first prompt, (1/4 + 0) / 2 on the second.
    assert rows["x", OVERALL]["mean"] == pytest.approx((0.875 + 0.125) / 2)
    assert (rows["x", "clear"]["items"], rows["x", "clear"]["votes"]) == (2, 3)
    assert rows["y", "clear"]["from"] is None
    apart = found.differences.filter(pl.col("criterion") == "clear").row(0, named=True)
    assert (apart["model"], apart["difference"], apart["items"]) == ("x", 3.0, 1)
    assert not apart["resolved"]
    assert found.votes.filter(pl.col("item_id") == "x1").rows() == [
        ("x1", "clear", "3", 1), ("x1", "clear", "5", 1), ("x1", "kind", "1", 2),
    ]  # fmt: skip


def test_differences_are_paired_by_prompt() -> None:
    votes, key = votes_and_key()
    found = panel_scores(votes, key, SCALE, draws=50)
    row = found.differences.filter(pl.col("criterion") == "clear").row(0, named=True)
    assert (row["model"], row["other"], row["resolved"]) == ("b", "a", True)
    by = (
        votes.filter(pl.col("part") == "clear").join(key, on="item_id")
        .group_by("prompt_id", "model").agg(pl.col("value").cast(pl.Int64).mean())
        .pivot("model", index="prompt_id", values="value")
    )  # fmt: skip
    theirs = ttest_1samp((by["b"] - by["a"]).to_numpy(), 0).confidence_interval(0.95)
    assert (row["from"], row["to"]) == pytest.approx((theirs.low, theirs.high))
    own = found.table.filter((pl.col("criterion") == "clear") & (pl.col("model") == "b")).row(
        0, named=True
    )
    # What makes a prompt easy moves both models: the paired interval is the narrower one.
    assert row["to"] - row["from"] < own["to"] - own["from"]


def test_the_panels_own_agreement_is_the_ceiling() -> None:
    votes, key = votes_and_key()
    found = panel_scores(votes, key, SCALE, draws=100)
    rows = {r["criterion"]: r for r in found.agreement.to_dicts()}
    counts = np.zeros((80, 5))
    items = {item: at for at, item in enumerate(key["item_id"])}
    for item, value in (
        votes.filter(pl.col("part") == "clear").select("item_id", "value").iter_rows()
    ):
        counts[items[item], int(value) - 1] += 1
    assert rows["clear"]["alpha"] == pytest.approx(krippendorff_alpha(counts, "ordinal").value)
    assert rows["clear"]["from"] < rows["clear"]["alpha"] < rows["clear"]["to"]
    assert abs(rows["kind"]["alpha"]) < 0.2  # tossed coins
    told = found.to_html()
    assert "80 outputs judged" in told
    assert "the ceiling" in told
    assert figure_png(found.plot()).startswith(b"\x89PNG")


def test_an_output_of_two_models_counts_for_both() -> None:
    votes = [{"item_id": "x", "annotator": w, "part": "clear", "value": "4"} for w in "uv"]
    key = [{"item_id": "x", "prompt_id": "1", "model": m} for m in ("a", "b")]
    found = panel_scores(votes, key, SCALE)
    assert found.table.filter(pl.col("criterion") == "clear")["mean"].to_list() == [4.0, 4.0]
    assert found.agreement["undefined because"][0] != ""
    assert "undefined because" in found.to_html()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"value": "6"}, "votes on 'clear': value '6' is not one of 1, 2, 3, 4, 5"),
        ({"part": "short"}, "'short' is no criterion; there are clear, kind"),
        ({"item_id": "z"}, "none is on an item of the key"),
    ],
)
def test_unsound_votes_are_named(change: dict[str, Any], said: str) -> None:
    row = {"item_id": "x", "annotator": "u", "part": "clear", "value": "4"}
    key = [{"item_id": "x", "prompt_id": "1", "model": "a"}]
    with pytest.raises(FrameError, match=said):
        panel_scores([row | change], key, SCALE)
