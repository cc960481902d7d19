"""Random directions with filter normalization.

They are those of Li et al. 2018, "Visualizing the Loss Landscape of Neural Nets", §4. A filter is
one output row of a weight matrix; a row of an embedding table counts as one. Each random filter is
scaled to the norm of that filter at the plane's origin. Biases and LayerNorm parameters do not
move. Nothing is rescaled further.
"""

import hashlib
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from bertscape_workers.checkpoints import Layout, Vector

_BLOCK = 1 << 20  # floats drawn at a time


def random_direction(origin: Vector, layout: Layout, seed: int) -> Vector:
    """A Gaussian direction, filter-normalized at `origin`.

    Each tensor draws from its own PCG64 stream, which its name and the seed fix: the direction
    depends neither on the order of the tensors nor on the machine.

    Args:
        origin: the plane's origin, (layout.size,) float32.
        layout: how the backbone lies in it.
        seed: of the direction.

    Returns:
        (layout.size,) float32.
    """
    direction = layout.empty()
    for tensor in layout.tensors:
        if len(tensor.shape) < 2:
            continue  # a bias, or a LayerNorm's parameter
        filters = tensor.view(origin).reshape(tensor.shape[0], -1)
        drawn = tensor.view(direction).reshape(tensor.shape[0], -1)
        generator = _stream(tensor.names[0].removeprefix(f"{layout.prefix}."), seed)
        for rows in _row_blocks(*filters.shape):
            drawn[rows] = _like(filters[rows], generator)
    return direction


def _like(filters: NDArray[np.float32], generator: np.random.Generator) -> NDArray[np.float64]:
    """Gaussian filters, (rows, columns), with the norms of the given ones."""
    drawn = generator.standard_normal(filters.shape)
    norms = np.sqrt(np.square(filters, dtype=np.float64).sum(axis=1))
    scaled: NDArray[np.float64] = drawn * (norms / np.sqrt(np.square(drawn).sum(axis=1)))[:, None]
    return scaled


def _stream(name: str, seed: int) -> np.random.Generator:
    digest = hashlib.sha256(name.encode()).digest()[:16]
    sequence = np.random.SeedSequence([seed, int.from_bytes(digest, "little")])
    return np.random.Generator(np.random.PCG64(sequence))


def _row_blocks(rows: int, columns: int) -> Iterator[slice]:
    step = max(1, _BLOCK // max(columns, 1))
    return (slice(start, start + step) for start in range(0, rows, step))
