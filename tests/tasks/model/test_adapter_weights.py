"""The product by oneDNN is as exact as any float32 product."""

import pytest
import torch

from tasks.model.adapter_weights import product


@pytest.mark.parametrize(("rows", "rank", "columns"), [(256, 128, 512), (7, 3, 5), (1, 1, 1)])
def test_product_is_exact_to_float32_rounding(rows: int, rank: int, columns: int) -> None:
    generator = torch.Generator().manual_seed(1)
    b = torch.randn(rows, rank, generator=generator)
    a = torch.randn(rank, columns, generator=generator)
    found = product(b, a)
    assert found.dtype == torch.float32
    # each of `rank` sums rounds by at most 2^-24 of the sum of sizes; bf16 or TF32 factors would be 2^-11 off
    allowed = rank * 2**-24 * (b.abs().double() @ a.abs().double())
    assert ((found - b.double() @ a.double()).abs() <= allowed).all()
