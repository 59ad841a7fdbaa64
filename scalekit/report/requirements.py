"""What the rules ask for, row by row, and which records speak to it.

Short words of ours, not the texts: quote the Regulation from its own publication. Each rule carries
the version of the text that was read and the dates that were known on the day it was read.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["READ_ON", "REQUIREMENTS", "RULES", "Requirement", "Rule"]

READ_ON = "2026-11-20"
"""The day on which the versions and dates below were last checked."""


@dataclass(frozen=True)
class Rule:
    """A text of rules: its name, the version that was read, and what is known of its dates."""

    name: str
    version: str
    dates: str


RULES = {
    "AI Act": Rule(
        "EU AI Act",
        "Regulation (EU) 2024/1689 of 13 June 2024, OJ L, 2024/1689, 12.7.2024, "
        "data.europa.eu/eli/reg/2024/1689/oj",
        "Duties for high-risk systems apply from 2 December 2027 (Annex III) and 2 August 2028 "
        "(Annex I), as moved by the Digital Omnibus (Council vote of 29 June 2026); Art. 10(5) was "
        "to be replaced by a new Art. 4a. Check the consolidated text.",
    ),
    "NIST AI RMF": Rule(
        "NIST AI Risk Management Framework",
        "AI RMF 1.0, NIST AI 100-1, January 2023",
        "Voluntary; no date of application.",
    ),
}


@dataclass(frozen=True)
class Requirement:
    """One row: what is asked for, the kinds of records that speak to it, what a person must add.

    Without *records* nothing here is evidence: *outside* says why.
    """

    name: str
    rule: str
    asks: str
    records: tuple[str, ...]
    person: str
    outside: str = ""


def _row(name: str, asks: str, records: str, person: str, outside: str = "") -> Requirement:
    rule = "NIST AI RMF" if name.startswith("NIST") else "AI Act"
    return Requirement(name, rule, asks, tuple(records.split()), person, outside)


REQUIREMENTS = (
    _row("AI Act 10(2)(a)", "design choices", "target versions decisions", "why this target"),
    _row("AI Act 10(2)(b)", "how data were collected, their origin and, for personal data, their "
         "first purpose", "sources", "legal basis, original purpose"),
    _row("AI Act 10(2)(c)", "preparation: annotation, labelling, cleaning, updating, enrichment, "
         "aggregation", "guideline annotators agreement gold cleaning", "text of the guideline"),
    _row("AI Act 10(2)(d)", "assumptions on what the data measure", "assumptions rubric",
         "statement"),
    _row("AI Act 10(2)(e)", "availability, quantity and suitability", "coverage forecast "
         "resolution", "judgement"),
    _row("AI Act 10(2)(f)", "possible biases", "slices coverage trace",
         "which groups, analysis of harm"),
    _row("AI Act 10(2)(g)", "measures against biases", "trace remediation",
         "which measures, and whether they suffice"),
    _row("AI Act 10(2)(h)", "gaps and how they are addressed", "gaps diagnosis",
         "acceptance, owner, due date"),
    _row("AI Act 10(3)", "relevant, representative, as free of errors and complete as possible; "
         "statistical properties", "noise intake coverage", "declared population"),
    _row("AI Act 10(4)", "geographical, contextual, behavioural and functional setting",
         "setting", "text"),
    _row("AI Act 10(5)", "special categories of personal data (to move to Art. 4a)",
         "personal special", "legal review; never claimed from records alone"),
    _row("AI Act Annex IV 2(d)", "datasheets: provenance, scope, characteristics, selection, "
         "labelling, cleaning", "card croissant", "motivation, limits of use"),
    _row("AI Act Annex IV 2(g)", "validation and testing: procedures, data, metrics, dated and "
         "signed test reports", "measured seal looks test-result", "named signatory"),
    _row("AI Act 12", "logs of the deployed system", "", "–",
         "scalekit logs work on data, not the deployed system"),
    _row("NIST MAP 1.1, 2.1, 2.3", "purpose, design, collection and selection, construct validity",
         "target sources rubric split", "context"),
    _row("NIST MAP 1.5, 3.2", "risk tolerance, costs of errors", "policy costs", "tolerance"),
    _row("NIST MEASURE 1.1, 2.1", "test sets, metrics and tools are documented",
         "measured seal run", "–"),
    _row("NIST MEASURE 1.3, 4.2", "independent assessors and domain experts",
         "panel", "statement of independence"),
    _row("NIST MEASURE 2.2", "human subjects, representativeness of those involved",
         "cohorts costs", "ethics review"),
    _row("NIST MEASURE 2.3, 2.5", "performance is valid, reliable, its limits known",
         "measured slices", "text on limits"),
    _row("NIST MEASURE 2.11", "fairness", "slices", "which groups count"),
    _row("NIST MEASURE 2.13", "whether the metrics themselves are any good", "panel forecast",
         "judgement"),
    _row("NIST MANAGE 1.1-1.4", "whether to proceed; risks ranked, answered, left over",
         "gates decisions remediation", "sign-off"),
    _row("NIST MANAGE 4.2, 4.3", "continual improvement, incidents tracked", "cycles decisions",
         "–"),
    _row("NIST GOVERN 2.1, 2.3", "roles, responsibility of executives", "policy decisions",
         "names"),
    _row("NIST GOVERN 5.2", "adjudicated feedback enters the design", "adjudication versions", "–"),
)  # fmt: skip
"""The rows, in the order of the rules."""
