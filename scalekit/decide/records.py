"""The records: decisions, votes, tiers raised or lowered, reviews; each signed by who made it.

A record is plain data in one journal, ``decisions.jsonl``, beside the signature over it. Records
name a decision by its digest, so a signature holds for one content only.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from scalekit.decide.policy import Kind
from scalekit.signing import SignatureError, Signer, canonical, digest, open_envelope

__all__ = [
    "Closing",
    "Decision",
    "DecisionRefusedError",
    "Retiering",
    "Review",
    "Vote",
    "moment",
    "signed_record",
    "to_minute",
]

REASON = 20  # characters that a reason has at least
LOOKS = 2  # that one extension of a look budget grants
GRANTS = ("waive_gate", "extend_budget", "open_vault")
"""Kinds that allow something for a while: they have an expiry."""


class DecisionRefusedError(RuntimeError):
    """A decision, a signature or a grant is refused; the message says why."""


def moment(at: str) -> datetime:
    """Return a time of a record as a datetime (UTC when it names no zone)."""
    found = datetime.fromisoformat(at)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def to_minute(at: str) -> str:
    """Return a time of a record as it is shown: to the minute, in UTC; empty stays empty."""
    return moment(at).astimezone(UTC).strftime("%Y-%m-%d %H:%M") if at else ""


def new_id() -> str:
    """Return a name for a decision or review: 10 hex digits."""
    return secrets.token_hex(5)


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)

    @property
    def plain(self) -> dict[str, Any]:
        """The record as data: what is signed."""
        return self.model_dump(mode="json")

    @property
    def digest(self) -> str:
        """Content identity."""
        return digest(self.plain)


def _enough(reason: str) -> str:
    if len(reason) < REASON:
        raise ValueError(f"give a reason of at least {REASON} characters, got {len(reason)}")
    return reason


class Decision(_Record):
    """What is asked for, by whom, on what, and why.

    ``subject`` is what it is about, as data: a decision on one subject says nothing of another.
    ``items``, ``share`` (percent of all items), ``cost`` (whole units of money), ``domains``,
    ``severity`` and ``reversible`` say how far it reaches; the tier follows from them by rule.
    """

    id: str = Field(default_factory=new_id, min_length=1)
    kind: Kind
    actor: str = Field(min_length=1)
    at: str
    tier: int = Field(ge=1, le=3)
    stage: str = ""
    subject: Any
    options: tuple[str, ...] = Field(min_length=1)
    choice: str = Field(min_length=1)
    reason: str
    evidence: tuple[str, ...] = ()
    expires: str = ""
    reversible: bool = True
    severity: Literal["low", "high"] = "low"
    items: int = Field(default=0, ge=0)
    share: int = Field(default=0, ge=0, le=100)
    cost: int = Field(default=0, ge=0)
    domains: tuple[str, ...] = ()
    looks: int = Field(default=0, ge=0, le=LOOKS)
    supersedes: str = ""
    policy: str

    @field_validator("reason")
    @classmethod
    def _says_why(cls, reason: str) -> str:
        return _enough(reason)

    @field_validator("subject")
    @classmethod
    def _has_a_form(cls, subject: Any) -> Any:
        if not subject:
            raise ValueError("say what it is about")
        try:
            canonical(subject)
        except TypeError as error:
            raise ValueError(str(error)) from error
        return subject

    @model_validator(mode="after")
    def _holds_together(self) -> Decision:
        if self.choice not in self.options:
            raise ValueError(f"choice: {self.choice!r} is not one of the options considered")
        if self.kind in GRANTS and not self.expires:
            raise ValueError("expires: what is granted for a while needs an end")
        if (self.kind == "extend_budget") != bool(self.looks):
            raise ValueError(f"looks: an extension of the look budget grants up to {LOOKS}, "
                             "nothing else grants any")  # fmt: skip
        if self.kind == "waive_gate" and not _is_gate(self.subject):
            raise ValueError("subject: a waiver is about a gate and its failed checks")
        return self

    @property
    def topic(self) -> str:
        """What it is about without its figures: the same again and again is a repeat."""
        if self.kind == "waive_gate":
            return f"{self.kind} {self.subject['gate']}"
        if self.kind == "policy_change":
            return self.kind
        return f"{self.kind} {digest(self.subject)}"

    @property
    def about(self) -> str:
        """The subject in words."""
        if self.kind == "waive_gate":
            return f"gate of {self.subject['gate'].title()}"
        if self.kind == "policy_change":
            return f"policy, version {self.subject['version']}"
        if isinstance(self.subject, Mapping):
            return ", ".join(f"{k} {v}" for k, v in self.subject.items())
        return str(self.subject)


def _is_gate(subject: Any) -> bool:
    if not isinstance(subject, Mapping) or set(subject) != {"gate", "failed"}:
        return False
    keys = {"check", "measured", "needed", "waiver"}
    known = ("soft", "hard", "never")
    return bool(subject["failed"]) and all(
        set(check) == keys and check["waiver"] in known for check in subject["failed"]
    )


class Vote(_Record):
    """One person's signature for or against a decision."""

    decision: str
    content: str
    approver: str
    role: str
    verdict: Literal["approve", "reject"]
    reason: str = ""

    @model_validator(mode="after")
    def _says_why_not(self) -> Vote:
        if self.verdict == "reject":
            _enough(self.reason)
        return self


