"""The one directory that holds all durable state, and the lock that one process has on it."""

import fcntl
import json
import os
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Self

from bertscape.errors import InvalidInput, ProblemType

_OPTION = "--state-dir"


@dataclass(slots=True, eq=False)
class StateDirectory:
    """A state directory that this process holds until `release`, or until it ends, however."""

    path: Path
    _lock: IO[str]

    @classmethod
    def acquire(cls, path: Path) -> Self:
        """Make the directory where it is missing, and take the lock.

        Raises:
            InvalidInput: another process holds it (the message names that one), or it cannot be
                made or written.
        """
        try:
            (path / "surfaces").mkdir(parents=True, exist_ok=True)
            (path / "outputs").mkdir(exist_ok=True)
            # Opened without truncation: until the lock is ours, what it says is its holder's.
            lock = os.fdopen(os.open(path / "lock", os.O_RDWR | os.O_CREAT, 0o644), "r+")
        except OSError as error:
            raise InvalidInput.of(
                ProblemType.INVALID_VALUE, _OPTION, str(path), "a writable directory", f"({error})"
            ) from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = lock.read()
            lock.close()
            raise _in_use(path, holder) from error
        _sign(lock)
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


def _sign(lock: IO[str]) -> None:
    lock.seek(0)
    lock.truncate()
    json.dump({"pid": os.getpid(), "host": socket.gethostname()}, lock)
    lock.flush()


def _in_use(path: Path, holder: str) -> InvalidInput:
    try:
        known = json.loads(holder)
        who = f"process {known['pid']} on {known['host']}"
    except (ValueError, KeyError, TypeError):
        who = "another process"  # it took the lock a moment ago, and has not signed yet
    return InvalidInput.of(
        ProblemType.IN_USE,
        _OPTION,
        str(path),
        "a state directory that no other service uses",
        f"is in use by {who}",
    )
