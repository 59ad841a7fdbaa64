"""The guard in less precise arithmetic: honest steps pass, what is smuggled in is refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from typing import Any

import pytest
import torch
from governed_models import (
    CNN,
    GPT,
    Mixed,
    classified,
    each_token,
    hugging_face,
    images,
    next_token,
    tokens,
)
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from scalekit.govern import GovernError, Guard, govern

NAMES = [f"e{i}" for i in range(5)]
AT = torch.ops.aten
PRODUCTS = {
    AT.mm.default: (0, 1), AT.addmm.default: (1, 2), AT.bmm.default: (0, 1), AT.bmm.out: (0, 1),
    AT.convolution.default: (0, 1), AT.convolution_backward.default: (0, 1),
}  # fmt: skip


class Rounded(TorchDispatchMode):
    """Products as a unit with 10 bits of mantissa makes them (TF32), or 7 (bfloat16)."""

    def __init__(self, bits: int) -> None:
        super().__init__()
        self.dropped = 23 - bits

    def round(self, value: Tensor) -> Tensor:
        half = 1 << (self.dropped - 1)
        whole = value.contiguous().view(torch.int32) + half
        return (whole >> self.dropped << self.dropped).view(torch.float32)

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        at = PRODUCTS.get(function, ())
        args = [self.round(a) if i in at else a for i, a in enumerate(args)]
        return function(*args, **(kwargs or {}))


@pytest.fixture
def precision() -> Iterator[Callable[[str], None]]:
    yield torch.set_float32_matmul_precision
    torch.set_float32_matmul_precision("highest")


def governed(model: nn.Module) -> tuple[Any, Any, list[Any]]:
    governor = govern(model, sketch=64, nonce=b"secret")
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3)
    updates: list[Any] = []
    Guard(governor, optimizer, updates.append)
    return governor, optimizer, updates


def backward(governor: Any, loss: Any, batch: Any, inside: Any = None) -> None:
    governor.model.zero_grad()
    with governor.batch(NAMES, mask=torch.rand(5, len(governor.depths.groups))):
        with inside or nullcontext():
            value = loss(governor.model, batch)
        value.backward()


def smuggle(model: nn.Module, share: float) -> None:
    largest = max((p.grad for p in model.parameters() if p.grad is not None), key=torch.numel)
    noise = torch.randn_like(largest)
    largest += share * largest.norm() / noise.norm() * noise


def refused(governor: Any, optimizer: Any, loss: Any, share: float, allowed: str) -> None:
    """A step with that much smuggled in is refused, by the tolerance of its arithmetic."""
    governor.harvests.clear()
    backward(governor, loss, tokens())
    smuggle(governor.model, share)
    with pytest.raises(GovernError, match=f"allowed {allowed}"):
        optimizer.step()


@pytest.mark.parametrize(("said", "bits", "least"), [("high", 10, 1e-4), ("medium", 7, 1e-3)])
@pytest.mark.parametrize(
    ("make", "loss", "batch"), [(GPT, next_token, tokens()), (CNN, classified, images())]
)
def test_products_of_lower_precision(
    make: Any, loss: Any, batch: Any, said: str, bits: int, least: float, precision: Any
) -> None:
    torch.manual_seed(0)
    governor, optimizer, updates = governed(make())
    with Rounded(bits):
        backward(governor, loss, batch)
        with pytest.raises(GovernError, match="not accounted for"):
            optimizer.step()  # nobody said that products are less precise
        precision(said)
        optimizer.step()
        for _ in range(3):
            backward(governor, loss, batch)
            optimizer.step()
        worst = max(float(u.residual.max()) for u in updates)
        assert least < worst < 10 * least
        backward(governor, loss, batch)
        smuggle(governor.model, 100 * least)
        with pytest.raises(GovernError, match="not accounted for"):
            optimizer.step()


@pytest.mark.parametrize("compiled", [False, True])
def test_autocast(compiled: bool) -> None:
    torch.manual_seed(0)
    torch._dynamo.reset()
    governor, optimizer, updates = governed(GPT(layers=2))

    def inside(model: nn.Module, ids: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return next_token(model, ids)

    loss = torch.compile(inside, backend="aot_eager", fullgraph=True) if compiled else inside
    for _ in range(3):
        backward(governor, loss, tokens())
        optimizer.step()
    assert 1e-3 < max(float(u.residual.max()) for u in updates) < 2e-2
    refused(governor, optimizer, loss, 0.3, "5e-02")
    # The tolerance is of the batches of this step, now in float32.
    refused(governor, optimizer, next_token, 1e-3, "5e-05")


MODELS: dict[str, Callable[[], Any]] = {
    "cnn": lambda: (CNN, classified, images()), "mixed": lambda: (Mixed, each_token, tokens()),
    **{name: lambda name=name: hugging_face()[name] for name in hugging_face()},
}  # fmt: skip


@pytest.mark.parametrize("name", MODELS)
def test_autocast_of_every_layout_trains_as_plain_autocast_does(name: str) -> None:
    make, loss, batch = MODELS[name]()
    first = batch[0] if isinstance(batch, tuple) else batch
    examples = len(next(iter(first.values())) if isinstance(first, dict) else first)
    torch.manual_seed(0)
    model = make()
    torch.manual_seed(1)
    with torch.autocast("cpu", torch.bfloat16):
        value = loss(model, batch)
    value.backward()
    wanted = {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    governor, optimizer, updates = governed(model)
    every = torch.ones(examples, len(governor.depths.groups))
    torch.manual_seed(1)
    with governor.batch([f"e{i}" for i in range(examples)], mask=every):
        with torch.autocast("cpu", torch.bfloat16):
            again = loss(model, batch)
        again.backward()
    assert torch.equal(value, again)
    for n, p in model.named_parameters():
        if n not in wanted:
            continue
        assert p.grad.dtype == torch.float32
        assert float((p.grad - wanted[n]).norm()) < 0.03 * float(wanted[n].norm()) + 1e-6, n
    optimizer.step()
    assert float(updates[0].residual.max()) < 2e-2


def test_parameters_of_16_bits() -> None:
    torch.manual_seed(0)
    governor, optimizer, updates = governed(GPT(layers=2).bfloat16())
    for _ in range(3):
        backward(governor, next_token, tokens())
        optimizer.step()
    assert 1e-4 < max(float(u.residual.max()) for u in updates) < 2e-2
    refused(governor, optimizer, next_token, 0.3, "5e-02")
