"""Which tensors of a backbone a layer group moves, by their names; stdlib only.

Both the admission of a job, which may not import torch, and the plane use this.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from bertscape.values import EMBEDDINGS, POOLER, InvalidInput, LayerGroup, ProblemType

_ENCODER_LAYER = re.compile(r"(?:encoder|transformer)\.layer\.(\d+)\.")
# ELECTRA widens its embeddings with a matrix of their own, which belongs to them.
_PARTS = {"embeddings": EMBEDDINGS, "embeddings_project": EMBEDDINGS, "pooler": POOLER}

_Part = int | str  # an encoder layer, or one of the names above


@dataclass(frozen=True, slots=True)
class Members:
    """A layer group of one backbone."""

    moving: tuple[bool, ...]  # whether it holds each tensor, in the order that they were given
    layers: tuple[int, int] | None  # the encoder layers of it, half-open; None where it has none


def members(group: LayerGroup, tensors: Sequence[tuple[str, ...]], key: str = "layers") -> Members:
    """Find a layer group in a backbone.

    Args:
        group: as the job spec has it.
        tensors: of each tensor of the backbone every name, without the backbone's prefix.
        key: of the group in the job spec.

    Raises:
        InvalidInput: the model has no such layers or no pooler, or its layers share tensors.
    """
    if group.is_all:
        return Members((True,) * len(tensors), None)
    parts = [_part(names, group, key) for names in tensors]
    count = len({part for part in parts if isinstance(part, int)})
    layers = group.layers(count)
    if group.value == POOLER and POOLER not in parts:
        raise _refusal(key, group, "a group of the model, which has no pooler")
    if layers.stop > count:
        raise _refusal(key, group, f"a range within the {count} encoder layers of the model")
    if group.value not in (EMBEDDINGS, POOLER) and not layers:
        raise _refusal(key, group, f"a non-empty group: the model has {count} encoder layer(s)")
    moving = tuple(part == group.value or part in layers for part in parts)
    return Members(moving, (layers.start, layers.stop) if layers else None)


def _part(names: tuple[str, ...], group: LayerGroup, key: str) -> _Part:
    """The one part of the backbone that a tensor belongs to."""
    parts = {_part_by_name(name) for name in names}
    part = parts.pop()
    if parts or part is None:
        raise InvalidInput.of(
            ProblemType.INVALID_VALUE,
            key,
            group.to_json(),
            "all",
            "needs layers with their own tensors and BERT's names: "
            f"{names[0]} does not belong to a single layer",
        )
    return part


def _part_by_name(name: str) -> _Part | None:
    layer = _ENCODER_LAYER.match(name)
    return int(layer[1]) if layer else _PARTS.get(name.partition(".")[0])


def _refusal(key: str, group: LayerGroup, expected: str) -> InvalidInput:
    return InvalidInput.of(ProblemType.INVALID_VALUE, key, group.to_json(), expected)
