"""Precisions: which one a job gets, and what it changes in torch while a point is evaluated.

`fp32` is IEEE float32 throughout. `tf32` lets a GPU round the factors of float32 matrix products
to 10 bits. In `bf16` the encoder's matrix products and attention take and give bfloat16; parameters
are combined in float32 before they are rounded, and softmax, normalizations, the residual stream
and the head stay in float32. The loss comes from float64 logits in each of them.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import torch

from bertscape.spec import Precision
from bertscape.values import InvalidInput, ProblemType
from bertscape_workers.checkpoints.devices import device_model, rounds_products

Format = Literal["fp32", "tf32", "bf16"]  # what `auto` has come to

_PRODUCTS: Any = torch.backends.cuda.matmul


def resolve(asked: Precision, device: str) -> Format:
    """The precision that a job is computed in: `auto` is fp32 on every device.

    Args:
        asked: as the spec has it.
        device: as torch names it.

    Raises:
        InvalidInput: the device has no such precision.
    """
    if asked == "auto" or asked == "fp32":
        return "fp32"
    if not rounds_products(device):
        raise InvalidInput.of(
            ProblemType.INVALID_VALUE,
            "precision",
            asked,
            "auto or fp32 there; tf32 and bf16 need a GPU of compute capability 8.0 or higher",
            f"is not to be had on the worker's device, {device_model(device)}",
        )
    return asked


@contextmanager
def arithmetic(precision: Format) -> Iterator[None]:
    """A context in which a GPU multiplies float32 as this precision says, whatever was set before.

    In bf16 what stays in float32 is multiplied as in fp32, and partial sums are never rounded.
    """
    before = _PRODUCTS.fp32_precision
    sums = (
        _PRODUCTS.allow_bf16_reduced_precision_reduction,
        _PRODUCTS.allow_bf16_reduced_precision_reduction_split_k,
    )
    _PRODUCTS.fp32_precision = "tf32" if precision == "tf32" else "ieee"
    _PRODUCTS.allow_bf16_reduced_precision_reduction = False
    try:
        yield
    finally:
        _PRODUCTS.fp32_precision = before
        _PRODUCTS.allow_bf16_reduced_precision_reduction = sums
