"""The shape of a subcommand of `bertscape`, shared by the packages that provide some.

A package registers its commands under the entry-point group `bertscape.commands`. The module that
holds a `Command` must be importable without the extra that the command needs; `run` imports
the rest when it is called.
"""

import importlib.util
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from dataclasses import dataclass

from bertscape.values.errors import MissingExtra, Problem, ProblemType

DONE, JOB_FAILED, WRONG_USE = 0, 1, 2  # exit statuses


@dataclass(frozen=True, slots=True)
class Command:
    """One subcommand."""

    name: str
    help: str  # one line, without a full stop
    add_arguments: Callable[[ArgumentParser], None]
    run: Callable[[Namespace], int]  # returns the exit status; raises BertscapeError
    extra: str | None = None  # the extra that brings `requires`
    requires: tuple[str, ...] = ()  # top-level modules that `run` needs

    def require(self) -> None:
        """Raise `MissingExtra`, with the install command, if a module is not installed."""
        missing = [name for name in self.requires if importlib.util.find_spec(name) is None]
        if missing:
            detail = (
                f"bertscape {self.name} needs {', '.join(missing)}: "
                f"pip install 'bertscape[{self.extra}]'"
            )
            raise MissingExtra(Problem(ProblemType.UNAVAILABLE, detail))
