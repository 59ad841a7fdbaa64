"""Small models of the layouts that are governed, from random configurations."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

WORDS = 60


def linear(width: int = 4) -> nn.Linear:
    return nn.Linear(width, width)


def several(make: Callable[[], nn.Module], count: int) -> nn.ModuleList:
    return nn.ModuleList(make() for _ in range(count))


class Parts(nn.Module):
    """A module with the named parts, in that order."""

    def __init__(self, **parts: Any) -> None:
        super().__init__()
        for name, part in parts.items():
            setattr(self, name, part)


class Block(nn.Module):
    def __init__(self, width: int, norm: type[nn.Module]) -> None:
        super().__init__()
        self.n1, self.n2 = norm(width), norm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width, bias=False)
        self.fc1, self.fc2 = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        batch, steps, width = x.shape
        q, k, v = self.qkv(self.n1(x)).view(batch, steps, 3, 2, width // 2).permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.proj(mixed.transpose(1, 2).reshape(batch, steps, width))
        return x + self.fc2(functional.gelu(self.fc1(self.n2(x))))


class GPT(nn.Module):
    def __init__(
        self,
        width: int = 32,
        layers: int = 3,
        norm: type[nn.Module] = nn.LayerNorm,
        tied: bool = False,
    ) -> None:
        super().__init__()
        self.embed, self.place = nn.Embedding(WORDS, width), nn.Embedding(32, width)
        self.blocks = nn.ModuleList(Block(width, norm) for _ in range(layers))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, WORDS, bias=False)
        if tied:
            self.head.weight = self.embed.weight

    def forward(self, ids: Tensor) -> Tensor:
        x = self.embed(ids) + self.place(torch.arange(ids.shape[1])[None])
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x))


class CNN(nn.Module):
    """ResNet-like, with GroupNorm; strides, groups, dilation and padding modes."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, width, 3, padding=1)
        self.stages = nn.ModuleList(
            [
                nn.Sequential(nn.Conv2d(width, width, 3, padding=1), nn.GroupNorm(4, width)),
                nn.Sequential(nn.Conv2d(width, 2 * width, 3, stride=2, padding=1, bias=False)),
                nn.Sequential(nn.Conv2d(2 * width, 2 * width, (3, 2), dilation=2, groups=2)),
                nn.Sequential(
                    nn.Conv2d(2 * width, width, 3, padding="same", padding_mode="reflect")
                ),
            ]
        )
        self.head = nn.Linear(width, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for stage in self.stages:
            x = functional.relu(stage(x))
        return self.head(x.mean((2, 3)))


class Mixed(nn.Module):
    """Attention, a 1-d convolution, and two leaves without routes of their own."""

    def __init__(
        self, *, batch_first: bool = True, bias: bool = True, weights: bool = False
    ) -> None:
        super().__init__()
        self.batch_first, self.weights = batch_first, weights
        self.embed = nn.Embedding(WORDS, 16, padding_idx=0)
        self.attention = nn.MultiheadAttention(16, 4, batch_first=batch_first, bias=bias)
        self.conv, self.act = nn.Conv1d(16, 16, 3, padding=1, stride=1), nn.PReLU(16)
        self.head = nn.Linear(16, WORDS)

    def forward(self, ids: Tensor) -> Tensor:
        x = self.embed(ids)
        h = x if self.batch_first else x.transpose(0, 1)
        a = self.attention(h, h, h, key_padding_mask=ids == 0, need_weights=self.weights)[0]
        x = x + (a if self.batch_first else a.transpose(0, 1))
        return self.head(self.act(self.conv(x.transpose(1, 2))).transpose(1, 2))


def next_token(model: nn.Module, ids: Tensor) -> Tensor:
    return functional.cross_entropy(model(ids[:, :-1]).flatten(0, 1), ids[:, 1:].flatten())


def each_token(model: nn.Module, ids: Tensor) -> Tensor:
    return functional.cross_entropy(model(ids).flatten(0, 1), ids.flatten())


def classified(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    return functional.cross_entropy(model(batch[0]), batch[1], reduction="sum")


def of_logits(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
    # Not the library's own loss, which is computed in float32.
    labels = batch["labels"]
    inputs = {k: v for k, v in batch.items() if k != "labels"}
    if hasattr(model, "decoder"):
        inputs["decoder_input_ids"] = labels
    logits = model(**inputs).logits
    return functional.cross_entropy(logits.reshape(-1, logits.shape[-1]), labels.reshape(-1))


def tokens(examples: int = 5, steps: int = 9) -> Tensor:
    return torch.randint(1, WORDS, (examples, steps), generator=torch.Generator().manual_seed(1))


def images(examples: int = 5, size: int = 16) -> tuple[Tensor, Tensor]:
    drawn = torch.Generator().manual_seed(1)
    pictures = torch.randn(examples, 3, size, size, generator=drawn)
    return pictures, torch.randint(0, 10, (examples,), generator=drawn)


def hugging_face() -> dict[str, tuple[Callable[[], Any], Callable[..., Tensor], Any]]:
    """Name -> how to make the model, its loss, a batch of five."""
    import transformers as hf

    logging.getLogger("transformers").setLevel(logging.ERROR)
    size: dict[str, Any] = {
        "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2,
        "intermediate_size": 64, "bos_token_id": 0, "eos_token_id": 0,
    }  # fmt: skip
    gpt2 = {
        "vocab_size": WORDS, "n_positions": 32, "n_embd": 32, "n_layer": 3, "n_head": 2,
        "bos_token_id": 0, "eos_token_id": 0,
    }  # fmt: skip
    text = {"input_ids": tokens(), "labels": tokens()}
    pictures, target = images()
    seen = {"pixel_values": pictures, "labels": target}
    labels = {"num_labels": 10}
    resnet = {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [2, 2], "layer_type": "basic"}
    return {
        "gpt2": (
            lambda: hf.GPT2LMHeadModel(hf.GPT2Config(**gpt2, tie_word_embeddings=False)),
            of_logits, text,
        ),
        "gpt2-tied": (lambda: hf.GPT2LMHeadModel(hf.GPT2Config(**gpt2)), of_logits, text),
        "llama": (
            lambda: hf.LlamaForCausalLM(
                hf.LlamaConfig(vocab_size=WORDS, num_key_value_heads=2, **size)
            ),
            of_logits, text,
        ),
        "bert": (
            lambda: hf.BertForSequenceClassification(
                hf.BertConfig(vocab_size=WORDS, **size, **labels)
            ),
            of_logits, {"input_ids": tokens(), "labels": target},
        ),
        "vit": (
            lambda: hf.ViTForImageClassification(
                hf.ViTConfig(image_size=16, patch_size=8, **size, **labels)
            ),
            of_logits, seen,
        ),
        "t5": (
            lambda: frozen(
                hf.T5ForConditionalGeneration(
                    hf.T5Config(
                        vocab_size=WORDS, d_model=32, d_ff=64, num_layers=2, num_heads=2, d_kv=16,
                        decoder_start_token_id=0,
                    )
                ),
                "relative_attention_bias",  # one table for pairs of places, not of examples
            ),
            of_logits, text,
        ),
        "resnet": (
            lambda: group_normed(hf.ResNetForImageClassification(hf.ResNetConfig(**resnet,
            **labels))), of_logits, seen,
        ),
    }  # fmt: skip


def group_normed(model: nn.Module) -> nn.Module:
    """Put GroupNorm in the place of every BatchNorm."""
    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.BatchNorm2d):
                setattr(module, name, nn.GroupNorm(4, child.num_features))
    return model


def frozen(model: nn.Module, name: str) -> nn.Module:
    for own, parameter in model.named_parameters():
        parameter.requires_grad_(name not in own)
    return model
