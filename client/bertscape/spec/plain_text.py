"""From the text of a spec, YAML or JSON, to plain values; a key given twice is refused."""

import json
import re
from collections.abc import Iterator
from typing import Any

import yaml

from bertscape.values import InvalidInput, ProblemType

_MERGE = "tag:yaml.org,2002:merge"
_STRING_OR_BRACE = re.compile(r'("(?:[^"\\]|\\.)*")(\s*:)?|[{}]', re.DOTALL)

Place = tuple[int, int]  # line and column, from 1


def plain_yaml(text: str, source: str) -> object:
    """What a YAML text holds.

    Args:
        text: the whole.
        source: its name, for messages.

    Raises:
        InvalidInput: it is no YAML, or gives a key twice.
    """
    try:
        return yaml.load(text, _Loader)  # noqa: S506 (a safe one)
    except _Repeated as error:
        raise error.refusal(source) from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise _unreadable(source, error) from error


def plain_json(text: str, source: str) -> object:
    """What a JSON text holds; arguments and errors as `plain_yaml`."""
    try:
        value: object = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _unreadable(source, error) from error
    refuse_repeated_keys(text, source)
    return value


def refuse_repeated_keys(text: str, source: str) -> None:
    """Raise `InvalidInput` if a text, known to be JSON, gives a key twice in one object."""
    for repeated in _repeated_keys(text):
        raise repeated.refusal(source)


def repeated_key(text: str) -> str:
    """What to say of the first key that a text, known to be JSON, gives twice; empty if none.

    For example "'grid' on line 3, column 1 and again on line 9, column 1".
    """
    if not _has_repeated_key(text):  # ten times faster than finding places
        return ""
    return next((f"{repeated.key!r} {repeated.where}" for repeated in _repeated_keys(text)), "")


def _has_repeated_key(text: str) -> bool:
    found = False

    def once(pairs: list[tuple[str, Any]]) -> None:
        nonlocal found
        found = found or len(dict(pairs)) < len(pairs)

    json.loads(text, object_pairs_hook=once)
    return found


def _unreadable(source: str, error: Exception) -> InvalidInput:
    return InvalidInput.of(
        ProblemType.INVALID_VALUE, None, source, "YAML or JSON", " ".join(str(error).split())
    )


class _Repeated(Exception):
    """A key that one mapping gives twice."""

    def __init__(self, key: str, first: Place, second: Place) -> None:
        # Half of a surrogate pair could not be shown.
        self.key = key.encode(errors="backslashreplace").decode()
        super().__init__(self.key)
        self.places = (first, second)

    @property
    def where(self) -> str:
        """Both places, in words."""
        first, second = (f"line {line}, column {column}" for line, column in self.places)
        return f"on {first} and again on {second}"

    def refusal(self, source: str) -> InvalidInput:
        found = f"has this key {self.where}"
        return InvalidInput.of(ProblemType.INVALID_VALUE, self.key, source, "it once", found)


class _Loader(yaml.SafeLoader):
    """The safe loader, which takes 1e-5 for a number, as YAML 1.2, JSON and Python do."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        """As ever, and no key twice; those that a merge brings in may be overridden."""
        node: yaml.MappingNode = super().compose_mapping_node(anchor)
        places: dict[tuple[str, str], Place] = {}
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != _MERGE:
                place = (key.start_mark.line + 1, key.start_mark.column + 1)
                if (first := places.setdefault((key.tag, key.value), place)) != place:
                    raise _Repeated(key.value, first, place)
        return node


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)[eE][-+]?[0-9]+"),
    list("-+.0123456789"),
)


def _repeated_keys(text: str) -> Iterator[_Repeated]:
    """Of a text that is known to be JSON; the parser itself tells no places."""
    objects: list[dict[str, int]] = []  # of each that is open, its keys and where they begin
    for found in _STRING_OR_BRACE.finditer(text):
        string, colon = found.groups()
        if found[0] == "{":
            objects.append({})
        elif found[0] == "}":
            objects.pop()
        elif colon is not None:
            key = json.loads(string, strict=False)
            first = objects[-1].setdefault(key, found.start())
            if first != found.start():
                yield _Repeated(key, _place(text, first), _place(text, found.start()))


def _place(text: str, at: int) -> Place:
    return text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at)
