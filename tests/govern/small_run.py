"""A governed run on a few texts; as a program, it trains in the folder that it is given."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl
import torch

from scalekit.govern import Examples, GovernedRun, Manifest, Settings, TextClassifier
from scalekit.signing import Signer

CATEGORIES = ("colour", "number", "place")
WORDS = {
    "colour": ("red", "blue", "green", "yellow", "violet"),
    "number": ("one", "two", "three", "four", "five"),
    "place": ("here", "there", "inside", "outside", "above"),
}
DEPTHS = {"surface": (0.0, 0.5), "concept": (0.5, 1.0), "both": (0.0, 1.0)}
NONCE = bytes(range(32))


def frame(n: int = 48) -> pl.DataFrame:
    rows = []
    for i in range(n):
        label = CATEGORIES[i % 3]
        first, second = WORDS[label][i % 5], WORDS[label][(i // 5) % 5]
        rubric = list(DEPTHS)[i // 3 % 3]
        low, high = DEPTHS[rubric]
        rows.append(
            {
                "item_id": f"x{i:03d}", "text": f"{first} or {second} {i}", "label": label,
                "batch_id": f"batch{i % 2}", "annotators": ["ana", "ben"] if i % 2 else ["ana"],
                "rubric": rubric, "low": low, "high": high, "noise": 0.02,
            }
        )  # fmt: skip
    return pl.DataFrame(rows)


def classify(model: Any, rows: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor]:
    table = frame()
    texts = [table["text"][i] for i in rows]
    return model(texts), torch.tensor([CATEGORIES.index(table["label"][i]) for i in rows])


def begin(folder: Path, **changed: Any) -> GovernedRun:
    table = frame()
    noise = {"estimate": "0.02", "source": "consensus", "n": str(len(table))}
    delivered = folder.parent / "delivered"
    signer = Signer.load("scalekit")
    if not delivered.exists():
        Manifest.write(delivered, table, noise=noise, signer=signer)
    manifest = Manifest.load(delivered, [signer.public])
    model = TextClassifier(CATEGORIES, width=32, depth=2)
    optimizer = torch.optim.AdamW(model.parameters(), 1e-2)
    examples = Examples(*(table[c].to_list() for c in ("item_id", "text", "label")))
    settings = {"epochs": 4, "batch": 8, "checkpoint_every": 5, **changed}
    return GovernedRun(
        model, optimizer, examples, classify, manifest=manifest, folder=folder, nonce=NONCE,
        settings=Settings(**settings),
    )  # fmt: skip


def finish(run: GovernedRun) -> Path:
    run.run()
    run.seal(Signer.load("scalekit"), run.model.to_bytes())
    return run.folder


if __name__ == "__main__":
    torch.set_num_threads(1)
    run = begin(Path(sys.argv[1]))
    print(run.update, flush=True)
    while not run.finished:
        run.step()
        print(run.update, flush=True)
    finish(run)
