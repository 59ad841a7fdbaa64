"""The state of a training as safetensors and JSON: optimizer, generators; no pickle."""

from __future__ import annotations

import json
from typing import Any

import torch
from torch import Tensor

__all__ = ["pack_optimizer", "unpack_optimizer"]


def pack_optimizer(optimizer: torch.optim.Optimizer) -> tuple[dict[str, Tensor], str]:
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


def unpack_optimizer(
    optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor], rest: str
) -> None:
    """Put back what :func:`pack_optimizer` kept."""
    said = json.loads(rest)
    state: dict[int, dict[str, Any]] = {}
    for name, value in [*tensors.items(), *said["numbers"].items()]:
        index, _, own = name.partition(".")
        state.setdefault(int(index), {})[own] = value
    optimizer.load_state_dict({"state": state, "param_groups": said["groups"]})
