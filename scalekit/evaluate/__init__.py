"""Evaluate: split, decontaminate, seal, measure, trace, forecast, name the stage to revisit."""

from scalekit.evaluate.answers import Answered, Cost, PredictionError
from scalekit.evaluate.blinding import PanelItems, panel_items, panel_sides
from scalekit.evaluate.calibration import ForecastCalibration, forecast_calibration
from scalekit.evaluate.comparison import Comparison, ComparisonError, compare
from scalekit.evaluate.concealment import concealed
from scalekit.evaluate.confirmation import Confirmation, confirm
from scalekit.evaluate.contamination import Contamination, contamination
from scalekit.evaluate.cross_run import CrossRun
from scalekit.evaluate.diagnose import Diagnosis, diagnose, gate
from scalekit.evaluate.diagnosis_rules import Finding
from scalekit.evaluate.error_factors import ErrorFactors, error_factors
from scalekit.evaluate.evidence import LabelEvidence, label_evidence
from scalekit.evaluate.exposed import USES, Exposure, exposure, text_mark
from scalekit.evaluate.flagged import WithoutFlagged, without_flagged
from scalekit.evaluate.held_texts import holders, redact_notebook, texts_held
from scalekit.evaluate.inspect_logs import (
    InspectLog,
    InspectLogError,
    read_inspect_log,
    write_inspect_dataset,
)
from scalekit.evaluate.judge import JudgeAgreement, JudgeError, judge_agreement, scored_by_judge
from scalekit.evaluate.keep_test import KeepTest, keep_synthetic
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
from scalekit.evaluate.measure import Measured, measure
from scalekit.evaluate.mqm import WMT_WEIGHTS, MqmScores, Weight, mqm_scores
from scalekit.evaluate.multiplicity import benjamini_hochberg, holm
from scalekit.evaluate.noise_forecast import Forecast, ForecastError, forecast
from scalekit.evaluate.paired import (
    McNemar,
    PairedT,
    mcnemar,
    non_inferiority,
    paired_t,
    sign_flip,
    tango,
)
from scalekit.evaluate.pairwise import WinRates, win_rates
from scalekit.evaluate.panel import PanelScores, panel_scores
from scalekit.evaluate.paraphrase import ParaphraseCandidates, paraphrase_candidates
from scalekit.evaluate.predictors import Predictor, predictor
from scalekit.evaluate.proxy import MakeProxy, Proxy, text_proxy
from scalekit.evaluate.remediation import (
    LossRecovered,
    RemediationCost,
    loss_recovered,
    remediation_cost,
)
from scalekit.evaluate.resolution import (
    items_needed,
    least_detectable,
    mcnemar_power,
    minimum_detectable,
)
from scalekit.evaluate.sample_sizes import LearningCurve, learning_curve
from scalekit.evaluate.scores import Sliced, macro_f1
from scalekit.evaluate.scoring import (
    Scorer,
    custom,
    exact_match,
    numeric_match,
    rubric_points,
    token_f1,
)
from scalekit.evaluate.seal import Answer, Seal
from scalekit.evaluate.seal_check import SealCheck, check_seals
from scalekit.evaluate.seal_making import seal
from scalekit.evaluate.sealed_keys import SealError
from scalekit.evaluate.split import groups, split
from scalekit.evaluate.tracing import Trace, trace
from scalekit.evaluate.where import Where, regressed_domains
from scalekit.intervals import clopper_pearson, newcombe, wilson

__all__ = [
    "ACCEPTED",
    "NEARLY",
    "NO_CHANGE",
    "USES",
    "WMT_WEIGHTS",
    "WORSE",
    "Answer",
    "Answered",
    "Comparison",
    "ComparisonError",
    "Confirmation",
    "Contamination",
    "Cost",
    "CrossRun",
    "Diagnosis",
    "ErrorFactors",
    "Exposure",
    "Finding",
    "Forecast",
    "ForecastCalibration",
    "ForecastError",
    "InspectLog",
    "InspectLogError",
    "JudgeAgreement",
    "JudgeError",
    "KeepTest",
    "LabelEvidence",
    "LearningCurve",
    "LossRecovered",
    "MakeProxy",
    "McNemar",
    "Measured",
    "MqmScores",
    "PairedT",
    "PanelItems",
    "PanelScores",
    "ParaphraseCandidates",
    "PredictionError",
    "Predictor",
    "Proxy",
    "Registration",
    "RemediationCost",
    "Scorer",
    "Seal",
    "SealCheck",
    "SealError",
    "Sliced",
    "Trace",
    "Weight",
    "Where",
    "WinRates",
    "WithoutFlagged",
    "benjamini_hochberg",
    "check_seals",
    "climbed",
    "clopper_pearson",
    "compare",
    "concealed",
    "confirm",
    "contamination",
    "custom",
    "diagnose",
    "error_factors",
    "exact_match",
    "expected_optimism",
    "exposure",
    "forecast",
    "forecast_calibration",
    "gate",
    "groups",
    "holders",
    "holm",
    "items_needed",
    "judge_agreement",
    "keep_synthetic",
    "label_evidence",
    "learning_curve",
    "least_detectable",
    "look_budget",
    "loss_recovered",
    "macro_f1",
    "mcnemar",
    "mcnemar_power",
    "measure",
    "minimum_detectable",
    "mqm_scores",
    "newcombe",
    "non_inferiority",
    "numeric_match",
    "paired_t",
    "panel_items",
    "panel_scores",
    "panel_sides",
    "paraphrase_candidates",
    "predictor",
    "read_inspect_log",
    "redact_notebook",
    "regressed_domains",
    "remediation_cost",
    "rubric_points",
    "scored_by_judge",
    "scorer_digest",
    "seal",
    "sign_flip",
    "split",
    "tango",
    "text_mark",
    "text_proxy",
    "texts_held",
    "token_f1",
    "trace",
    "wilson",
    "win_rates",
    "without_flagged",
    "write_inspect_dataset",
]
