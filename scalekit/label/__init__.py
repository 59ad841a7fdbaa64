"""Label: events on disk before they are acknowledged, agreement, consensus, what to sharpen."""

from scalekit.bradley_terry import BradleyTerry, bradley_terry
from scalekit.coefficients import (
    bootstrap_alpha,
    cohen_matrix,
    fleiss_kappa,
    gwet_ac1,
    krippendorff_alpha,
)
from scalekit.judgements import pair_consensus, position_bias
from scalekit.label.adjudication import (
    REASONS,
    AdjudicationSession,
    AgreementChange,
    agreement_change,
    disputed,
    labels_until,
    notes_of,
    resolutions,
    settled,
    touched,
)
from scalekit.label.agreement import Agreement, agreement
from scalekit.label.assignment import (
    TIERS,
    Balance,
    assign,
    balance,
    disagreement_round,
    top_up,
)
from scalekit.label.cohorts import CohortAgreement, agreement_by_cohort, agreement_over_time
from scalekit.label.consensus import against_given, by_model, careless, compare_consensus, majority
from scalekit.label.cost import Cost, cost
from scalekit.label.delivery import Delivery, deliver
from scalekit.label.events import (
    LabelError,
    LabelSession,
    check_name,
    every_label,
    fold,
    labels_of,
    read_events,
)
from scalekit.label.exchange import LabelTable, read_labels, write_labels
from scalekit.label.gate import gate
from scalekit.label.identity import annotator_name, login, other_logins
from scalekit.label.imported import Imported
from scalekit.label.mislabels import Mislabels, mislabel_candidates
from scalekit.label.noise import NoiseEstimate, dawid_skene, most_probable, noise_estimate
from scalekit.label.pairing import judgements_of, pair_items
from scalekit.label.parts import PartAgreement, agreement_by_part, judged_parts
from scalekit.label.preference import PreferencePairs, preference_pairs
from scalekit.label.qualification import attention, qualification, qualified
from scalekit.label.sharing import ASSIGNMENT_SCHEMA
from scalekit.label.tables import check_labels, import_labels
from scalekit.label.tasks import Criterion, Task, Value

__all__ = [
    "ASSIGNMENT_SCHEMA",
    "REASONS",
    "TIERS",
    "AdjudicationSession",
    "Agreement",
    "AgreementChange",
    "Balance",
    "BradleyTerry",
    "CohortAgreement",
    "Cost",
    "Criterion",
    "Delivery",
    "Imported",
    "LabelError",
    "LabelSession",
    "LabelTable",
    "Mislabels",
    "NoiseEstimate",
    "PartAgreement",
    "PreferencePairs",
    "Task",
    "Value",
    "against_given",
    "agreement",
    "agreement_by_cohort",
    "agreement_by_part",
    "agreement_change",
    "agreement_over_time",
    "annotator_name",
    "assign",
    "attention",
    "balance",
    "bootstrap_alpha",
    "bradley_terry",
    "by_model",
    "careless",
    "check_labels",
    "check_name",
    "cohen_matrix",
    "compare_consensus",
    "cost",
    "dawid_skene",
    "deliver",
    "disagreement_round",
    "disputed",
    "every_label",
    "fleiss_kappa",
    "fold",
    "gate",
    "gwet_ac1",
    "import_labels",
    "judged_parts",
    "judgements_of",
    "krippendorff_alpha",
    "labels_of",
    "labels_until",
    "login",
    "majority",
    "mislabel_candidates",
    "most_probable",
    "noise_estimate",
    "notes_of",
    "other_logins",
    "pair_consensus",
    "pair_items",
    "position_bias",
    "preference_pairs",
    "qualification",
    "qualified",
    "read_events",
    "read_labels",
    "resolutions",
    "settled",
    "top_up",
    "touched",
    "write_labels",
]
