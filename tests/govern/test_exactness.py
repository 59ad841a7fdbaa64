"""Governed gradients and norms against one backward for each example, in float64."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import governed_models as models
import pytest
import torch
from governed_models import CNN, GPT, Mixed, classified, each_token, images, next_token, tokens
from torch import nn

from scalekit.govern import verify

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
