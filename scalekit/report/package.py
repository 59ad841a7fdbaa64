"""The evidence package: one zip that a reader can check with nothing but the public key.

An RO-Crate 1.1 (w3id.org/ro/crate/1.1): the project's journals, records and scores, the evidence
table drawn from them, a description with digests, and a signed test result over every file. Texts
of items are not in it, nor anything sealed; answers to gold items and handwritten examples are, so
it is for auditors, not for publication.
"""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl

from scalekit.display import View, block, counted, note
from scalekit.frames import write_atomically
from scalekit.journal import signed_head
from scalekit.report.evidence import EvidenceTable, evidence_table
from scalekit.report.page import Section, page
from scalekit.report.records import Records
from scalekit.report.signed_result import result_statement, sign
from scalekit.signing import Signer

__all__ = ["CRATE", "HEADS", "RESULT", "Package", "write_package"]

CRATE, HEADS = "ro-crate-metadata.json", "evidence/heads.json"
RESULT = "evidence/test-result.dsse.json"
TABLE = "evidence/evidence"
IN = (
    "project.toml", "spec.yaml", "policy.toml", "statements.toml", "instructions.md",
    "gates.jsonl", "decisions.jsonl", "specify/*.jsonl", "collect/*.jsonl", "audit/*.jsonl",
    "audit/balance.parquet", "audit/batches.parquet", "audit/changes.parquet",
    "audit/marks.parquet", "label/log.jsonl", "label/events/*/*.jsonl", "label/gold.parquet",
    "label/manifest.dsse.json", "evaluate/*.jsonl", "evaluate/measured/*.parquet",
    "evaluate/sealed/*.json", "evaluate/sealed/*.jsonl", "train/*.jsonl",
    "evidence/data_card.md", "evidence/croissant.json", "evidence/cost.json",
)  # fmt: skip
"""What of a project's folder goes in, where it is there."""
TYPES = {".json": "application/ld+json", ".jsonl": "application/jsonl", ".toml": "application/toml",
         ".yaml": "application/yaml", ".md": "text/markdown", ".html": "text/html",
         ".parquet": "application/vnd.apache.parquet"}  # fmt: skip
CONTEXT = ["https://w3id.org/ro/crate/1.1/context", {"sha256": "https://schema.org/sha256"}]
EARLIEST = (1980, 1, 1, 0, 0, 0)  # zip keeps no earlier time; the signed one is in the result


@dataclass(frozen=True)
class Package(View):
    """A package that was written: where, how much, and the evidence in it."""

    path: Path
    files: tuple[str, ...]
    result: str
    evidence: EvidenceTable

    @property
    def table(self) -> pl.DataFrame:
        """The files in it."""
        return pl.DataFrame({"file": self.files})

    def to_html(self) -> str:
        """Say where it is, how to check it, and what is evidenced."""
        said = f"{self.path.name}: {counted(len(self.files), 'file')}, test result {self.result}."
        how = note(
            f"`scalekit verify {self.path.name} --key …` checks it with the public key alone."
        )
        return block("Evidence package", said, how, self.evidence.to_html())


