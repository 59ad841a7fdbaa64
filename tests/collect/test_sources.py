from __future__ import annotations

import polars as pl
import pytest

from scalekit.collect import Batch, SourceTable, gate

EVIL = "<script>alert(1)</script><img src=x onerror=alert(1)>"


def batch(
    name: str, tier: str = "first-party", rows: int = 10, aside: int = 0, **more: str
) -> Batch:
    said = {"source": "s", "rights": "MIT", "collected": "2026-10-02", "collector": "ana", **more}
    return Batch(batch_id=name, tier=tier, rows=rows, quarantined=aside, digest="d", **said)  # type: ignore[arg-type]


def failed(*batches: Batch, share: float = 0.05) -> list[str]:
    return [c.name for c in gate(batches, max_quarantined_share=share).failed]


def test_the_gate_needs_a_batch_of_real_text() -> None:
    assert "batches with source, date and rights" in failed()
    assert failed(batch("a")) == []
    assert failed(batch("a", "synthetic")) == [
        "a source better than synthetic", "synthetic rows are the minority",
    ]  # fmt: skip


@pytest.mark.parametrize(("made", "opens"), [(10, True), (11, False)])
def test_synthetic_rows_are_at_most_half(made: int, opens: bool) -> None:
    got = failed(batch("a", rows=10), batch("b", "synthetic", rows=made))
    assert got == ([] if opens else ["synthetic rows are the minority"])


@pytest.mark.parametrize(("aside", "opens"), [(5, True), (6, False)])
def test_the_share_of_rows_set_aside_counts_all_rows_read(aside: int, opens: bool) -> None:
    # 5 of 95 + 5 read rows are exactly 5 %; 6 of 101 are 5.9 %.
    assert (failed(batch("a", rows=95, aside=aside)) == []) == opens


def test_what_a_crawl_passes_over_does_not_close_the_gate() -> None:
    crawl = batch("a", rows=95, aside=300)
    assert failed(crawl.model_copy(update={"passed_over": 295})) == []
    assert failed(crawl.model_copy(update={"passed_over": 294})) != []


def test_the_best_source_stands_first() -> None:
    tiers = ["synthetic", "public-web", "licensed", "first-party"]
    shown = SourceTable(
        tuple(batch(f"b{i}", t) for i, t in enumerate(tiers)), {"b1": "stale"}, pl.DataFrame()
    )
    assert shown.table["tier"].to_list() == tiers[::-1]
    assert shown.table.filter(pl.col("batch") == "b1")["retired because"].item() == "stale"


def test_no_batch_yet_says_what_to_do() -> None:
    assert "project.collect.add" in SourceTable((), {}, pl.DataFrame()).to_html()


def test_the_view_escapes_sources_reasons_and_rows_set_aside() -> None:
    said = {"file": [EVIL], "row": [1], "reason": [EVIL], "content": [EVIL]}
    aside = pl.DataFrame({"batch": ["a"], **said})
    html = SourceTable((batch("a", source=EVIL),), {"a": EVIL}, aside).to_html()
    assert "<script" not in html
    assert "<img" not in html
    assert html.count("&lt;script&gt;") == 5


def test_rows_set_aside_are_counted_by_batch_and_kind_of_reason() -> None:
    rows = [
        ("a", "x.csv", 3, "3 columns where the header has 2", ""),
        ("a", "x.csv", 7, "4 columns where the header has 2", ""),
        ("a", "x.csv", 9, "item_id '7' stands in row 1 already", ""),
        ("b", "y.csv", 1, "5 columns where the header has 2", ""),
    ]
    aside = pl.DataFrame(rows, ["batch", "file", "row", "reason", "content"], orient="row")
    shown = SourceTable((batch("a"), batch("b")), {}, aside).reasons
    assert shown.select("batch", "rows", "first row").rows() == [
        ("a", 2, 3),
        ("a", 1, 9),
        ("b", 1, 1),
    ]
    assert shown["first reason"][0] == "3 columns where the header has 2"


def test_each_tier_says_why_it_has_its_rank_and_its_share_of_the_rows_in_use() -> None:
    batches = (batch("a", rows=30), batch("b", "public-web", rows=60), batch("c", rows=10),
               batch("d", "licensed", rows=900))  # fmt: skip
    shown = SourceTable(batches, {"d": "contract ended"}, pl.DataFrame()).tiers
    assert shown.select("rank", "tier", "batches", "rows", "share").rows() == [
        (1, "first-party", 2, 40, "40%"), (3, "public-web", 1, 60, "60%"),
    ]  # fmt: skip
    assert "anyone may have written it" in shown["why"][1]
