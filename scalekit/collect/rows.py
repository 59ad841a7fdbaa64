"""One row as read, and the content of a file that is read as a whole."""

from __future__ import annotations

import gzip
import re
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["ReadingError", "Row", "content_of", "ending", "stem"]

PACKED = (".gz", ".zst")
NOT_A_TABLE = (
    (b"PK\x03\x04", "a zip archive or an Excel workbook; unpack it, or export it as CSV"),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook; export it as CSV"),
    (b"%PDF", "a PDF; its text must be taken out first"),
    (b"version https://git-lfs", "a Git LFS pointer; run `git lfs pull` to fetch the file itself"),
    (b"<!doctype html", "an HTML page, such as a failed download leaves; download it again"),
    (b"<html", "an HTML page, such as a failed download leaves; download it again"),
)
"""How files begin that bear the name of a table and are none."""


class ReadingError(ValueError):
    """A file can't be read at all; the message names file, row or column, and what to do."""


@dataclass(frozen=True)
class Row:
    """A row as read: its number from 1, its record or why there is none, and its content.

    ``passed_over``: the row was read well and is no text by its nature, an image say.
    """

    number: int
    record: dict[str, Any] | None
    problem: str = ""
    content: str = ""
    passed_over: bool = False


def ending(path: Path) -> str:
    """Return the ending that says the kind of file: ``.jsonl`` of ``x.jsonl.gz``."""
    endings = [e.lower() for e in path.suffixes]
    if endings and endings[-1] in PACKED:
        endings.pop()
    return endings[-1] if endings else ""


def stem(path: Path) -> str:
    """Return the name of a file without its endings, as the short name of a batch may be."""
    name = path.name.lower()
    for packed in PACKED:
        name = name.removesuffix(packed)
    return re.sub(r"[^a-z0-9_]+", "-", name.removesuffix(ending(path))).strip("-_")[:64]


def refuse_foreign(name: str, start: bytes) -> None:
    """Raise ReadingError where *start*, the first bytes of a file, tell of another kind."""
    begin = start.removeprefix(b"\xef\xbb\xbf").lstrip()[:32].lower()
    for sign, what in NOT_A_TABLE:
        if begin.startswith(sign.lower()):
            raise ReadingError(f"{name}: this is {what}. Nothing was stored")


def content_of(path: Path, encoding: str) -> str:
    """Return the text of a file, unpacked where it is gzip or Zstandard (told by its content).

    Raises
    ------
    ReadingError
        When it is another kind of file, is cut short, or is not in *encoding*.
    """
    try:
        raw = _unpacked(path)
    except (OSError, EOFError, zlib.error) as error:
        raise ReadingError(
            f"{path.name}: it can't be unpacked, so it is cut short or damaged ({error}). "
            "Fetch it again; nothing was stored"
        ) from error
    refuse_foreign(path.name, raw[:200])
    content = _decoded(path.name, raw, encoding)
    if content.count("\x00") * 4 > len(content):
        raise ReadingError(
            f"{path.name}: {content.count(chr(0)):,} of its {len(content):,} characters are null "
            "bytes: it is UTF-16 without a byte-order mark (pass encoding='utf-16-le'), or was "
            "never written whole. Nothing was stored"
        )
    return content


def _unpacked(path: Path) -> bytes:
    raw = path.read_bytes()
    if raw.startswith(b"\x1f\x8b"):
        return gzip.decompress(raw)
    if raw.startswith(b"\x28\xb5\x2f\xfd"):
        import pyarrow as pa

        with pa.input_stream(pa.BufferReader(raw), compression="zstd") as stream:
            return bytes(stream.read())
    return raw


def _decoded(name: str, raw: bytes, encoding: str) -> str:
    try:
        return raw.decode("utf-8-sig" if encoding.lower() in ("utf-8", "utf8") else encoding)
    except LookupError:
        raise ReadingError(f"{name}: {encoding!r} is not an encoding") from None
    except UnicodeDecodeError as error:
        from charset_normalizer import from_bytes

        guess = from_bytes(raw[:200_000]).best()
        hint = (
            f"; it looks like {guess.encoding}: pass encoding={guess.encoding!r}" if guess else ""
        )
        line = raw.count(b"\n", 0, error.start) + 1
        raise ReadingError(
            f"{name}, line {line}: byte {raw[error.start]:#04x} is not {encoding}{hint}. "
            "Nothing was stored"
        ) from error
