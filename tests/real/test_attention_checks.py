"""Attention checks among 10,970 ratings of translations (WMT, google/wmt-mqm-human-evaluation)."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from scalekit.label import attention

DATA = Path(__file__).parents[2].parent / "shared" / "data" / "wmt_sxs_ende"
pytestmark = pytest.mark.skipif(
    not DATA.is_dir(), reason=f"needs the side-by-side ratings in {DATA}, see its NOTE.md"
)


@pytest.fixture(scope="module")
def found() -> pl.DataFrame:
    rows = pl.read_parquet(DATA / "annotations.parquet")
    tests = rows.filter(pl.col("severity") == "HOTW-test").select(
        pl.format("{} {}", "system", "global_seg_id").alias("item_id"),
        pl.col("rater").alias("annotator"),
        pl.col("category").alias("value"),
    )
    checks = tests.select("item_id").unique().with_columns(pl.lit("Found").alias("value"))
    return attention(tests, checks)


def test_every_check_is_counted_for_its_rater(found: pl.DataFrame) -> None:
    told = json.loads((DATA / "expected.json").read_text())["computed_here"]
    outcome = told["attention tests (HOTW-test) by outcome"]
    assert found["found"].sum() == outcome["Found"] == 220
    assert found["missed"].sum() == outcome["Missed"] == 25
    each = told["attention tests [found, shown] by rater"]
    counted = {r["annotator"]: [r["found"], r["found"] + r["missed"]] for r in found.to_dicts()}
    assert counted == each


def test_two_raters_miss_more_than_chance_explains(found: pl.DataFrame) -> None:
    assert set(found.filter("inattentive")["annotator"]) == {"rater4", "rater9"}
    assert found["annotator"][0] == "rater9"
