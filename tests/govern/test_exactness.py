"""Governed gradients and norms against one backward for each example, in float64."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from typing import Any

import governed_models as models
import pytest
import torch
from governed_models import CNN, GPT, Mixed, classified, each_token, images, next_token, tokens
from torch import nn

from scalekit.govern import GovernError, govern, verify
from scalekit.govern.routes.account import squares

OWN: dict[str, tuple[Callable[[], nn.Module], Callable[..., Any], Any]] = {
    "linear, embedding, layer norm": (GPT, next_token, tokens()),
    "rms norm": (lambda: GPT(norm=nn.RMSNorm), next_token, tokens()),
    "narrow (gradients, not Gram matrices)": (lambda: GPT(width=8), next_token, tokens()),
    "tied weights": (lambda: GPT(tied=True), next_token, tokens()),
    "convolutions, group norm": (CNN, classified, images()),
    "attention, conv1d, no route": (Mixed, each_token, tokens()),
    "attention, sequence first": (lambda: Mixed(batch_first=False), each_token, tokens()),
    "attention with weights": (lambda: Mixed(bias=False, weights=True), each_token, tokens()),
    "long sequences": (GPT, next_token, tokens(3, 24)),
    "single steps": (GPT, next_token, tokens(5, 2)),
}


@pytest.mark.parametrize("soft", [True, False])
@pytest.mark.parametrize("name", OWN)
def test_every_kind_of_leaf_is_exact(name: str, soft: bool) -> None:
    make, loss, batch = OWN[name]
    torch.manual_seed(0)
    examples = len(batch[0] if isinstance(batch, tuple) else batch)
    assert verify(make(), loss, batch, examples=examples, soft=soft).worst < 1e-12


@pytest.mark.parametrize("name", ["gpt2", "gpt2-tied", "llama", "bert", "vit", "resnet", "t5"])
def test_hugging_face_layouts_are_exact(name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        make, loss, batch = models.hugging_face()[name]
        torch.manual_seed(0)
        model = make()
        # Llama and T5 normalise in float32 whatever the weights are.
        limit = 1e-6 if name in ("llama", "t5") else 1e-12
        assert verify(model, loss, batch, examples=5).worst < limit


@pytest.mark.parametrize("share", [0.0, 99.0])
@pytest.mark.parametrize("kept", [0, 1 << 28])
def test_every_way_to_the_norms_is_exact(
    share: float, kept: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Gradients of the examples kept, or a few at a time, or Gram matrices."""
    for route in ("linear", "convolution"):
        monkeypatch.setattr(sys.modules[f"scalekit.govern.routes.{route}"], "KEPT_BYTES", kept)
    for limit in ("GRAM_SHARE", "GRAM_SHARE_KEPT"):
        monkeypatch.setattr(sys.modules["scalekit.govern.routes.linear"], limit, share)
    for make, loss, batch in (
        OWN["linear, embedding, layer norm"],
        OWN["convolutions, group norm"],
    ):
        torch.manual_seed(0)
        examples = len(batch[0] if isinstance(batch, tuple) else batch)
        assert verify(make(), loss, batch, examples=examples).worst < 1e-12


@pytest.mark.parametrize("width", [5, 4096, 5000, 300_000])
def test_sums_of_squares_keep_the_digits_of_float32(width: int) -> None:
    values = torch.randn(3, width, generator=torch.Generator().manual_seed(0))
    wanted = values.double().square().sum(1)
    assert float(((squares(values).double() - wanted) / wanted).abs().max()) < 1e-6
    assert squares(values.bfloat16()).dtype == torch.float32


@pytest.mark.parametrize(
    "name", ["linear, embedding, layer norm", "convolutions, group norm", "t5"]
)
def test_work_that_is_skipped_was_not_needed(name: str) -> None:
    """Hard masks: with and without early stop, the same gradients; also where order forbids it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        make, loss, batch = OWN[name] if name in OWN else models.hugging_face()[name]
        found = []
        for early in (True, False):
            torch.manual_seed(0)
            model = make().eval()
            governor = govern(model, early_stop=early)
            mask = (torch.rand(5, len(governor.depths.groups)) > 0.5).float()
            mask[0, :2], mask[1, 1:] = 0, 0
            for _ in range(2):  # the first batch shows in which order the leaves run
                model.zero_grad()
                with governor.batch([str(i) for i in range(5)], mask=mask):
                    loss(model, batch).backward()
            found.append({n: p.grad for n, p in model.named_parameters() if p.grad is not None})
    assert found[0].keys() == found[1].keys()
    for key, grad in found[0].items():
        assert torch.allclose(grad, found[1][key], atol=1e-6), key


def test_leaves_that_run_out_of_order_after_all_are_refused() -> None:
    class Turning(GPT):
        turned = False

        def forward(self, ids: torch.Tensor) -> torch.Tensor:
            x = self.embed(ids)
            for block in reversed(self.blocks) if self.turned else self.blocks:
                x = block(x)
            return self.head(self.norm(x))

    model = Turning()
    governor = govern(model)
    mask = torch.ones(5, len(governor.depths.groups))
    for _ in range(2):
        with governor.batch([str(i) for i in range(5)], mask=mask):
            next_token(model, tokens()).backward()
    model.turned = True
    batch = governor.batch([str(i) for i in range(5)], mask=mask)
    with pytest.raises(GovernError, match="early_stop=False"), batch:
        next_token(model, tokens())
