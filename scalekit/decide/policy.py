"""The policy: who may decide what. Roles with keys, tiers, rules, and what gates can be waived."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import polars as pl
import tomli_w
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from scalekit.display import View, block, note, table
from scalekit.gates import STAGES
from scalekit.signing import digest, public_key_id

__all__ = [
    "KINDS",
    "ROLES",
    "GateRule",
    "Person",
    "Policy",
    "PolicyError",
    "Rule",
    "Tier",
    "default_policy",
    "read_policy",
]

ROLES = ("team", "tpm", "director")
"""Who decides: the team, the technical product manager, the director."""
KINDS = {
    "resolve": "Resolve", "relabel": "Label again", "waive_gate": "Waive",
    "extend_budget": "More looks", "open_vault": "Open the vault",
    "accept_residual": "Accept what is left", "policy_change": "Change the policy",
    "asset_promote": "Promote an asset", "change_threshold": "Change a threshold",
    "change_guideline": "Change a guideline", "change_taxonomy": "Change the taxonomy",
    "exclude_annotator": "Leave out an annotator",
}  # fmt: skip
"""What can be decided, and how a person reads it."""
Kind = Literal[
    "resolve", "relabel", "waive_gate", "extend_budget", "open_vault", "accept_residual",
    "policy_change", "asset_promote", "change_threshold", "change_guideline", "change_taxonomy",
    "exclude_annotator",
]  # fmt: skip
FORMAT = 1
LONGEST_WAIVER = 14  # days


class PolicyError(ValueError):
    """A policy can't be read as one; the message names the file, the line and the field."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)


class Person(_Part):
    """The holder of a key: 64 hex digits, raw Ed25519; ``revoked`` is a time, or empty.

    Nobody vouches for who holds it: whoever has the private key signs as this person.
    """

    key: str
    revoked: str = ""

    @field_validator("key")
    @classmethod
    def _is_key(cls, key: str) -> str:
        if not re.fullmatch("[0-9a-f]{64}", key):
            raise ValueError("a public key is 64 hex digits (raw Ed25519), in small letters")
        return key

    @field_validator("revoked")
    @classmethod
    def _is_time(cls, revoked: str) -> str:
        if revoked and datetime.fromisoformat(revoked).tzinfo is None:
            raise ValueError("a time with its zone is needed, such as 2026-11-20T00:00:00Z")
        return revoked

    @property
    def public(self) -> bytes:
        """The raw 32-byte public key."""
        return bytes.fromhex(self.key)


class Tier(_Part):
    """Which roles sign, how many people, within how many hours; reviewed every so many days."""

    who: tuple[Literal["team", "tpm", "director"], ...] = Field(min_length=1)
    quorum: int = Field(default=1, ge=1)
    sla_hours: int = Field(ge=1)
    review_days: int = Field(ge=1, le=14)


class Rule(_Part):
    """What goes to a tier: every condition that is given must hold.

    ``items_over``, ``cost_over`` (whole units of money), ``share_over`` (percent of all items) and
    ``domains_over`` say how far an act reaches.
    """

    name: str = Field(min_length=1)
    tier: int = Field(ge=1, le=3)
    kind: tuple[Kind, ...] = ()
    stage: tuple[Literal[STAGES], ...] = ()  # type: ignore[valid-type]
    gate: Literal["", "soft", "hard"] = ""
    severity: Literal["", "high"] = ""
    domain: tuple[str, ...] = ()
    reversible: bool | None = None
    items_over: int | None = Field(default=None, ge=0)
    share_over: int | None = Field(default=None, ge=0, le=100)
    cost_over: int | None = Field(default=None, ge=0)
    domains_over: int | None = Field(default=None, ge=0)


class GateRule(_Part):
    """How hard a check is to waive; ``check = "*"`` means every check of the stage.

    It can only be made harder than the check itself says it is.
    """

    stage: Literal[STAGES]  # type: ignore[valid-type]
    check: str = Field(min_length=1)
    waiver: Literal["hard", "never"]


