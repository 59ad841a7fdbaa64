"""What governing costs: a governed training step against a plain one; one JSON object a line.

Models: GPT-style 4 x 256 (T = 64 and 128), an MLP 4 x 1024, a small CNN, and Hugging Face's Llama
4 x 256 (T = 64; without Opacus); batch 32 (MLP 128), AdamW, one thread, CPU time of the process, A
and B in turn within one run, median of the turns' ratios. The timed step follows one of its own
kind, as in training: after the other's its weights are out of the cache, which on the MLP is as
much as 15 % of a step. The allocator keeps what is freed (glibc): else thousands of page faults
fall on one side or the other by chance, a fifth of a plain MLP step. ``product_ratio``: one large
product of a governed backward against torch's.
``--quick``: fewer turns; names of figures, or parts of them: those alone. ``--torch-products``:
large products by MKL as in the plain step, where a governed backward would take oneDNN's.
"""

from __future__ import annotations

import copy
import ctypes
import json
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import polars as pl
import torch
from torch import Tensor, nn
from torch.nn import functional

from scalekit.govern import EntropyBudget, Guard, govern
from scalekit.govern.record import Recorder
from scalekit.govern.routes import products

torch.set_num_threads(1)
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4  # malloc.h


class Block(nn.Module):
    def __init__(self, d: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.n1, self.n2 = nn.LayerNorm(d), nn.LayerNorm(d)
        self.qkv, self.proj = nn.Linear(d, 3 * d), nn.Linear(d, d)
        self.fc1, self.fc2 = nn.Linear(d, 4 * d), nn.Linear(4 * d, d)

    def forward(self, x: Tensor) -> Tensor:
        batch, steps, d = x.shape
        parts = self.qkv(self.n1(x)).view(batch, steps, 3, self.heads, d // self.heads)
        q, k, v = parts.permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.proj(mixed.transpose(1, 2).reshape(batch, steps, d))
        return x + self.fc2(functional.gelu(self.fc1(self.n2(x))))


class GPT(nn.Module):
    def __init__(
        self, vocabulary: int = 512, d: int = 256, layers: int = 4, steps: int = 128
    ) -> None:
        super().__init__()
        self.embed = nn.Embedding(vocabulary, d)
        self.register_buffer("place", torch.randn(steps, d) * 0.02)
        self.blocks = nn.ModuleList(Block(d, 4) for _ in range(layers))
        self.norm, self.head = nn.LayerNorm(d), nn.Linear(d, vocabulary, bias=False)

    def forward(self, ids: Tensor) -> Tensor:
        x = self.embed(ids) + self.place[: ids.shape[1]]
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x))


class MLP(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        widths = [256, 1024, 1024, 1024, 1024, 10]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(widths))

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers[:-1]:
            x = functional.relu(layer(x))
        return self.layers[-1](x)


class CNN(nn.Module):
    def __init__(self, c: int = 32) -> None:
        super().__init__()
        shapes = [(3, c, 1), (c, c, 1), (c, 2 * c, 2), (2 * c, 2 * c, 1), (2 * c, 4 * c, 2)]
        self.convs = nn.ModuleList(nn.Conv2d(a, b, 3, s, padding=1) for a, b, s in shapes)
        self.norms = nn.ModuleList(nn.GroupNorm(4, b) for _, b, _ in shapes)
        self.head = nn.Linear(4 * c, 10)

    def forward(self, x: Tensor) -> Tensor:
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = functional.relu(norm(conv(x)))
        return self.head(x.mean((2, 3)))


def gpt(steps: int) -> tuple[nn.Module, tuple[Tensor, ...], Callable[..., Tensor]]:
    ids = torch.randint(0, 512, (32, steps + 1))

    def loss(model: nn.Module, ids: Tensor) -> Tensor:
        return functional.cross_entropy(model(ids[:, :-1]).flatten(0, 1), ids[:, 1:].flatten())

    return GPT(), (ids,), loss


