"""The fingerprint of weights: linear, of every trained parameter, the same of a file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from governed_models import CNN, GPT, Mixed
from safetensors.torch import save_file
from torch import Tensor, nn

from scalekit.govern import Governor, govern
from scalekit.govern.fingerprint import Fingerprint, fingerprint_of_file

MODELS: dict[str, Callable[[], nn.Module]] = {
    "gpt": GPT, "tied": lambda: GPT(tied=True), "cnn": CNN, "attention": Mixed,
}  # fmt: skip


def governed(name: str) -> Governor:
    torch.manual_seed(0)
    return govern(MODELS[name](), sketch=64, nonce=b"secret")


@pytest.mark.parametrize("name", MODELS)
def test_one_entry_of_any_parameter_moves_one_number_of_its_depth(name: str) -> None:
    governor = governed(name)
    before = governor.fingerprint()
    owners = {f"{leaf.path}.{p}": leaf.depth for leaf in governor.leaves for p in leaf.parameters}
    for key, parameter in governor.model.named_parameters():
        entry = torch.randint(parameter.numel(), (1,))
        parameter.data.view(-1)[entry] += 0.01
        moved = (governor.fingerprint() - before).abs() > 1e-6
        assert int(moved.sum()) == 1, key
        assert moved[owners[key]].any(), key
        parameter.data.view(-1)[entry] -= 0.01
    assert torch.allclose(governor.fingerprint(), before, atol=1e-5)


@pytest.mark.parametrize("name", MODELS)
def test_that_of_the_released_file_is_that_of_the_model(name: str, tmp_path: Path) -> None:
    governor = governed(name)
    weights: dict[str, Tensor] = {k: v.clone() for k, v in governor.model.state_dict().items()}
    save_file(weights, tmp_path / "released.safetensors")
    header = {
        "leaves": [leaf.described() for leaf in governor.leaves],
        "depths": governor.depths.names, "sketch": 64,
    }  # fmt: skip
    found = torch.from_numpy(
        fingerprint_of_file(tmp_path / "released.safetensors", b"secret", header)
    )
    here = governor.fingerprint()
    assert torch.linalg.vector_norm(found - here) < 1e-6 * torch.linalg.vector_norm(here)
    other = fingerprint_of_file(tmp_path / "released.safetensors", b"another", header)
    assert torch.linalg.vector_norm(torch.from_numpy(other) - here) > here.norm()


def test_it_is_linear_and_keeps_the_norm_in_expectation() -> None:
    torch.manual_seed(0)
    model = GPT(tied=True)
    squares = []
    for nonce in range(400):
        governor = govern(model, sketch=64, nonce=bytes([nonce % 256, nonce // 256]))
        squares.append(float(governor.fingerprint().square().sum()))
        governor.release()
    exact = sum(float(p.detach().square().sum()) for p in model.parameters())
    spread = torch.tensor(squares).std() / len(squares) ** 0.5
    assert abs(sum(squares) / len(squares) - exact) < 4 * spread
    assert spread < 0.03 * exact
    governor = govern(model, sketch=64, nonce=b"secret")
    once = governor.fingerprint()
    for parameter in model.parameters():
        parameter.data.mul_(3)
    assert torch.allclose(governor.fingerprint(), 3 * once, rtol=1e-5, atol=1e-5)


def test_the_number_of_threads_does_not_change_its_bits() -> None:
    """A step's is compared with the one before it, to less than a sum's rounding."""
    torch.manual_seed(0)
    values, before = [torch.randn(3000, 700), torch.randn(700)], torch.get_num_threads()
    shapes = [v.shape for v in values]
    drawn = Fingerprint.draw(["a", "b"], [0, 1], shapes, 2, 64, b"secret", "cpu", torch.float32)
    found = []
    try:
        for count in (1, 2, 8):
            torch.set_num_threads(count)
            found.append(drawn(values))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])
    rows = tuple(r.double() if r is not None else None for r in drawn.rows)
    exact = replace(drawn, rows=rows, entries=drawn.entries.double())(values)
    torch.testing.assert_close(found[0].double(), exact, rtol=1e-4, atol=1e-3)


def test_columns_first_and_another_default_device_make_no_difference() -> None:
    torch.manual_seed(0)
    values = torch.randn(700, 300).t()
    drawn = Fingerprint.draw(["a"], [0], [values.shape], 1, 64, b"secret", "cpu", torch.float32)
    found = drawn([values.contiguous()])
    assert torch.equal(drawn([values]), found)
    with torch.device("meta"):
        assert torch.equal(drawn([values]), found)


def test_what_is_lost_in_one_depth_is_not_seen_in_another() -> None:
    governor = governed("gpt")
    leaf = governor.leaves[0]
    leaf.parameter(0).data[:, 0] = float("inf")
    lost = ~governor.fingerprint().isfinite()
    assert lost[leaf.depth].sum() == 1
    assert lost.sum() == 1
