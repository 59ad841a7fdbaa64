"""What shows that a batch was collected as said: the log of a crawl, of an export, a contract."""

from __future__ import annotations

import hashlib
from pathlib import Path

from scalekit.collect.provenance import Evidence, ProvenanceError

__all__ = ["MAX_KEPT", "evidence_of", "still_whole"]

MAX_KEPT = 10_000_000
"""Bytes up to which a copy is kept; of a larger file, its digest and size."""


def evidence_of(path: str | Path, batch_id: str) -> Evidence:
    """Return the record of the file at *path* as evidence of a batch.

    Raises
    ------
    ProvenanceError
        When there is no such file, or nothing in it.
    """
    path = Path(path)
    if not path.is_file():
        raise ProvenanceError(f"evidence: {path}: there is no such file; nothing was stored")
    size = path.stat().st_size
    if not size:
        raise ProvenanceError(f"evidence: {path}: the file is empty; nothing was stored")
    # The last ending keeps a log of JSON lines from being taken for a journal of the project.
    kept = f"collect/evidence/{batch_id}/{path.name}.copy" if size <= MAX_KEPT else ""
    return Evidence(file=path.name, size=size, sha256=_sha256(path), kept=kept)


def still_whole(evidence: Evidence, root: Path) -> bool:
    """Say whether the copy under *root* is the file that was recorded; without a copy, True."""
    if not evidence.kept:
        return True
    path = root / evidence.kept
    return path.is_file() and _sha256(path) == evidence.sha256


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