def llama() -> tuple[nn.Module, tuple[Tensor, ...], Callable[..., Tensor]]:
    from transformers import LlamaConfig, LlamaForCausalLM

    sizes = {"hidden_size": 256, "intermediate_size": 688, "num_hidden_layers": 4}
    model = LlamaForCausalLM(LlamaConfig(vocab_size=512, num_attention_heads=4, **sizes))

    def loss(model: nn.Module, ids: Tensor) -> Tensor:
        return model(input_ids=ids, labels=ids, use_cache=False).loss

    return model.train(), (torch.randint(0, 512, (32, 64)),), loss


def classified(
    model: nn.Module, x: Tensor
) -> tuple[nn.Module, tuple[Tensor, ...], Callable[..., Tensor]]:
    target = torch.randint(0, 10, (len(x),))
    return model, (x, target), lambda m, x, y: functional.cross_entropy(m(x), y)


SETUPS = {
    "gpt": lambda: gpt(64),
    "gpt_t128": lambda: gpt(128),
    "mlp": lambda: classified(MLP(), torch.randn(128, 256)),
    "cnn": lambda: classified(CNN(), torch.randn(32, 3, 32, 32)),
    "llama": llama,
}


class Plain:
    def __init__(
        self, model: nn.Module, data: tuple[Tensor, ...], loss: Callable[..., Tensor]
    ) -> None:
        self.model, self.data, self.loss = copy.deepcopy(model), data, loss
        self.optimizer = torch.optim.AdamW(self.model.parameters(), 1e-4)

    def __call__(self) -> None:
        self.optimizer.zero_grad(set_to_none=True)
        self.loss(self.model, *self.data).backward()
        self.optimizer.step()

    def close(self) -> None:
        pass


class Governed(Plain):
    """The same step with routes; ``hard`` masks half of the depths of each example."""

    def __init__(self, *setup: Any, hard: bool = False, **options: Any) -> None:
        super().__init__(*setup)
        self.governor = govern(self.model, **options)
        self.names = [str(i) for i in range(len(self.data[0]))]
        depths = len(self.governor.depths.groups)
        self.mask = torch.rand(len(self.names), depths)
        if hard:
            deep = torch.arange(depths) >= depths // 2
            odd = (torch.arange(len(self.names)) % 2).bool().unsqueeze(1)
            self.mask = (deep ^ odd).float()

    def __call__(self) -> None:
        self.optimizer.zero_grad(set_to_none=True)
        with self.governor.batch(self.names, mask=self.mask):
            self.loss(self.model, *self.data).backward()
        self.governor.harvests.clear()
        self.optimizer.step()


class Recorded(Governed):
    """Everything on: masks, budget, sketches, the guard at the optimizer, the record on disk."""

    def __init__(self, *setup: Any) -> None:
        super().__init__(*setup, budget=BUDGET, sketch=64, nonce=b"benchmark")
        self.folder = tempfile.TemporaryDirectory()
        table = pl.DataFrame({"example": np.arange(len(self.names), dtype=np.uint32)})
        names = self.governor.depths.names
        self.recorder = Recorder.create(
            Path(self.folder.name) / "run", table, names, sketch=64, commitment="", about={}
        )
        self.guard = Guard(self.governor, self.optimizer, self.account)
        self.updates = 0

    def account(self, update: Any) -> None:
        self.updates += 1
        rows = np.arange(len(self.names))
        micros = [
            {
                "example": rows,
                "loss": np.zeros(len(rows), np.float32),
                "mask": h.mask.numpy(),
                "raw_norm": h.raw.numpy(),
                "applied_norm": h.applied.numpy(),
                "sketch": h.sketch.numpy(),
            }
            for h in update.harvests
        ]
        totals = {
            "rate": update.rate, "factor": update.factor, "drift": update.drift,
            "residual": update.residual.numpy(), "effective": update.effective.numpy(),
            "fingerprint": update.fingerprint.numpy().reshape(-1),
        }  # fmt: skip
        self.recorder.update(self.updates, micros, totals)

    def __call__(self) -> None:
        self.optimizer.zero_grad(set_to_none=True)
        with self.governor.batch(self.names, mask=self.mask):
            self.loss(self.model, *self.data).backward()
        self.optimizer.step()

    def close(self) -> None:
        self.recorder.close()
        self.folder.cleanup()


