"""Append-only journals: JSON lines, one writer, on disk before acknowledged, hash-chained.

A journal is one file. Each line is the canonical JSON of an event: its number ``seq``, the hash of
the line before (``prev``), the time ``at`` (UTC), a ``kind``, the ``data``, and ``hash``, the
SHA-256 of the event without that field. A chain alone shows edits and deletions; truncation and a
complete rewrite show only against a *head* (number and hash of the last event, signed) that is
kept somewhere else.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, NoReturn

from scalekit.signing import SignatureError, Signer, canonical, open_envelope

try:
    import fcntl
except ImportError:  # Windows: files made with ``exclusive=True`` still have one writer
    fcntl = None  # type: ignore[assignment]

__all__ = ["Event", "Journal", "JournalError", "Verification", "read", "signed_head", "verify"]

FORMAT = 1
HEAD_TYPE = "application/vnd.scalekit.journal-head+json"
ORIGIN = "0" * 64

Verdict = Literal["intact", "edited", "deleted", "truncated", "rewritten", "unreadable"]


class JournalError(RuntimeError):
    """A journal can't be read or written; the message names file, line and remedy."""


@dataclass(frozen=True)
class Event:
    """One line of a journal."""

    seq: int
    at: str
    kind: str
    data: dict[str, Any]
    prev: str
    hash: str


@dataclass(frozen=True)
class Verification:
    """What :func:`verify` found: a verdict, the events read, the first bad line, and why."""

    verdict: Verdict
    events: int
    line: int | None = None
    reason: str = ""
    torn_bytes: int = 0

    def __bool__(self) -> bool:
        return self.verdict == "intact"


def _seal_line(body: dict[str, Any]) -> tuple[bytes, str]:
    mark = hashlib.sha256(canonical(body, compose=False)).hexdigest()
    return canonical({**body, "hash": mark}, compose=False) + b"\n", mark


def _parse(line: bytes) -> Event:
    body = json.loads(line)
    fields = ("seq", "at", "kind", "data", "prev", "hash")
    if not isinstance(body, dict) or set(body) != {"v", *fields}:
        raise ValueError("not a journal event")
    if body["v"] != FORMAT:
        raise ValueError(f"written in journal format {body['v']!r}, this is {FORMAT}")
    return Event(*(body[f] for f in fields))


def _as_written(line: bytes, event: Event) -> bool:
    """Whether *line* is, byte for byte, what was hashed when it was written."""
    mark = b',"hash":"' + str(event.hash).encode("utf-8", "replace") + b'"'
    if line.count(mark) != 1:
        return False
    return hashlib.sha256(line.replace(mark, b"")).hexdigest() == event.hash


def _split(raw: bytes) -> tuple[list[bytes], bytes]:
    """Return complete lines and the torn tail (bytes after the last line feed)."""
    *lines, tail = raw.split(b"\n")
    return lines, tail


def _lines(raw: bytes) -> list[bytes]:
    """Return the lines, with a whole last one that only lost its line feed."""
    lines, tail = _split(raw)
    for whole in (tail, tail[:-1]):
        if whole.endswith(b"}"):
            with contextlib.suppress(ValueError):
                if _as_written(whole, _parse(whole)):
                    return [*lines, whole]
    return lines


def read(path: Path) -> list[Event]:
    """Return the events of a journal; a torn last line was never acknowledged and is left out.

    Raises
    ------
    JournalError
        When a complete line is not a journal event, or does not follow the one before: with file
        and line.
    """
    events: list[Event] = []
    for number, line in enumerate(_lines(path.read_bytes()), 1):
        try:
            event = _parse(line)
        except ValueError as error:
            _refuse(path, number, f"not a journal event ({error})")
        if fault := _fault(line, event, events[-1] if events else None):
            _refuse(path, number, fault[1])
        events.append(event)
    return events


def _fault(line: bytes, event: Event, before: Event | None) -> tuple[Verdict, str] | None:
    """Return what is wrong with an event after the one *before* it, or None."""
    number, previous = (before.seq + 1, before.hash) if before else (0, ORIGIN)
    if not _as_written(line, event):
        return "edited", "its content does not fit its hash"
    if event.seq != number:
        return "deleted", f"event {number} is missing, {event.seq} stands in its place"
    if event.prev != previous:
        return "edited", "the event before it was replaced: its hash is not the one linked here"
    return None


def _refuse(path: Path, number: int, fault: str) -> NoReturn:
    raise JournalError(
        f"{path}, line {number}: {fault}. The file was changed from outside; restore it from a copy"
    )


def signed_head(path: Path, signer: Signer) -> dict[str, Any]:
    """Return a DSSE envelope over the number and hash of the last event, to be kept elsewhere."""
    events = read(path)
    last = events[-1].hash if events else ORIGIN
    return signer.envelope({"journal": path.name, "events": len(events), "hash": last}, HEAD_TYPE)


