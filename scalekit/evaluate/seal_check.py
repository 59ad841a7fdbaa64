"""Check every seal of a folder: header, files, ledger and kept answers, each fault by its name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from scalekit.display import View, badge, block, note, table
from scalekit.evaluate.seal import Seal
from scalekit.evaluate.sealed_keys import SealError

__all__ = ["SealCheck", "check_seals"]


@dataclass(frozen=True)
class SealCheck(View):
    """``seal, part, verdict, why``: intact, faulty, or not checked because the key is not here."""

    table: pl.DataFrame

    def __bool__(self) -> bool:
        return not self.table["verdict"].eq("faulty").any()

    def to_html(self) -> str:
        """Show the parts of every seal."""
        return block(
            "Seals", note(badge(bool(self))), table(self.table, empty="Nothing is sealed.")
        )


def check_seals(folder: Path) -> SealCheck:
    """Check the seals in *folder*; without their key as far as that goes, which is said."""
    rows = [
        {"seal": path.stem, "part": part, "verdict": verdict, "why": why}
        for path in sorted(folder.glob("*.json"))
        for part, verdict, why in _parts(folder, path.stem)
    ]
    schema = dict.fromkeys(("seal", "part", "verdict", "why"), pl.String)
    return SealCheck(pl.DataFrame(rows, schema=schema))


def _parts(folder: Path, seal_id: str) -> Iterator[tuple[str, str, str]]:
    try:
        seal = Seal.load(folder, seal_id)
    except SealError as error:
        yield "header", "faulty", str(error)
        return
    for ending, part in (("bin", "items"), ("tags", "tags")):
        yield _row(part, seal.open_fault(ending))
    try:
        yield _row("header", seal.keyed_fault())
    except SealError as error:
        yield "header", "not checked", str(error)
    try:
        answers = seal.ledger.answers()
    except SealError as error:
        yield "ledger", "faulty", str(error)
        return
    yield _row("ledger", "")
    for answer in answers:
        attempt = answer["attempt"]
        yield _row(f"attempt {attempt}", seal.attempt_fault(attempt))


def _row(part: str, fault: str) -> tuple[str, str, str]:
    return part, "faulty" if fault else "intact", fault
