"""The state of a training as safetensors and JSON: weights, optimizer, generators; no pickle."""

from __future__ import annotations

import json
from typing import Any

import torch
from torch import Tensor, nn

from scalekit.govern.governor import Governor

__all__ = ["pack", "unpack"]

Files = dict[str, dict[str, Tensor]]


def pack(
    model: nn.Module, optimizer: torch.optim.Optimizer, governor: Governor
) -> tuple[Files, str]:
    """Return all tensors by file and name, and what else the optimizer keeps as JSON."""
    weights = {k: v.detach().contiguous() for k, v in model.state_dict().items()}
    kept, rest = _pack_optimizer(optimizer)
    state = {"generator": torch.get_rng_state(), "reference": governor.reference}
    state["effort"] = torch.from_numpy(governor.effort.mean)
    state["visits"] = torch.from_numpy(governor.effort.visits)
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state()
    return {"model": _untied(weights), "optimizer": kept, "state": state}, rest


def unpack(
    model: nn.Module, optimizer: torch.optim.Optimizer, governor: Governor, files: Files, rest: str
) -> None:
    """Put back what :func:`pack` kept."""
    model.load_state_dict(files["model"], strict=False)
    _unpack_optimizer(optimizer, files["optimizer"], rest)
    state = files["state"]
    torch.set_rng_state(state["generator"])
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])
    governor.reference = state["reference"].to(governor.device)
    governor.effort.mean = state["effort"].numpy().copy()
    governor.effort.visits = state["visits"].numpy().copy()


def _untied(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Keep one name of each shared tensor, as safetensors asks."""
    seen: set[int] = set()
    kept = {}
    for name, value in weights.items():
        if value.data_ptr() not in seen or value.numel() == 0:
            kept[name] = value
        seen.add(value.data_ptr())
    return kept


def _pack_optimizer(optimizer: torch.optim.Optimizer) -> tuple[dict[str, Tensor], str]:
    """Return an optimizer's tensors by name, and the rest of its state as JSON."""
    state = optimizer.state_dict()
    tensors, numbers = {}, {}
    for index, own in state["state"].items():
        for name, value in own.items():
            if isinstance(value, Tensor):
                tensors[f"{index}.{name}"] = value.detach().contiguous().clone()
            else:
                numbers[f"{index}.{name}"] = value
    return tensors, json.dumps({"numbers": numbers, "groups": state["param_groups"]})


def _unpack_optimizer(
    optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor], rest: str
) -> None:
    """Put back what :func:`_pack_optimizer` kept."""
    said = json.loads(rest)
    state: dict[int, dict[str, Any]] = {}
    for name, value in [*tensors.items(), *said["numbers"].items()]:
        index, _, own = name.partition(".")
        state.setdefault(int(index), {})[own] = value
    optimizer.load_state_dict({"state": state, "param_groups": said["groups"]})
