"""Adjusted p-values, against their definitions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalekit.evaluate.multiplicity import benjamini_hochberg, holm

ps = st.lists(st.floats(0, 1), max_size=12)


def step_down(p: list[float], alpha: float) -> list[bool]:
    """Holm's procedure as he states it: stop at the first p above alpha / (m - i)."""
    rejected = [False] * len(p)
    for i, at in enumerate(sorted(range(len(p)), key=p.__getitem__)):
        if p[at] > alpha / (len(p) - i):
            break
        rejected[at] = True
    return rejected


def step_up(p: list[float], q: float) -> list[bool]:
    """Benjamini and Hochberg's: the largest k with p(k) <= q k / m, and all below it."""
    ordered = sorted(p)
    passing = [v for i, v in enumerate(ordered, 1) if v <= q * i / len(p)]
    return [bool(passing) and v <= passing[-1] for v in p]


@given(ps, st.sampled_from([0.013, 0.047, 0.11]))
def test_holm_is_its_step_down(p: list[float], alpha: float) -> None:
    adjusted = holm(p)
    # A value exactly at its threshold is decided by the last bit.
    sure = np.abs(adjusted - alpha) > 1e-12
    assert (adjusted <= alpha)[sure].tolist() == np.array(step_down(p, alpha), bool)[sure].tolist()
    assert all(a >= v for a, v in zip(adjusted, p, strict=True))


@given(ps, st.sampled_from([0.013, 0.047, 0.11]))
def test_benjamini_hochberg_is_its_step_up(p: list[float], q: float) -> None:
    adjusted = benjamini_hochberg(p)
    sure = np.abs(adjusted - q) > 1e-12
    assert (adjusted <= q)[sure].tolist() == np.array(step_up(p, q), bool)[sure].tolist()


def test_values_worked_by_hand() -> None:
    # Ordered .01 .02 .03 .04: times 4, 3, 2, 1 and never falling; divided by rank over 4.
    assert holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert benjamini_hochberg([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.04] * 4)


def test_what_was_not_tested_stays_out() -> None:
    for adjust in (holm, benjamini_hochberg):
        got = adjust([0.01, np.nan, 0.02])
        assert np.isnan(got[1])
        assert got[[0, 2]] == pytest.approx(adjust([0.01, 0.02]))
        assert adjust([]).shape == (0,)
        with pytest.raises(ValueError, match="between 0 and 1"):
            adjust([0.5, 1.5])
