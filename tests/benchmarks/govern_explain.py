"""How well the record explains outputs, against TRAK and captum's TracInCP; one JSON object a line.

Linear datamodelling score (Park et al. 2023): over half-subsets of the training set, the rank
correlation of the predicted loss of a test example with its loss after retraining. Digits, 600
training examples, 20 % of the labels flipped, an MLP of two hidden layers of 64; AdamW and SGD; 64
numbers for each example and layer from the constant-size store. The store's scores need no pass
over the training data. Mislabel candidates come from the gradient norms of the ledger alone.
``--quick``: fewer retrainings.
"""

from __future__ import annotations

import contextlib
import json
import logging
import sys
import tempfile
import time
import warnings
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from scipy.stats import spearmanr
from sklearn.datasets import load_digits
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn
from torch.nn import functional

from scalekit.govern import Guard, govern, influence
from scalekit.govern.record import Recorder, RunningStore, RunRecord

torch.set_num_threads(1)
TRAINED, TESTED, BATCH, EPOCHS, SKETCH = 600, 100, 32, 15, 64
RATE = {"adamw": 1e-3, "sgd": 0.1}


class MLP(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise([64, 64, 64, 10]))

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers[:-1]:
            x = functional.relu(layer(x))
        return self.layers[-1](x)


def optimizer_of(name: str, model: nn.Module) -> torch.optim.Optimizer:
    if name == "sgd":
        return torch.optim.SGD(model.parameters(), RATE[name])
    return torch.optim.AdamW(model.parameters(), RATE[name], weight_decay=0)


