"""The libraries that multiply matrices, against float64."""

from typing import Any

import pytest
import torch

from bertscape_workers.evaluation.packed import products as packed_products
from bertscape_workers.evaluation.packed.products import (
    OneDnnProducts,
    Products,
    TorchProducts,
    products_for,
)

CPU = torch.device("cpu")
MKLDNN: Any = torch.backends.mkldnn  # its `matmul` is not declared


def libraries() -> list[Products]:
    """Torch's own, and the one that this machine's rule picks, where that is another."""
    picked = products_for(CPU)
    return [TorchProducts()] + ([picked] if isinstance(picked, OneDnnProducts) else [])


@pytest.fixture(params=libraries(), ids=lambda one: type(one).__name__)
def products(request: pytest.FixtureRequest) -> Products:
    found: Products = request.param
    return found


def test_linear_layers_agree_with_float64(products: Products) -> None:
    torch.manual_seed(0)
    rows, residual = torch.randn(48, 40), torch.randn(48, 24)
    weight, bias = torch.randn(24, 40), torch.randn(24)
    by = products.pack(weight, bias, 48)
    exact = rows.double() @ weight.double().T + bias.double()
    weight.zero_()  # what was packed is a copy
    with torch.inference_mode(), products.in_use():
        plain = products.linear(rows, by)
        gelu = products.linear_gelu(rows, by)
        added = products.linear_add(rows, by, residual)
    assert torch.allclose(plain.double(), exact, rtol=0, atol=2e-5)
    assert torch.allclose(gelu.double(), torch.nn.functional.gelu(exact), rtol=0, atol=2e-5)
    assert torch.allclose(added.double(), exact + residual.double(), rtol=0, atol=2e-5)


@pytest.mark.parametrize("length", [1, 3, 16, 53, 128])
def test_batches_are_multiplied_in_full_float32(products: Products, length: int) -> None:
    torch.manual_seed(1)
    a, b = torch.randn(24, length, 32), torch.randn(24, length, 32)
    exact = a.double() @ b.double().transpose(1, 2)
    with products.in_use():
        found = torch.bmm(a, b.transpose(1, 2))
    # bfloat16 factors would be off by about 1e-1 here.
    assert torch.allclose(found.double(), exact, rtol=0, atol=5e-5)


def test_the_permission_to_round_ends_with_the_use(products: Products) -> None:
    before = MKLDNN.matmul.fp32_precision
    with pytest.raises(KeyError), products.in_use():
        raise KeyError
    assert MKLDNN.matmul.fp32_precision == before


def test_matrix_units_never_get_the_permission(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: True)
    packed_products.batches_stay_exact.cache_clear()
    try:
        before = MKLDNN.matmul.fp32_precision
        with OneDnnProducts().in_use():
            assert MKLDNN.matmul.fp32_precision == before
    finally:
        packed_products.batches_stay_exact.cache_clear()


def test_a_torch_without_the_operators_multiplies_by_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(packed_products, "has_operators", lambda: False)
    assert isinstance(products_for(CPU), TorchProducts)
