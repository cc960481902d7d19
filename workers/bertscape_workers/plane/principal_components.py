"""Principal components of a trajectory, as directions.

Of the checkpoints θ⁽¹⁾ … θ⁽ᵀ⁾ with mean θ̄, component k is v = Σᵢ uᵢ (θ⁽ⁱ⁾ − θ̄) / √λ: λ is the
k-th largest eigenvalue of the (T, T) Gram matrix Gᵢⱼ = ⟨θ⁽ⁱ⁾ − θ̄, θ⁽ʲ⁾ − θ̄⟩ and u its unit
eigenvector, so that v has length one. This is exact: these are the right singular vectors of the
centred checkpoints (Sirovich 1987, "the method of snapshots"). Both passes over the checkpoints
read the same few rows of each at a time, together no more than one backbone.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from bertscape.values import InvalidInput, ProblemType
from bertscape_workers.checkpoints import CheckpointFiles, Layout, StoredBackbone, Vector

BLOCK = 1 << 18  # float64 numbers centred at a time
_HALF_STEP = 2.0**-24  # float32's largest relative rounding
_TIE = 1e-9  # entries of a unit eigenvector this close to 0 have no sign but rounding's

_Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _Part:
    """The same floats of every checkpoint."""

    start: int  # where they lie in a vector
    values: NDArray[np.float32]  # (T, n)


def principal_component(
    checkpoints: Sequence[CheckpointFiles], component: int, layout: Layout, length: float
) -> tuple[Vector, float]:
    """One principal component of a trajectory over the whole backbone.

    The direction goes the way that the trajectory goes: its dot product with the last checkpoint
    minus the first is positive. Where those two tie along it, that with the first checkpoint
    that does not lie at the mean, minus the mean, is positive.

    Args:
        checkpoints: the trajectory, in its order; T > `component`.
        component: which one, from 1, the largest variance first.
        layout: of the backbone.
        length: ‖δ1‖, the norm that the direction gets.

    Returns:
        The direction, (layout.size,) float32, and the share of the variance along it, in (0, 1].

    Raises:
        InvalidInput: a checkpoint that cannot be read, or a component that no variance but
            float32's rounding belongs to.
    """
    stored = [StoredBackbone.find(files, layout) for files in checkpoints]
    gram, mean_squared = _gram(stored, layout)
    variances, coefficients = _decompose(gram)
    _refuse_rounding(variances, component, mean_squared, checkpoints)
    variance = float(variances[component - 1])
    weights = _oriented(coefficients[:, component - 1]) * (length / np.sqrt(variance))
    return _combine(stored, layout, weights), variance / float(np.trace(gram))


def _gram(stored: Sequence[StoredBackbone], layout: Layout) -> tuple[_Floats, float]:
    """(T, T) Gram matrix of the centred checkpoints, and ‖θ̄‖²."""
    gram = np.zeros((len(stored), len(stored)))
    mean_squared = 0.0
    for part in _parts(stored, layout):
        for columns in _column_blocks(part):
            centred = part.values[:, columns].astype(np.float64)
            mean = centred.mean(axis=0)
            mean_squared += float(np.square(mean).sum())
            centred -= mean
            for row, values in enumerate(centred):
                # Pairwise sums: no BLAS, so no dependence on its threads.
                gram[row, row:] += (centred[row:] * values).sum(axis=1)
    return gram + np.triu(gram, 1).T, mean_squared


def _decompose(gram: _Floats) -> tuple[_Floats, _Floats]:
    """Eigenvalues, (T,), the largest first, and unit eigenvectors, (T, T), in their columns."""
    # torch's, with the job's threads; results are promised for equal torch builds.
    values, vectors = torch.linalg.eigh(torch.from_numpy(gram))
    return values.numpy()[::-1], vectors.numpy()[:, ::-1]


def _refuse_rounding(
    variances: _Floats,
    component: int,
    mean_squared: float,
    checkpoints: Sequence[CheckpointFiles],
) -> None:
    """Refuse a component that may be only rounding.

    Rounding moves each of the T checkpoints by u‖θ̄‖ at most, u = 2⁻²⁴, and so an eigenvalue that
    would be zero to T u²‖θ̄‖² at most; the sums in float64 add less than T 2⁻⁵² of the largest.
    """
    count = len(variances)
    rounding = count * max(_HALF_STEP**2 * mean_squared, np.finfo(np.float64).eps * variances[0])
    rank = int((variances > rounding).sum())
    if component > rank:
        axis = checkpoints[0].key.partition(".")[0]
        raise InvalidInput.of(
            ProblemType.CHECKPOINT_MISMATCH,
            f"{axis}.component",
            component,
            f"at most {rank}" if rank else "checkpoints that differ",
            f"is beyond the {rank} principal component(s) of these {count} checkpoints",
        )


def _oriented(coefficients: _Floats) -> _Floats:
    """The eigenvector, (T,), or its negative."""
    clear = coefficients[np.abs(coefficients) > _TIE]
    rise = coefficients[-1] - coefficients[0]
    leading = rise if abs(rise) > _TIE else clear[0]
    return coefficients if leading > 0 else -coefficients


def _combine(stored: Sequence[StoredBackbone], layout: Layout, weights: _Floats) -> Vector:
    """Σᵢ wᵢ (θ⁽ⁱ⁾ − θ̄), summed in float64 and rounded once."""
    out = layout.empty()
    for part in _parts(stored, layout):
        for columns in _column_blocks(part):
            values = part.values[:, columns].astype(np.float64)
            # Σᵢ wᵢ = 0 up to rounding, which λ₁/λ enlarges: with the mean it would show.
            values -= values.mean(axis=0)
            values *= weights[:, None]
            start = part.start + columns.start
            out[start : start + values.shape[1]] = values.sum(axis=0)
    return out


def _parts(stored: Sequence[StoredBackbone], layout: Layout) -> Iterator[_Part]:
    """Every float of all checkpoints once, a few rows of one tensor at a time.

    A part is no more floats than half a backbone has, since the one before it is alive while it
    is read. (It is one row of all checkpoints at least, which may be more of a toy model.)
    """
    for index, tensor in enumerate(layout.tensors):
        rows, *rest = tensor.shape or (1,)
        width = int(np.prod(rest, dtype=np.int64))
        step = max(1, layout.size // (2 * len(stored) * max(width, 1)))
        for first in range(0, rows, step):
            height = min(step, rows - first)
            values = np.empty((len(stored), height * width), dtype=np.float32)
            for row, checkpoint in zip(values, stored, strict=True):
                row[:] = checkpoint.rows(index, slice(first, first + height)).reshape(-1)
            yield _Part(tensor.offset + first * width, values)


def _column_blocks(part: _Part) -> Iterator[slice]:
    count, width = part.values.shape
    step = max(1, BLOCK // count)
    return (slice(start, start + step) for start in range(0, width, step))
