"""Under Ray Train, the same train function as under torchrun gives the same update."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch
from test_distributed import step

ray = pytest.importorskip("ray", reason="needs the extra scalekit[cluster]")


def train(config: dict[str, Any]) -> None:
    """What torchrun would run in each process."""
    from torch import distributed

    rank = distributed.get_rank()
    torch.save(
        step(rank, distributed.get_world_size(), "ddp"), Path(config["folder"]) / f"{rank}.pt"
    )


def test_ray_train_runs_the_same_function(tmp_path: Path) -> None:
    from ray.train import RunConfig, ScalingConfig
    from ray.train.torch import TorchConfig, TorchTrainer

    here = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    environment = {"env_vars": {"PYTHONPATH": here, "RAY_TRAIN_V2_ENABLED": "1"}}
    ray.init(
        num_cpus=3, include_dashboard=False, log_to_driver=False, logging_level="ERROR",
        runtime_env=environment,
    )  # fmt: skip
    try:
        TorchTrainer(
            train,
            train_loop_config={"folder": str(tmp_path)},
            torch_config=TorchConfig(backend="gloo"),
            scaling_config=ScalingConfig(num_workers=2),
            run_config=RunConfig(storage_path=str(tmp_path / "ray")),
        ).fit()
    finally:
        ray.shutdown()
    alone = step(0, 1, "")
    for rank in (0, 1):
        found = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        assert found["refused"]
        for name, weight in alone["weights"].items():
            assert torch.allclose(found["weights"][name], weight, atol=1e-6), name