class Policy(View, _Part):
    """Decision rights. Read and written as ``policy.toml``, in force once signed."""

    scalekit_policy: Literal[1] = 1
    version: int = Field(ge=1)
    waiver_days: int = Field(default=LONGEST_WAIVER, ge=1, le=LONGEST_WAIVER)
    people: dict[str, Person]
    roles: dict[Literal["team", "tpm", "director"], tuple[str, ...]]
    tiers: dict[Literal["1", "2", "3"], Tier]
    rules: tuple[Rule, ...]
    gates: tuple[GateRule, ...] = ()
    thresholds: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _holds_together(self) -> Policy:
        for what, known, needed in (("roles", self.roles, ROLES), ("tiers", self.tiers, "123")):
            if missing := [n for n in needed if n not in known]:
                raise ValueError(f"{what}: {missing[0]!r} is missing")
        for role, names in self.roles.items():
            if strange := [n for n in names if n not in self.people]:
                raise ValueError(f"roles.{role}: {strange[0]!r} is not among the people")
        keys = [p.key for p in self.people.values()]
        if len(set(keys)) < len(keys):
            raise ValueError("people: two have the same key, so one could sign twice")
        if not any(self.may_sign(name, 3) for name in self.people):
            raise ValueError("tiers.3: nobody with a valid key may sign; no policy could be signed")
        rules = [rule.name for rule in self.rules]
        if len(set(rules)) < len(rules):
            raise ValueError("rules: two have the same name")
        return self

    @property
    def plain(self) -> dict[str, Any]:
        """The policy as data: what is signed."""
        return self.model_dump(mode="json", exclude_none=True)

    @cached_property
    def digest(self) -> str:
        """Content identity; comments and order in the file do not matter."""
        return digest(self.plain)

    def name_of(self, public_key: bytes) -> str:
        """Return whose key this is; empty when nobody's."""
        held = public_key.hex()
        return next((name for name, p in self.people.items() if p.key == held), "")

    def may_sign(self, name: str, tier: int) -> str:
        """Return the role as which *name* may sign at *tier*; empty when they may not.

        Who may sign a tier may sign those below it.
        """
        person = self.people.get(name)
        if person is None or person.revoked:
            return ""
        able = (r for t in range(tier, 4) for r in self.at(t).who if name in self.roles[r])
        return next(able, "")

    def at(self, tier: int) -> Tier:
        """Return who signs at *tier* and how."""
        return self.tiers[str(tier)]  # type: ignore[index]

    def rank(self, name: str) -> int:
        """Return the highest tier that *name* may sign; 0 for none."""
        return max((t for t in (1, 2, 3) if self.may_sign(name, t)), default=0)

    @property
    def signers(self) -> list[str]:
        """Everybody whose key is valid."""
        return [name for name, person in self.people.items() if not person.revoked]

    @property
    def table(self) -> pl.DataFrame:
        """One row for each rule: its name and tier, and who signs there."""
        rows = [
            {"rule": r.name, "tier": r.tier, "who signs": self._who(r.tier)} for r in self.rules
        ]
        return pl.DataFrame(
            rows, schema={"rule": pl.String, "tier": pl.Int64, "who signs": pl.String}
        )

    def _who(self, tier: int) -> str:
        said = self.at(tier)
        if tier == 1:
            return "who decides it; it is logged"
        return f"{said.quorum} of {' or '.join(said.who)}, not who asks"

    def to_html(self) -> str:
        """Show people, tiers and rules."""
        people = [
            {
                "who": name,
                "roles": ", ".join(r for r in ROLES if name in self.roles[r]),  # type: ignore[index]
                "key": public_key_id(person.public),
                "revoked": person.revoked,
            }
            for name, person in self.people.items()
        ]
        tiers = [
            {
                "tier": t,
                "who signs": self._who(t),
                "within": f"{self.at(t).sla_hours} hours",
                "reviewed every": f"{self.at(t).review_days} days",
            }
            for t in (1, 2, 3)
        ]
        alone = ""
        if len(self.signers) == 1:
            alone = note(
                f"{self.signers[0]} is alone here. What needs tier 2 or 3 stays unapproved until a "
                "second person is named and signs; no gate can be waived before that."
            )
        gates = [g.model_dump() for g in self.gates]
        parts = (table(people), alone, table(tiers), table(self.table, limit=40), table(gates))
        return block(f"Policy, version {self.version}", *parts)

    def to_toml(self) -> str:
        """Return the text of ``policy.toml``."""
        plain = self.model_dump(mode="json", exclude_none=True)
        for rule in plain["rules"]:
            for empty in [k for k, v in rule.items() if v in ("", [])]:
                del rule[empty]
        return tomli_w.dumps(plain)


def read_policy(path: Path) -> Policy:
    """Read ``policy.toml``; whether it is signed is not looked at here.

    Raises
    ------
    PolicyError
        When it is not there, not TOML, or no policy: with the line and the field.
    """
    try:
        text = path.read_text(encoding="utf-8")
        fields = tomllib.loads(text)
    except FileNotFoundError:
        raise PolicyError(f"{path}: there is no policy") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise PolicyError(f"{path}: not readable as TOML ({error})") from error
    return policy_of(fields, str(path), text)


