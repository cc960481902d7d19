"""How the packed forward pass is computed: which products, which attention, how large blocks.

The rule is fixed by the kind of device and the precision: equal devices give equal bytes.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from bertscape_workers.checkpoints import Format, arithmetic
from bertscape_workers.evaluation.packed.attention import Attention, GroupedAttention
from bertscape_workers.evaluation.packed.attention_varlen import Attend, VarlenAttention, flash
from bertscape_workers.evaluation.packed.products import (
    Linear,
    Products,
    TorchProducts,
    products_for,
)
from bertscape_workers.evaluation.packed.split import ROWS

# Tokens of a block, by kind of device. A CPU's block and a layer's matrices share its cache; a
# GPU's block keeps all of it busy. Never chosen by a worker: sums, and so the last bits of results,
# depend on it. The CPU's was measured, the GPU's not yet.
BLOCK_TOKENS = {"cpu": 3072, "cuda": 32768}


@dataclass(frozen=True, slots=True)
class Method:
    """Everything that may differ between devices and precisions."""

    products: Products  # of the encoder's layers
    exact: Products  # what packs the head, and the embeddings' projection, in float32
    attention: Callable[[int], Attention]  # from the number of heads
    block_tokens: int
    rows: int  # blocks are filled up to a multiple of this many


class CudaProducts(TorchProducts):
    """Float32 matrices on a GPU, multiplied as the precision says.

    Args:
        precision: fp32, or tf32.
    """

    def __init__(self, precision: Format) -> None:
        self._precision = precision

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """As `Products.in_use`."""
        # torch's fused attention splits float32 factors in a way of its own; this one multiplies
        # them as all else.
        with arithmetic(self._precision), sdpa_kernel(SDPBackend.MATH):
            yield


class Bfloat16Products(CudaProducts):
    """Products of bfloat16 matrices, summed in float32 by the library, around a float32 residual.

    Each product is taken in the format of its weight: what another `Products` packed in float32
    stays in float32.
    """

    def __init__(self) -> None:
        super().__init__("bf16")

    def pack(self, weight: torch.Tensor, bias: torch.Tensor, rows: int) -> Linear:
        """Both, rounded to bfloat16."""
        del rows
        return Linear(weight.to(torch.bfloat16), bias.to(torch.bfloat16))

    def linear(self, inputs: torch.Tensor, by: Linear) -> torch.Tensor:
        """As `Products.linear`; (rows, inputs) of any format to (rows, outputs) of the weight's."""
        return super().linear(inputs.to(by.bias.dtype), by)

    def linear_add(self, inputs: torch.Tensor, by: Linear, residual: torch.Tensor) -> torch.Tensor:
        """As `Products.linear_add`; the sum is float32, as the residual is."""
        return torch.add(residual, self.linear(inputs, by))


def method_for(device: torch.device, precision: Format) -> Method:
    """The rule.

    Args:
        device: where to compute.
        precision: one that the device has; see `precision.resolve`.

    Raises:
        ValueError: it has not.
    """
    if device.type == "cuda":
        return cuda_method(precision)
    if precision != "fp32":
        raise ValueError(f"no {precision} on {device}; expected fp32")
    products = products_for(device)
    return Method(products, products, GroupedAttention, BLOCK_TOKENS["cpu"], ROWS)


def cuda_method(precision: Format, attend: Attend = flash) -> Method:
    """A GPU's; nothing of it but `attend` needs one.

    Args:
        precision: of the job.
        attend: attention in bf16.
    """
    tokens = BLOCK_TOKENS["cuda"]
    exact = CudaProducts(precision)
    if precision != "bf16":
        return Method(exact, exact, GroupedAttention, tokens, rows=1)
    return Method(
        Bfloat16Products(), exact, lambda heads: VarlenAttention(heads, attend), tokens, rows=1
    )
