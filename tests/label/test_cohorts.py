"""Agreement within cohorts and over time, on planted perspectives and on a real crowd."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import krippendorff
import numpy as np
import polars as pl
import pytest

from scalekit.label import LabelError, agreement_by_cohort, agreement_over_time

REAL = Path(__file__).parents[2].parent / "shared" / "data" / "multipico_en"


def planted(seed: int, *, views: bool) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Labels of 12 annotators in two cohorts; with *views* the cohorts read items differently."""
    rng = np.random.default_rng(seed)
    rows = []
    for n in range(150):
        read = rng.integers(0, 2, 2) if views else np.repeat(rng.integers(0, 2), 2)
        for who in rng.choice(12, 5, replace=False):
            right = read[who % 2]
            value = right if rng.random() < 0.85 else 1 - right
            rows.append({"item_id": f"i{n}", "annotator": f"p{who}", "value": str(value)})
    people = pl.DataFrame(
        {"annotator": [f"p{n}" for n in range(12)], "town": ["north", "south"] * 6}
    )
    return pl.DataFrame(rows), people


def library(labels: pl.DataFrame) -> float:
    items, values = sorted(set(labels["item_id"])), sorted(set(labels["value"]))
    counts = np.zeros((len(items), len(values)), int)
    for item, value in labels.select("item_id", "value").rows():
        counts[items.index(item), values.index(value)] += 1
    return float(krippendorff.alpha(value_counts=counts, level_of_measurement="nominal"))


def test_planted_perspectives_are_told_from_plain_disagreement() -> None:
    labels, people = planted(1, views=True)
    found = agreement_by_cohort(labels, people, "town", draws=200)
    assert found.perspectives
    assert found.within is not None
    assert found.overall is not None
    assert found.within > found.overall + 0.2
    assert "Disagreement follows town" in found.to_html()
    for row in found.table.to_dicts():
        own = labels.join(people.filter(town=row["town"]), on="annotator")
        assert row["alpha"] == pytest.approx(library(own), abs=1e-9)
        assert row["from"] < row["alpha"] < row["to"]


def test_without_perspectives_the_test_seldom_finds_any() -> None:
    found = [agreement_by_cohort(*planted(n, views=False), "town", draws=100) for n in range(20)]
    assert sum(f.perspectives for f in found) <= 4  # 1 expected
    assert "does not follow town" in next(f for f in found if not f.perspectives).to_html()


def test_windows_show_an_agreement_that_decays() -> None:
    rng = np.random.default_rng(0)
    rows: list[dict[str, Any]] = []
    for n in range(200):
        truth = int(rng.integers(0, 3))
        for who in range(3):
            value = truth if rng.random() > n / 220 else int(rng.integers(0, 3))
            at = f"2026-10-{1 + n // 20:02d}T{n % 20:02d}:{who:02d}:00"
            rows.append({"item_id": f"i{n}", "annotator": f"p{who}", "value": str(value), "at": at})
    labels = pl.DataFrame(rows)
    found = agreement_over_time(labels, windows=4)
    assert found["labels"].to_list() == [150] * 4
    assert found["alpha"].to_list() == sorted(found["alpha"].to_list(), reverse=True)
    first = labels.sort("at").head(150)
    assert found["alpha"][0] == pytest.approx(library(first), abs=1e-9)
    assert found["first"][0] == first["at"][0]
    assert found.equals(agreement_over_time(labels.sample(fraction=1, shuffle=True), windows=4))


def test_what_can_not_be_grouped_is_refused_or_counted() -> None:
    labels, people = planted(2, views=False)
    found = agreement_by_cohort(labels, people.filter(pl.col("annotator") != "p0"), "town", draws=5)
    assert found.left_out == labels.filter(annotator="p0").height > 0
    both = pl.DataFrame({"annotator": ["p0", "p0"], "town": ["north", "south"]})
    with pytest.raises(LabelError, match="'p0' stands in two cohorts"):
        agreement_by_cohort(labels, both, "town")
    with pytest.raises(LabelError, match="whose town is known"):
        agreement_by_cohort(labels, people.with_columns(annotator=pl.lit("zoe")).head(1), "town")
    with pytest.raises(LabelError, match="can't fill 9 windows"):
        agreement_over_time(labels.head(3).with_columns(at=pl.lit("2026-10-01")), windows=9)
    one = agreement_by_cohort(labels, people.with_columns(town=pl.lit("one")), "town", draws=5)
    assert one.p is None
    assert "there is one cohort only" in one.to_html()


@pytest.mark.skipif(not REAL.is_dir(), reason=f"needs multipico_en in {REAL}, see its NOTE.md")
def test_every_label_of_a_real_crowd_is_in_a_cohort_or_counted_out() -> None:
    labels = pl.read_csv(REAL / "labels_long.csv").rename(
        {"annotator_id": "annotator", "label": "value"}
    )
    people = pl.read_csv(REAL / "annotators.csv").rename({"annotator_id": "annotator"})
    found = agreement_by_cohort(labels, people, "Country of residence", draws=200)
    assert found.overall == pytest.approx(0.197287, abs=1e-3)
    assert found.table["labels"].sum() + found.left_out == len(labels)
    assert found.p is not None
    assert 0 < found.p <= 1
