"""The oracle: one backward pass for each example on the plain model, in float64."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl
import torch
from torch import Tensor, nn

from scalekit.display import View, block, note, table
from scalekit.govern.batch import GovernError
from scalekit.govern.depths import DepthMap, depth_map
from scalekit.govern.governor import Governor, govern
from scalekit.govern.routes import RAW

__all__ = ["Verification", "gradients_by_example", "verify"]

Loss = Callable[[nn.Module, Any], Tensor]
LIMIT = 1e-6


@dataclass(frozen=True)
class Verification(View):
    """How far governed gradients and norms are from the oracle's, by parameter; relative errors."""

    table: pl.DataFrame

    @property
    def worst(self) -> float:
        """The largest relative error of a gradient or a norm."""
        return float(self.table.select("gradient", "norm").max().max_horizontal()[0] or 0.0)

    def to_html(self) -> str:
        """Show the largest errors."""
        said = f"Largest relative error against one backward for each example: {self.worst:.1e}."
        rows = self.table.sort("gradient", descending=True).head(8)
        shown = [
            {**r, "gradient": f"{r['gradient']:.1e}", "norm": f"{r['norm']:.1e}"}
            for r in rows.to_dicts()
        ]
        return block("Exactness", note(said), table(shown))


def gradients_by_example(
    model: nn.Module, loss: Loss, batch: Any, examples: int
) -> list[dict[str, Tensor]]:
    """Return each example's own gradient: one forward and backward on that example alone."""
    found = []
    for i in range(examples):
        model.zero_grad(set_to_none=True)
        loss(model, _one(batch, i, examples)).backward()  # type: ignore[no-untyped-call]
        grads = {n: p.grad for n, p in model.named_parameters()}
        found.append({n: g.clone() for n, g in grads.items() if g is not None})
    return found


def _one(batch: Any, i: int, examples: int) -> Any:
    """Return row *i* of every tensor or list of the batch whose first axis is the examples."""
    if isinstance(batch, Mapping):
        return {k: _one(v, i, examples) for k, v in batch.items()}
    if isinstance(batch, tuple):
        return tuple(_one(v, i, examples) for v in batch)
    sized = (isinstance(batch, Tensor) and batch.dim() > 0) or isinstance(batch, list)
    return batch[i : i + 1] if sized and len(batch) == examples else batch


def _double(batch: Any) -> Any:
    if isinstance(batch, Mapping):
        return {k: _double(v) for k, v in batch.items()}
    if isinstance(batch, tuple):
        return tuple(_double(v) for v in batch)
    return batch.double() if isinstance(batch, Tensor) and batch.is_floating_point() else batch


def _plain_copy(model: nn.Module) -> nn.Module:
    """Return a copy in float64 and eval mode, without routes."""
    made = copy.deepcopy(model)
    for module in made.modules():
        module.__dict__.pop("forward", None)
    return made.double().eval()


