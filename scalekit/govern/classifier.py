"""A small torch text classifier: hashed word and character n-grams, residual blocks."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor, nn

from scalekit.govern.depths import DepthMap, depth_map
from scalekit.text import words

__all__ = ["TextClassifier"]

BUCKETS = 1 << 14
LONGEST = 1024  # n-grams of one text


@lru_cache(maxsize=200_000)
def features(text: str) -> tuple[int, ...]:
    """Return the hash buckets (from 1) of a text's words, word pairs, character 3- and 4-grams."""
    found = [w.folded for w in words(text)]
    grams = [f"w {w}" for w in found]
    grams += [f"p {a} {b}" for a, b in pairwise(found)]
    for word in found:
        padded = f"<{word}>"
        for n in (3, 4):
            grams += [f"c {padded[i : i + n]}" for i in range(len(padded) - n + 1)]
    # crc32, not hash(): the same on every machine and in every process.
    kept = list(dict.fromkeys(grams))[:LONGEST]
    return tuple(1 + zlib.crc32(g.encode()) % BUCKETS for g in kept) or (1,)


class Block(nn.Module):
    """``x + fc2(relu(fc1(norm(x))))``, with dropout."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm, self.dropout = nn.LayerNorm(width), nn.Dropout(0.2)
        self.fc1, self.fc2 = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Return the next hidden state, [B, width]."""
        out: Tensor = x + self.fc2(self.dropout(torch.relu(self.fc1(self.norm(x)))))
        return out


class TextClassifier(nn.Module):
    """Classifies texts into named categories.

    Residual blocks between an embedding and a readout, so that an answer can be read at every
    depth.

    Parameters
    ----------
    categories
        Their names, in the order of the output.
    width
        Numbers in a hidden state.
    depth
        Blocks.
    seed
        Of the initial weights.
    """

    def __init__(
        self, categories: Sequence[str], *, width: int = 64, depth: int = 4, seed: int = 0
    ) -> None:
        super().__init__()
        self.categories = tuple(categories)
        self.width, self.depth = width, depth
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.embed = nn.Embedding(BUCKETS + 1, width, padding_idx=0)
            nn.init.normal_(self.embed.weight, std=width**-0.5)
            self.blocks = nn.ModuleList(Block(width) for _ in range(depth))
            self.norm = nn.LayerNorm(width)
            self.head = nn.Linear(width, len(self.categories))

    def depths(self) -> DepthMap:
        """Return its depth map: the words' own weights are the surface, then block by block."""
        groups = {"embed": "embed"}
        groups |= {f"blocks.{i}": f"blocks.{i}.*" for i in range(self.depth)}
        return depth_map(self, {**groups, "output": ("norm", "head")})

    def forward(self, texts: Sequence[str]) -> Tensor:
        """Return logits, texts x categories."""
        rows = [features(t) for t in texts]
        longest = max(map(len, rows))
        device = self.embed.weight.device
        padded = [[*row, *[0] * (longest - len(row))] for row in rows]
        ids = torch.tensor(padded, device=device)
        scale = torch.tensor([len(row) ** -0.5 for row in rows], device=device)
        x = (self.embed(ids) * (ids != 0).unsqueeze(-1)).sum(1) * scale.unsqueeze(1)
        for block in self.blocks:
            x = block(x)
        return self.read(x)

    def read(self, state: Tensor) -> Tensor:
        """Return logits from a hidden state of any depth."""
        out: Tensor = self.head(self.norm(state))
        return out

    def predict(self, texts: list[str]) -> list[str]:
        """Return the likeliest category of each text."""
        if not texts:
            return []
        self.eval()
        with torch.inference_mode():
            return [self.categories[i] for i in self(texts).argmax(dim=1).tolist()]

    def to_bytes(self, about: Mapping[str, str] | None = None) -> bytes:
        """Return the weights as a safetensors file, with the categories as metadata."""
        from safetensors.torch import save

        made = {"categories": self.categories, "width": self.width, "depth": self.depth}
        # One entry: safetensors writes several in no fixed order, and equal runs give equal bytes.
        metadata = {"scalekit": json.dumps({**made, **(about or {})})}
        state = {k: v.detach().cpu().contiguous() for k, v in self.state_dict().items()}
        return save(state, metadata=metadata)

    def save(self, path: Path) -> None:
        """Write :meth:`to_bytes` to *path*."""
        from scalekit.frames import write_atomically

        write_atomically(path, self.to_bytes())

    @classmethod
    def load(cls, path: Path) -> TextClassifier:
        """Read a model that :meth:`save` wrote."""
        from safetensors import safe_open

        with safe_open(str(path), framework="pt") as stream:
            metadata = stream.metadata()
            state = {k: stream.get_tensor(k) for k in stream.keys()}  # noqa: SIM118
        made = json.loads(metadata["scalekit"])
        model = cls(made["categories"], width=made["width"], depth=made["depth"])
        model.load_state_dict(state)
        return model
