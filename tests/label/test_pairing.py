"""Responses become pairs, and labels of pairs judgements with the names back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from scalekit.label import (
    LabelError,
    LabelSession,
    Task,
    bradley_terry,
    preference_pairs,
    read_events,
)
from scalekit.label.pairing import judgements_of, pair_items
from scalekit.widgets import Labeler

SKILL = {"model-a": 2.0, "model-b": 0.0, "model-c": -2.0}
RESPONSES = [
    {"item_id": f"q{n}", "name": name, "prompt": f"why {n}?", "response": f"{name[-1]} says {n}"}
    for n in range(40)
    for name in SKILL
]


def test_every_two_responses_are_a_pair_that_names_nobody() -> None:
    pairs = pair_items(RESPONSES)
    assert len(pairs) == 40 * 3
    assert pairs["item_id"].is_unique().all()
    assert not pairs.filter(pl.col("item_id").str.contains("model")).height
    assert pairs.equals(pair_items(RESPONSES[::-1]))
    same = [{**r, "response": "the same"} for r in RESPONSES[:3]]
    assert pair_items(same).is_empty()
    with pytest.raises(LabelError, match="'model-a' answers 'q0' twice"):
        pair_items([*RESPONSES, RESPONSES[0]])


def test_labels_given_blindly_come_back_as_strengths_and_preference_pairs(tmp_path: Path) -> None:
    """Judge through the widget's own messages, from a known Bradley-Terry model."""
    pairs = pair_items(RESPONSES)
    task = Task("better", "pair", strength=1, ties=False)
    rng = np.random.default_rng(8)
    for annotator in ("ana", "ben", "cy"):
        session = LabelSession(tmp_path, annotator, task, pairs["item_id"])
        widget = Labeler(pairs, session)
        sent: list[dict[str, Any]] = []
        widget.send = sent.append
        start: int | None = 0
        while start is not None:
            widget._receive(widget, {"id": f"q{start}", "kind": "items", "from": start}, [])
            for entry in sent[-1]["items"]:
                left, right = (
                    SKILL[f"model-{side['text'][0]}"] for side in entry["content"]["sides"]
                )
                chance = 1 / (1 + np.exp(right - left - 0.5))  # half a point for the left side
                preferred = "first" if rng.random() < chance else "second"
                act = {"id": f"{annotator}-{entry['id']}", "kind": "label", "item": entry["id"]}
                widget._receive(
                    widget, {**act, "value": {"preferred": preferred, "strength": 1}}, []
                )
            start = next(m["next"] for m in reversed(sent) if "next" in m)
    judged = judgements_of(read_events(tmp_path), pairs, task)
    assert len(judged) == 360
    found = bradley_terry(judged, draws=200)
    strengths = dict(found.table.select("name", "strength").iter_rows())
    assert strengths["model-a"] - strengths["model-b"] == pytest.approx(2.0, abs=0.7)
    assert strengths["model-b"] - strengths["model-c"] == pytest.approx(2.0, abs=0.7)
    delivered = preference_pairs(judged, RESPONSES).table
    clear = delivered.filter(pl.col("chosen").str.starts_with("a"))
    assert len(clear) > 60
    assert set(delivered.columns) >= {"prompt", "chosen", "rejected"}
