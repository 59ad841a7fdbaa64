"""Routing: the tier of a decision, by the policy's rules; and how hard a gate is to waive."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scalekit.decide.policy import Policy, Rule
from scalekit.decide.records import Decision

__all__ = ["Route", "gate_subject", "hardness", "route"]

HARDNESS = ("soft", "hard", "never")
FIXED = {"policy_change": 3}
"""Tiers that no policy can lower: who may change it must not be for itself to loosen."""


@dataclass(frozen=True)
class Route:
    """Where a decision goes: its tier, and the rules that say so (none for tier 1).

    ``repeats`` counts how often the same was asked for in 14 days, this time included; ``raised``
    says whether it went one tier up for that.
    """

    tier: int
    rules: tuple[str, ...]
    repeats: int = 1
    raised: bool = False

    @property
    def reason(self) -> str:
        """Why it goes to this tier, in words."""
        said = "; ".join(self.rules) or "reversible, in one domain, within budget, no gate waived"
        return f"{said}; asked for {self.repeats} times in 14 days" if self.raised else said


def route(policy: Policy, decision: Decision) -> Route:
    """Return the highest tier that a rule of *policy* gives *decision*, and those rules."""
    found = [rule for rule in policy.rules if _matches(policy, rule, decision)]
    tier = max([rule.tier for rule in found] + [FIXED.get(decision.kind, 1)])
    return Route(tier, tuple(rule.name for rule in found if rule.tier == tier))


def _matches(policy: Policy, rule: Rule, decision: Decision) -> bool:
    gate = hardness(policy, decision.subject) if decision.kind == "waive_gate" else ""
    over = (
        (rule.items_over, decision.items),
        (rule.share_over, decision.share),
        (rule.cost_over, decision.cost),
        (rule.domains_over, len(decision.domains)),
    )
    return (
        (not rule.kind or decision.kind in rule.kind)
        and (not rule.stage or decision.stage in rule.stage)
        and rule.gate in ("", gate)
        and rule.severity in ("", decision.severity)
        and (not rule.domain or bool(set(rule.domain) & set(decision.domains)))
        and rule.reversible in (None, decision.reversible)
        and all(limit is None or reached > limit for limit, reached in over)
    )


def gate_subject(stage: str, checks: Sequence[Mapping[str, str]]) -> dict[str, Any]:
    """Return what a waiver of a closed gate is about: the stage, and each failed check as judged.

    *checks* are those of a judgement: ``check, passed, measured, needed, waiver``. With another
    measured value it is another subject, and a waiver of this one does not cover it.
    """
    failed = [
        # A judgement that does not say how hard a check is to waive is from before waivers.
        {k: c.get(k, "never") for k in ("check", "measured", "needed", "waiver")}
        for c in checks
        if c["passed"] != "True"
    ]
    return {"gate": stage, "failed": failed}


def hardness(policy: Policy, subject: Any) -> str:
    """Return how hard a :func:`gate_subject` is to waive: "soft", "hard" or "never".

    That of its hardest check; the policy can raise what the check itself says, never lower it.
    """
    return max(
        (hardness_of_check(policy, subject["gate"], check) for check in subject["failed"]),
        key=HARDNESS.index,
        default="soft",
    )


def hardness_of_check(policy: Policy, stage: str, check: Mapping[str, str]) -> str:
    """Return how hard one failed check is to waive."""
    said = [
        rule.waiver
        for rule in policy.gates
        if rule.stage == stage and rule.check in ("*", check["check"])
    ]
    return max([check["waiver"], *said], key=HARDNESS.index)
