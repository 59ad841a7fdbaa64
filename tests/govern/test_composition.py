"""The routes inside what people train with: compilation, autocast, Trainer, Lightning."""

from __future__ import annotations

import copy
import types
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from governed_models import GPT, hugging_face, next_token, tokens
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from scalekit.govern import EntropyBudget, GovernError, Guard, govern
from scalekit.govern.callbacks import hugging_face_callback, lightning_callback
from scalekit.govern.oracle import gradients_by_example

NAMES = [f"e{i}" for i in range(6)]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def setup() -> tuple[nn.Module, Tensor, Tensor, dict[str, Tensor]]:
    """A model, ids, masks, and the gradients they must give (a backward for each example)."""
    torch.manual_seed(0)
    model, ids = GPT(layers=2), tokens(6, 17)
    mask = torch.rand(6, 4)
    mask[torch.rand(6, 4) < 0.4] = 0
    plain = copy.deepcopy(model)
    each = gradients_by_example(plain, next_token, ids, 6)
    depth = {leaf: i for i, g in enumerate(govern(plain).depths.groups) for leaf in g.leaves}
    expected = {
        name: sum(mask[i, depth[name.rpartition(".")[0]]] * g[name] for i, g in enumerate(each)) / 6
        for name, _ in plain.named_parameters()
    }
    return model, ids, mask, expected


def off(model: nn.Module, expected: dict[str, Tensor]) -> float:
    found = {n.removeprefix("_orig_mod."): p.grad for n, p in model.named_parameters()}
    return max(float((found[n] - e).norm() / (e.norm() + 1e-12)) for n, e in expected.items())


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_compiled_in_one_graph(backend: str) -> None:
    model, ids, mask, expected = setup()
    torch._dynamo.reset()
    governor = govern(model, sketch=16, nonce=b"x", budget=EntropyBudget(0.5, 0.9, enforced=False))
    compiled = torch.compile(model, backend=backend, fullgraph=True)
    for _ in range(2):
        model.zero_grad()
        with governor.batch(NAMES, mask=mask):
            next_token(compiled, ids).backward()
        assert off(model, expected) < 1e-5
    plain, ids, mask, _ = setup()
    other = govern(plain, sketch=16, nonce=b"x")
    with other.batch(NAMES, mask=mask):
        next_token(plain, ids).backward()
    assert torch.allclose(governor.harvests[-1].leaves, other.harvests[-1].leaves, atol=1e-5)


@pytest.mark.parametrize("reentrant", [True, False])
def test_activation_checkpointing(reentrant: bool) -> None:
    model, ids, mask, expected = setup()
    governor = govern(model, sketch=16, nonce=b"x")
    for block in model.blocks:
        inner = block.forward
        again = lambda self, x, inner=inner: checkpoint(inner, x, use_reentrant=reentrant)  # noqa: E731
        block.forward = types.MethodType(again, block)
    with governor.batch(NAMES, mask=mask):
        next_token(model, ids).backward()
    assert off(model, expected) < 1e-5
    plain, ids, mask, _ = setup()
    other = govern(plain, sketch=16, nonce=b"x")
    with other.batch(NAMES, mask=mask):
        next_token(plain, ids).backward()
    assert torch.allclose(governor.harvests[-1].leaves, other.harvests[-1].leaves, atol=1e-5)


@pytest.mark.parametrize("compiled", [False, True])
def test_bf16_autocast_is_as_good_as_plain_bf16(compiled: bool) -> None:
    model, ids, mask, expected = setup()
    governor = govern(model, sketch=16, nonce=b"x")

    def cast(ids: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return next_token(model, ids)

    torch._dynamo.reset()
    forward = torch.compile(cast, backend="aot_eager", fullgraph=True) if compiled else cast
    with governor.batch(NAMES, mask=mask):
        forward(ids).backward()
    assert off(model, expected) < 2e-2
    assert all(p.grad.dtype == torch.float32 for p in model.parameters())
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3)
    updates: list[Any] = []
    Guard(governor, optimizer, updates.append)
    optimizer.step()
    assert float(updates[0].residual.max()) < 5e-2


