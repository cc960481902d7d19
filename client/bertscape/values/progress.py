"""How long work tells how far it is."""

from typing import Protocol


class Progress(Protocol):
    """Told where a stage stands."""

    def __call__(self, stage: str, done: int, total: int, /) -> None:
        """Called at the stage's start, mostly with `done` 0, then after each of `total` steps."""
