"""Evaluate: split, decontaminate, seal, measure, and say which stage to revisit."""

from scalekit.evaluate.concealment import concealed
from scalekit.evaluate.contamination import Contamination, contamination
from scalekit.evaluate.diagnose import Diagnosis, Finding, diagnose, gate
from scalekit.evaluate.exposed import USES, Exposure, exposure, text_mark
from scalekit.evaluate.flagged import WithoutFlagged, without_flagged
from scalekit.evaluate.held_texts import holders, redact_notebook
from scalekit.evaluate.looks import (
    ACCEPTED,
    NEARLY,
    NO_CHANGE,
    WORSE,
    Registration,
    climbed,
    expected_optimism,
    look_budget,
    scorer_digest,
)
from scalekit.evaluate.measure import Measured, PredictionError, measure
from scalekit.evaluate.paraphrase import ParaphraseCandidates, paraphrase_candidates
from scalekit.evaluate.seal import Answer, Seal, seal
from scalekit.evaluate.seal_check import SealCheck, check_seals
from scalekit.evaluate.sealed_keys import SealError
from scalekit.evaluate.split import groups, split
from scalekit.intervals import wilson

__all__ = [
    "ACCEPTED",
    "NEARLY",
    "NO_CHANGE",
    "USES",
    "WORSE",
    "Answer",
    "Contamination",
    "Diagnosis",
    "Exposure",
    "Finding",
    "Measured",
    "ParaphraseCandidates",
    "PredictionError",
    "Registration",
    "Seal",
    "SealCheck",
    "SealError",
    "WithoutFlagged",
    "check_seals",
    "climbed",
    "concealed",
    "contamination",
    "diagnose",
    "expected_optimism",
    "exposure",
    "gate",
    "groups",
    "holders",
    "look_budget",
    "measure",
    "paraphrase_candidates",
    "redact_notebook",
    "scorer_digest",
    "seal",
    "split",
    "text_mark",
    "wilson",
    "without_flagged",
]
