"""Laws of the entropy budget, of the effort that leaves examples out, and of effective ranks."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from governed_models import GPT, next_token, tokens
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch import Tensor

from scalekit.govern import EntropyBudget, RepresentationFloor, effective_rank, govern
from scalekit.govern.budget import (
    allowed,
    allowed_at_hand,
    effective_contributors,
    entropy_cap,
    entropy_cap_at_hand,
)
from scalekit.govern.effort import Effort
from scalekit.govern.record import RunningStore

NORMS = arrays(
    float, st.integers(1, 40), elements=st.floats(0, 100).map(lambda v: v if v > 1e-6 else 0.0)
)
FLOORS = st.floats(0.01, 0.99)


@given(NORMS, FLOORS)
def test_the_cap_holds_the_floor_and_is_the_highest_that_does(
    norms: np.ndarray, floor: float
) -> None:  # type: ignore[type-arg]
    a = torch.tensor(norms)
    active = int((a > 0).sum())
    if not active:
        return
    cap = entropy_cap_at_hand(norms, floor)
    assert float(effective_contributors(a.clamp_max(cap))) >= floor * active * (1 - 2e-6)
    if cap < float(a.max()):
        higher = effective_contributors(a.clamp_max(cap * 1.01))
        assert float(higher) < floor * active * (1 + 1e-9)


@given(NORMS, FLOORS, st.floats(0.01, 100))
def test_the_cap_has_the_unit_of_the_norms(norms: np.ndarray, floor: float, scale: float) -> None:  # type: ignore[type-arg]
    a = torch.tensor(norms)
    assert float(entropy_cap(scale * a, floor)) == pytest.approx(
        scale * float(entropy_cap(a, floor)), rel=1e-6
    )


@given(NORMS, FLOORS)
@example(np.array([0.0, 4.0]), 0.5)  # a limit above 4 over nothing: no overflow
def test_tensors_and_plain_numbers_agree(norms: np.ndarray, floor: float) -> None:  # type: ignore[type-arg]
    a = torch.tensor(norms)
    if not (a > 0).any():
        return
    assert float(entropy_cap(a, floor)) == pytest.approx(
        entropy_cap_at_hand(norms, floor), rel=1e-5
    )
    reference = np.asarray(0.1 * norms.max())
    share = allowed(a, floor, torch.from_numpy(reference)).numpy()
    np.testing.assert_allclose(share, allowed_at_hand(norms, floor, reference), rtol=1e-5)


def test_kish_counts_equal_contributors() -> None:
    assert float(effective_contributors(torch.tensor([2.0, 2.0, 2.0, 0.0]))) == pytest.approx(3)
    assert float(effective_contributors(torch.zeros(4))) == 0


def applied(budget: EntropyBudget | None, scale: float = 1.0) -> tuple[Tensor, Tensor]:
    torch.manual_seed(0)
    model = GPT()
    governor = govern(model, budget=budget, account=True)
    for _ in range(2):
        model.zero_grad()
        with governor.batch([str(i) for i in range(5)], profiles=[(0, 1)] * 5):
            (scale * next_token(model, tokens())).backward()
    leaves = governor.harvests[-1].leaves
    return leaves[:, :, 0], leaves[:, :, 1]


def test_an_enforced_budget_cuts_in_the_backward_and_a_monitoring_one_does_not() -> None:
    raw, cut = applied(EntropyBudget(floor=0.98, phi=0.0))
    assert bool((cut < 0.99 * raw).any())
    assert float((effective_contributors(cut) / 5).min()) > 0.979
    for budget in (None, EntropyBudget(floor=0.98, enforced=False)):
        raw, whole = applied(budget)
        assert torch.allclose(raw, whole)
    _, scaled = applied(EntropyBudget(floor=0.98, phi=0.0), scale=64.0)
    assert torch.allclose(scaled / 64, cut, rtol=1e-4)


def test_its_strength_is_the_measured_noise() -> None:
    assert not EntropyBudget.from_noise(None).enforced
    assert not EntropyBudget.from_noise(0.0).enforced
    assert not EntropyBudget.from_noise(0.01).enforced
    found = EntropyBudget.from_noise(0.2)
    assert found.enforced
    assert found.left_out == pytest.approx(0.18)
    with pytest.raises(ValueError, match="floor must be at least 0 and below 1"):
        EntropyBudget(floor=1.0)


def test_who_asks_for_more_again_and_again_is_left_out_and_can_come_back() -> None:
    effort, rows = Effort(20), np.arange(20)
    norms = np.ones(20)
    norms[[3, 7]] = 5
    effort.add(rows, norms)
    assert not effort.left_out(rows, 0.1).any()  # not settled
    for _ in range(3):
        effort.add(rows, 1000 * norms)  # no unit
    assert np.flatnonzero(effort.left_out(rows, 0.1)).tolist() == [3, 7]
    assert not effort.left_out(rows, 0.0).any()
    for _ in range(12):
        effort.add(rows, np.where(rows == 3, 0.1, norms))
    assert 3 not in np.flatnonzero(effort.left_out(rows, 0.05))


def test_effective_rank_of_known_spectra() -> None:
    drawn = torch.Generator().manual_seed(0)
    one = torch.randn(64, 1, generator=drawn) @ torch.randn(1, 32, generator=drawn)
    assert float(effective_rank(one)) == pytest.approx(1, abs=1e-3)
    basis = torch.linalg.qr(torch.randn(64, 8, generator=drawn))[0]
    centred = basis - basis.mean(0)
    spectrum = torch.linalg.svdvals(centred) ** 2
    expected = float(spectrum.sum() ** 2 / (spectrum**2).sum())
    assert float(effective_rank(basis)) == pytest.approx(expected, rel=1e-4)


def test_the_floor_loss_stops_a_collapse_that_goes_on_without_it() -> None:
    """Ask the last block for one direction alone; the floor keeps its rank."""
    ranks = {}
    for guarded in (False, True):
        torch.manual_seed(0)
        model = GPT(width=16, layers=2)
        governor = govern(model)
        floor = RepresentationFloor(governor, weight=1.0, settle=3)
        optimizer = torch.optim.Adam(model.parameters(), 3e-3)
        last = governor.depths.body[-1]
        ids = tokens(16)
        for _ in range(60):
            optimizer.zero_grad()
            with governor.batch([str(i) for i in range(16)], profiles=[(0, 1)] * 16) as batch:
                model(ids)
                state = batch.taps[last].mean(1)
                loss = state[:, 1:].square().mean() - state[:, 0].var().clamp_max(1)
                (loss + (floor() if guarded else 0 * floor())).backward()
            optimizer.step()
            ranks[guarded] = float(effective_rank(batch.taps[last].detach()))
    assert ranks[True] > 1.5 * ranks[False]


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 1000))
def test_the_store_keeps_sums_to_a_few_percent_without_bias(seed: int) -> None:
    rng = np.random.default_rng(seed)
    store, exact = RunningStore(30, 2, 16, seed=seed), np.zeros((30, 2, 16))
    moments = np.zeros((2, 16, 16))
    for update in range(100):
        rows = rng.choice(30, 8, replace=update % 5 == 0)
        sketches = rng.normal(1.0, 1.0, (8, 2, 16)).astype(np.float32)
        store.add(rows, sketches, 0.1, update=update)
        np.add.at(exact, rows, 0.1 * sketches)
        moments += np.einsum("blk,blm->lkm", sketches, sketches)
    found = store.of(np.arange(30))
    off = np.linalg.norm(found - exact, axis=2) / np.linalg.norm(exact, axis=2)
    assert off.max() < 0.06
    assert abs((found - exact).mean() / np.abs(exact).mean()) < 0.01
    assert store.count[0] == 800
    np.testing.assert_allclose(store.moments, moments, rtol=1e-4)
    kept = RunningStore.restore(store.tensors(), seed=seed)
    assert np.array_equal(kept.of(np.arange(30)), found)


def test_the_store_rounds_what_is_small_without_bias_and_anew_in_each_update() -> None:
    """A hundredth of a level, beside an entry that sets the level, 4000 times."""
    store, times, share = RunningStore(64, 2, 64), 4000, 0.01
    sketches = np.zeros((64, 2, 64), np.float32)
    sketches[:, :, 0] = 127
    store.add(np.arange(64), sketches, 1.0, update=0)
    sketches[:, :, 0], sketches[:, :, 1:] = 0, share
    for update in range(1, times + 1):
        store.add(np.arange(64), sketches, 1.0, update=update)
    levels = store.sums[:, :, 1:].astype(float)
    spread = times * share * (1 - share)
    assert abs(levels.mean() - times * share) < 5 * (spread / levels.size) ** 0.5
    assert levels.var() == pytest.approx(spread, rel=0.1)
