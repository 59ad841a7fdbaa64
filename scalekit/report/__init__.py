"""Report: one self-contained page, executed notebooks as reports, cost and return,
evidence towards the rules.
"""

from scalekit.report.evidence import EvidenceTable, StatementError, evidence_table
from scalekit.report.experience import Experience, learning_curve, outcomes_of
from scalekit.report.outcomes import Cycle, Outcomes, Quality, four_outcomes
from scalekit.report.package import Package, write_package
from scalekit.report.page import Report, Section, page, picture
from scalekit.report.reader import PackageVerification, verify_package
from scalekit.report.replay import Replay
from scalekit.report.savings import (
    Line,
    Return,
    avoided_runs,
    remediation_line,
    return_on_cost,
    reuse_line,
)
from scalekit.report.spending import (
    PARTS,
    Amount,
    TaskCost,
    amortised,
    entered,
    measured,
    task_cost,
    time_by_part,
)

__all__ = [
    "PARTS",
    "Amount",
    "Cycle",
    "EvidenceTable",
    "Experience",
    "Line",
    "Outcomes",
    "Package",
    "PackageVerification",
    "Quality",
    "Replay",
    "Report",
    "Return",
    "Section",
    "StatementError",
    "TaskCost",
    "amortised",
    "avoided_runs",
    "entered",
    "evidence_table",
    "four_outcomes",
    "learning_curve",
    "measured",
    "outcomes_of",
    "page",
    "picture",
    "remediation_line",
    "return_on_cost",
    "reuse_line",
    "task_cost",
    "time_by_part",
    "verify_package",
    "write_package",
]
