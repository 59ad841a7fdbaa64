"""Published agreement statistics, reproduced from their data."""

from __future__ import annotations

import csv
from pathlib import Path

import polars as pl
import pytest

from scalekit.label import agreement

DATA = Path(__file__).parents[2].parent / "shared" / "data" / "irr_classics"
pytestmark = pytest.mark.skipif(
    not DATA.is_dir(), reason=f"needs the published tables in {DATA}, see its NOTE.md"
)


def ratings(name: str) -> pl.DataFrame:
    names = {"annotator_id": "annotator", "label": "value"}
    return pl.read_csv(DATA / f"{name}.csv").rename(names)


def two_raters(name: str, labelled: bool) -> pl.DataFrame:
    """Expand a contingency table to the two ratings of each item."""
    with (DATA / f"{name}.csv").open(newline="") as stream:
        rows = list(csv.reader(stream))
    counts = [r[1:] for r in rows[1:]] if labelled else rows[1:]
    pairs = [
        (i, j) for i, row in enumerate(counts) for j, n in enumerate(row) for _ in range(int(n))
    ]
    return pl.DataFrame(
        [
            {"item_id": item, "annotator": who, "value": f"v{pair[k]}"}
            for item, pair in enumerate(pairs)
            for k, who in enumerate(("one", "two"))
        ]
    )


@pytest.mark.parametrize(
    ("level", "published"),
    [("nominal", 0.743421), ("ordinal", 0.815388), ("interval", 0.849107), ("ratio", 0.797403)],
)
def test_krippendorffs_own_example(level: str, published: float) -> None:
    # Krippendorff (2011), reliability matrix C: 4 raters, 12 units, missing ratings.
    found = agreement(ratings("gwet_krippendorff_4raters"), level=level, samples=50)  # type: ignore[arg-type]
    assert found.alpha.value == pytest.approx(published, abs=1e-6)


def test_gwets_and_fleiss_on_the_same_table() -> None:
    found = agreement(ratings("gwet_krippendorff_4raters"), samples=50)
    assert found.ac1.value == pytest.approx(0.77544, abs=5e-6)
    assert found.fleiss.value == pytest.approx(0.76117, abs=5e-6)


def test_fleiss_1971() -> None:
    found = agreement(ratings("fleiss1971_diagnoses"), samples=50)
    assert found.fleiss.value == pytest.approx(0.4302445, abs=1e-6)
    assert found.items == 30


def test_cohen_of_the_sas_manual() -> None:
    found = agreement(two_raters("sas_3x3_table", labelled=False), samples=50)
    assert found.cohen["two"][0] == pytest.approx(0.4842, abs=5e-5)


def test_gwets_abstractors() -> None:
    found = agreement(two_raters("gwet_3x3_abstractors_table", labelled=True), samples=50)
    assert found.labels == 200
    assert found.cohen["two"][0] == pytest.approx(0.7964094, abs=1e-7)
    assert found.ac1.value == pytest.approx(0.8493305, abs=1e-7)
    assert found.alpha.value == pytest.approx(0.7972585, abs=1e-7)


def test_anxiety_raters() -> None:
    found = agreement(ratings("irr_anxiety"), samples=50)
    assert found.fleiss.value == pytest.approx(-0.041076, abs=1e-6)
    two_three = found.cohen.filter(annotator="rater2")["rater3"][0]
    assert two_three == pytest.approx(-0.006289308, abs=1e-8)  # R irr::kappa2