def write_package(
    root: Path | str,
    path: Path | str,
    *,
    signer: Signer,
    responsible: str,
    licence: str,
) -> Package:
    """Write the evidence package of the project in the folder *root* to the zip *path*.

    Parameters
    ----------
    signer
        Signs the test result and the heads of the journals.
    responsible
        Who answers for the test result, by name.
    licence
        Under which the package may be used: an SPDX expression or LicenseRef.

    Raises
    ------
    ValueError
        When nobody is responsible, or no licence is given. Nothing is written.
    JournalError
        When a journal was changed from outside.
    """
    root, path = Path(root), Path(path)
    if not licence.strip():
        raise ValueError("say under which licence the package may be used")
    with TemporaryDirectory() as folder:
        stage = Path(folder)
        for name in sorted({n for pattern in IN for n in Records(root).files(pattern)}):
            (stage / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(root / name, stage / name)
        _heads(stage, signer)
        (stage / RESULT).write_text("")  # its place: the table links to it
        evidence = _tables(stage, root.name)
        described = [n for n in _files(stage) if n != RESULT]
        crate = _crate(stage, described, root.name, responsible, licence)
        _write_json(stage / CRATE, crate)
        signed = [n for n in _files(stage) if n != RESULT]
        statement = result_statement(stage, signed, responsible=responsible)
        _write_json(stage / RESULT, sign(statement, signer))
        files = _files(stage)
        write_atomically(path, _zip(stage, files))
    return Package(path, tuple(files), statement["predicate"]["result"], evidence)


def _files(stage: Path) -> list[str]:
    return sorted(p.relative_to(stage).as_posix() for p in stage.rglob("*") if p.is_file())


def _write_json(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _heads(stage: Path, signer: Signer) -> None:
    journals = [n for n in _files(stage) if n.endswith(".jsonl")]
    heads = [{"journal": n, "head": signed_head(stage / n, signer)} for n in journals]
    _write_json(stage / HEADS, {"heads": heads, "public_key": signer.public.hex()})


def _tables(stage: Path, name: str) -> EvidenceTable:
    """Write the evidence table three times: to be read, linked and parsed."""
    found = evidence_table(stage)
    for ending, text in table_forms(found, name).items():
        (stage / f"{TABLE}.{ending}").write_text(text, encoding="utf-8")
    return found


def table_forms(found: EvidenceTable, name: str) -> dict[str, str]:
    """Return the evidence table as Markdown, HTML and JSON, by the files' endings.

    They lie one folder down, so that links lead up first.
    """
    up = found.linked_from(Path(TABLE).parent, Path())
    closing = "Drawn from the records in this package."
    section = Section("Evidence", [up.to_html()])
    return {
        "md": up.to_markdown(),
        "html": page(f"Evidence: {name}", "", [section], closing),
        "json": json.dumps(found.table.to_dicts(), indent=1, ensure_ascii=False) + "\n",
    }


def _crate(
    stage: Path, files: Iterable[str], name: str, responsible: str, licence: str
) -> dict[str, Any]:
    """Return the RO-Crate description of the staged files."""
    listed = sorted({*files, RESULT})
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    runs = [
        {
            "@id": f"#run-{e.data['folder']}", "@type": "CreateAction",
            "name": f"training run {e.data['folder']}", "endTime": e.at,
            "instrument": {"@id": "#scalekit"}, "object": {"@id": "label/manifest.dsse.json"},
        }
        for e in Records(stage).events("train/log.jsonl", "run")
    ]  # fmt: skip
    packing = {
        "@id": "#packing", "@type": "CreateAction", "name": "packing of the evidence",
        "endTime": now, "agent": {"@id": "#responsible"}, "instrument": {"@id": "#scalekit"},
        "result": {"@id": "./"},
    }  # fmt: skip
    root = {
        "@id": "./", "@type": "Dataset", "name": f"Evidence package of {name}",
        "description": "Journals, records and scores of a data project, with the evidence towards "
        "rules drawn from them and a signed test result over every file.",
        "datePublished": now[:10], "license": {"@id": "#licence"},
        "hasPart": [{"@id": n} for n in listed],
        "mentions": [{"@id": a["@id"]} for a in (packing, *runs)],
    }  # fmt: skip
    about = {"@id": CRATE, "@type": "CreativeWork", "about": {"@id": "./"},
             "conformsTo": {"@id": "https://w3id.org/ro/crate/1.1"}}  # fmt: skip
    return {
        "@context": CONTEXT,
        "@graph": [
            about, root,
            {"@id": "#licence", "@type": "CreativeWork", "name": licence},
            {"@id": "#responsible", "@type": "Person", "name": responsible},
            {"@id": "#scalekit", "@type": "SoftwareApplication", "name": "scalekit"},
            packing, *runs, *(_file(stage, n) for n in listed),
        ],
    }  # fmt: skip


def _file(stage: Path, name: str) -> Mapping[str, Any]:
    made: dict[str, Any] = {"@id": name, "@type": "File", "name": Path(name).name}
    if kind := TYPES.get(Path(name).suffix):
        made["encodingFormat"] = kind
    if name != RESULT:  # it signs this description, so its digest can't stand in it
        body = (stage / name).read_bytes()
        made |= {"contentSize": str(len(body)), "sha256": hashlib.sha256(body).hexdigest()}
    return made


def _zip(stage: Path, files: Iterable[str]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in files:
            entry = zipfile.ZipInfo(name, EARLIEST)
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, (stage / name).read_bytes())
    return buffer.getvalue()
