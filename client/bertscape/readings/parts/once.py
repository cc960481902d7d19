"""Taking each reading once, although several parts of one work ask for it."""

import functools
import inspect
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Concatenate, ParamSpec, TypeVar

from bertscape.results import Surface

_Options = ParamSpec("_Options")
_Found = TypeVar("_Found")

# Each value keeps its surface: no other one can get its id while the work lasts.
_taken: ContextVar[dict[Hashable, tuple[Surface, Any]] | None] = ContextVar("taken", default=None)


@contextmanager
def each_reading_once() -> Iterator[None]:
    """While the block lasts, the same reading of the same surface is taken once.

    Outside such a block every call reads again: the arrays of a surface may have changed. Blocks
    may be nested; the outermost one counts.
    """
    if _taken.get() is not None:
        yield
        return
    token = _taken.set({})
    try:
        yield
    finally:
        _taken.reset(token)


def reading(
    take: Callable[Concatenate[Surface, _Options], _Found],
) -> Callable[Concatenate[Surface, _Options], _Found]:
    """Mark a reading: a pure function of a surface and some options, with an immutable result."""
    signature = inspect.signature(take)

    @functools.wraps(take)
    def taken(surface: Surface, /, *options: _Options.args, **named: _Options.kwargs) -> _Found:
        memory = _taken.get()
        if memory is None:
            return take(surface, *options, **named)
        bound = signature.bind(surface, *options, **named)
        bound.apply_defaults()
        key = (take, id(surface), *list(bound.arguments.values())[1:])
        if key not in memory:
            memory[key] = surface, take(surface, *options, **named)
        found: _Found = memory[key][1]
        return found

    return taken