class Opacus(Plain):
    """Ghost clipping: per-example norms by a first backward, clipped gradients by a second."""

    def __init__(self, *setup: Any) -> None:
        super().__init__(*setup)
        from opacus.grad_sample import GradSampleModuleFastGradientClipping as Ghost

        warnings.filterwarnings("ignore")
        self.ghost = Ghost(self.model, strict=False, max_grad_norm=1.0, use_ghost_clipping=True)

    def __call__(self) -> None:
        self.optimizer.zero_grad(set_to_none=True)
        if len(self.data) == 1:
            ids = self.data[0]
            logits = self.ghost(ids[:, :-1].contiguous()).transpose(1, 2).contiguous()
            losses = functional.cross_entropy(
                logits, ids[:, 1:].contiguous(), reduction="none"
            ).mean(1)
        else:
            x, y = self.data
            losses = functional.cross_entropy(self.ghost(x), y, reduction="none")
        losses.mean().backward(retain_graph=True)
        weights = self.ghost.get_clipping_coef()
        self.ghost.disable_hooks()
        self.ghost.zero_grad()
        (weights * losses).sum().backward()
        self.ghost.enable_hooks()
        self.optimizer.step()


BUDGET = EntropyBudget(floor=0.9, phi=0.03)
VARIANTS: dict[str, Callable[..., Plain]] = {
    "route": Governed,
    "route_hard": lambda *s: Governed(*s, hard=True),
    "budget": lambda *s: Governed(*s, budget=BUDGET),
    "record": Recorded,
    "opacus": Opacus,
}


def compare(setup: tuple[Any, ...], make: Callable[..., Plain], turns: int) -> float:
    """Return the median, over turns, of the CPU time of a step of *make*'s over a plain step's."""
    steps = Plain(*setup), make(*setup)
    found = in_turn(steps, turns)
    steps[1].close()
    return found


def in_turn(steps: tuple[Callable[[], Any], Callable[[], Any]], turns: int) -> float:
    """Return the median, over turns, of the CPU time of the second over that of the first."""
    ratios = []
    for turn in range(turns + 1):
        spent = [0.0, 0.0]
        for which in (0, 1) if turn % 2 else (1, 0):
            steps[which]()
            start = time.process_time()
            steps[which]()
            spent[which] = time.process_time() - start
        if turn:
            ratios.append(spent[1] / spent[0])  # of neighbours: what else runs slows both
    return median(ratios)


def compare_products(turns: int) -> float:
    """Return the time of a governed backward's product over torch's, at an MLP layer's size."""
    left, right = torch.randn(128, 1024), torch.randn(1024, 1024)
    return in_turn((lambda: left @ right, lambda: products.product(left, right)), turns)


def keep_freed_memory() -> None:
    """Let glibc give no memory back to the system; other allocators stay as they are."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_MAX, 0)
        mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
        mallopt(M_TOP_PAD, 1 << 26)


def say(figure: str, ratio: float, against: str, turns: int) -> None:
    line = {"figure": figure, "value": round(ratio, 3), "unit": f"x {against}"}
    print(json.dumps({**line, "against": f"torch {against}", "n": turns}), flush=True)


def main() -> None:
    """Measure and print."""
    keep_freed_memory()
    turns = 5 if "--quick" in sys.argv[1:] else 15
    if "--torch-products" in sys.argv[1:]:
        products.mkl_is_narrow = lambda: False
    only = [a for a in sys.argv[1:] if not a.startswith("-")]
    if not only or any(o in "product_ratio" for o in only):
        say("product_ratio", compare_products(turns), "product", turns)
    for name, make in SETUPS.items():
        torch.manual_seed(0)
        setup = make()
        for variant, step in VARIANTS.items():
            if (name, variant) == ("llama", "opacus"):
                continue
            if only and not any(o in f"{variant}_ratio_{name}" for o in only):
                continue
            ratio = compare(setup, step, turns)
            say(f"{variant}_ratio_{name}", ratio, "plain step", turns)


if __name__ == "__main__":
    main()
