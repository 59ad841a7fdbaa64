"""The reader's side: an evidence package checked with nothing but the zip and the public key."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl

from scalekit.display import View, badge, block, counted, note, table
from scalekit.journal import verify
from scalekit.report.evidence import evidence_table
from scalekit.report.package import CRATE, HEADS, RESULT, TABLE, table_forms
from scalekit.report.replay import replay
from scalekit.report.signed_result import checks, open_test_result
from scalekit.signing import SignatureError

__all__ = ["PackageVerification", "verify_package"]

LARGEST = 4 << 30  # bytes unpacked: more is no evidence package
FAULTS = (OSError, ValueError, KeyError, TypeError, RuntimeError, pl.exceptions.PolarsError)
"""What a file that was made up or damaged makes a check raise: then the check does not hold."""
Row = tuple[str, bool, str]


@dataclass(frozen=True)
class PackageVerification(View):
    """What was checked: ``check, holds, what was found``. True when everything holds."""

    table: pl.DataFrame

    def __bool__(self) -> bool:
        return len(self.table) > 0 and all(self.table["holds"])

    def to_html(self) -> str:
        """Show each check."""
        lead = note("The signature shows who holds the key, not who that is.")
        return block("Evidence package", badge(bool(self)), table(self.table, limit=40), lead)


def verify_package(path: Path | str, public_keys: Iterable[bytes | str]) -> PackageVerification:
    """Check an evidence package.

    The signature over the test result; every file's digest, none missing, none added; the
    description; the chain of each journal and its signed head; every score replayed from the
    predictions; the tests and the evidence table drawn again from the records.

    Parameters
    ----------
    path
        The zip.
    public_keys
        Ed25519 keys of those who may sign: 32 bytes, or 64 hex digits.

    Raises
    ------
    ValueError
        When it is no zip, holds names that lead out of it, or a key is none.
    """
    keys = [_key(k) for k in public_keys]
    with TemporaryDirectory() as folder:
        stage = Path(folder) / "package"
        names = _unpack(Path(path), stage)
        return PackageVerification(
            pl.DataFrame(
                _checked(stage, names, keys),
                schema={"check": pl.String, "holds": pl.Boolean, "what was found": pl.String},
                orient="row",
            )
        )


def _key(key: bytes | str) -> bytes:
    try:
        raw = bytes.fromhex(key) if isinstance(key, str) else key
    except ValueError:
        raw = b""
    if len(raw) != 32:
        raise ValueError(f"{key!r} is no public key: 32 bytes, or 64 hex digits, are needed")
    return raw


def _unpack(path: Path, stage: Path) -> list[str]:
    try:
        with zipfile.ZipFile(path) as archive:
            entries = [e for e in archive.infolist() if not e.is_dir()]
            names = [e.filename for e in entries]
            parts = [PurePosixPath(n) for n in names]
            if any(p.is_absolute() or ".." in p.parts or "\\" in str(p) for p in parts):
                raise ValueError(f"{path}: a name in it leads out of the package")
            if len(set(names)) != len(names):
                raise ValueError(f"{path}: a name stands in it twice")
            if sum(e.file_size for e in entries) > LARGEST:
                raise ValueError(f"{path}: unpacks to more than 4 GiB")
            archive.extractall(stage)
    except (OSError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path}: not readable as a zip ({error})") from error
    return names


def _checked(stage: Path, names: Sequence[str], keys: list[bytes]) -> list[Row]:
    try:
        envelope = json.loads((stage / RESULT).read_text(encoding="utf-8"))
        statement = open_test_result(envelope, keys)
    except (OSError, ValueError) as error:
        # Without a signature that holds, nothing in the package says anything.
        return [("signature", False, f"{RESULT}: {error}")]
    predicate = statement["predicate"]
    about = predicate["scalekit"]
    said = f"{predicate['result']}, by {about['responsible']} on {about['dated']}"
    rows = [("signature", True, said), _digests(stage, names, statement)]
    for name, check in CHECKS.items():
        try:
            holds, found = check(stage, keys, predicate)
        except FAULTS as error:
            holds, found = False, f"{type(error).__name__}: {error}"
        rows.append((name, holds, found))
    return rows


def _digests(stage: Path, names: Sequence[str], statement: dict[str, Any]) -> Row:
    signed = {s["name"]: s["digest"]["sha256"] for s in statement["subject"]}
    there = set(names) - {RESULT}
    wrong = [f"{n} is missing" for n in sorted(set(signed) - there)]
    wrong += [f"{n} was added" for n in sorted(there - set(signed))]
    for name in sorted(there & set(signed)):
        with (stage / name).open("rb") as stream:
            if hashlib.file_digest(stream, "sha256").hexdigest() != signed[name]:
                wrong.append(f"{name} was changed")
    return "files", not wrong, "; ".join(wrong[:5]) or f"{counted(len(signed), 'file')} as signed"


def _description(stage: Path, _: list[bytes], __: dict[str, Any]) -> tuple[bool, str]:
    crate = json.loads((stage / CRATE).read_text(encoding="utf-8"))
    entities = {e["@id"]: e for e in crate["@graph"]}
    parts = [p["@id"] for p in entities["./"]["hasPart"]]
    other = [
        n
        for n in parts
        if n != RESULT
        and hashlib.sha256((stage / n).read_bytes()).hexdigest() != entities[n]["sha256"]
    ]
    return not other, "; ".join(other) or f"RO-Crate of {counted(len(parts), 'file')}"


def _journals(stage: Path, keys: list[bytes], _: dict[str, Any]) -> tuple[bool, str]:
    heads = json.loads((stage / HEADS).read_text(encoding="utf-8"))["heads"]
    kept = {h["journal"]: h["head"] for h in heads}
    there = {p.relative_to(stage).as_posix() for p in stage.rglob("*.jsonl")}
    wrong = [f"{n}: no signed head" for n in sorted(there - set(kept))]
    for name in sorted(kept):
        try:
            found = verify(stage / name, kept[name], tuple(keys))
        except SignatureError as error:
            wrong.append(f"{name}: {error}")
            continue
        if not found:
            wrong.append(f"{name}: {found.verdict}, line {found.line}: {found.reason}")
    return not wrong, "; ".join(wrong[:3]) or f"{counted(len(kept), 'journal')} intact to its head"


def _scores(stage: Path, _: list[bytes], __: dict[str, Any]) -> tuple[bool, str]:
    found = replay(stage)
    if found.table.is_empty():
        return True, "nothing was measured"
    if len(found.differing):
        first = found.differing.row(0, named=True)
        return False, f"{first['file']}, {first['score of']}: {first['stored']}, not so on replay"
    counts = dict(found.table["verdict"].value_counts().iter_rows())
    rest = counts.get("not replayed", 0)
    said = f"{counted(counts.get('the same', 0), 'score')} the same, bit for bit"
    return bool(found), said + (f"; {rest} can't be replayed" if rest else "")


def _tests(stage: Path, _: list[bytes], predicate: dict[str, Any]) -> tuple[bool, str]:
    passed, failed = checks(stage)
    same = (passed, failed) == (predicate["passedTests"], predicate["failedTests"])
    said = f"{len(passed)} passed, {len(failed)} failed"
    return same, said if same else f"{said} when drawn again: not what was signed"


def _evidence(stage: Path, _: list[bytes], __: dict[str, Any]) -> tuple[bool, str]:
    found = evidence_table(stage)
    told = (stage / f"{TABLE}.json").read_text(encoding="utf-8")
    if table_forms(found, "")["json"] != told:
        return False, "the table drawn again is another"
    closed = [link for link in found.table["links"].explode().drop_nulls()
              if not (stage / link).is_file()]  # fmt: skip
    lacking = len(found.not_evidenced)
    rows = int((found.table["status"] == "evidenced").sum())
    return not closed, "; ".join(closed) or f"{rows} rows evidenced, {lacking} not, as told"


CHECKS: Mapping[str, Callable[[Path, list[bytes], dict[str, Any]], tuple[bool, str]]] = {
    "description": _description,
    "journals": _journals,
    "scores": _scores,
    "tests": _tests,
    "evidence": _evidence,
}
