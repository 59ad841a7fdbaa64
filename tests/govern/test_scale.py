"""Leaves that only scale are known by what they compute, and governed without the generic route."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from governed_models import hugging_face
from torch import Tensor, nn

from scalekit.govern import govern
from scalekit.govern.routes import route_of
from scalekit.govern.routes.scale import is_scale


class LayerScale(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.randn(width))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gamma


class Shift(LayerScale):
    def forward(self, x: Tensor) -> Tensor:
        return x + self.gamma


class OneMore(LayerScale):
    def forward(self, x: Tensor) -> Tensor:
        return x * (1 + self.gamma)


class Channels(LayerScale):
    def forward(self, x: Tensor) -> Tensor:
        return x * self.gamma.view(-1, 1)


class AcrossExamples(LayerScale):
    def forward(self, x: Tensor) -> Tensor:
        return (x - x.mean(0)) * self.gamma


class Noisy(LayerScale):
    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.dropout(x, 0.5) * self.gamma


class Counting(LayerScale):
    def __init__(self, width: int) -> None:
        super().__init__(width)
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        self.seen += 1
        return x * self.gamma


def of_transformers(family: str, name: str) -> Callable[[int], nn.Module]:
    def make(width: int) -> nn.Module:
        module = pytest.importorskip(f"transformers.models.{family}.modeling_{family}")
        made: nn.Module = getattr(module, name)(width)
        return made

    return make


@pytest.mark.parametrize("width", [1, 3, 16])
@pytest.mark.parametrize(
    ("make", "wanted"),
    [
        (LayerScale, True),
        (of_transformers("llama", "LlamaRMSNorm"), True),
        (of_transformers("mistral", "MistralRMSNorm"), True),
        (of_transformers("qwen3", "Qwen3RMSNorm"), True),
        (of_transformers("t5", "T5LayerNorm"), True),
        (of_transformers("gemma", "GemmaRMSNorm"), False),
        (nn.PReLU, False),
        (lambda width: nn.Linear(width, width, bias=False), False),
        (lambda width: nn.LayerNorm(width), False),
        (Shift, False),
        (OneMore, False),
        (AcrossExamples, False),
        (Noisy, False),
        (Counting, False),
    ],
)
def test_known_by_what_it_computes(make: Any, wanted: bool, width: int) -> None:
    assert is_scale(make(width)) == wanted


@pytest.mark.parametrize("width", [3, 16])
def test_a_scale_of_another_axis_is_none(width: int) -> None:
    assert not is_scale(Channels(width))


def test_trying_it_leaves_no_trace() -> None:
    module, noisy, before = Counting(4), Noisy(4), torch.get_rng_state()
    assert not is_scale(module)
    assert not is_scale(noisy)
    assert float(module.seen) == 0
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("name", ["llama", "t5"])
def test_models_of_hugging_face_compile_in_one_graph(name: str) -> None:
    make, loss, batch = hugging_face()[name]
    examples = len(next(iter(batch.values())))
    masks, found = torch.rand(examples, 99), []
    for compiled in (False, True):
        torch.manual_seed(0)
        torch._dynamo.reset()
        model = make()
        governor = govern(model, sketch=16, nonce=b"x")
        norms = [leaf for leaf in governor.leaves if "norm" in leaf.name]
        assert norms
        assert all(leaf.kind == "small" for leaf in norms)
        run = torch.compile(loss, backend="aot_eager", fullgraph=True) if compiled else loss
        mask = masks[:, : len(governor.depths.groups)]
        with governor.batch([str(i) for i in range(examples)], mask=mask):
            run(model, batch).backward()
        found.append({n: p.grad for n, p in model.named_parameters()})
    for n, grad in found[0].items():
        torch.testing.assert_close(found[1][n], grad, rtol=1e-3, atol=1e-5)


@pytest.mark.filterwarnings("ignore:The .grad attribute")  # torch's own, at the break
def test_a_leaf_without_a_route_breaks_the_graph_and_no_more() -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.own, self.last = nn.Linear(4, 4), OneMore(4), nn.Linear(4, 1)

        def forward(self, x: Tensor) -> Tensor:
            return self.last(torch.tanh(self.own(self.first(x))))

    torch.manual_seed(0)
    torch._dynamo.reset()
    x, mask, found = torch.randn(6, 4), torch.rand(6, 3), []
    model = Model()
    governor = govern(model, sketch=16, nonce=b"x")
    assert route_of(OneMore(4))[1] == "flat"
    for run in (model, torch.compile(model, backend="aot_eager")):
        model.zero_grad()
        with governor.batch([str(i) for i in range(6)], mask=mask):
            run(x).square().mean().backward()
        found.append([p.grad.clone() for p in model.parameters()])
    for eager, compiled in zip(*found, strict=True):
        torch.testing.assert_close(eager, compiled)
