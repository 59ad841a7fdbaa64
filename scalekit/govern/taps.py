"""Taps: the hidden state that leaves each depth group, and the cut of its gradient there."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from scalekit.govern.batch import GovernError
from scalekit.govern.governor import Governor

__all__ = ["lay_taps"]


def lay_taps(governor: Governor) -> None:
    """Keep the hidden state of every body group in ``governor.open.taps`` during a forward.

    Laid once. Where a batch has ``top`` (the deepest group each example is routed to), the state
    that goes on to deeper groups is cut off for the examples whose top is that group: what deeper
    groups learn from them sends nothing back.

    Raises
    ------
    GovernError
        When a group is not one module with one output.
    """
    if governor.tapped:
        return
    for depth in governor.depths.body:
        module = _exit(governor, depth)
        governor.hooks.append(module.register_forward_hook(partial(_tap, governor, depth)))
    governor.tapped = True


def _exit(governor: Governor, depth: int) -> nn.Module:
    """Return the module whose output leaves the group: the largest in it around its last leaf."""
    modules = dict(governor.model.named_modules())
    own = set(governor.depths.groups[depth].leaves)
    every = [leaf for group in governor.depths.groups for leaf in group.leaves]
    last = governor.depths.groups[depth].leaves[-1].split(".")
    for size in range(1, len(last) + 1):
        name = ".".join(last[:size])
        inside = {leaf for leaf in every if leaf == name or leaf.startswith(f"{name}.")}
        if inside <= own and not isinstance(modules.get(name), nn.ModuleList | type(None)):
            return modules[name]
    raise GovernError(f"{governor.depths.names[depth]}: no module's output leaves this group")


def _tap(governor: Governor, depth: int, _: nn.Module, __: Any, output: Any) -> Any:
    batch = governor.open
    if batch is None or not torch.is_grad_enabled():
        return None
    state = output[0] if isinstance(output, tuple) else output
    if not isinstance(state, Tensor) or state.shape[0] != len(batch.examples):
        raise GovernError(
            f"{governor.depths.names[depth]}: its output does not hold the examples on the first "
            "axis, so that nothing can be read out there"
        )
    batch.taps[depth] = state
    last = depth == governor.depths.body[-1]  # nothing deeper is there to be cut off
    if last or batch.top is None or not bool((batch.top == depth).any()):
        return None
    onward = (batch.top != depth).view(-1, *[1] * (state.dim() - 1))
    cut = torch.where(onward, state, state.detach())
    return (cut, *output[1:]) if isinstance(output, tuple) else cut
