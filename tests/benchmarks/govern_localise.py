"""Does routing put a skill where its profile says? One JSON object a line.

A GPT of 4 blocks, width 48, sees [a, b, tag]: tag A asks for a permutation of a (surface), tag B
for (a + b) mod 11 (concept). A goes to the lower half, B to the upper; then the other way round.
After training the upper half is put back to its first weights: the skill below must be kept, the
one above lost (chance is 0.09). Means over twelve seeds, of which each leaves 0.06 to 0.23; the
worse of both routings. ``--quick``: one seed.
"""

from __future__ import annotations

import copy
import json
import sys
from statistics import mean

import torch
from torch import Tensor, nn
from torch.nn import functional

from scalekit.govern import Readout, govern

torch.set_num_threads(1)
SYMBOLS, BLOCKS, WIDTH, BATCH, STEPS = 11, 4, 48, 96, 1000
LOWER, UPPER = (0.0, 0.5), (0.5, 1.0)


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.n1, self.n2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.qkv, self.proj = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.fc1, self.fc2 = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        batch, steps, _ = x.shape
        q, k, v = self.qkv(self.n1(x)).view(batch, steps, 3, 4, WIDTH // 4).permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.proj(mixed.transpose(1, 2).reshape(batch, steps, WIDTH))
        return x + self.fc2(functional.gelu(self.fc1(self.n2(x))))


class GPT(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(SYMBOLS + 2, WIDTH)
        self.register_buffer("place", torch.randn(3, WIDTH) * 0.02)
        self.blocks = nn.ModuleList(Block() for _ in range(BLOCKS))
        self.norm, self.head = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, SYMBOLS, bias=False)
        for parameter in self.parameters():
            if parameter.dim() > 1:
                nn.init.normal_(parameter, std=0.02)

    def forward(self, ids: Tensor) -> Tensor:
        x = self.embed(ids) + self.place
        for block in self.blocks:
            x = block(x)
        return self.read(x)

    def read(self, state: Tensor) -> Tensor:
        return self.head(self.norm(state[:, -1]))


def drawn(n: int, generator: torch.Generator, table: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    a, b = (torch.randint(0, SYMBOLS, (n,), generator=generator) for _ in range(2))
    skill = torch.randint(0, 2, (n,), generator=generator)
    answer = torch.where(skill == 0, table[a], (a + b) % SYMBOLS)
    return torch.stack([a, b, SYMBOLS + skill], 1), answer, skill


def accuracy(model: nn.Module, table: Tensor) -> list[float]:
    ids, answer, skill = drawn(4000, torch.Generator().manual_seed(5), table)
    with torch.no_grad():
        right = (model(ids).argmax(1) == answer).float()
    return [float(right[skill == s].mean()) for s in (0, 1)]


def trained(seed: int, swapped: bool) -> dict[str, list[float]]:
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(1000 + seed)
    table = torch.randperm(SYMBOLS, generator=generator)
    model = GPT()
    first = copy.deepcopy(model.state_dict())
    governor = govern(model)
    loss = Readout(governor, model.read)
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3, weight_decay=0)
    for step in range(STEPS):
        for group in optimizer.param_groups:
            group["lr"] = 3e-3 * min(1, (step + 1) / 100) * (1 - step / STEPS)
        ids, answer, skill = drawn(BATCH, generator, table)
        upper = (skill == 0) if swapped else (skill == 1)
        profiles = [UPPER if u else LOWER for u in upper.tolist()]
        optimizer.zero_grad()
        with governor.batch([str(i) for i in range(BATCH)], profiles=profiles):
            loss(model(ids), answer).mean().backward()
        optimizer.step()
    governor.release()
    found = {"full": accuracy(model, table)}
    kept = model.state_dict()
    upper_blocks = tuple(f"blocks.{i}." for i in range(BLOCKS // 2, BLOCKS))
    model.load_state_dict(
        {k: first[k] if k.startswith(upper_blocks) else v for k, v in kept.items()}
    )
    found["reset"] = accuracy(model, table)
    return found


def main() -> None:
    """Measure and print."""
    seeds = range(1) if "--quick" in sys.argv[1:] else range(12)
    worst = {"learned": 1.0, "kept": 1.0, "lost": 0.0}
    for swapped in (False, True):
        below, above = (1, 0) if swapped else (0, 1)
        runs = [trained(seed, swapped) for seed in seeds]
        learned = mean(min(r["full"]) for r in runs)
        kept, lost = mean(r["reset"][below] for r in runs), mean(r["reset"][above] for r in runs)
        worst["learned"] = min(worst["learned"], learned)
        worst["kept"], worst["lost"] = min(worst["kept"], kept), max(worst["lost"], lost)
    for figure, value in worst.items():
        line = {"figure": figure, "value": round(value, 4), "unit": "accuracy"}
        print(json.dumps({**line, "against": "chance 0.09", "n": len(seeds)}), flush=True)


if __name__ == "__main__":
    main()
