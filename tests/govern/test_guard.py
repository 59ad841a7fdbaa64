"""What the guard at the optimizer lets through, and what it refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch
from governed_models import CNN, GPT, Mixed, classified, each_token, images, next_token, tokens
from torch import nn

from scalekit.govern import EntropyBudget, GovernError, Guard, Manifest, ManifestError, govern
from scalekit.govern.routes import RouteError
from scalekit.signing import Signer

NAMES = [f"e{i}" for i in range(5)]
OPEN = [(0.0, 1.0)] * 5


def governed(model: nn.Module, optimizer: Any = None, **options: Any) -> Any:
    governor = govern(model, sketch=64, nonce=b"secret", **options)
    made = optimizer or torch.optim.AdamW(model.parameters(), 1e-3)
    updates: list[Any] = []
    return governor, made, Guard(governor, made, updates.append), updates


def backward(
    governor: Any, loss: Any = next_token, batch: Any = None, profiles: Any = OPEN
) -> None:
    with governor.batch(NAMES, profiles=profiles):
        loss(governor.model, tokens() if batch is None else batch).backward()


@pytest.mark.parametrize(
    ("make", "loss", "batch"),
    [
        (GPT, next_token, tokens()),
        (lambda: GPT(tied=True), next_token, tokens()),
        (lambda: GPT(norm=nn.RMSNorm, width=8), next_token, tokens()),
        (CNN, classified, images()),
        (Mixed, each_token, tokens()),
    ],
)
def test_an_honest_step_is_accounted_for_to_rounding(make: Any, loss: Any, batch: Any) -> None:
    torch.manual_seed(0)
    model = make().double()
    governor, optimizer, _, updates = governed(model, budget=EntropyBudget(0.98, 0.03))
    if isinstance(batch, tuple):
        batch = (batch[0].double(), batch[1])
    for _ in range(3):
        optimizer.zero_grad()
        backward(governor, loss, batch, [(0, 0.3), (0, 1), (0.5, 1), (0.2, 0.9), (0.6, 1)])
        optimizer.step()
    assert max(float(u.residual.max()) for u in updates) < 1e-10
    assert all(abs(u.factor - 1) < 1e-10 and u.drift < 1e-12 for u in updates)
    cuts = [examples_that_are_cut(governor, u.harvests[0]) for u in updates]
    assert [u.capped.tolist() for u in updates] == cuts
    assert any(0 < count < len(NAMES) for cut in cuts for count in cut)


def examples_that_are_cut(governor: Any, harvest: Any) -> list[int]:
    """How many examples the budget cuts in any leaf of each depth, counted one by one."""
    cut: list[set[str]] = [set() for _ in governor.depths.groups]
    for leaf, account in zip(governor.leaves, harvest.leaves, strict=True):
        for name, mask, (raw, applied, *_) in zip(NAMES, harvest.mask, account, strict=True):
            if applied < mask[leaf.depth] * raw * 0.9999:
                cut[leaf.depth].add(name)
    return [len(names) for names in cut]


@pytest.mark.parametrize("size", [2e-4, 1e-3, 1e-2])
@pytest.mark.parametrize("name", ["blocks.1.fc1.weight", "blocks.0.n1.bias", "embed.weight"])
def test_a_smuggled_gradient_is_refused_and_named(size: float, name: str) -> None:
    torch.manual_seed(0)
    model = GPT()
    governor, optimizer, _, _ = governed(model)
    backward(governor)
    grad = dict(model.named_parameters())[name].grad
    leaf = torch.cat(
        [p.grad.flatten() for p in model.get_submodule(name.rpartition(".")[0]).parameters()]
    )
    noise = torch.randn(grad.shape, generator=torch.Generator().manual_seed(1))
    grad += size * leaf.norm() * noise / noise.norm()
    before = model.head.weight.clone()
    with pytest.raises(GovernError, match=name.rpartition(".")[0]):
        optimizer.step()
    assert torch.equal(before, model.head.weight)


def test_one_common_factor_is_allowed_and_measured() -> None:
    torch.manual_seed(0)
    governor, optimizer, _, updates = governed(GPT())
    backward(governor)
    norm = nn.utils.clip_grad_norm_(governor.model.parameters(), 0.01)
    optimizer.step()
    assert updates[0].factor == pytest.approx(0.01 / float(norm), rel=1e-3)


def test_what_is_not_governed_is_refused() -> None:
    torch.manual_seed(0)
    governor, optimizer, _, _ = governed(GPT())
    with pytest.raises(GovernError, match=r"outside governor\.batch"):
        next_token(governor.model, tokens())
    with pytest.raises(GovernError, match="no governed batch"):
        optimizer.step()
    with (
        pytest.raises(GovernError, match="without a backward"),
        governor.batch(NAMES, profiles=OPEN),
    ):
        next_token(governor.model, tokens())
    backward(governor)
    optimizer.step()
    backward(governor)
    with pytest.raises(GovernError, match="zero_grad"):  # the gradients of the step before are left
        optimizer.step()
    with pytest.raises(GovernError, match="patched already"):
        govern(governor.model)
    governor.release()
    next_token(governor.model, tokens()).backward()


def test_accumulated_batches_make_one_update() -> None:
    torch.manual_seed(0)
    governor, optimizer, _, updates = governed(GPT())
    for start in (0, 2):
        with governor.batch(NAMES[start : start + 2], profiles=OPEN[:2]):
            (next_token(governor.model, tokens()[start : start + 2]) / 2).backward()
    optimizer.step()
    assert [h.examples for h in updates[0].harvests] == [("e0", "e1"), ("e2", "e3")]
    assert float(updates[0].residual.max()) < 1e-5


@pytest.mark.parametrize("freeze", [True, False])
def test_momentum_moves_a_masked_depth_unless_it_is_frozen(freeze: bool) -> None:
    torch.manual_seed(0)
    model = GPT()
    governor, optimizer, _, _ = governed(model, freeze_masked=freeze)
    backward(governor)
    optimizer.step()
    before = model.blocks[2].fc1.weight.clone()
    optimizer.zero_grad()
    backward(governor, profiles=[(0.0, 0.3)] * 5)
    assert not model.blocks[2].fc1.weight.grad.any()
    optimizer.step()
    assert torch.equal(before, model.blocks[2].fc1.weight) is freeze


@pytest.mark.parametrize(
    "optimizer", [torch.optim.SGD, torch.optim.Adagrad, torch.optim.RMSprop, torch.optim.NAdam]
)
def test_a_masked_depth_does_not_move_at_all(optimizer: Any) -> None:
    torch.manual_seed(0)
    model = GPT()
    before = model.blocks[2].fc1.weight.clone()
    governor, made, _, _ = governed(model, optimizer(model.parameters(), lr=1e-2))
    for _ in range(2):
        made.zero_grad()
        backward(governor, profiles=[(0.0, 0.3)] * 5)
        made.step()
    assert torch.equal(before, model.blocks[2].fc1.weight)
    assert not torch.equal(before, model.blocks[0].fc1.weight)


def test_batch_norm_is_refused_with_advice() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    with pytest.raises(RouteError, match=r"1 \(BatchNorm1d\).*GroupNorm"):
        govern(model)
    model[1].eval().requires_grad_(False)
    govern(model)


def examples() -> pl.DataFrame:
    return pl.DataFrame(
        {
            "item_id": NAMES, "text": [f"text {n}" for n in NAMES], "label": ["yes"] * 5,
            "batch_id": ["b"] * 5, "annotators": [["ana", "ben"]] * 5, "rubric": ["r"] * 5,
            "low": [0.0] * 5, "high": [1.0] * 5, "noise": [0.1] * 5,
        }
    )  # fmt: skip


def test_only_examples_of_the_manifest_as_they_were_signed(tmp_path: Path) -> None:
    signer = Signer.load("scalekit")
    noise = {"estimate": "0.1", "source": "gold", "n": "20"}
    manifest = Manifest.write(tmp_path, examples(), noise=noise, signer=signer)
    torch.manual_seed(0)
    governor, _, _, _ = governed(GPT(), manifest=manifest)
    texts = examples()["text"].to_list()
    governor.enter(NAMES, texts=texts)
    next_token(governor.model, tokens()).backward()
    governor.leave()
    with pytest.raises(ManifestError, match=r"1 example not in the manifest: stranger"):
        governor.enter(["stranger", *NAMES[1:]])
    with pytest.raises(ManifestError, match=r"1 example altered after signing: e3"):
        governor.enter(NAMES, texts=[*texts[:3], "text E3", texts[4]])
    with pytest.raises(ManifestError, match="altered after signing: e0"):
        governor.enter(NAMES, texts=texts, labels=["no", *["yes"] * 4])
