"""The axes of a grid, as a spec writes them."""

from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema, model_serializer

from bertscape.spec.parts.base import Values, wrong
from bertscape.values import DEFAULT_COUNT, DEFAULT_HIGH, DEFAULT_LOW, Axis, InvalidInput


def _axis(value: object) -> object:
    """Accept `[low, high, count]`, and say what is wrong with it in the words of a user."""
    if isinstance(value, Axis):
        return value
    if not isinstance(value, list | tuple) or len(value) != 3:
        raise wrong("[low, high, count], as in [-4, 4, 40]")
    low, high, count = value
    if any(isinstance(end, bool) or not isinstance(end, int | float) for end in (low, high)):
        raise wrong("[low, high, count] with numbers as ends")
    if isinstance(count, bool) or not isinstance(count, int):
        raise wrong("[low, high, count] with a whole number as count")
    try:
        return Axis(float(low), float(high), count)
    except OverflowError as error:
        raise wrong("[low, high, count] with finite ends") from error
    except InvalidInput as error:
        raise wrong(f"[low, high, count] with {error.problem.expected}") from error


AxisRange = Annotated[
    Axis,
    BeforeValidator(_axis),
    PlainSerializer(lambda axis: [axis.low, axis.high, axis.count]),
    WithJsonSchema(
        {"type": "array", "prefixItems": [{"type": "number"}] * 2 + [{"type": "integer"}]}
    ),
]

DEFAULT_AXIS = Axis(DEFAULT_LOW, DEFAULT_HIGH, DEFAULT_COUNT)


class GridRanges(Values):
    """The two axes; a curve has `x` alone."""

    x: AxisRange = DEFAULT_AXIS
    y: AxisRange | None = None

    @model_serializer
    def _as_lists(self) -> dict[str, Any]:
        axes = {"x": self.x, "y": self.y}
        return {key: [a.low, a.high, a.count] for key, a in axes.items() if a is not None}
