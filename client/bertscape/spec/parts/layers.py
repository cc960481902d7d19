"""Layer groups, as a spec writes them."""

from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

from bertscape.spec.parts.base import wrong
from bertscape.values import NAMES, InvalidInput, LayerGroup


def _layer_group(value: Any) -> LayerGroup:
    if isinstance(value, LayerGroup):
        return value
    try:
        return LayerGroup(tuple(value) if isinstance(value, list) else value)
    except InvalidInput as error:
        raise wrong(error.problem.expected or "") from error


Layers = Annotated[
    LayerGroup,
    BeforeValidator(_layer_group),
    PlainSerializer(LayerGroup.to_json),
    WithJsonSchema(
        {
            "anyOf": [
                {"enum": list(NAMES)},
                {"type": "array", "prefixItems": [{"type": "integer"}] * 2},
            ]
        }
    ),
]
