"""What a measurement may claim, and of which model."""

from __future__ import annotations

from typing import Any

import pytest

from scalekit.evaluate import SealError


def test_a_claim_that_is_no_text_costs_no_look(sealed: Any) -> None:
    left = sealed.evaluate.sets().looks_left
    with pytest.raises(SealError, match="in words"):
        sealed.evaluate.measure(lambda texts: ["billing"] * len(texts), sealed=True)
    assert sealed.evaluate.sets().looks_left == left


def test_a_new_run_turns_the_gate_of_evaluate_stale(sealed: Any) -> None:
    sealed.train.fit(epochs=1)
    sealed.evaluate.measure(sealed.train.model().predict)
    sealed.evaluate.gate()
    assert sealed.board().states[-1].state != "stale"
    sealed.train.fit(epochs=1, seed=1)
    assert sealed.board().states[-1].state == "stale"