def verify(
    model: nn.Module,
    loss: Loss,
    batch: Any,
    *,
    depths: DepthMap | Mapping[str, Any] | None = None,
    examples: int,
    soft: bool = True,
    seed: int = 0,
) -> Verification:
    """Compare governed gradients and norms with one backward for each example, in float64.

    Parameters
    ----------
    model
        Not changed: two copies are used. Dropout is off in both.
    loss
        From model and batch to the scalar that is trained on: the mean or the sum over examples.
    batch
        Tensors, or tuple or dict of tensors and lists, with the examples on the first axis.
    examples
        How many there are; a handful is enough.
    soft
        Random masks between 0 and 1, or 0 and 1 only; two in five are 0.

    Raises
    ------
    GovernError
        When a relative error is above 1e-6: the model mixes examples, or has them on another axis.
    """
    found = depths if isinstance(depths, DepthMap) else depth_map(model, depths)
    batch = _double(batch)
    oracle, governed = _plain_copy(model), _plain_copy(model)
    drawn = torch.Generator().manual_seed(seed)
    mask = torch.rand(examples, len(found.groups), generator=drawn, dtype=torch.float64)
    mask = mask if soft else (mask > 0.5).double()
    mask[torch.rand(mask.shape, generator=drawn) < 0.4] = 0
    each = gradients_by_example(oracle, loss, batch, examples)
    with torch.no_grad():
        alone = [loss(oracle, _one(batch, i, examples)) for i in range(examples)]
        whole, total = loss(oracle, batch), torch.stack(alone).sum()
    scale = 1 / examples if torch.isclose(whole, total / examples, rtol=1e-5) else 1.0
    if not torch.isclose(whole, total * scale, rtol=1e-5):
        raise GovernError(
            "the loss of a batch is neither the mean nor the sum of its examples' losses: the "
            "model or the loss mixes examples"
        )
    governor = govern(governed, depths=found, account=True)
    with governor.batch([str(i) for i in range(examples)], mask=mask):
        loss(governed, batch).backward()  # type: ignore[no-untyped-call]
    rows = _compare(governor, governed, each, mask, scale)
    result = Verification(pl.DataFrame(rows))
    if result.worst > LIMIT:
        bad = result.table.sort(pl.max_horizontal("gradient", "norm"), descending=True)
        raise GovernError(
            f"{bad['parameter'][0]}: governed and true gradient differ by {result.worst:.1e} "
            "(relative); the examples may lie on another axis (batch_first=True), or a parameter "
            "is used several times in a batch. Nothing was trained"
        )
    return result


def _compare(
    governor: Governor, model: nn.Module, each: Sequence[dict[str, Tensor]], mask: Tensor,
    scale: float,
) -> list[dict[str, Any]]:  # fmt: skip
    """Return one row for each parameter: relative error of its gradient and of its leaf's norms."""
    everywhere = dict(model.named_parameters(remove_duplicate=False))
    named = {id(p): n for n, p in model.named_parameters()}
    owned, uses = {}, Counter[str]()
    for module, places in governor.places.items():
        own = {n for i in places for n in governor.leaves[i].parameters}
        if module in everywhere:  # a parameter that is broadcast over the examples
            owned[module] = [module]
        else:
            owned[module] = [named[id(everywhere[f"{module}.{n}" if module else n])] for n in own]
        uses.update(owned[module])
    rows: list[dict[str, Any]] = []
    for module, places in governor.places.items():
        depth = governor.leaves[places[0]].depth
        names, size = [n for n in owned[module] if uses[n] == 1], 0.0
        for name in names:
            got = everywhere[name].grad
            zero = torch.zeros_like(everywhere[name])
            parts = (m * g.get(name, zero) for m, g in zip(mask[:, depth], each, strict=True))
            expected = sum(parts, zero) * scale
            row: dict[str, Any] = {"parameter": name, "leaf": module, "norm": 0.0}
            rows.append({**row, "gradient": _off(zero if got is None else got, expected)})
            size = max(size, float(torch.linalg.vector_norm(expected)))
        # By the leaf's size: a bias before a softmax has a gradient of nothing but rounding.
        for row in rows[len(rows) - len(names) :]:
            row["gradient"] /= size or 1.0
        if len(names) == len(owned[module]):  # a shared weight's norm by use lacks the cross term
            squares = [sum(float(g[n].square().sum()) for n in names if n in g) for g in each]
            expected = torch.tensor(squares, dtype=torch.float64).sqrt() * scale
            got = governor.harvests[-1].leaves[places, :, RAW].square().sum(0).sqrt()
            size = float(torch.linalg.vector_norm(expected))
            for row in rows[len(rows) - len(names) :]:
                row["norm"] = _off(got, expected) / (size or 1.0)
    return rows


def _off(got: Tensor, expected: Tensor) -> float:
    return float(torch.linalg.vector_norm(got - expected))