def test_recomputing_outside_the_batch_is_refused() -> None:
    model, ids, mask, _ = setup()
    governor = govern(model, sketch=16, nonce=b"x")
    block = model.blocks[0]
    inner = block.forward
    again = lambda self, x: checkpoint(inner, x, use_reentrant=False)  # noqa: E731
    block.forward = types.MethodType(again, block)
    governor.enter(NAMES, mask=mask)
    loss = next_token(model, ids)
    with pytest.raises(GovernError, match="without a backward"):
        governor.leave()
    with pytest.raises(GovernError, match=r"outside governor\.batch"):
        loss.backward()


@pytest.mark.parametrize("half", [False, True])
def test_the_hugging_face_trainer_without_a_subclass(tmp_path: Path, half: bool) -> None:
    import transformers as hf

    make, _, batch = hugging_face()["gpt2"]
    torch.manual_seed(0)
    model = make()
    ids = batch["input_ids"].repeat(5, 1)[:24]

    class Rows(torch.utils.data.Dataset):  # type: ignore[type-arg]
        def __len__(self) -> int:
            return len(ids)

        def __getitem__(self, i: int) -> dict[str, Any]:
            return {"input_ids": ids[i], "labels": ids[i], "example_id": i}

    governor = govern(model, sketch=16, nonce=b"x")
    updates: list[Any] = []
    callback = hugging_face_callback(governor, updates.append, profiles=[(0.0, 0.34)] * 4)
    before = model.transformer.h[2].mlp.c_fc.weight.clone()
    arguments = hf.TrainingArguments(
        output_dir=str(tmp_path), per_device_train_batch_size=4, gradient_accumulation_steps=2,
        max_steps=3, remove_unused_columns=False, report_to=[], use_cpu=True, save_strategy="no",
        disable_tqdm=True, weight_decay=0.0, logging_steps=100, bf16=half,
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        hf.Trainer(model=model, args=arguments, train_dataset=Rows(), callbacks=[callback]).train()
    assert [len(u.harvests) for u in updates] == [2, 2, 2]
    seen = [e for u in updates for h in u.harvests for e in h.examples]
    assert sorted(seen, key=int) == [str(i) for i in range(24)]
    assert all(u.factor < 1.01 for u in updates)  # the Trainer clips: one common factor
    assert torch.equal(before, model.transformer.h[2].mlp.c_fc.weight)


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_lightning(tmp_path: Path, precision: Any) -> None:
    import lightning

    class Module(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.gpt = GPT(width=16, layers=2)

        def training_step(self, batch: dict[str, Tensor], _: int) -> Tensor:
            return next_token(self.gpt, batch["ids"])

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.SGD(self.gpt.parameters(), 0.1)

    torch.manual_seed(0)
    module, ids = Module(), tokens(12)
    rows = [{"ids": ids[i], "example_id": torch.tensor(i)} for i in range(12)]
    governor = govern(module.gpt, sketch=16, nonce=b"x")
    updates: list[Any] = []
    callback = lightning_callback(governor, updates.append, profiles=[(0.0, 1.0)] * 4)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer = lightning.Trainer(
            max_epochs=1, accelerator="cpu", logger=False, enable_checkpointing=False,
            enable_progress_bar=False, enable_model_summary=False, callbacks=[callback],
            accumulate_grad_batches=1, default_root_dir=tmp_path, precision=precision,
        )  # fmt: skip
        trainer.fit(module, torch.utils.data.DataLoader(rows, batch_size=4))  # type: ignore[arg-type]
    assert len(updates) == 3
    worst = max(float(u.residual.max()) for u in updates)
    assert worst < (1e-4 if precision == "32-true" else 5e-2)
