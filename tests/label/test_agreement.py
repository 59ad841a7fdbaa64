"""Agreement of a labels table: the coefficients, and where agreement is lost."""

from __future__ import annotations

import krippendorff
import numpy as np
import polars as pl
import pytest
from sklearn.metrics import cohen_kappa_score

from scalekit.frames import FrameError
from scalekit.label import agreement, careless

# item: ana, ben, chloe. Ben takes returns for billing on items 2 and 3; item 5 has one label.
GRID = {
    "1": ("billing", "billing", "billing"),
    "2": ("billing", "returns", "billing"),
    "3": ("billing", "returns", "billing"),
    "4": ("returns", "returns", "returns"),
    "5": ("returns", None, None),
    "6": ("delivery", "delivery", None),
}
VALUES = ["billing", "delivery", "returns"]


def labels(grid: dict[str, tuple[str | None, ...]] = GRID) -> pl.DataFrame:
    people = ("ana", "ben", "chloe")
    return pl.DataFrame(
        [
            {"item_id": item, "annotator": who, "value": value, "seconds": 10.0}
            for item, row in grid.items()
            for who, value in zip(people, row, strict=True)
            if value is not None
        ]
    )


def test_alpha_is_that_of_the_krippendorff_package() -> None:
    data = [[GRID[i][a] or np.nan for i in GRID] for a in range(3)]
    coded = [[VALUES.index(v) if isinstance(v, str) else np.nan for v in row] for row in data]
    found = agreement(labels(), values=VALUES)
    expected = krippendorff.alpha(coded, level_of_measurement="nominal")
    assert found.alpha.value == pytest.approx(expected)
    assert found.items == 5  # item 5 has one label
    assert found.labels == 15


def test_each_value_is_measured_against_all_others() -> None:
    found = agreement(labels())
    alphas = dict(found.by_value.select("value", "alpha").iter_rows())
    for value in VALUES:
        yes = [
            [float(GRID[i][a] == value) if GRID[i][a] else np.nan for i in GRID] for a in (0, 1, 2)
        ]
        expected = krippendorff.alpha(yes, level_of_measurement="nominal")
        assert alphas[value] == pytest.approx(expected), value
    assert alphas["delivery"] == pytest.approx(1.0)


def test_each_annotator_is_measured_with_the_others_and_left_out() -> None:
    found = agreement(labels()).by_annotator
    rows = {r["annotator"]: r for r in found.to_dicts()}
    ana_ben = cohen_kappa_score(*zip(*[GRID[i][:2] for i in "12346"], strict=True))
    ben_chloe = cohen_kappa_score(*zip(*[GRID[i][1:] for i in "1234"], strict=True))
    # Weighted by shared items: 5 with ana, 4 with chloe.
    expected = (5 * ana_ben + 4 * ben_chloe) / 9
    assert rows["ben"]["mean kappa with others"] == pytest.approx(expected)
    assert rows["ben"]["alpha without them"] == pytest.approx(1.0)
    assert found["annotator"][0] == "ben"  # the one who differs stands first


def test_confusions_are_counted_once_for_each_pair_of_labels() -> None:
    found = agreement(labels()).confusions.to_dicts()
    # Items 2 and 3: ana-ben and ben-chloe differ, so 2 items and 4 pairs.
    assert found == [{"value": "billing", "and": "returns", "items": 2, "pairs of labels": 4}]


def test_order_of_rows_does_not_matter() -> None:
    one, other = agreement(labels()), agreement(labels().sample(fraction=1, shuffle=True, seed=1))
    assert one.alpha.value == pytest.approx(other.alpha.value)
    assert one.interval == pytest.approx(other.interval)
    assert one.cohen.equals(other.cohen)


def test_numbers_are_ordered_as_numbers() -> None:
    table = pl.DataFrame(
        {
            "item_id": ["a", "a", "b", "b", "c", "c"],
            "annotator": ["x", "y"] * 3,
            "value": ["10", "9", "2", "2", "1", "2"],
        }
    )
    found = agreement(table, level="ordinal")
    expected = krippendorff.alpha([[10, 2, 1], [9, 2, 2]], level_of_measurement="ordinal")
    assert found.alpha.value == pytest.approx(expected)


def test_no_labels_at_all_are_undefined_not_an_error() -> None:
    found = agreement(labels().clear(), values=VALUES)
    assert found.alpha.value is None
    assert found.interval is None
    assert found.items == found.labels == 0
    assert found.to_html()


def test_one_annotator_alone_is_undefined() -> None:
    found = agreement(labels().filter(pl.col("annotator") == "ana"))
    assert found.alpha.value is None
    assert "two labels" in found.alpha.undefined


def test_unknown_value_is_named() -> None:
    with pytest.raises(FrameError, match="returns"):
        agreement(labels(), values=["billing", "delivery"])


def test_missing_column_is_named() -> None:
    with pytest.raises(FrameError, match="annotator"):
        agreement(labels().drop("annotator"))


def test_views_show_without_a_kernel() -> None:
    found = agreement(labels())
    assert "billing" in found.to_html()
    assert found.plot().data[0].type == "heatmap"


def test_careless_needs_both_haste_and_disagreement() -> None:
    table = pl.DataFrame(
        {
            "annotator": ["steady", "slow reader", "quick expert", "careless"],
            "mean kappa with others": [0.8, 0.3, 0.8, 0.4],
            "median seconds": [10.0, 12.0, 3.0, 5.0],
        }
    )
    # The median of the medians is 7.5, half of it 3.75: 5 s is not haste.
    assert careless(table)["annotator"].to_list() == []
    table = table.with_columns(pl.Series("median seconds", [10.0, 12.0, 5.0, 3.75]))
    assert careless(table)["annotator"].to_list() == ["careless"]  # kappa 0.4 itself counts


def test_careless_accuses_nobody_when_times_are_not_known() -> None:
    unknown = labels().drop("seconds")
    assert careless(agreement(unknown).by_annotator).is_empty()


def test_the_confusions_are_drawn_once_for_each_two_values() -> None:
    rows = [("1", "a", "x"), ("1", "b", "y"), ("2", "a", "y"), ("2", "b", "x"), ("3", "a", "z")]
    labels = pl.DataFrame(rows, schema=["item_id", "annotator", "value"], orient="row")
    heat = agreement(labels).plot_confusions().data[0]
    assert list(heat.x) == list(heat.y) == ["x", "y", "z"]
    drawn = {(heat.y[i], heat.x[j]): v for i, r in enumerate(heat.z) for j, v in enumerate(r) if v}
    assert drawn == {("y", "x"): 2}
