"""Decide: who may decide what; decisions signed in one ledger; waivers that end; reviews."""

from scalekit.decide.folding import fold, refusal
from scalekit.decide.ledger import Ledger, Refusal
from scalekit.decide.outcome import Entry, Outcome
from scalekit.decide.policy import (
    KINDS,
    ROLES,
    GateRule,
    Person,
    Policy,
    PolicyError,
    Rule,
    Tier,
    default_policy,
    read_policy,
)
from scalekit.decide.records import (
    Closing,
    Decision,
    DecisionRefusedError,
    Retiering,
    Review,
    Vote,
    moment,
    signed_record,
)
from scalekit.decide.review import ReviewPage, decision_table, review_page, review_table
from scalekit.decide.routing import Route, gate_subject, hardness, route
from scalekit.decide.statistics import DecisionStatistics, decision_statistics, escalations
from scalekit.decide.verification import LedgerVerification, public_keys, verify_ledger
from scalekit.decide.waivers import Waiver, granted, waiver_of, waiver_table

__all__ = [
    "KINDS",
    "ROLES",
    "Closing",
    "Decision",
    "DecisionRefusedError",
    "DecisionStatistics",
    "Entry",
    "GateRule",
    "Ledger",
    "LedgerVerification",
    "Outcome",
    "Person",
    "Policy",
    "PolicyError",
    "Refusal",
    "Retiering",
    "Review",
    "ReviewPage",
    "Route",
    "Rule",
    "Tier",
    "Vote",
    "Waiver",
    "decision_statistics",
    "decision_table",
    "default_policy",
    "escalations",
    "fold",
    "gate_subject",
    "granted",
    "hardness",
    "moment",
    "public_keys",
    "read_policy",
    "refusal",
    "review_page",
    "review_table",
    "route",
    "signed_record",
    "verify_ledger",
    "waiver_of",
    "waiver_table",
]
