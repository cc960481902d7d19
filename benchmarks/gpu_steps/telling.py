"""What a step is told and what it tells: lines of JSON, each written at once."""

import json
import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

NEEDS_CUDA = "needs cuda"


@dataclass(frozen=True, slots=True)
class Setting:
    """What a step runs on."""

    device: str  # "cuda" or "cpu"
    small: bool
    folder: Path  # for whatever it writes
    arguments: tuple[str, ...]

    @property
    def cuda(self) -> bool:
        """Whether it is a GPU."""
        return self.device == "cuda"


class Told:
    """Where a step's lines go.

    Args:
        stream: takes them.
        step: whose they are.
    """

    def __init__(self, stream: TextIO, step: str) -> None:
        self._stream = stream
        self._step = step

    def figure(self, what: str, **values: Any) -> None:
        """A measurement, which nothing is expected of."""
        self._line(what, None, values)

    def check(self, what: str, passed: bool, **values: Any) -> None:
        """Something that must hold."""
        self._line(what, bool(passed), values)

    def skipped(self, what: str, reason: str) -> None:
        """Something that cannot be done here."""
        self._line(what, None, {"skipped": reason})

    @contextmanager
    def guard(self, what: str) -> Iterator[None]:
        """An error within the block costs the rest of the block alone."""
        try:
            yield
        except Exception as error:  # noqa: BLE001  whatever it is, the other parts go on
            traceback.print_exc()
            said = " ".join(str(error).split())[:300]
            self.check(what, passed=False, error=f"{type(error).__name__}: {said}")

    def _line(self, what: str, passed: bool | None, values: dict[str, Any]) -> None:
        line = {"step": self._step, "what": what, "passed": passed, **values}
        self._stream.write(json.dumps(line, default=float) + "\n")
        self._stream.flush()


def own_stdout() -> TextIO:
    """Standard output for lines alone: what libraries print goes to standard error from now on."""
    kept = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    return kept
