from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from scalekit.roc import roc_area


@pytest.mark.parametrize("apart", [0.3, 1.0, 2.5])
def test_the_interval_covers_the_true_one(apart: float) -> None:
    draw = np.random.default_rng(5)
    true = norm.cdf(apart / np.sqrt(2))
    keep = np.arange(80) % 2 == 0
    inside = 0
    for _ in range(400):
        held = draw.normal(size=80) + apart * keep
        area, low, high = roc_area(keep, held)
        assert area == pytest.approx(roc_auc_score(keep, held))
        inside += low <= true <= high
    assert inside / 400 > 0.92


def test_the_interval_is_not_empty_where_the_classes_are_wholly_apart() -> None:
    keep = np.arange(40) < 20
    area, low, high = roc_area(keep, keep.astype(float))
    assert (area, high) == (1.0, 1.0)
    assert 0.8 < low < 1


def test_one_kind_alone_can_not_be_ranked() -> None:
    with pytest.raises(ValueError, match="there are 3 and 0"):
        roc_area(np.ones(3, dtype=bool), np.arange(3.0))
