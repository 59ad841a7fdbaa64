"""A run: every update passes the governor and is recorded; equal inputs give equal weights."""

from __future__ import annotations

import math
from typing import Any

import polars as pl
import pytest
import torch

from scalekit.frames import FrameError
from scalekit.govern import Plain, Run, fit

KINDS = ["billing", "delivery", "returns"]
STEMS = ["charged twice invoice {}", "parcel late tracking {}", "send back refund {}"]
EXAMPLES = pl.DataFrame(
    [
        {"item_id": f"i{n:02d}", "text": STEMS[n % 3].format(n), "category": KINDS[n % 3]}
        for n in range(30)
    ]
)


def small(**more: Any) -> Run:
    return fit(more.pop("examples", EXAMPLES), KINDS, **{"epochs": 2, "batch": 16, **more})


class Watch(Plain):
    """Writes down in which order it is called, and with what."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, tuple[str, ...]]] = []
        self.changed: list[bool] = []

    def combine(self, losses: torch.Tensor, item_ids: Any) -> torch.Tensor:
        assert losses.shape == (len(item_ids),)
        self.calls.append(("combine", tuple(item_ids)))
        return super().combine(losses, item_ids)

    def allow(self, model: Any, item_ids: Any) -> None:
        self.calls.append(("allow", tuple(item_ids)))
        assert all(p.grad is not None for p in model.parameters())
        self.before = model.layers[1].weight.detach().clone()

    def updated(self, model: Any, item_ids: Any) -> None:
        self.calls.append(("updated", tuple(item_ids)))
        self.changed.append(not torch.equal(self.before, model.layers[1].weight))


def weights(run: Run) -> list[torch.Tensor]:
    return [p.detach().clone() for p in run.model.parameters()]


def same(one: Run, other: Run) -> bool:
    return all(torch.equal(a, b) for a, b in zip(weights(one), weights(other), strict=True))


def test_the_governor_sees_every_update_in_order() -> None:
    watch = Watch()
    run = small(governor=watch)
    updates = math.ceil(30 / 16) * 2
    assert [c[0] for c in watch.calls] == ["combine", "allow", "updated"] * updates
    for at in range(0, len(watch.calls), 3):
        assert len({c[1] for c in watch.calls[at : at + 3]}) == 1
    assert all(watch.changed)
    recorded = run.record.group_by("update", maintain_order=True).agg("item_id")
    assert recorded["item_id"].to_list() == [list(c[1]) for c in watch.calls[::3]]


def test_every_example_is_recorded_once_in_every_epoch() -> None:
    record = small().record
    for _, rows in record.group_by("epoch"):
        assert sorted(rows["item_id"]) == EXAMPLES["item_id"].to_list()
    assert record["update"].unique().sort().to_list() == list(range(1, 5))
    assert record["loss"].is_finite().all()


def test_a_watching_governor_changes_nothing() -> None:
    assert same(small(), small(governor=Watch()))


def test_rows_in_another_order_give_the_same_weights() -> None:
    mixed = EXAMPLES.sample(fraction=1, shuffle=True, seed=4)
    assert same(small(), small(examples=mixed))
    assert not same(small(), small(seed=1))


def test_the_global_generator_is_left_alone() -> None:
    before = torch.random.get_rng_state()
    small(epochs=1)
    assert torch.equal(torch.random.get_rng_state(), before)


class Refuse(Plain):
    """Refuses the first update that holds one item."""

    def allow(self, model: Any, item_ids: Any) -> None:
        if "i07" in item_ids:
            raise PermissionError("i07 is not in the manifest")


def test_a_refused_update_stops_the_run_with_the_governors_reason() -> None:
    with pytest.raises(PermissionError, match="i07 is not in the manifest"):
        small(governor=Refuse())


class Nothing(Plain):
    """Takes every gradient away."""

    def allow(self, model: Any, item_ids: Any) -> None:
        for p in model.parameters():
            p.grad = None


def test_what_the_governor_takes_away_is_not_learned() -> None:
    fresh = fit(EXAMPLES, KINDS, epochs=0)
    assert same(small(governor=Nothing()), fresh)


def test_it_learns_and_the_loss_falls() -> None:
    run = small(epochs=8, batch=8)
    losses = run.table["loss"].to_list()
    assert losses[-1] < losses[0] / 2
    assert run.model.predict(EXAMPLES["text"].to_list()) == EXAMPLES["category"].to_list()
    assert len(run.hardest(5)) == 5
    assert "30 examples" in run.to_html()


@pytest.mark.parametrize(
    ("examples", "error", "said"),
    [
        (EXAMPLES.clear(), ValueError, "no examples"),
        (EXAMPLES.with_columns(pl.lit("refund").alias("category")), ValueError, "refund"),
        (EXAMPLES.with_columns(pl.lit(None, pl.String).alias("category")), ValueError, "None"),
        (pl.concat([EXAMPLES, EXAMPLES]), FrameError, "repeat"),
        (EXAMPLES.drop("text"), FrameError, "text"),
    ],
)
def test_what_cannot_be_trained_on_is_said(
    examples: pl.DataFrame, error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        small(examples=examples)
