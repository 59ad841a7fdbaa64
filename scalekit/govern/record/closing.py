"""Does the record close over the released weights? If not, where does it break?"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from scalekit.display import View, block, note, table
from scalekit.govern.record.reader import RunRecord
from scalekit.govern.record.recorder import CHAIN, HEADER, PAYLOAD, RELEASED, SEALED
from scalekit.journal import verify
from scalekit.signing import SignatureError, open_envelope

__all__ = ["Closed", "verify_run"]

# Between updates the same is computed of the same weights; released, perhaps on another machine.
DRIFT, ROUNDING = 1e-6, 1e-4
Fingerprint = Callable[[Path, bytes], np.ndarray[Any, Any]]


@dataclass(frozen=True)
class Closed(View):
    """Whether a record closes: one row for each thing that was checked."""

    table: pl.DataFrame

    @property
    def closed(self) -> bool:
        """Whether everything holds and the run is sealed."""
        return bool(self.table["holds"].all())

    def __bool__(self) -> bool:
        return self.closed

    @property
    def why(self) -> str:
        """What does not hold, first things first; empty when closed."""
        return "; ".join(self.table.filter(~pl.col("holds"))["what was found"])

    def to_html(self) -> str:
        """Show the checks."""
        said = "The record closes." if self.closed else f"It does not close: {self.why}."
        return block("Record", note(said), table(self.table))


def verify_run(
    folder: Path, keys: Iterable[bytes] | None = None, fingerprint: Fingerprint | None = None
) -> Closed:
    """Check a run's record from its chain to its released weights.

    Parameters
    ----------
    folder
        Of the run.
    keys
        Raw public keys, one of which must have signed; None: the signature is not checked.
    fingerprint
        From the released file and the revealed nonce to the fingerprint [L, k] of the weights;
        None: it is not compared.

    Raises
    ------
    RecordError
        When there is no record.
    """
    folder = Path(folder)
    record = RunRecord(folder)
    rows: list[tuple[str, bool, str]] = []
    chain = verify(folder / CHAIN)
    rows.append(("chain", bool(chain), "whole" if chain else f"{CHAIN}: {chain.reason}"))
    if chain:
        rows += [_begun(record), _segments(record)]
        if rows[-1][1]:
            rows += [_updates(record), _drift(record)]
        rows += _sealed(record, keys, fingerprint)
    columns = {"check": pl.String, "holds": pl.Boolean, "what was found": pl.String}
    return Closed(pl.DataFrame(rows, schema=columns, orient="row"))


def _begun(record: RunRecord) -> tuple[str, bool, str]:
    begun = [e.data for e in record.events if e.kind == "begun"]
    for name, said in (begun[0] if begun else {HEADER: ""}).items():
        if not (record.folder / name).is_file() or _sha256(record.folder / name) != said:
            return ("header", False, f"{name}: changed after the run began")
    return ("header", True, "as the run began")


def _segments(record: RunRecord) -> tuple[str, bool, str]:
    live = [*record.segments("ledger"), *record.segments("updates")]
    for said in live:
        path = record.folder / said["file"]
        if not path.is_file():
            return (
                "segments",
                False,
                f"{said['file']}: dropped (updates {said['first']} to {said['last']})",
            )
        if _sha256(path) != said["sha256"]:
            return (
                "segments",
                False,
                f"{said['file']}: edited (updates {said['first']} to {said['last']})",
            )
    return ("segments", True, f"{len(live)} as they were written")


def _updates(record: RunRecord) -> tuple[str, bool, str]:
    """Every update once, and as many examples in the ledger as it had."""
    said = record.rows("updates").select("update", "examples").collect()
    found = said["update"].to_list()
    if found != list(range(1, len(found) + 1)):
        wrong = next(i for i, n in enumerate(found, 1) if n != i)
        return ("updates", False, f"update {wrong} is missing or doubled")
    if record.header["ledger"]:
        counts = record.rows("ledger").group_by("update").len().collect()
        both = said.join(counts, on="update", how="left").sort("update")
        off = both.filter(pl.col("examples") != pl.col("len").fill_null(0))
        if len(off):
            return ("updates", False, f"ledger of update {off['update'][0]}: examples are missing")
        unknown = (
            record.rows("ledger").select("example").unique().collect()
            .join(record.examples, on="example", how="anti")
        )  # fmt: skip
        if len(unknown):
            return ("updates", False, f"example {unknown['example'][0]} is not in the manifest")
    return ("updates", True, f"1 to {len(found)}, each once")


def _drift(record: RunRecord) -> tuple[str, bool, str]:
    said = record.rows("updates").select("update", "drift", "residual").collect()
    moved = said.filter(pl.col("drift") > DRIFT)
    if len(moved):
        return ("weights", False, f"changed between updates before update {moved['update'][0]}")
    return ("weights", True, "changed by recorded updates only")


def _sealed(
    record: RunRecord, keys: Iterable[bytes] | None, fingerprint: Fingerprint | None
) -> list[tuple[str, bool, str]]:
    sealed = [e for e in record.events if e.kind == "sealed"]
    if not sealed:
        return [("seal", False, "open: not sealed yet")]
    event = sealed[-1]
    rows = []
    for name, said in event.data["files"].items():
        path = record.folder / name
        state = "missing" if not path.is_file() else "changed after the seal"
        whole = path.is_file() and _sha256(path) == said
        rows.append((name, whole, "as sealed" if whole else f"{name}: {state}"))
    nonce = bytes.fromhex(event.data["nonce"])
    kept = hashlib.sha256(nonce).hexdigest() == record.header["commitment"]
    rows.append(
        ("nonce", kept, "as committed" if kept else "the projection is not the one committed")
    )
    if keys is not None:
        rows.append(_signature(record, list(keys), event.hash))
    if fingerprint is not None and all(ok for _, ok, _ in rows):
        last = record.rows("updates").select(pl.col("fingerprint").last()).collect()
        recorded = np.array(last["fingerprint"][0].to_list()).reshape(len(record.depths), -1)
        found = fingerprint(record.folder / RELEASED, nonce)
        size = np.linalg.norm(recorded, axis=1).clip(1e-30)
        off = float((np.linalg.norm(found - recorded, axis=1) / size).max())
        same = off < ROUNDING
        said = (
            "the sum of the recorded updates" if same else f"not what the updates made ({off:.1e})"
        )
        rows.append(("fingerprint", same, said if same else f"{RELEASED}: {said}"))
    return rows


def _signature(record: RunRecord, keys: list[bytes], head: str) -> tuple[str, bool, str]:
    try:
        envelope = json.loads((record.folder / SEALED).read_text(encoding="utf-8"))
        statement = open_envelope(envelope, keys, PAYLOAD)
    except (OSError, ValueError, SignatureError) as error:
        return ("signature", False, f"{SEALED}: {error}")
    subjects = {s["name"]: s["digest"]["sha256"] for s in statement["subject"]}
    if subjects.get(CHAIN) != head:
        return ("signature", False, f"{SEALED}: signed another chain")
    return ("signature", True, "signed over this chain and these weights")


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