def verify(
    path: Path,
    head: Mapping[str, Any] | None = None,
    public_keys: tuple[bytes, ...] = (),
) -> Verification:
    """Check a journal's chain, and its end against a signed *head* held elsewhere.

    Without a head, ``truncated`` and ``rewritten`` can't be seen. A torn last line is no fault: it
    was never acknowledged; its length is reported.

    Raises
    ------
    SignatureError
        When *head* is not signed by one of *public_keys*.
    """
    claim = open_envelope(head, public_keys, HEAD_TYPE) if head is not None else None
    if claim is not None and claim["journal"] != path.name:
        raise SignatureError(f"this head is of {claim['journal']}, not of {path.name}")
    if not path.exists():
        if claim and claim["events"]:
            return Verification("truncated", 0, 1, f"{path} is gone; {claim['events']} events are")
        return Verification("intact", 0)
    raw = path.read_bytes()
    whole, tail = _split(raw)
    lines = _lines(raw)
    torn = len(tail) - (len(lines[-1]) if len(lines) > len(whole) else 0)
    events: list[Event] = []
    for number, line in enumerate(lines, 1):
        try:
            event = _parse(line)
        except ValueError:
            return Verification("unreadable", number - 1, number, "not a journal event")
        if fault := _fault(line, event, events[-1] if events else None):
            return Verification(fault[0], number - 1, number, fault[1])
        events.append(event)
    if claim is not None:
        kept = claim["events"]
        if kept > len(events):
            gone = f"the signed head counts {kept} events, the file has {len(events)}"
            return Verification("truncated", len(events), len(events) + 1, gone, torn)
        if kept and events[kept - 1].hash != claim["hash"]:
            other = f"event {kept - 1} is not the one the signed head names"
            return Verification("rewritten", len(events), kept, other, torn)
    return Verification("intact", len(events), torn_bytes=torn)


class Journal:
    """The one writer of a journal file.

    ``append`` returns only when the line is on disk: one write, then ``fdatasync``. Opening a
    journal whose last line is torn cuts the torn bytes off and writes a ``recovered`` event that
    says how many there were. Use from any thread; close it, or use ``with``.

    Parameters
    ----------
    path
        The file; its folder is made when missing.
    exclusive
        The file must be new: nobody else will ever write it (one file a session).

    Raises
    ------
    JournalError
        When another writer holds the file, the folder can't be written, or a line is damaged.
    """

    def __init__(self, path: Path, *, exclusive: bool = False) -> None:
        self.path = path
        self._lock = threading.Lock()
        flags = os.O_RDWR | os.O_CREAT | (os.O_EXCL if exclusive else 0)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(path, flags, 0o644)
        except OSError as error:
            if exclusive and path.exists():
                raise JournalError(f"{path}: exists already; a session writes a new file") from None
            raise JournalError(
                f"{path}: can't be written ({error.strerror}); nothing was recorded"
            ) from error
        try:
            self._take()
            self._events, self._last = 0, ORIGIN
            self._recover()
        except BaseException:
            self.close()
            raise
        _sync_folder(path.parent)

    def _take(self) -> None:
        if fcntl is None:
            return
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise JournalError(
                f"{self.path}: another process or kernel is writing it; close that one first"
            ) from error

    def _recover(self) -> None:
        raw = self.path.read_bytes()
        events = read(self.path)
        if events:
            self._events, self._last = len(events), events[-1].hash
        lines, tail = _split(raw)
        if not tail:
            return
        os.ftruncate(self._file, len(raw) - len(tail))
        if len(events) > len(lines):
            self._write(_lines(raw)[-1] + b"\n")
        else:
            self.append("recovered", {"torn_bytes": len(tail)})

    def append(self, kind: str, data: Mapping[str, Any]) -> Event:
        """Write one event and return it once it is on disk; raises as :meth:`extend` does."""
        return self.extend([(kind, data)])[0]

    def extend(self, records: Iterable[tuple[str, Mapping[str, Any]]]) -> list[Event]:
        """Write several events with one write and one sync: all of them, or none.

        Raises
        ------
        TypeError
            When a record has no canonical form (floats: write whole units or text).
        JournalError
            When the disk refuses; the file is as it was before.
        """
        with self._lock:
            if self._file < 0:
                raise JournalError(f"{self.path}: this journal is closed")
            at = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
            lines, last = [], self._last
            for seq, (kind, data) in enumerate(records, self._events):
                body = {"v": FORMAT, "seq": seq, "at": at, "kind": kind, "data": dict(data)}
                line, last = _seal_line({**body, "prev": last})
                lines.append(line)
            self._write(b"".join(lines))
            self._events, self._last = self._events + len(lines), last
            return [_parse(line) for line in lines]

    def _write(self, block: bytes) -> None:
        end = os.lseek(self._file, 0, os.SEEK_END)
        try:
            if os.write(self._file, block) != len(block):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            _datasync(self._file)
        except OSError as error:
            os.ftruncate(self._file, end)
            raise JournalError(
                f"{self.path}: not written ({error.strerror}); nothing was recorded"
            ) from error

    def close(self) -> None:
        """Give the file back."""
        with self._lock:
            if self._file >= 0:
                os.close(self._file)
                self._file = -1

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _datasync(handle: int) -> None:
    # macOS has no fdatasync in the os module.
    getattr(os, "fdatasync", os.fsync)(handle)


def _sync_folder(folder: Path) -> None:
    """Make a new file's name durable too."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
