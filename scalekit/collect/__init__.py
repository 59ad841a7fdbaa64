"""Collect: the smallest set of sources; no batch without source, date and usage rights."""

from scalekit.collect.evidence import evidence_of, still_whole
from scalekit.collect.provenance import (
    Batch,
    Evidence,
    ProvenanceError,
    batch_record,
    rights_problem,
)
from scalekit.collect.readers import Reading, read_rows
from scalekit.collect.rows import ReadingError, stem
from scalekit.collect.sources import SourceTable, gate

__all__ = [
    "Batch",
    "Evidence",
    "ProvenanceError",
    "Reading",
    "ReadingError",
    "SourceTable",
    "batch_record",
    "evidence_of",
    "gate",
    "read_rows",
    "rights_problem",
    "stem",
    "still_whole",
]
