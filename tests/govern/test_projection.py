"""The projection of a leaf's gradients: the same however it is computed."""

from __future__ import annotations

import pytest
import torch

from scalekit.govern.projection import Projection


@pytest.mark.parametrize("kind", ["matrix", "transposed"])
@pytest.mark.parametrize("inputs", [40, 640])  # wide matrices are taken in blocks of rows
@pytest.mark.parametrize("outputs", [50, 96])
def test_it_is_the_two_sided_product(kind: str, inputs: int, outputs: int) -> None:
    torch.manual_seed(0)
    weight = torch.randn(outputs, inputs, dtype=torch.float64)
    bias = torch.randn(outputs, dtype=torch.float64)
    stored = weight if kind == "matrix" else weight.t().contiguous()
    drawn = Projection.draw(
        "leaf", kind, [stored.shape, bias.shape], 64, b"secret", "cpu", torch.float64
    )
    assert drawn.right is not None
    whole = torch.cat([weight, bias.unsqueeze(1)], 1)
    wanted = torch.einsum("pk,pd,dl->kl", drawn.left, whole, drawn.right).flatten()
    torch.testing.assert_close(drawn([stored, bias]), wanted, rtol=1e-12, atol=1e-12)
