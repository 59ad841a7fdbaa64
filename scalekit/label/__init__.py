"""Label: events on disk before they are acknowledged, agreement, consensus, what to sharpen."""

from scalekit.label.agreement import Agreement, agreement
from scalekit.label.coefficients import (
    bootstrap_alpha,
    cohen_matrix,
    fleiss_kappa,
    gwet_ac1,
    krippendorff_alpha,
)
from scalekit.label.consensus import against_given, careless, majority
from scalekit.label.events import (
    LabelError,
    LabelSession,
    check_name,
    fold,
    labels_of,
    read_events,
)
from scalekit.label.gate import gate
from scalekit.label.noise import NoiseEstimate, dawid_skene, noise_estimate
from scalekit.label.tables import check_labels, import_labels

__all__ = [
    "Agreement",
    "LabelError",
    "LabelSession",
    "NoiseEstimate",
    "against_given",
    "agreement",
    "bootstrap_alpha",
    "careless",
    "check_labels",
    "check_name",
    "cohen_matrix",
    "dawid_skene",
    "fleiss_kappa",
    "fold",
    "gate",
    "gwet_ac1",
    "import_labels",
    "krippendorff_alpha",
    "labels_of",
    "majority",
    "noise_estimate",
    "read_events",
]
