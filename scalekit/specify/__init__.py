"""Specify: the behaviour in one sentence, handwritten examples, rubrics with depth targets.

And the taxonomy: assets that were used before, found again, adopted or adapted.
"""

from scalekit.specify.annotation_templates import (
    argilla_settings,
    label_studio_config,
    write_template,
)
from scalekit.specify.asset import Asset, AssetError, Outcome, read_asset, write_asset
from scalekit.specify.asset_library import Library, library, library_folder, put
from scalekit.specify.check import Problem, gate, problems, sentences
from scalekit.specify.criteria_reuse import Reuse, adapt, adopt, promote, reuse, with_outcome
from scalekit.specify.matching import Candidates, candidates
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
    "Asset",
    "AssetError",
    "Candidates",
    "Category",
    "Criterion",
    "Example",
    "Library",
    "Metric",
    "Outcome",
    "Problem",
    "Reuse",
    "Spec",
    "SpecError",
    "adapt",
    "adopt",
    "argilla_settings",
    "candidates",
    "diff",
    "gate",
    "label_studio_config",
    "library",
    "library_folder",
    "problems",
    "promote",
    "put",
    "read_asset",
    "read_spec",
    "refuse_newer",
    "reuse",
    "sentences",
    "with_outcome",
    "write_asset",
    "write_template",
]
