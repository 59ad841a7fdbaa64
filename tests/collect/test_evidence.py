from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

import scalekit as sk
from scalekit.collect import ProvenanceError

FIELDS: dict[str, Any] = {
    "source": "crawl of the help pages",
    "tier": "public-web",
    "rights": "CC-BY-4.0",
    "collected": "2026-10-02",
    "batch_id": "crawl",
}
TEXTS = pl.DataFrame({"text": ["How do I pay?", "Where is my parcel?"]})


@pytest.fixture
def project(tmp_path: Path, samples: Path) -> Any:
    made = sk.Project(tmp_path / "p")
    made.specify.save(samples / "spec.yaml")
    assert made.specify.gate().passed
    return made


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "crawl.jsonl"
    path.write_text('{"url": "https://example.org/help", "status": 200}\n')
    return path


def test_a_log_is_kept_with_its_digest_and_shown(project: Any, log: Path) -> None:
    batch = project.collect.add(TEXTS, evidence=log, **FIELDS)
    digest = hashlib.sha256(log.read_bytes()).hexdigest()
    assert (batch.evidence.sha256, batch.evidence.size) == (digest, log.stat().st_size)
    assert (project.folder / batch.evidence.kept).read_bytes() == log.read_bytes()
    html = project.collect.sources().to_html()
    assert "crawl.jsonl" in html
    assert digest[:12] in html
    # A log of JSON lines is no journal of the project.
    assert all("evidence" not in str(j) for j in project.folder.journals())


def test_of_a_large_log_the_digest_and_size_are_kept(project: Any, tmp_path: Path) -> None:
    large = tmp_path / "crawl.log"
    large.write_bytes(b"x" * 10_000_001)
    batch = project.collect.add(TEXTS, evidence=large, **FIELDS)
    assert batch.evidence.kept == ""
    assert batch.evidence.size == 10_000_001
    assert not list((project.folder / "collect").rglob("crawl.log*"))
    assert "too large to keep" in project.collect.sources().to_html()


@pytest.mark.parametrize("content", [None, b""])
def test_evidence_that_is_missing_or_empty_is_refused_and_nothing_is_stored(
    project: Any, tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "crawl.log"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ProvenanceError, match=r"evidence: .*crawl\.log"):
        project.collect.add(TEXTS, evidence=path, **FIELDS)
    assert project.collect.batches() == []


@pytest.mark.parametrize("change", ["edit", "delete"])
def test_a_copy_that_was_changed_later_is_told(project: Any, log: Path, change: str) -> None:
    kept = project.folder / project.collect.add(TEXTS, evidence=log, **FIELDS).evidence.kept
    assert "changed" not in project.collect.sources().to_html()
    kept.write_text("{}") if change == "edit" else kept.unlink()
    assert "the copy is missing or was changed" in project.collect.sources().to_html()


def test_the_same_batch_with_other_evidence_is_refused(project: Any, log: Path) -> None:
    first = project.collect.add(TEXTS, evidence=log, **FIELDS)
    assert project.collect.add(TEXTS, evidence=log, **FIELDS) == first
    assert project.collect.add(TEXTS, **FIELDS) == first
    log.write_text("another crawl\n")
    with pytest.raises(ProvenanceError, match="evidence"):
        project.collect.add(TEXTS, evidence=log, **FIELDS)


def crawl(path: Path, pages: int) -> Path:
    """A crawl of *pages* pages and as many pictures."""
    with path.open("wb") as stream:
        writer = WARCWriter(stream, gzip=True)
        for i in range(pages):
            text = f"<p>Page number {i} says something of its own, {i * 7919}."
            for kind, body in (("text/html", text.encode()), ("image/png", b"\x89PNG")):
                said = StatusAndHeaders("200 OK", [("Content-Type", kind)], protocol="HTTP/1.1")
                record = writer.create_warc_record(
                    f"https://example.org/{i}.{kind[-3:]}", "response", http_headers=said,
                    payload=io.BytesIO(body),
                    warc_headers_dict={"WARC-Date": "2026-10-02T08:30:00Z"},
                )  # fmt: skip
                writer.write_record(record)
    return path


def test_where_each_page_of_a_crawl_is_from_survives_the_audit(
    project: Any, tmp_path: Path, log: Path
) -> None:
    batch = project.collect.add(crawl(tmp_path / "x.warc.gz", 6), evidence=log, **FIELDS)
    assert (batch.rows, batch.quarantined, batch.passed_over) == (6, 6, 6)
    expected = [(f"crawl-{2 * i + 1:05d}", "crawl", FIELDS["source"], "public-web",
                 f"https://example.org/{i}.tml", "2026-10-02T08:30:00+00:00")
                for i in range(6)]  # fmt: skip
    columns = ("item_id", "batch_id", "source", "tier", "url", "fetched")
    assert project.collect.gate().passed, "pictures do not make a crawl a badly read file"
    assert project.collect.items().select(columns).rows() == expected
    assert project.audit.run().items.select(columns).rows() == expected
    assert sk.Project(project.folder.root).audit.items().select(columns).rows() == expected
