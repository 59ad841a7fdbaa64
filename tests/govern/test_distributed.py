"""Two processes over gloo: the gradients and accounts of one process with the whole batch."""

from __future__ import annotations

import os
import socket
import tempfile
from pathlib import Path
from typing import Any

import torch
import torch.multiprocessing as mp
from governed_models import GPT, next_token, tokens
from torch import distributed, nn

from scalekit.govern import GovernError, Guard, govern

PROFILES = [(0.0, 0.5), (0.5, 1.0), (0.0, 1.0), (0.0, 0.5), (0.5, 1.0), (0.0, 1.0)]


def step(rank: int, world: int, how: str) -> dict[str, Any]:
    """One guarded update; what is returned must not depend on the number of processes."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model: Any = GPT(layers=2)
    governor = govern(model, sketch=16, nonce=b"x")
    trained = model
    if how == "ddp":
        trained = nn.parallel.DistributedDataParallel(model)
    if how == "fsdp":
        from torch.distributed.fsdp import fully_shard

        for block in model.blocks:
            fully_shard(block)
        fully_shard(model)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    updates: list[Any] = []
    Guard(governor, optimizer, updates.append)
    size = 6 // world
    mine = slice(rank * size, (rank + 1) * size)
    ids = tokens(6, 17)
    with governor.batch([str(i) for i in range(6)][mine], profiles=PROFILES[mine]):
        next_token(trained, ids[mine]).backward()
    optimizer.step()
    whole = {
        n: (p.full_tensor() if hasattr(p, "full_tensor") else p)
        for n, p in model.named_parameters()
    }
    # A gradient that comes from nowhere, on one process alone, is refused on all.
    optimizer.zero_grad()
    with governor.batch([str(i) for i in range(6)][mine], profiles=PROFILES[mine]):
        next_token(trained, ids[mine]).backward()
    grad = model.head.weight.grad
    local = grad.to_local() if hasattr(grad, "to_local") else grad
    local += (
        0.01 * local.norm() * torch.randn(local.shape, generator=torch.Generator().manual_seed(1))
    )
    refused = False
    try:
        optimizer.step()
    except GovernError as error:
        refused = "head" in str(error)
    return {
        "weights": {n: p.detach().clone() for n, p in whole.items()},
        "residual": float(updates[0].residual.max()),
        "raw": updates[0].harvests[0].raw / world,
        "refused": refused,
    }


def work(rank: int, port: int, how: str, folder: str) -> None:
    os.environ.update(
        MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port), RANK=str(rank), WORLD_SIZE="2"
    )
    distributed.init_process_group("gloo", rank=rank, world_size=2)
    torch.save(step(rank, 2, how), Path(folder) / f"{rank}.pt")
    distributed.destroy_process_group()


def both(how: str) -> list[dict[str, Any]]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        mp.spawn(work, args=(port, how, folder), nprocs=2)  # type: ignore[no-untyped-call]
        return [torch.load(Path(folder) / f"{rank}.pt", weights_only=True) for rank in (0, 1)]


def same(how: str) -> None:
    alone = step(0, 1, "")
    found = both(how)
    for part in found:
        assert part["residual"] < 1e-4
        assert part["refused"]
        for name, weight in alone["weights"].items():
            assert torch.allclose(part["weights"][name], weight, atol=1e-6), name
    assert torch.allclose(torch.cat([p["raw"] for p in found]), alone["raw"], rtol=1e-3)


def test_ddp() -> None:
    same("ddp")


def test_fsdp2() -> None:
    same("fsdp")
