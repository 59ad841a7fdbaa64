"""Profiles: how much effort and how strict the gates. None can switch off a stage."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

__all__ = ["PROFILES", "Profile"]


@dataclass(frozen=True)
class Profile:
    """Thresholds of the gates.

    Shares, similarities and coefficients are between 0 and 1. Specify and decontamination have no
    threshold here to be loosened: a spec must be whole and no test item may stand in training.
    """

    examples_per_category: int = 3
    max_quarantined_share: float = 0.05
    near_duplicate: float = 0.7
    max_left_out: float = 0.15
    max_source_loss: float = 0.5
    thin_categories: int = 0
    thin_below: float = 0.8
    at_least: int = 20
    labels_per_item: int = 3
    alpha: float = 0.667
    worst_value_alpha: float = 0.667
    max_tied: float = 0.02
    careless_kappa: float = 0.4

    def with_thresholds(self, changed: dict[str, Any]) -> Profile:
        """Return the profile with some thresholds replaced.

        Raises
        ------
        ValueError
            For a threshold that does not exist or has another type.
        """
        known = {f.name: f for f in fields(self)}
        for name, value in changed.items():
            if name not in known:
                raise ValueError(f"threshold {name!r} is unknown; there are {', '.join(known)}")
            whole = known[name].type == "int"
            if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
                kind = "a whole number" if whole else "a number"
                raise ValueError(f"threshold {name!r} must be {kind}, got {value!r}")
            least = 0 if name == "thin_categories" else 1 if whole else 0
            if not least <= value <= (float("inf") if whole else 1):
                span = f"at least {least}" if whole else "between 0 and 1"
                raise ValueError(f"threshold {name!r} must be {span}, got {value!r}")
        return replace(self, **changed)


PROFILES = {
    "light": Profile(
        examples_per_category=2, max_left_out=0.25, thin_categories=1, at_least=10,
        labels_per_item=2, alpha=0.6, worst_value_alpha=0.5, max_tied=0.05,
    ),
    "full": Profile(),
    "pretraining": Profile(
        max_quarantined_share=0.02, max_left_out=0.5, max_source_loss=0.8, thin_categories=2,
        at_least=1000, labels_per_item=2, alpha=0.6, worst_value_alpha=0.5, max_tied=0.05,
    ),
}  # fmt: skip
"""``light`` for a first try, ``full`` for a release, ``pretraining`` for very large text sets,
where losing half the rows to cleaning is usual and only a sample is labelled."""