def data(seed: int) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Return training set with flipped labels, test set, and which labels are flipped."""
    x, y = load_digits(return_X_y=True)
    pictures, truth = torch.tensor(x / 16, dtype=torch.float32), torch.tensor(y)
    drawn = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(pictures), generator=drawn)
    trained, tested = order[:TRAINED], order[TRAINED : TRAINED + TESTED]
    labels = truth[trained].clone()
    flipped = torch.rand(TRAINED, generator=drawn) < 0.2
    labels[flipped] = (
        labels[flipped] + torch.randint(1, 10, (int(flipped.sum()),), generator=drawn)
    ) % 10
    return pictures[trained], labels, pictures[tested], truth[tested], flipped


def retrained(name: str, x: Tensor, y: Tensor, chosen: Tensor, seed: int) -> nn.Module:
    torch.manual_seed(seed)
    model = MLP()
    optimizer = optimizer_of(name, model)
    drawn = torch.Generator().manual_seed(seed + 99)
    for _ in range(2 * EPOCHS):
        for batch in chosen[torch.randperm(len(chosen), generator=drawn)].split(BATCH):
            optimizer.zero_grad()
            functional.cross_entropy(model(x[batch]), y[batch]).backward()
            optimizer.step()
    return model


def recorded(
    name: str, x: Tensor, y: Tensor, seed: int
) -> tuple[nn.Module, RunningStore, Any, Any]:
    """Train once, governed; return the model, its store, the summed norms, and five checkpoints."""
    torch.manual_seed(seed)
    model = MLP()
    governor = govern(model, sketch=SKETCH, nonce=b"benchmark")
    optimizer = optimizer_of(name, model)
    store = RunningStore(TRAINED, len(governor.depths.groups), SKETCH, seed=seed)
    effort, updates, checkpoints = np.zeros(TRAINED), 0, []

    def account(update: Any) -> None:
        nonlocal updates
        updates += 1
        for harvest in update.harvests:
            rows = np.array([int(e) for e in harvest.examples])
            store.add(rows, harvest.sketch.numpy(), update.rate, update=updates)
            effort[rows] += harvest.raw.square().sum(1).sqrt().numpy()

    Guard(governor, optimizer, account)
    drawn = torch.Generator().manual_seed(seed + 99)
    for epoch in range(EPOCHS):
        for batch in torch.randperm(TRAINED, generator=drawn).split(BATCH):
            optimizer.zero_grad()
            names = [str(int(i)) for i in batch]
            with governor.batch(names, profiles=[(0.0, 1.0)] * len(names)):
                functional.cross_entropy(model(x[batch]), y[batch]).backward()
            optimizer.step()
        if epoch % 3 == 2:
            checkpoints.append({k: v.clone() for k, v in model.state_dict().items()})
    return model, store, (governor, effort), checkpoints


def own_scores(
    model: nn.Module, store: RunningStore, governor: Any, x: Tensor, y: Tensor
) -> np.ndarray[Any, Any]:
    names = [str(i) for i in range(len(x))]
    with governor.batch(names, mask=torch.ones(len(x), len(governor.depths.groups))):
        functional.cross_entropy(model(x), y, reduction="sum").backward()
    sketch = governor.harvests.pop().sketch.numpy()
    return influence(store.of(np.arange(TRAINED)), store.moments, int(store.count[0]), sketch).sum(
        2
    )


def trak_scores(model: nn.Module, checkpoints: Any, train: Any, test: Any) -> np.ndarray[Any, Any]:
    from trak import TRAKer
    from trak.projectors import BasicProjector, ProjectionType

    size = sum(p.numel() for p in model.parameters())
    kind = ProjectionType.rademacher
    projector = BasicProjector(
        grad_dim=size, proj_dim=128, seed=0, proj_type=kind, device="cpu", block_size=128
    )
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(sys.stderr):
        traker = TRAKer(
            model=model, task="image_classification", train_set_size=TRAINED, device="cpu",
            projector=projector, proj_dim=128, save_dir=folder, logging_level=logging.ERROR,
            use_half_precision=False,
        )  # fmt: skip
        for i, weights in enumerate(checkpoints):
            traker.load_checkpoint(weights, model_id=i)
            traker.featurize(batch=train, num_samples=TRAINED)
        traker.finalize_features()
        for i, weights in enumerate(checkpoints):
            traker.start_scoring_checkpoint("e", weights, model_id=i, num_targets=TESTED)
            traker.score(batch=test, num_samples=TESTED)
        return np.array(traker.finalize_scores(exp_name="e"))


def captum_scores(
    name: str, model: nn.Module, checkpoints: Any, train: Any, test: Any
) -> np.ndarray[Any, Any]:
    from captum.influence import TracInCP
    from torch.utils.data import TensorDataset

    def load(module: nn.Module, weights: Any) -> float:
        module.load_state_dict(weights)
        return RATE[name]

    tracin = TracInCP(
        model, TensorDataset(*train), checkpoints, checkpoints_load_func=load, batch_size=200,
        loss_fn=nn.CrossEntropyLoss(reduction="sum"), sample_wise_grads_per_batch=True,
    )  # fmt: skip
    return tracin.influence(test).t().detach().numpy()


def query_seconds() -> tuple[float, float]:
    """Return the time to total a ledger of 1,000,000 rows x 6 depths, and its bytes per cell."""
    rows, depths, batch = 1_000_000, 6, 1000
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        table = pl.DataFrame({"example": np.arange(50_000, dtype=np.uint32)})
        recorder = Recorder.create(
            Path(folder) / "run", table, [f"d{i}" for i in range(depths)], sketch=4,
            commitment="", about={}, store=False,
        )  # fmt: skip
        for update in range(1, rows // batch + 1):
            norms = rng.random((batch, depths), np.float32)
            part = {"example": rng.integers(0, 50_000, batch), "loss": norms[:, 0], "mask": norms}
            recorder.update(
                update, [{**part, "raw_norm": norms, "applied_norm": norms}], {"rate": 1.0}
            )
        recorder.close()
        size = sum(p.stat().st_size for p in (Path(folder) / "run/ledger").iterdir())
        start = time.perf_counter()
        RunRecord(Path(folder) / "run").totals()
        return time.perf_counter() - start, size / (rows * depths)


def show(figure: str, value: float, unit: str, against: str, n: int) -> None:
    line = {"figure": figure, "value": round(value, 4), "unit": unit, "against": against, "n": n}
    print(json.dumps(line), flush=True)


def main() -> None:
    """Measure and print."""
    warnings.filterwarnings("ignore")
    quick = "--quick" in sys.argv[1:]
    subsets, repeats, seeds = (12, 1, 1) if quick else (60, 3, 2)
    for name in ("adamw",) if quick else ("adamw", "sgd"):
        found: dict[str, list[float]] = {}
        for seed in range(seeds):
            x, y, tx, ty, flipped = data(seed)
            drawn = torch.Generator().manual_seed(7)
            halves = [
                torch.randperm(TRAINED, generator=drawn)[: TRAINED // 2] for _ in range(subsets)
            ]
            losses = []
            for number, half in enumerate(halves):
                each = []
                for r in range(repeats):
                    made = retrained(name, x, y, half, 1000 * r + number)
                    with torch.no_grad():
                        each.append(functional.cross_entropy(made(tx), ty, reduction="none"))
                losses.append(torch.stack(each).mean(0).numpy())
            model, store, (governor, effort), checkpoints = recorded(name, x, y, seed)
            scores = {"store": own_scores(model, store, governor, tx, ty)}
            governor.release()
            scores["trak"] = trak_scores(model, checkpoints, (x, y), (tx, ty))
            scores["tracincp"] = captum_scores(name, model, checkpoints, (x, y), (tx, ty))
            for kind, values in scores.items():
                predicted = np.stack([-values[h.numpy()].sum(0) for h in halves])
                truth = np.stack(losses)
                lds = [spearmanr(predicted[:, t], truth[:, t])[0] for t in range(TESTED)]
                found.setdefault(kind, []).append(float(np.mean(lds)))
            found.setdefault("auc", []).append(float(roc_auc_score(flipped.numpy(), effort)))
        mean = {k: float(np.mean(v)) for k, v in found.items()}
        suffix = "" if name == "adamw" else f"_{name}"
        show(f"lds_store{suffix}", mean["store"], "rank correlation", "retraining", seeds)
        show(f"lds_ratio_trak{suffix}", mean["store"] / mean["trak"], "x TRAK", "TRAK 0.3", seeds)
        ratio = mean["store"] / mean["tracincp"]
        show(f"lds_ratio_tracincp{suffix}", ratio, "x TracInCP", "captum TracInCP", seeds)
        show(f"mislabel_auc{suffix}", mean["auc"], "area", "planted flips", seeds)
    seconds, size = query_seconds()
    show("query_seconds_1m_rows", seconds, "s", "a ledger of 1M rows x 6 depths", 1)
    show("bytes_per_cell", size, "bytes per update, example and depth", "", 1)
    stores = [RunningStore(1000, 6, SKETCH) for _ in range(2)]
    for store, updates in zip(stores, (10, 100), strict=True):
        for update in range(updates):
            store.add(np.arange(32), np.ones((32, 6, SKETCH), np.float32), 1.0, update=update)
    show(
        "store_growth",
        float(stores[1].bytes - stores[0].bytes),
        "bytes",
        "ten times the updates",
        1,
    )
    show("store_bytes_per_cell", stores[0].bytes / 6000, "bytes per example and depth", "", 1)


if __name__ == "__main__":
    main()
