"""Matrix products in float32, by the library that is fastest on the kind of device at hand.

torch multiplies float32 matrices with MKL, which on AMD runs at less than half of what the cores
can do, and multiplies small matrices slowly everywhere. oneDNN, which torch carries too, does both
well, with the weights packed in advance, and applies GELU on the way out.

Which library a device gets is a fixed rule, `products_for`, and never timed: equal devices give
equal bytes.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol

import torch
from torch.nn import functional

Activation = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True, slots=True)
class Linear:
    """A weight matrix as the library wants it, and a bias."""

    weight: Any  # of shape (outputs, inputs); opaque where it is packed
    bias: torch.Tensor  # (outputs,)


class Products(Protocol):
    """Matrix products on one device."""

    def pack(self, weight: torch.Tensor, bias: torch.Tensor, rows: int) -> Linear:
        """Copy a weight (outputs, inputs) for inputs of about `rows` rows, and its bias."""

    def linear(self, inputs: torch.Tensor, by: Linear) -> torch.Tensor:
        """(rows, inputs) to (rows, outputs)."""

    def linear_gelu(self, inputs: torch.Tensor, by: Linear) -> torch.Tensor:
        """GELU, by the error function, of `linear`."""

    def linear_add(self, inputs: torch.Tensor, by: Linear, residual: torch.Tensor) -> torch.Tensor:
        """`linear` plus the residual (rows, outputs)."""

    def in_use(self) -> Any:
        """A context within which torch's products of batches go to this library."""


class TorchProducts:
    """Whatever torch does by itself."""

    def pack(self, weight: torch.Tensor, bias: torch.Tensor, rows: int) -> Linear:
        """A copy of both."""
        del rows
        return Linear(weight.clone(), bias.clone())

    def linear(self, inputs: torch.Tensor, by: Linear) -> torch.Tensor:
        """As `Products.linear`."""
        return functional.linear(inputs, by.weight, by.bias)

    def linear_gelu(self, inputs: torch.Tensor, by: Linear) -> torch.Tensor:
        """As `Products.linear_gelu`."""
        return functional.gelu(self.linear(inputs, by))

    def linear_add(self, inputs: torch.Tensor, by: Linear, residual: torch.Tensor) -> torch.Tensor:
        """As `Products.linear_add`."""
        return self.linear(inputs, by).add_(residual)

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """As `Products.in_use`."""
        yield


class OneDnnProducts:
    """oneDNN, called through the operators that torch's compiler calls it by."""

    def __init__(self) -> None:
        self._operators = torch.ops.mkldnn

    def pack(self, weight: torch.Tensor, bias: torch.Tensor, rows: int) -> Linear:
        """A copy of both."""
        return Linear(self._operators._reorder_linear_weight(weight, rows), bias.clone())

    def linear(self, inputs: torch.Tensor, by: Linear) -> torch.Tensor:
        """As `Products.linear`."""
        return self._pointwise(inputs, by, "none", "")

    def linear_gelu(self, inputs: torch.Tensor, by: Linear) -> torch.Tensor:
        """As `Products.linear_gelu`."""
        return self._pointwise(inputs, by, "gelu", "none")  # "none": not the tanh approximation

    def linear_add(self, inputs: torch.Tensor, by: Linear, residual: torch.Tensor) -> torch.Tensor:
        """As `Products.linear_add`."""
        # oneDNN can add on its way out too, and takes longer for it than torch does afterwards.
        return self.linear(inputs, by).add_(residual)

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """As `Products.in_use`."""
        if not batches_stay_exact():
            yield
            return
        before = _SETTING.fp32_precision
        _SETTING.fp32_precision = _ALLOWED
        try:
            yield
        finally:
            _SETTING.fp32_precision = before

    def _pointwise(
        self, inputs: torch.Tensor, by: Linear, activation: str, algorithm: str
    ) -> torch.Tensor:
        outputs: torch.Tensor = self._operators._linear_pointwise(
            inputs, by.weight, by.bias, activation, [], algorithm
        )
        return outputs


def products_for(device: torch.device) -> Products:
    """The rule: oneDNN on an x86 CPU with AVX-512 whose torch can reach it, else torch's own."""
    avx512 = device.type == "cpu" and torch.backends.cpu.get_cpu_capability() == "AVX512"
    return OneDnnProducts() if avx512 and has_operators() else TorchProducts()


def has_operators() -> bool:
    """Whether this torch has the operators; they are not part of its public interface."""
    names = ("_reorder_linear_weight", "_linear_pointwise")
    return bool(torch.backends.mkldnn.is_available()) and all(  # type: ignore[no-untyped-call]
        hasattr(torch.ops.mkldnn, name) for name in names
    )


# torch hands products of float32 batches to oneDNN only where oneDNN is allowed to round their
# factors to bfloat16. It can do so on matrix units alone: without them it computes in float32 all
# the same, at three times MKL's speed on small matrices.
_ALLOWED = "bf16"
_SETTING: Any = torch.backends.mkldnn.matmul  # type: ignore[attr-defined]  # set at run time


@cache
def batches_stay_exact() -> bool:
    """Whether that permission changes no factor here: no matrix units, and the proof of it."""
    if torch.cpu._is_amx_tile_supported():
        return False
    before = _SETTING.fp32_precision
    _SETTING.fp32_precision = _ALLOWED
    try:
        return all(_keeps_factors(length) for length in (1, 16, 53, 128, 512))
    finally:
        _SETTING.fp32_precision = before


def _keeps_factors(length: int) -> bool:
    # 1 + 2⁻²³ is a float32, and rounds to 1 in every shorter format.
    factor = torch.full((2, length, 32), 1.0 + 2.0**-23)
    unit = torch.eye(32).expand(2, 32, 32)
    return torch.equal(torch.bmm(factor, unit), factor)
