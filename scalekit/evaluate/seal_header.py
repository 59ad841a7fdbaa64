"""The public header of a seal: whether it is whole, what it allows, and its keyed digest."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from typing import Any

from scalekit.evaluate.looks import look_budget
from scalekit.evaluate.sealed_keys import sub_key
from scalekit.signing import canonical

__all__ = ["FORMAT", "budget", "complete", "header_mac"]

FORMAT = 3


def complete(header: Mapping[str, Any]) -> bool:
    """Say whether a header has what a seal needs."""
    fields = {"seal": str, "set": str, "items": int, "categories": dict, "looks": int}
    whole = all(isinstance(header.get(name), kind) for name, kind in fields.items())
    files = header.get("files")
    return whole and isinstance(files, dict) and {"bin", "tags"} <= set(files)


def budget(name: str, items: int) -> int:
    """Return how often a set may be looked at: a vault once."""
    return 1 if name == "vault" else look_budget(items)


def header_mac(look_up: bytes, header: Mapping[str, Any]) -> str:
    """Return the keyed digest of a header, without that field."""
    told = canonical({k: v for k, v in header.items() if k != "mac"})
    return hmac.new(sub_key(look_up, "header"), told, hashlib.sha256).hexdigest()
