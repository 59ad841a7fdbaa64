"""Audit: clean (mended, no duplicates, no junk, private data masked) and balanced."""

from scalekit.audit.balance import Balance, balance, filled_or_padded
from scalekit.audit.clean import AuditReport, audit, gate
from scalekit.audit.copies import LOWEST, Copies
from scalekit.audit.crossings import Crossings, crossings
from scalekit.audit.duplicates import (
    EXACT_UP_TO,
    exact_duplicates,
    near_duplicates,
    resolved,
    similar_pairs,
)
from scalekit.audit.harm import Harm, harm
from scalekit.audit.junk import junk_rule, junk_rules
from scalekit.audit.language import Languages, languages
from scalekit.audit.layout import LAYOUT_VERSION
from scalekit.audit.map import ItemMap, item_map
from scalekit.audit.meaning import meaning_pairs
from scalekit.audit.mending import MEND_VERSION, mend
from scalekit.audit.normalise import normalise, normalised
from scalekit.audit.pairs_in_parts import part_pairs
from scalekit.audit.personal import find_personal, mask, masked
from scalekit.audit.quality import Quality, quality
from scalekit.audit.quality_classifier import QualityClassifier, quality_classifier
from scalekit.audit.slices import Slice, SliceBook, SliceStatistics, slice_statistics

__all__ = [
    "EXACT_UP_TO",
    "LAYOUT_VERSION",
    "LOWEST",
    "MEND_VERSION",
    "AuditReport",
    "Balance",
    "Copies",
    "Crossings",
    "Harm",
    "ItemMap",
    "Languages",
    "Quality",
    "QualityClassifier",
    "Slice",
    "SliceBook",
    "SliceStatistics",
    "audit",
    "balance",
    "crossings",
    "exact_duplicates",
    "filled_or_padded",
    "find_personal",
    "gate",
    "harm",
    "item_map",
    "junk_rule",
    "junk_rules",
    "languages",
    "mask",
    "masked",
    "meaning_pairs",
    "mend",
    "near_duplicates",
    "normalise",
    "normalised",
    "part_pairs",
    "quality",
    "quality_classifier",
    "resolved",
    "similar_pairs",
    "slice_statistics",
]
