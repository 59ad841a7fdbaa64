"""Collect: the smallest set of sources; no batch without source, date and usage rights."""

from scalekit.collect.croissant import Croissant, croissant
from scalekit.collect.data_card import DataCard, data_card
from scalekit.collect.evidence import evidence_of, still_whole
from scalekit.collect.provenance import (
    Batch,
    Evidence,
    ProvenanceError,
    batch_record,
    probable_licences,
    rights_problem,
)
from scalekit.collect.readers import Reading, read_rows
from scalekit.collect.rows import ReadingError
from scalekit.collect.sources import SourceTable, gate

__all__ = [
    "Batch",
    "Croissant",
    "DataCard",
    "Evidence",
    "ProvenanceError",
    "Reading",
    "ReadingError",
    "SourceTable",
    "batch_record",
    "croissant",
    "data_card",
    "evidence_of",
    "gate",
    "probable_licences",
    "read_rows",
    "rights_problem",
    "still_whole",
]
