"""Files appear whole or not at all: temporary name, fsync, rename, fsync of the folder."""

import contextlib
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import IO


@contextlib.contextmanager
def publishing(path: Path) -> Iterator[IO[bytes]]:
    """Open a new file that takes the name `path` once the block has ended without an error.

    Until then, and forever if the block or the disk fails, the name keeps what it held: an
    older file, or nothing.

    Raises:
        OSError: the folder does not exist or not writable, or the disk is full.
    """
    # A name of our own, not tempfile's: its files are readable by their owner alone.
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _CLOSE_ON_EXEC, 0o666)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


_CLOSE_ON_EXEC = getattr(os, "O_CLOEXEC", 0)


def _sync_folder(folder: Path) -> None:
    """Make the rename itself durable; file systems without folder handles need no such call."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        with contextlib.suppress(OSError):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
