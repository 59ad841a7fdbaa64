from __future__ import annotations

import polars as pl
import pytest

from scalekit.collect import Batch, Sources, gate

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
    shown = Sources(
        tuple(batch(f"b{i}", t) for i, t in enumerate(tiers)), {"b1": "stale"}, pl.DataFrame()
    )
    assert shown.table["tier"].to_list() == tiers[::-1]
    assert shown.table.filter(pl.col("batch") == "b1")["retired because"].item() == "stale"


def test_no_batch_yet_says_what_to_do() -> None:
    assert "project.collect.add" in Sources((), {}, pl.DataFrame()).to_html()


def test_the_view_escapes_sources_reasons_and_rows_set_aside() -> None:
    aside = pl.DataFrame({"file": [EVIL], "row": [1], "reason": [EVIL], "content": [EVIL]})
    html = Sources((batch("a", source=EVIL),), {"a": EVIL}, aside).to_html()
    assert "<script" not in html
    assert "<img" not in html
    assert html.count("&lt;script&gt;") == 5
