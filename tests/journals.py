"""Journals for tests: any records, five labels, and who signs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import settings
from hypothesis import strategies as st

from scalekit.journal import Journal
from scalekit.signing import Signer

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
scalar = st.none() | st.booleans() | st.integers(-(2**63), 2**63) | text
value = st.recursive(
    scalar, lambda v: st.lists(v, max_size=3) | st.dictionaries(text, v, max_size=3), max_leaves=6
)
data = st.dictionaries(text, value, max_size=4)
records = st.lists(st.tuples(text, data), min_size=1, max_size=6)
quick = settings(deadline=None, max_examples=60)


def written(folder: str, events: list[tuple[str, dict[str, Any]]]) -> Path:
    path = Path(folder) / "journal.jsonl"
    with Journal(path) as journal:
        for kind, content in events:
            journal.append(kind, content)
    return path


def sample(folder: Path) -> Path:
    return written(
        str(folder), [("label", {"item": f"i-{n}", "value": "billing"}) for n in range(5)]
    )


def new_signer(name: str = "lead") -> Signer:
    return Signer(name, Ed25519PrivateKey.generate())
