"""Plain JSON values of numbers, arrays, dataclasses and models.

JSON holds no number that is not finite: NaN and infinity become the strings "NaN", "Infinity" and
"-Infinity", here and nowhere else.
"""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict


def plain(value: Any) -> Any:
    """What `json.dumps(…, allow_nan=False)` takes, with no number changed.

    >>> plain({"area": float("nan"), "ends": (0.5, float("inf"))})
    {'area': 'NaN', 'ends': [0.5, 'Infinity']}
    """
    match value:
        case np.ndarray():
            return plain(value.tolist())
        case np.generic():
            return plain(value.item())
        case Mapping():
            return {str(key): plain(item) for key, item in value.items()}
        case list() | tuple():
            return [plain(item) for item in value]
        case float() if math.isnan(value):
            return "NaN"
        case float() if math.isinf(value):
            return "Infinity" if value > 0 else "-Infinity"
        case _ if dataclasses.is_dataclass(value) and not isinstance(value, type):
            names = (field.name for field in dataclasses.fields(value))
            return {name: plain(getattr(value, name)) for name in names}
        case _:
            return value


class JsonModel(BaseModel):
    """A model whose JSON holds each of its numbers, those that are not finite included."""

    model_config = ConfigDict(frozen=True, ser_json_inf_nan="strings")

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; `model_validate` reads them back as an equal object."""
        # model_dump(mode="json") keeps NaN a float, which no JSON holds and which equals nothing.
        values: dict[str, Any] = plain(self.model_dump())
        return values
