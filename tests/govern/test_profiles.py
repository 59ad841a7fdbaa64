"""Profiles as masks over a depth map."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from governed_models import Parts, linear, several
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from scalekit.govern.depths import DepthError, DepthMap, depth_map


def stack(count: int, *, ends: bool) -> DepthMap:
    parts: dict[str, Any] = {"layers": several(linear, count)}
    if ends:
        parts = {"embed": nn.Embedding(3, 4), **parts, "head": linear()}
    return depth_map(Parts(**parts))


def covered(count: int, low: float, high: float) -> set[int]:
    """The definition, in exact fractions."""
    middles = [Fraction(2 * j + 1, 2 * count) for j in range(count)]
    inside = {j for j, m in enumerate(middles) if Fraction(low) <= m <= Fraction(high)}
    centre = (Fraction(low) + Fraction(high)) / 2
    return inside or {min(range(count), key=lambda j: (abs(middles[j] - centre), j))}


# Sixty-fourths are exact in float32 and fall on many midpoints.
edges = st.tuples(st.integers(0, 64), st.integers(0, 64)).filter(lambda e: e[0] != e[1])
intervals = edges.map(lambda e: (min(e) / 64, max(e) / 64))


@settings(deadline=None, max_examples=150)
@given(st.integers(1, 9), st.booleans(), st.lists(intervals, min_size=1, max_size=6))
def test_masks_follow_the_definition(
    count: int, ends: bool, profiles: list[tuple[float, float]]
) -> None:
    found, shift = stack(count, ends=ends), int(ends)
    masks = found.masks(np.array(profiles, dtype=np.float32), soft=0.25)
    assert masks.dtype == np.float32
    assert masks.shape == (len(profiles), len(found.groups))
    for row, top, (low, high) in zip(masks, found.top(profiles), profiles, strict=True):
        open_ = {shift + j for j in covered(count, low, high)}
        shared = {i for i, g in enumerate(found.groups) if g.kind != "body"}
        assert row.tolist() == [1.0 if i in open_ | shared else 0.25 for i in range(len(row))]
        assert top == max(open_)


@settings(deadline=None, max_examples=100)
@given(st.integers(1, 12), intervals, intervals)
def test_a_wider_profile_never_covers_fewer(
    count: int, one: tuple[float, float], two: tuple[float, float]
) -> None:
    wide = (min(one[0], two[0]), max(one[1], two[1]))
    few, many = stack(count, ends=False).masks([one, wide]).sum(axis=1)
    assert 1 <= few <= many


def test_float32_profiles_reach_the_midpoints_they_name() -> None:
    found = stack(3, ends=False)
    profile = np.array([[1 / 6, 0.5]], dtype=np.float32)  # 1/6 is rounded up
    assert float(profile[0, 0]) > 1 / 6
    assert found.masks(profile).tolist() == [[1, 1, 0]]


@pytest.mark.parametrize("soft", [-0.1, 1.5, float("nan")])
def test_a_mask_lies_between_none_and_all(soft: float) -> None:
    with pytest.raises(DepthError, match="soft"):
        stack(3, ends=False).masks([[0, 0.5]], soft=soft)


@pytest.mark.parametrize("bad", [[-0.1, 0.5], [0.6, 0.4], [0.5, 1.1], [float("nan"), 1.0]])
def test_a_profile_that_is_no_interval_is_named(bad: list[float]) -> None:
    with pytest.raises(DepthError, match="profile 1 is"):
        stack(3, ends=True).masks([[0, 1], bad])
    with pytest.raises(DepthError, match=r"\[B, 2\]"):
        stack(3, ends=True).masks([0, 1])


def test_named_targets_reach_their_thirds() -> None:
    targets = [[0, 1 / 3], [1 / 3, 2 / 3], [2 / 3, 1], [0, 1]]
    assert stack(6, ends=False).top(targets).tolist() == [1, 3, 5, 5]
