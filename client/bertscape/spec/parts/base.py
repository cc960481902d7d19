"""What every part of a spec is made of."""

from typing import Any

from pydantic import BaseModel, ConfigDict
from pydantic_core import PydanticCustomError


class Values(BaseModel):
    """Unknown keys are refused, values are never coerced from text, objects never change."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


def wrong(expected: str, key: str = "", value: object = None) -> PydanticCustomError:
    """What was expected; a validator of a whole object adds the key below it and its value."""
    context: dict[str, Any] = {"expected": expected}
    if key:
        context |= {"key": key, "value": value}
    return PydanticCustomError("expected", "{expected}", context)
