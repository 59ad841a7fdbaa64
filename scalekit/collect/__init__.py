"""Collect: the smallest set of sources; no batch without source, date and usage rights."""

from scalekit.collect.provenance import Batch, ProvenanceError, batch_record, rights_problem
from scalekit.collect.readers import Reading, read_rows
from scalekit.collect.rows import ReadingError, stem
from scalekit.collect.sources import Sources, gate

__all__ = [
    "Batch",
    "ProvenanceError",
    "Reading",
    "ReadingError",
    "Sources",
    "batch_record",
    "gate",
    "read_rows",
    "rights_problem",
    "stem",
]
