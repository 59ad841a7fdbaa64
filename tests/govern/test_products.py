"""Products by oneDNN where MKL is slow: the same numbers, and taken only where they may be."""

from __future__ import annotations

import copy
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
    "rows left over": (drawn(47, 70), drawn(70, 30)),
    "batch": (drawn(3, 17, 70), drawn(70, 30)),
    "parts": (drawn(40, 90)[:, 5:75], drawn(70, 60)[:, ::2]),
    "every second": (drawn(94, 70)[::2], drawn(50, 70)[10:40].t()),
    "one number, repeated": (torch.tensor(0.5).expand(47, 70), torch.tensor(2.0).expand(70, 30)),
    "one row": (drawn(1, 70), drawn(70, 1)),
    "a parameter": (drawn(40, 70), nn.Parameter(drawn(70, 30))),
}


def close(found: Tensor, wanted: Tensor) -> None:
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), wanted, rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_product_is_that_of_float64(name: str, narrow: ModuleType) -> None:
    left, right = LAYOUTS[name]
    with torch.no_grad(), Calls() as calls:
        found = narrow.product(left, right)
    assert calls.count == 1
    close(found, left.double() @ right.detach().double())


@pytest.mark.parametrize("name", [n for n, (left, _) in LAYOUTS.items() if left.dim() == 2])
@pytest.mark.parametrize("wide", [False, True])
def test_a_product_over_rows_is_that_of_float64(name: str, wide: bool, narrow: ModuleType) -> None:
    """Either factor may be the one that oneDNN copies; what comes back lies in rows."""
    left, right = LAYOUTS[name][0], LAYOUTS[name][0][:, :9]
    if wide:
        left, right = right, left
    with Calls() as calls:
        found = narrow.product_over_rows(left, right)
    assert calls.count == 1
    assert found.is_contiguous()
    close(found, left.double().t() @ right.double())


def test_lengths_that_vary_are_few_shapes(narrow: ModuleType) -> None:
    """oneDNN keeps about a megabyte for each shape, and each length of a batch is one."""
    rounded = [narrow._round(n) for n in range(1, 4097)]
    assert len(set(rounded)) <= 8 * 12
    assert all(8 * n < 9 * r and r <= n for n, r in enumerate(rounded, 1))
    assert rounded[4095] == 4096
    assert rounded[:15] == list(range(1, 16))


MODELS: dict[str, tuple[Callable[[], nn.Module], Callable[..., Any], Any]] = {
    "gpt": (GPT, next_token, tokens(5, 24)),
    "single steps": (GPT, next_token, tokens(5, 2)),
    "attention": (Mixed, each_token, tokens()),
    "transposed weights": hugging_face()["gpt2"],
}


@pytest.mark.parametrize("name", MODELS)
def test_gradients_norms_and_sketches_are_those_of_float64(name: str, narrow: ModuleType) -> None:
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


def test_it_is_taken_only_where_it_may_be(
    narrow: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    left, right = drawn(40, 64), drawn(64, 30)

    class Own(Tensor):
        pass

    for made in (narrow.product, lambda a, b: narrow.product_over_rows(a.t(), b)):
        with Calls() as calls:
            made(left.double(), right.double())
            made(left.bfloat16(), right.bfloat16())
            made(left.as_subclass(Own), right)
            made(left, right.as_subclass(Own))
            made(left.to("meta"), right.to("meta"))
            torch.backends.mkldnn.set_flags(False)
            try:
                made(left, right)
            finally:
                torch.backends.mkldnn.set_flags(True)
            monkeypatch.setattr(narrow, "LEAST", 40 * 64 * 30 + 1)
            made(left, right)
            assert calls.count == 0
            monkeypatch.setattr(narrow, "LEAST", 40 * 64 * 30)
            made(left, right)
            assert calls.count == 1


@pytest.mark.parametrize(
    ("name", "width", "mkl", "onednn", "expected"),
    [
        ("AMD EPYC", "AVX512", True, True, True),
        ("AMD EPYC", "AVX2", True, True, False),
        ("AMD EPYC", "AVX512", False, True, False),
        ("AMD EPYC", "AVX512", True, False, False),
        ("Intel(R) Xeon(R) Processor", "AVX512", True, True, False),
    ],
)
def test_mkl_is_narrow_on_wide_processors_that_are_not_intels(
    name: str, width: str, mkl: bool, onednn: bool, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.backends.mkl, "is_available", lambda: mkl)
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: onednn)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: width)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"cpu_name": name})
    assert routes_products.mkl_is_narrow.__wrapped__() is expected
