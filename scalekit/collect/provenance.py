"""Where a batch comes from and by what right: nothing enters without it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from functools import cache
from typing import Any

from pydantic import BaseModel, ConfigDict

from scalekit.display import counted
from scalekit.frames import TIERS

__all__ = [
    "Batch",
    "Evidence",
    "ProvenanceError",
    "batch_record",
    "probable_licences",
    "rights_problem",
]

_LICENSE_REF = re.compile(r"LicenseRef-[A-Za-z0-9.-]+")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")

OWN_TERMS = "for a contract or internal use say LicenseRef-NAME"

NEEDED = {
    "batch_id": "a short name for the batch (a-z, 0-9, - and _)",
    "source": "where it comes from, in words a reader can follow",
    "tier": f"one of {', '.join(TIERS)}",
    "rights": "an SPDX expression (CC-BY-4.0) or LicenseRef-… for a contract or internal licence",
    "collected": "the date of collection, YYYY-MM-DD",
    "collector": "who collected it",
}
FOR_SYNTHETIC = {
    "gap": "the gap it was generated for (a category of the spec)",
    "generator": "what generated it (model and version, or the person's method)",
}


class ProvenanceError(ValueError):
    """A batch was refused; the message names the field, what stood there and what is needed."""


class Evidence(BaseModel):
    """One file, by its SHA-256 in hex; ``kept`` is the copy's path in the project, if there is one.

    Whoever has the file itself can show with ``sha256sum`` that it is the one recorded.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    file: str
    size: int
    sha256: str
    kept: str = ""


class Batch(BaseModel):
    """The record of one batch, kept for good.

    Of the rows read, ``rows`` came in and ``quarantined`` were set aside; of these,
    ``passed_over`` are no text by their nature (images and error pages of a crawl).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    batch_id: str
    source: str
    tier: str
    rights: str
    collected: str
    collector: str
    gap: str = ""
    generator: str = ""
    file: str = ""
    evidence: Evidence | None = None
    rows: int
    quarantined: int
    passed_over: int = 0
    digest: str

    def __str__(self) -> str:
        """Return what came in, from where and by what right."""
        aside = f"; {self.quarantined:,} set aside" if self.quarantined else ""
        said = f"{self.batch_id}: {counted(self.rows, 'row')} from {self.source}"
        return f"{said} ({self.tier}, {self.rights}){aside}"


@cache
def _licensing() -> Any:
    from license_expression import get_spdx_licensing

    return get_spdx_licensing()


def rights_problem(rights: str) -> str | None:
    """Return why *rights* is no licence expression, or None when it is one.

    SPDX expressions are checked against the SPDX list; ``LicenseRef-…`` names a contract or an
    internal licence (SPDX specification 2.3, annex D).
    """
    standard = _LICENSE_REF.sub("MIT", rights)
    try:
        parsed = _licensing().parse(standard, validate=True, strict=True)
    except Exception as error:  # the parser fails in many ways on text that is no expression
        why = f" ({error})" if str(error) else ""
        return f"{rights!r} is no SPDX licence{why}; {_remedy(rights)}"
    return None if parsed is not None else f"{rights!r} is no SPDX licence; {_remedy(rights)}"


def probable_licences(name: str) -> list[str]:
    """Return the SPDX identifiers that *name* probably means; what is meant, a person must say.

    ``CC BY-SA 4.0`` and ``Apache License 2.0`` mean one. A name that leaves the version open, or
    whether later versions count, may mean several.
    """
    told = _told(name)
    known = _told_apart()
    if told in known:
        return [known[told]]
    open_end = re.compile(re.escape(told) + r"(only|orlater|\d+)")
    return sorted(key for form, key in known.items() if told and open_end.fullmatch(form))


def _remedy(rights: str) -> str:
    if meant := probable_licences(rights):
        return f"if that is meant, say {' or '.join(map(repr, meant))}"
    if len([part for part in re.split(r"[;,]", rights) if part.strip()]) > 1:
        return "several licences are joined by AND (all hold) or OR (one may be chosen)"
    return OWN_TERMS


def _told(name: str) -> str:
    """Return what tells a licence's name from others: no "the", "licence", "version", no signs."""
    words = re.sub(r"\b(the|licen[cs]e|version)\b|\bv(?=[0-9])", "", name.lower())
    return re.sub(r"[^a-z0-9]", "", words)


@cache
def _told_apart() -> dict[str, str]:
    symbols = _licensing().known_symbols.values()
    keys = [s.key for s in symbols if not s.is_exception and not s.key.startswith("LicenseRef")]
    return {_told(key): key for key in keys}


def listed_licence(rights: str) -> str | None:
    """Return the SPDX identifier of *rights* as the list spells it, where it is a single one."""
    if _LICENSE_REF.search(rights) or rights_problem(rights):
        return None
    key: str | None = getattr(_licensing().parse(rights), "key", None)
    return key if key and " " not in key else None


def check_provenance(fields: Mapping[str, Any]) -> dict[str, str]:
    """Return the cleaned provenance fields.

    Raises
    ------
    ProvenanceError
        Naming every field that is missing or wrong.
    """
    said = {k: str(v).strip() for k, v in fields.items() if v is not None}
    needed = NEEDED | (FOR_SYNTHETIC if said.get("tier") == "synthetic" else {})
    wrong = [f"{name}: missing; give {what}" for name, what in needed.items() if not said.get(name)]
    if said.get("batch_id") and not _ID.fullmatch(said["batch_id"]):
        wrong.append(f"batch_id: {said['batch_id']!r} is not {NEEDED['batch_id']}")
    if said.get("tier") and said["tier"] not in TIERS:
        wrong.append(f"tier: {said['tier']!r} is not {NEEDED['tier']}")
    if said.get("rights") and (why := rights_problem(said["rights"])):
        wrong.append(f"rights: {why}")
    if said.get("collected") and (why := _date_problem(said["collected"])):
        wrong.append(f"collected: {why}")
    if wrong:
        name = said.get("batch_id") or "the batch"
        raise ProvenanceError("\n".join([f"{name} was refused, nothing was stored:", *wrong]))
    return said


def _date_problem(text: str) -> str | None:
    try:
        day = date.fromisoformat(text) if _DAY.fullmatch(text) else None
    except ValueError:
        day = None
    if day is None:
        return f"{text!r} is not a date written YYYY-MM-DD"
    if day > date.today():
        return f"{text} lies in the future"
    return None


def batch_record(
    fields: Mapping[str, Any],
    *,
    rows: int,
    quarantined: int,
    digest: str,
    passed_over: int = 0,
    evidence: Evidence | None = None,
) -> Batch:
    """Return the record of a batch whose provenance is complete.

    Raises
    ------
    ProvenanceError
        Naming every field that is missing or wrong.
    """
    said = check_provenance(fields)
    return Batch(
        **said,
        rows=rows,
        quarantined=quarantined,
        passed_over=passed_over,
        evidence=evidence,
        digest=digest,
    )
