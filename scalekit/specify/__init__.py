"""Specify: the behaviour in one sentence, handwritten examples, rubrics with depth targets."""

from scalekit.specify.check import Problem, gate, problems, sentences
from scalekit.specify.spec import (
    Category,
    Criterion,
    Example,
    Metric,
    Spec,
    SpecError,
    read_spec,
    refuse_newer,
)
from scalekit.specify.versions import diff

__all__ = [
    "Category",
    "Criterion",
    "Example",
    "Metric",
    "Problem",
    "Spec",
    "SpecError",
    "diff",
    "gate",
    "problems",
    "read_spec",
    "refuse_newer",
    "sentences",
]
