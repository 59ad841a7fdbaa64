"""What the entropy budget does where labels are wrong; one JSON object a line.

An MLP 3 x 256, Adam, 60 epochs, batch 64, 1,200 training examples with 0, 20 or 40 % of the labels
flipped; its strength comes from the share of wrong labels among 100 examples with gold (of the
training set, never the test set). Data: scikit-learn's digits, and texts (sources of the standard
library, to be told apart by package). Means over five seeds; ``--quick``: one seed, fewer epochs.
"""

from __future__ import annotations

import json
import sys
import sysconfig
import zlib
from itertools import pairwise
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional

from scalekit.govern import EntropyBudget, govern

torch.set_num_threads(1)
TRAINED, GOLD, BATCH, BUCKETS = 1200, 100, 64, 512
PACKAGES = (
    "asyncio", "email", "json", "unittest", "xml", "logging", "multiprocessing", "importlib",
    "ctypes", "http",
)  # fmt: skip


def digits() -> tuple[Tensor, Tensor]:
    """Return 1,797 pictures and what they show."""
    x, y = load_digits(return_X_y=True)
    return torch.tensor(x / 16, dtype=torch.float32), torch.tensor(y)


def text() -> tuple[Tensor, Tensor]:
    """Return documents of four source lines as hashed character 4-grams, and their package."""
    library = Path(sysconfig.get_path("stdlib"))
    rows, labels = [], []
    for label, package in enumerate(PACKAGES):
        sources = sorted((library / package).rglob("*.py"))
        lines = [
            line.strip().lower()
            for path in sources
            if "test" not in path.parts[-2]
            for line in path.read_text(errors="ignore").splitlines()
            if len(line.strip()) > 40
        ]
        order = np.random.default_rng(label).permutation(len(lines))[:1000]
        for start in range(0, len(order) - 3, 4):
            document = " ".join(lines[i] for i in order[start : start + 4])
            counts = np.zeros(BUCKETS, np.float32)
            for i in range(len(document) - 3):
                counts[zlib.crc32(document[i : i + 4].encode()) % BUCKETS] += 1
            logs = np.log1p(counts)
            rows.append(3 * logs / np.linalg.norm(logs))
            labels.append(label)
    return torch.tensor(np.array(rows)), torch.tensor(labels)


class MLP(nn.Module):
    def __init__(self, inputs: int, classes: int, width: int = 256) -> None:
        super().__init__()
        widths = [inputs, width, width, width, classes]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(widths))

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers[:-1]:
            x = functional.relu(layer(x))
        return self.layers[-1](x)


def train(data: tuple[Tensor, Tensor], noise: float, seed: int, budgeted: bool, epochs: int) -> Any:
    """Return test accuracy, and the share of flipped labels that the model has memorised."""
    x, truth = data
    drawn = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(x), generator=drawn)
    trained, tested = order[:TRAINED], order[TRAINED:]
    classes = int(truth.max()) + 1
    labels = truth[trained].clone()
    flipped = torch.rand(TRAINED, generator=drawn) < noise
    wrong = torch.randint(1, classes, (int(flipped.sum()),), generator=drawn)
    labels[flipped] = (labels[flipped] + wrong) % classes
    gold = torch.randperm(TRAINED, generator=drawn)[:GOLD]
    estimate = float((labels[gold] != truth[trained][gold]).float().mean())
    torch.manual_seed(seed)
    model = MLP(x.shape[1], classes)
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3, weight_decay=0)
    # The plain run goes through the governor too: with a budget that only monitors, it is plain.
    budget = EntropyBudget.from_noise(estimate if budgeted else None)
    governor = govern(model, budget=budget)
    depths = len(governor.depths.groups)
    for _ in range(epochs):
        for chosen in torch.randperm(TRAINED, generator=drawn).split(BATCH):
            optimizer.zero_grad()
            names = [str(int(i)) for i in chosen]
            with governor.batch(names, mask=torch.ones(len(chosen), depths)):
                functional.cross_entropy(model(x[trained[chosen]]), labels[chosen]).backward()
            governor.harvests.clear()
            optimizer.step()
    governor.release()
    with torch.no_grad():
        right = (model(x[tested]).argmax(1) == truth[tested]).float().mean()
        said = model(x[trained]).argmax(1)[flipped]
    memorised = float((said == labels[flipped]).float().mean()) if noise else 0.0
    return float(right), memorised


def main() -> None:
    """Measure and print."""
    quick = "--quick" in sys.argv[1:]
    seeds, epochs = (range(1), 15) if quick else (range(5), 60)
    for name, data in (("", digits()), ("text", text())):
        for noise in (0.0, 0.2, 0.4):
            runs = {
                on: [train(data, noise, seed, on, epochs) for seed in seeds] for on in (False, True)
            }
            plain, budget = (mean(a for a, _ in runs[on]) for on in (False, True))
            kind = "cost" if noise == 0 else "gain"
            figures = {
                f"{name or 'noise'}{noise * 100:.0f}_{kind}": (plain - budget)
                * (1 if noise == 0 else -1),
                f"{name + '_' if name else ''}plain{noise * 100:.0f}": plain,
            }
            if noise:
                memory = mean(m for _, m in runs[True])
                figures[f"{name + '_' if name else ''}memorised{noise * 100:.0f}"] = memory
            for figure, value in figures.items():
                line = {"figure": figure, "value": round(value, 4), "unit": "share"}
                print(json.dumps({**line, "against": "no budget", "n": len(seeds)}), flush=True)


if __name__ == "__main__":
    main()
