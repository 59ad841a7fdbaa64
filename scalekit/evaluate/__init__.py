"""Evaluate: split, decontaminate, seal, measure, and say which stage to revisit."""

from scalekit.evaluate.contamination import Contamination, contamination
from scalekit.evaluate.diagnose import Diagnosis, Finding, diagnose, gate
from scalekit.evaluate.flagged import WithoutFlagged, without_flagged
from scalekit.evaluate.measure import Measured, PredictionError, measure
from scalekit.evaluate.paraphrase import ParaphraseCandidates, paraphrase_candidates
from scalekit.evaluate.seal import Seal, SealError, look_budget, seal
from scalekit.evaluate.split import groups, split
from scalekit.intervals import wilson

__all__ = [
    "Contamination",
    "Diagnosis",
    "Finding",
    "Measured",
    "ParaphraseCandidates",
    "PredictionError",
    "Seal",
    "SealError",
    "WithoutFlagged",
    "contamination",
    "diagnose",
    "gate",
    "groups",
    "look_budget",
    "measure",
    "paraphrase_candidates",
    "seal",
    "split",
    "wilson",
    "without_flagged",
]
