"""Verification: whether the ledger is whole, and which of its records do not count."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import polars as pl

from scalekit.decide.folding import fold
from scalekit.decide.ledger import Ledger
from scalekit.display import View, block, counted, note, table
from scalekit.journal import read, verify
from scalekit.signing import SignatureError

__all__ = ["LedgerVerification", "public_keys", "verify_ledger"]

Verdict = Literal[
    "intact", "edited", "deleted", "truncated", "rewritten", "unreadable", "key unknown"
]
SCHEMA = {"event": pl.Int64, "kind": pl.String, "why it does not count": pl.String}


@dataclass(frozen=True)
class LedgerVerification(View):
    """What was found: a verdict on the file, and the records in it that do not count.

    Without a head, held elsewhere, ``truncated`` and ``rewritten`` can't be seen.
    """

    verdict: Verdict
    events: int
    line: int | None
    reason: str
    against_head: bool
    table: pl.DataFrame

    def __bool__(self) -> bool:
        return self.verdict == "intact"

    def to_html(self) -> str:
        """Show the verdict and what does not count."""
        place = f" at line {self.line}" if self.line else ""
        said = f"{self.verdict}{place}{': ' + self.reason if self.reason else ''}"
        limit = ""
        if self and not self.against_head:
            limit = note(
                "Checked without a head: had it been cut off or rewritten, this would not show. "
                "Hold it against the head in a report that was kept elsewhere."
            )
        count = counted(self.events, "event")
        return block("Ledger of decisions", said, count, limit, table(self.table))


def public_keys(ledger: Ledger) -> tuple[bytes, ...]:
    """Return the keys of everybody who was ever named in a policy."""
    people = (p for enacted in ledger.policies for p in enacted.policy.people.values())
    return tuple(dict.fromkeys(person.public for person in people))


def verify_ledger(
    path: Path, head: Mapping[str, Any] | None = None, keys: tuple[bytes, ...] | None = None
) -> LedgerVerification:
    """Check ``decisions.jsonl``: its chain, its end against a signed *head*, and every signature.

    Parameters
    ----------
    path
        The journal.
    head
        A signed head, kept elsewhere.
    keys
        Raw public keys that may have signed the head; by default those of the policies in the
        journal, which vouch for a head only as far as the journal itself is trusted.
    """
    none = pl.DataFrame(schema=SCHEMA)
    whole = verify(path)
    if not whole:
        return LedgerVerification(
            whole.verdict, whole.events, whole.line, whole.reason, head is not None, none
        )
    ledger = fold(read(path)) if path.exists() else Ledger()
    rows = [(r.seq, r.kind, r.reason) for r in ledger.refusals]
    refused = pl.DataFrame(rows, schema=SCHEMA, orient="row")
    try:
        found = verify(path, head, public_keys(ledger) if keys is None else keys)
    except SignatureError as error:
        reason = f"the head is not signed by a key that is known here ({error})"
        return LedgerVerification("key unknown", whole.events, None, reason, True, refused)
    return LedgerVerification(
        found.verdict, found.events, found.line, found.reason, head is not None, refused
    )
