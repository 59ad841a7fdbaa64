"""Verify a run's folder with nothing but what lies in it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from scalekit.govern.fingerprint import fingerprint_of_file
from scalekit.govern.record import Closed, RunRecord, verify_run

__all__ = ["verify_folder"]


def verify_folder(folder: str | Path, keys: Iterable[bytes] | None = None) -> Closed:
    """Check a run's record, and that its released weights are what its updates made.

    Raises
    ------
    RecordError
        When there is no record in *folder*.
    """
    record = RunRecord(Path(folder))
    return verify_run(
        record.folder, keys, lambda path, nonce: fingerprint_of_file(path, nonce, record.header)
    )
