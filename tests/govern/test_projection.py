"""The projection of a leaf's gradients: the same however it is computed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from scalekit.govern.projection import Projection, project, row_of_bias


def spelt_out(side: Tensor, rows: int, columns: int) -> Tensor:
    """The matrix [rows, columns] that a side stands for, entry by entry."""
    if side.dim() == 2:
        return side[:rows]
    out = torch.zeros(rows, columns, dtype=side.dtype)
    width = rows // columns
    for row in range(rows):
        block = row // width if row < width * columns else row - width * columns
        out[row, block] = side[row]
    return out


@pytest.mark.parametrize("kind", ["matrix", "transposed"])
@pytest.mark.parametrize("inputs", [5, 40, 643])
@pytest.mark.parametrize("outputs", [3, 50, 96])
@pytest.mark.parametrize("k", [32, 64])
def test_it_is_the_two_sided_product(kind: str, inputs: int, outputs: int, k: int) -> None:
    torch.manual_seed(0)
    weight = torch.randn(outputs, inputs, dtype=torch.float64)
    bias = torch.randn(outputs, dtype=torch.float64)
    stored = weight if kind == "matrix" else weight.t().contiguous()
    drawn = Projection.draw(
        "leaf", kind, [stored.shape, bias.shape], k, b"secret", "cpu", torch.float64
    )
    assert drawn.right is not None
    left = spelt_out(drawn.left, outputs, k // 8)
    right = torch.cat(
        [spelt_out(drawn.right, inputs, 8), row_of_bias(drawn.right, inputs).unsqueeze(0)]
    )
    whole = torch.cat([weight, bias.unsqueeze(1)], 1)
    wanted = torch.einsum("ok,oi,il->kl", left, whole, right).flatten()
    as_on_an_accelerator = replace(drawn, left=left, right=right)
    for one in (drawn, as_on_an_accelerator):
        assert one.columns == (k // 8, 8)
        torch.testing.assert_close(one([stored, bias]), wanted, rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(
            one([stored, None]) + one([None, bias]), wanted, rtol=1e-12, atol=1e-12
        )


@pytest.mark.parametrize("width", [1, 7, 8, 9, 30, 256])
def test_one_side_by_every_way(width: int) -> None:
    torch.manual_seed(0)
    values = torch.randn(4, 3, width)
    side = torch.randn(width)
    wanted = values.double() @ spelt_out(side, width, 8).double()
    found = {
        "at once": project(values, side, 8),
        "with a gradient behind it": project(values.clone().requires_grad_(), side, 8),
        "turned": project(values.transpose(0, 1).contiguous().transpose(0, 1), side, 8),
        "as a matrix": project(values, spelt_out(side, width, 8), 8),
        "compiled": torch.compile(project, backend="aot_eager", fullgraph=True)(values, side, 8),
    }
    for way, value in found.items():
        torch.testing.assert_close(value.double(), wanted, rtol=1e-5, atol=1e-5, msg=way)
    half = project(values.bfloat16(), side, 8)
    torch.testing.assert_close(half.double(), wanted, rtol=0.05, atol=0.2)


def test_squared_norms_keep_their_expectation() -> None:
    weight, bias = torch.randn(24, 17).double(), torch.randn(24).double()
    size = float(weight.square().sum() + bias.square().sum())
    found = [
        float(
            Projection.draw(
                "leaf", "matrix", [weight.shape, bias.shape], 64, str(n).encode(), "cpu",
                torch.float64,
            )([weight, bias]).square().sum()
        )
        for n in range(2000)
    ]  # fmt: skip
    assert np.mean(found) / size == pytest.approx(1, abs=4 * np.std(found) / size / 2000**0.5)


def test_what_cancels_within_a_block_is_rarely_lost() -> None:
    """Signs without sizes would lose every other pair, and three of four squares.

    A gradient of relative size 1e-3 passes the guard where its sketch is below 0.05 of its size.
    """
    pair, square = torch.zeros(2, 64, 64, dtype=torch.float64)
    pair[10, 3], pair[11, 3] = 1, -1
    square[10, 3] = square[11, 4] = 1
    square[10, 4] = square[11, 3] = -1
    lost = np.zeros(2)
    for n in range(2000):
        drawn = Projection.draw(
            "leaf", "matrix", [(64, 64)], 64, str(n).encode(), "cpu", torch.float64
        )
        lost += [float(drawn([v]).norm()) < 0.05 * float(v.norm()) for v in (pair, square)]
    np.testing.assert_allclose(lost / 2000, [0.08, 0.22], atol=0.03)