class Retiering(_Record):
    """A tier raised by anyone ("escalation"), or lowered by the tier above."""

    decision: str
    content: str
    by: str
    tier: int = Field(ge=1, le=3)
    reason: str

    @field_validator("reason")
    @classmethod
    def _says_why(cls, reason: str) -> str:
        return _enough(reason)


class Closing(_Record):
    """A decision taken back, or a grant ended early, by who asked for it or a signer above."""

    decision: str
    content: str
    by: str
    reason: str

    @field_validator("reason")
    @classmethod
    def _says_why(cls, reason: str) -> str:
        return _enough(reason)


class Review(_Record):
    """What a meeting looked at: a period of one tier, its decisions, and what became of each."""

    id: str = Field(default_factory=new_id)
    tier: int = Field(ge=1, le=3)
    begins: str
    ends: str
    decisions: tuple[str, ...]
    dispositions: dict[str, Literal["upheld", "revisit", "overturn"]]
    by: str
    remarks: str = ""

    @model_validator(mode="after")
    def _covers(self) -> Review:
        if strange := sorted(set(self.dispositions) ^ set(self.decisions)):
            raise ValueError(f"dispositions: every decision listed has one; see {strange[0]!r}")
        return self


TYPES: dict[str, type[_Record]] = {
    "decision": Decision,
    "vote": Vote,
    "escalation": Retiering,
    "lowering": Retiering,
    "closing": Closing,
    "review": Review,
}
"""The kinds of record, by the kind of their event."""


def record_of(kind: str, content: Mapping[str, Any]) -> Any:
    """Return the record that *content* holds.

    Raises
    ------
    DecisionRefusedError
        Naming the field that is wrong, and why.
    """
    try:
        return TYPES[kind].model_validate(dict(content))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(step) for step in first["loc"])
        said = first["msg"].removeprefix("Value error, ")
        raise DecisionRefusedError(f"{kind}: {place + ': ' if place else ''}{said}") from error


def payload_type(kind: str) -> str:
    """Return the DSSE payload type of a kind of record."""
    return f"application/vnd.scalekit.{kind}+json"


def signed_record(kind: str, content: Mapping[str, Any], signer: Signer) -> dict[str, Any]:
    """Return the data of a journal event: the record, and the signature over it (DSSE)."""
    envelope = signer.envelope(dict(content), payload_type(kind))
    return {"record": dict(content), "signature": envelope["signatures"][0]}


def is_signed(kind: str, data: Mapping[str, Any], public_key: bytes) -> bool:
    """Whether the record in an event's *data* was signed, as it stands, with this key."""
    envelope = {
        "payloadType": payload_type(kind),
        "payload": base64.b64encode(canonical(data["record"])).decode(),
        "signatures": [data["signature"]],
    }
    try:
        open_envelope(envelope, [public_key], payload_type(kind))
    except SignatureError:
        return False
    return True
