"""The one directory that holds all durable state, and the lock that one process has on it.

Nobody else may read or write it: jobs and their results are their user's, and what lies here says
which processes a service ends and which folders it removes.
"""

import logging
import os
import stat
import time
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Self

from bertscape.values import InvalidInput, ProblemType
from bertscape_service.configuration.private_folders import PRIVATE, is_private
from bertscape_workers.admission import HeldElsewhere, sign, take

_OPTION = "--state-dir"
_SURFACES, _OUTPUTS = "surfaces", "outputs"
_LOOK_S = 0.1  # between two looks at a lock that another process holds

logger = logging.getLogger(__name__)


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
            InvalidInput: another process holds it (the message names that one), it cannot be
                made or written, or it is not this user's alone.
        """
        try:
            path.mkdir(PRIVATE, parents=True, exist_ok=True)
            _close(path)
            for name in (_SURFACES, _OUTPUTS):
                (path / name).mkdir(PRIVATE, exist_ok=True)
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
        return self.path / _SURFACES

    @property
    def outputs(self) -> Path:
        """The folder of what fine-tunings leave behind, a folder for each job.

        Workers write there, so those of other machines need it as a shared file system.
        """
        return self.path / _OUTPUTS

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


def _close(path: Path) -> None:
    """Let nobody else enter the directory, if it is a state directory and this user's.

    Raises:
        InvalidInput: it is another user's or holds what is, or it is a folder for other things.
    """
    owners = {path: path.stat().st_uid} | {one: one.lstat().st_uid for one in path.iterdir()}
    for place, owner in owners.items():
        if owner != os.geteuid() and (place == path or owner != 0):
            raise _not_ours(path, f"user {owner} owns {place}")
    if is_private(path):
        return
    mode = path.stat().st_mode
    if mode & stat.S_ISVTX or not _is_for_state(path):
        raise _not_ours(path, f"other users can enter it (mode {stat.S_IMODE(mode):o})")
    path.chmod(PRIVATE)
    if not is_private(path):
        raise _not_ours(path, "its file system does not keep modes")
    logger.warning(
        "%s was open to other users (mode %o); it is now private", path, stat.S_IMODE(mode)
    )


def _is_for_state(path: Path) -> bool:
    return (path / _SURFACES).is_dir() or not any(path.iterdir())


def _not_ours(path: Path, fault: str) -> InvalidInput:
    expected = "a new folder, or a private one (chmod 700)"
    return InvalidInput.of(ProblemType.INVALID_VALUE, _OPTION, str(path), expected, fault)
