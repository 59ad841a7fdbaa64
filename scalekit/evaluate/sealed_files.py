"""A seal's files: whose each is stands at its head, and what is wrong with one can be said."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["file_fault", "marked", "unmarked"]

MARK = b"scalekit seal\n"
ID, KIND = 12, 4


def marked(seal_id: str, kind: str, content: bytes) -> bytes:
    """Put before *content* whose it is and what, so that a file in the wrong place can be named."""
    return MARK + seal_id.encode() + kind.encode().ljust(KIND) + content


def unmarked(content: bytes) -> bytes:
    """Return what :func:`marked` was given."""
    return content[len(MARK) + ID + KIND :]


def file_fault(path: Path, seal_id: str, ending: str, noted: Mapping[str, Any]) -> str:
    """Say what is wrong with a file of a seal whose size and digest were noted, or nothing."""
    opening = f"{path}: the seal does not open: "
    if not path.is_file():
        return opening + "the file is missing; bring it back from a copy"
    content = path.read_bytes()
    if len(content) < noted["bytes"]:
        return opening + f"the file was cut: {len(content):,} of {noted['bytes']:,} bytes are left"
    whose, what = content[len(MARK) :][:ID], content[len(MARK) + ID :][:KIND]
    if content.startswith(MARK) and whose != seal_id.encode():
        return opening + f"the file is of another seal, {whose.decode(errors='replace')}"
    if content.startswith(MARK) and what.strip() != ending.encode():
        return opening + f"another file lies here: {what.decode(errors='replace').strip()}"
    if len(content) > noted["bytes"]:
        return opening + f"{len(content) - noted['bytes']:,} bytes were added to the file"
    if hashlib.sha256(content).hexdigest() != noted["sha256"]:
        return opening + "the file was changed"
    return ""
