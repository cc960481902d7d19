"""The one directory that holds all durable state, and the lock that one process has on it."""

import time
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Self

from bertscape.values import (
    InvalidInput,
    ProblemType,
)
from bertscape_workers.admission import (
    HeldElsewhere,
    sign,
    take,
)

_OPTION = "--state-dir"
_LOOK_S = 0.1  # between two looks at a lock that another process holds


@dataclass(slots=True, eq=False)
class StateDirectory:
    """A state directory that this process holds until `release`, or until it ends, however."""

    path: Path
    _lock: FileIO

    @classmethod
    def acquire(cls, path: Path, patience_s: float = 0.0) -> Self:
        """Make the directory where it is missing, and take the lock.

        Args:
            path: of the directory.
            patience_s: seconds to wait for another process that holds it.

        Raises:
            InvalidInput: another process holds it (the message names that one), or it cannot be
                made or written.
        """
        try:
            (path / "surfaces").mkdir(parents=True, exist_ok=True)
            (path / "outputs").mkdir(exist_ok=True)
            lock = _taken(path / "lock", patience_s)
            sign(lock)
        except HeldElsewhere as error:
            raise InvalidInput.of(
                ProblemType.IN_USE,
                _OPTION,
                str(path),
                "a state directory that no other service uses",
                f"is in use by {error.holder}",
            ) from error
        except OSError as error:
            raise InvalidInput.of(
                ProblemType.INVALID_VALUE, _OPTION, str(path), "a writable directory", f"({error})"
            ) from error
        return cls(path.resolve(), lock)

    @property
    def journal(self) -> Path:
        """The SQLite file."""
        return self.path / "journal.sqlite3"

    @property
    def surfaces(self) -> Path:
        """The folder of published HDF5 files, whole ones and snapshots."""
        return self.path / "surfaces"

    @property
    def outputs(self) -> Path:
        """The folder of what fine-tunings leave behind, a folder for each job.

        Workers write there, so those of other machines need it as a shared file system.
        """
        return self.path / "outputs"

    def release(self) -> None:
        """Let another process have it."""
        self._lock.close()


def _taken(path: Path, patience_s: float) -> FileIO:
    deadline = time.monotonic() + patience_s
    while True:
        try:
            return take(path)
        except HeldElsewhere:
            if time.monotonic() >= deadline:
                raise
        time.sleep(_LOOK_S)