def policy_of(fields: Mapping[str, Any], where: str = "policy", text: str = "") -> Policy:
    """Return the policy that *fields* hold; raises as :func:`read_policy` does."""
    try:
        return Policy.model_validate(dict(fields))
    except ValidationError as error:
        first = error.errors()[0]
        said = first["msg"].removeprefix("Value error, ")
        place = [str(step) for step in first["loc"]]
        field = (
            ".".join(place) or said.partition(": ")[0]
        )  # what concerns several fields says where
        line = _line(text, field.split("."))
        at = f", line {line}" if line else ""
        raise PolicyError(f"{where}{at}: {field + ': ' if place else ''}{said}") from error


def _line(text: str, wanted: list[str]) -> int | None:
    """Return the line of TOML on which a field stands, or the table that lacks it."""
    counts: dict[str, int] = {}
    here: list[str] = []
    best: tuple[int, int] | None = None
    for number, line in enumerate(text.splitlines(), 1):
        if header := re.match(r"\s*(\[\[?)\s*([^\]]+?)\s*\]", line):
            here = [part.strip("\"' ") for part in header[2].split(".")]
            if header[1] == "[[":
                counts[header[2]] = counts.get(header[2], -1) + 1
                here.append(str(counts[header[2]]))
            found = here
        elif pair := re.match(r"\s*([\w\"'-]+)\s*=", line):
            found = [*here, pair[1].strip("\"'")]
        else:
            continue
        if wanted[: len(found)] == found and (best is None or len(found) > best[0]):
            best = (len(found), number)
    return best[1] if best else None


_RULES = (
    Rule(name="a soft gate is waived", tier=2, kind=("waive_gate",), gate="soft"),
    Rule(name="a hard gate is waived", tier=3, kind=("waive_gate",), gate="hard"),
    Rule(name="the look budget is extended", tier=2, kind=("extend_budget",)),
    Rule(name="an annotator is left out", tier=2, kind=("exclude_annotator",)),
    Rule(name="over 10% of the items are labelled again", tier=2, kind=("relabel",), share_over=10),
    Rule(name="it costs more than the cap", tier=2, cost_over=500),
    Rule(name="a guideline is changed", tier=2, kind=("change_guideline",)),
    Rule(name="a threshold is changed", tier=2, kind=("change_threshold",)),
    Rule(name="an asset is promoted", tier=2, kind=("asset_promote",)),
    Rule(name="it can't be taken back", tier=2, reversible=False),
    Rule(name="it reaches more than one domain", tier=2, domains_over=1),
    Rule(name="it is severe", tier=2, severity="high"),
    Rule(name="a gate is waived in the safety domain", tier=3, kind=("waive_gate",),
         domain=("safety",)),
    Rule(name="the vault is opened", tier=3, kind=("open_vault",)),
    Rule(name="shipped with a known regression", tier=3, kind=("accept_residual",)),
    Rule(name="the policy is changed", tier=3, kind=("policy_change",)),
    Rule(name="the root of the taxonomy is changed", tier=3, kind=("change_taxonomy",)),
)  # fmt: skip
_GATES = (
    GateRule(stage="specify", check="*", waiver="hard"),
    GateRule(stage="collect", check="batches with source, date and rights", waiver="hard"),
    GateRule(stage="evaluate", check="*", waiver="hard"),
)


def default_policy(
    keys: Mapping[str, bytes],
    *,
    team: tuple[str, ...] = (),
    tpm: tuple[str, ...] = (),
    director: tuple[str, ...] = (),
    thresholds: Mapping[str, str] | None = None,
) -> Policy:
    """Return the first version of a policy with the usual rules.

    Parameters
    ----------
    keys
        Raw public keys by name.
    team, tpm, director
        Who has each role; a role that nobody is given is everybody's. With one person, that person
        has all three, and what needs tier 2 or 3 waits for a second one.
    thresholds
        The gates' thresholds as they are now, as text: another value is a decision.

    Raises
    ------
    PolicyError
        When a role names somebody without a key, or a key is none.
    """
    named = {"team": team, "tpm": tpm, "director": director}
    return policy_of(
        {
            "version": 1,
            "people": {name: {"key": key.hex()} for name, key in keys.items()},
            "roles": {role: list(names or keys) for role, names in named.items()},
            "tiers": {
                "1": Tier(who=ROLES, sla_hours=24, review_days=7),
                "2": Tier(who=("tpm", "director"), sla_hours=72, review_days=14),
                "3": Tier(who=("director",), sla_hours=168, review_days=14),
            },
            "rules": _RULES,
            "gates": _GATES,
            "thresholds": dict(thresholds or {}),
        }
    )
