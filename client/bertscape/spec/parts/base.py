"""What every part of a spec is made of."""

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, field_validator
from pydantic_core import PydanticCustomError


class Values(BaseModel):
    """Unknown keys are refused, values are never coerced from text, objects never change."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    @field_validator("*")
    @classmethod
    def _can_be_written(cls, value: Any) -> Any:
        """A lone surrogate is text in JSON and in Python, and in no file and no answer."""
        if not all(_is_unicode(text) for text in _texts(value)):
            raise wrong("Unicode text, without half of a surrogate pair")
        return value


def _texts(value: Any) -> Iterator[str]:
    """The texts in a field. Parts of a spec look after their own."""
    match value:
        case str():
            yield value
        case Mapping():
            yield from (text for key in value for text in _texts(key))
        case tuple():
            yield from (text for one in value for text in _texts(one))


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def wrong(expected: str, key: str = "", value: object = None) -> PydanticCustomError:
    """What was expected; a validator of a whole object adds the key below it and its value."""
    context: dict[str, Any] = {"expected": expected}
    if key:
        context |= {"key": key, "value": value}
    return PydanticCustomError("expected", "{expected}", context)
