"""Parquet segments written by a thread: bounded memory, each in the chain once it is on disk."""

from __future__ import annotations

import hashlib
import io
import queue
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from scalekit.frames import write_atomically
from scalekit.journal import Event, Journal

__all__ = ["SegmentWriter", "live_segments"]

Columns = dict[str, np.ndarray[Any, Any]]
WAITING = 2  # segments between the caller and the disk; then the caller waits


class SegmentWriter:
    """Collects rows of named tables and writes a segment of each when it is full.

    Parameters
    ----------
    folder
        Of the run.
    chain
        Journal that gets one event for each segment.
    rows
        Rows in a segment.
    """

    def __init__(self, folder: Path, chain: Journal, *, written: int, rows: int = 8192) -> None:
        self._folder, self._chain, self._rows = folder, chain, rows
        self._held: dict[str, list[Columns]] = {}
        self._queue: queue.Queue[tuple[str, int, list[Columns]] | None] = queue.Queue(WAITING)
        self._written = written
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def add(self, table: str, columns: Columns) -> None:
        """Add rows; waits when the disk is behind. What went wrong in the thread is raised here."""
        self._raise()
        held = self._held.setdefault(table, [])
        held.append(columns)
        if sum(len(part["update"]) for part in held) >= self._rows:
            self._send(table)

    def flush(self) -> None:
        """Return when every row added so far is on disk and in the chain."""
        for table in [name for name, held in self._held.items() if held]:
            self._send(table)
        self._queue.join()
        self._raise()

    def close(self) -> None:
        """Flush and end the thread."""
        try:
            self.flush()
        finally:
            self._queue.put(None)
            self._thread.join()

    def _send(self, table: str) -> None:
        self._written += 1
        self._queue.put((table, self._written, self._held.pop(table)))

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        while (item := self._queue.get()) is not None:
            try:
                if self._error is None:  # after an error nothing may follow: no holes
                    self._write(*item)
            except Exception as error:
                self._error = error
            finally:
                self._queue.task_done()
        self._queue.task_done()

    def _write(self, table: str, number: int, parts: list[Columns]) -> None:
        columns = {n: np.concatenate([p[n] for p in parts]) for n in parts[0]}
        raw = parquet(columns)
        name = f"{table}/{number:06d}.parquet"
        write_atomically(self._folder / name, raw)
        event = {
            "file": name,
            "rows": len(columns["update"]),
            "first": int(columns["update"][0]),
            "last": int(columns["update"][-1]),
            "sha256": hashlib.sha256(raw).hexdigest(),
        }
        self._chain.append("segment", event)


def parquet(columns: Mapping[str, np.ndarray[Any, Any]]) -> bytes:
    """Return columns as Parquet; two-dimensional arrays become lists of fixed size."""
    import pyarrow as pa
    from pyarrow import parquet as pq

    arrays = {}
    for name, value in columns.items():
        flat = pa.array(value.reshape(-1))
        arrays[name] = (
            pa.FixedSizeListArray.from_arrays(flat, value.shape[1]) if value.ndim == 2 else flat
        )
    stream = io.BytesIO()
    plain = [n for n, v in columns.items() if v.ndim == 1 and v.dtype.kind in "iu"]
    # Norms hardly compress: dictionaries for the whole numbers, no codec.
    options = {"compression": "none", "use_dictionary": plain, "write_statistics": plain}
    pq.write_table(pa.table(arrays), stream, **options)
    return stream.getvalue()


def live_segments(events: list[Event]) -> list[dict[str, Any]]:
    """Return the segments that stand: those after a checkpoint that was gone back to do not."""
    live: list[dict[str, Any]] = []
    for event in events:
        if event.kind == "segment":
            live.append(event.data)
        elif event.kind == "resumed":
            live = [s for s in live if s["last"] <= event.data["update"]]
    return live
