"""What changed between two versions of a spec."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import polars as pl

from scalekit.specify.spec import Spec

__all__ = ["diff"]

KEYS = {"categories": "name", "rubric": "name", "examples": "text", "metrics": "name"}


def diff(old: Spec, new: Spec) -> pl.DataFrame:
    """Return one row for each changed field: ``field, before, after`` (empty when equal).

    Parts of lists are matched by their name (examples by their text), so that moving one is no
    change.
    """
    rows = [
        {"field": field, "before": before, "after": after}
        for field, before, after in _changes(
            old.model_dump(mode="json"), new.model_dump(mode="json"), ""
        )
    ]
    return pl.DataFrame(rows, schema=dict.fromkeys(("field", "before", "after"), pl.String))


def _changes(old: Any, new: Any, where: str) -> Iterator[tuple[str, str, str]]:
    if old == new:
        return
    if isinstance(old, dict) and isinstance(new, dict):
        for key in [*old, *(k for k in new if k not in old)]:
            inner = f"{where}.{key}" if where else key
            yield from _changes(old.get(key), new.get(key), inner)
    elif where in KEYS and _named(old, KEYS[where]) and _named(new, KEYS[where]):
        name = KEYS[where]
        before = {part[name]: part for part in old}
        after = {part[name]: part for part in new}
        for key in [*before, *(k for k in after if k not in before)]:
            inner = f"{where}[{key if len(key) < 40 else key[:39] + '…'}]"
            yield from _changes(before.get(key), after.get(key), inner)
    else:
        yield where, _said(old), _said(new)


def _named(parts: Any, name: str) -> bool:
    """Whether these are parts that their names tell apart."""
    return isinstance(parts, list) and len({p[name] for p in parts}) == len(parts)


def _said(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, dict):
        told = {k.replace("_", " "): _said(v) for k, v in value.items() if v not in ("", None)}
        return "\n".join(f"{k}: {v}" for k, v in told.items())
    if isinstance(value, list):
        return " | ".join(map(_said, value))
    return str(value)
