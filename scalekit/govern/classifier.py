"""A small torch text classifier: hashed word and character n-grams, two hidden layers."""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor, nn

from scalekit.text import words

__all__ = ["TextClassifier"]

BUCKETS = 1 << 14


@lru_cache(maxsize=200_000)
def features(text: str) -> tuple[int, ...]:
    """Return the hash buckets of a text's words, word pairs, and character 3- and 4-grams."""
    found = [w.folded for w in words(text)]
    grams = [f"w {w}" for w in found]
    grams += [f"p {a} {b}" for a, b in pairwise(found)]
    for word in found:
        padded = f"<{word}>"
        for n in (3, 4):
            grams += [f"c {padded[i : i + n]}" for i in range(len(padded) - n + 1)]
    # crc32, not hash(): the same on every machine and in every process.
    return tuple(zlib.crc32(g.encode()) % BUCKETS for g in dict.fromkeys(grams)) or (0,)


class TextClassifier(nn.Module):
    """Classifies texts into named categories.

    Parameters
    ----------
    categories
        Their names, in the order of the output.
    width
        Units in the embedding and in each hidden layer.
    seed
        Of the initial weights.
    """

    def __init__(self, categories: Sequence[str], *, width: int = 64, seed: int = 0) -> None:
        super().__init__()
        self.categories = tuple(categories)
        self.width = width
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.embed = nn.EmbeddingBag(BUCKETS, width, mode="sum")
            nn.init.normal_(self.embed.weight, std=width**-0.5)
            self.layers = nn.Sequential(
                nn.LayerNorm(width), nn.Linear(width, width), nn.ReLU(), nn.Dropout(0.2),
                nn.Linear(width, width), nn.ReLU(), nn.Linear(width, len(self.categories)),
            )  # fmt: skip

    def forward(self, texts: Sequence[str]) -> Tensor:
        """Return logits, texts x categories."""
        rows = [features(t) for t in texts]
        flat = torch.tensor([b for row in rows for b in row])
        starts = torch.tensor([0, *(len(row) for row in rows[:-1])]).cumsum(0)
        weights = torch.cat([torch.full((len(row),), len(row) ** -0.5) for row in rows])
        device = self.embed.weight.device
        bag = self.embed(flat.to(device), starts.to(device), per_sample_weights=weights.to(device))
        out: Tensor = self.layers(bag)
        return out

    def predict(self, texts: list[str]) -> list[str]:
        """Return the likeliest category of each text."""
        if not texts:
            return []
        self.eval()
        with torch.inference_mode():
            return [self.categories[i] for i in self(texts).argmax(dim=1).tolist()]

    def save(self, path: Path) -> None:
        """Write the weights as safetensors, with the categories as metadata."""
        from safetensors.torch import save

        from scalekit.frames import write_atomically

        # One entry: safetensors writes several in no fixed order, and equal runs give equal bytes.
        metadata = {"scalekit": json.dumps({"categories": self.categories, "width": self.width})}
        state = {k: v.detach().cpu().contiguous() for k, v in self.state_dict().items()}
        write_atomically(path, save(state, metadata=metadata))

    @classmethod
    def load(cls, path: Path) -> TextClassifier:
        """Read a model that :meth:`save` wrote."""
        from safetensors import safe_open

        with safe_open(str(path), framework="pt") as stream:
            metadata = stream.metadata()
            state = {k: stream.get_tensor(k) for k in stream.keys()}  # noqa: SIM118
        made = json.loads(metadata["scalekit"])
        model = cls(made["categories"], width=made["width"])
        model.load_state_dict(state)
        return model
