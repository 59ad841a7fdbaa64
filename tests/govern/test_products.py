"""Products by oneDNN where MKL is slow: the same numbers, and taken only where they may be."""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
import torch
from governed_models import GPT, Mixed, each_token, hugging_face, next_token, tokens
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from scalekit.govern import govern
from scalekit.govern.routes import products as routes_products

pytestmark = pytest.mark.skipif(
    not torch.backends.mkldnn.is_available(), reason="this torch was built without oneDNN"
)
NAMES = [f"e{i}" for i in range(5)]


class Calls(TorchDispatchMode):
    """Counts the products that oneDNN makes."""

    count = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None):
        self.count += function is torch.ops.mkldnn._linear_pointwise.default
        return function(*args, **(kwargs or {}))


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A processor of which MKL uses half, and products that are all large."""
    monkeypatch.setattr(routes_products, "mkl_is_narrow", lambda: True)
    monkeypatch.setattr(routes_products, "LEAST", 1)
    return routes_products


def drawn(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(len(shape)))


LAYOUTS: dict[str, tuple[Tensor, Tensor]] = {
    "rows": (drawn(40, 70), drawn(70, 30)),
    "columns": (drawn(70, 40).t(), drawn(30, 70).t()),
    "batch": (drawn(3, 40, 70), drawn(70, 30)),
    "parts": (drawn(40, 90)[:, 5:75], drawn(70, 50)[:, ::2]),
    "backwards": (drawn(80, 70)[::2], drawn(50, 70)[10:40].t()),
    "one number, repeated": (torch.tensor(0.5).expand(40, 70), torch.tensor(2.0).expand(70, 30)),
    "one row": (drawn(1, 70), drawn(70, 1)),
    "parameters": (drawn(40, 70), nn.Parameter(drawn(70, 30))),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_product_is_that_of_float64(name: str, narrow: ModuleType) -> None:
    left, right = LAYOUTS[name]
    with torch.no_grad(), Calls() as calls:
        found = narrow.product(left, right)
    assert calls.count == 1
    assert found.dtype == torch.float32
    wanted = left.double() @ right.detach().double()
    torch.testing.assert_close(found.double(), wanted, rtol=0, atol=1e-4)


def test_a_batch_of_products_is_that_of_float64(narrow: ModuleType) -> None:
    left, right = drawn(4, 70, 40).transpose(1, 2), drawn(4, 70, 30)
    with Calls() as calls:
        found = narrow.products(left, right)
    assert calls.count == 4
    torch.testing.assert_close(found.double(), left.double() @ right.double(), rtol=0, atol=1e-4)


MODELS: dict[str, tuple[Callable[[], nn.Module], Callable[..., Any], Any]] = {
    "gpt": (GPT, next_token, tokens(5, 24)),
    "single steps": (GPT, next_token, tokens(5, 2)),
    "attention": (Mixed, each_token, tokens()),
    "transposed weights": hugging_face()["gpt2"],
}


@pytest.mark.parametrize("share", [0.0, 99.0])
@pytest.mark.parametrize("name", MODELS)
def test_gradients_norms_and_sketches_are_those_of_float64(
    name: str, share: float, narrow: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where examples' gradients are kept (0), and where Gram matrices stand for them (99)."""
    for limit in ("GRAM_SHARE", "GRAM_SHARE_KEPT"):
        monkeypatch.setattr(sys.modules["scalekit.govern.routes.linear"], limit, share)
    make, loss, batch = MODELS[name]
    torch.manual_seed(0)
    model = make().eval()
    mask, found = None, []
    for kind in (torch.float32, torch.float64):
        governor = govern(copy.deepcopy(model).to(kind), sketch=64, nonce=b"secret")
        if mask is None:
            mask = torch.rand(5, len(governor.depths.groups)).round(decimals=1)
            mask[2, 0] = 0
        with Calls() as calls, governor.batch(NAMES, mask=mask):
            value = loss(governor.model, batch)
            assert calls.count == 0  # outputs are torch's
            value.backward()
        assert (calls.count > 0) == (kind == torch.float32)
        grads = {n: p.grad for n, p in governor.model.named_parameters()}
        found.append({**grads, "account": governor.harvests[-1].leaves})
    single, double = found
    whole = float(sum(v.square().sum() for v in double.values())) ** 0.5
    for name, wanted in double.items():
        assert float((single[name] - wanted).norm()) < 1e-6 * whole, name


def test_it_is_taken_only_where_it_may_be(narrow: ModuleType) -> None:
    left, right = LAYOUTS["rows"]

    class Own(Tensor):
        pass

    with Calls() as calls:
        narrow.product(left.double(), right.double())
        narrow.product(left.bfloat16(), right.bfloat16())
        narrow.product(left.as_subclass(Own), right)
        torch.backends.mkldnn.set_flags(False)
        try:
            narrow.product(left, right)
        finally:
            torch.backends.mkldnn.set_flags(True)
        narrow.LEAST = left.numel() * right.shape[1] + 1
        narrow.product(left, right)
        narrow.products(left.unsqueeze(0), right.unsqueeze(0))
        assert calls.count == 0
        narrow.LEAST -= 1
        narrow.product(left, right)
        assert calls.count == 1


@pytest.mark.parametrize(
    ("name", "width", "expected"),
    [
        ("AMD EPYC", "AVX512", True),
        ("AMD EPYC", "AVX2", False),
        ("Intel(R) Xeon(R) Processor", "AVX512", False),
    ],
)
def test_mkl_is_narrow_on_wide_processors_that_are_not_intels(
    name: str, width: str, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.backends.mkl, "is_available", lambda: True)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: width)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"cpu_name": name})
    assert routes_products.mkl_is_narrow.__wrapped__() is expected
