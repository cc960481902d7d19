"""A file that one process at a time holds, and that can say which; stdlib only."""

import fcntl
import json
import os
import socket
from io import FileIO
from pathlib import Path


class HeldElsewhere(Exception):
    """Another process holds the file; `holder` names it, for people."""

    def __init__(self, holder: str) -> None:
        super().__init__(holder)
        self.holder = holder


def take(path: Path) -> FileIO:
    """Hold a file, which is created if it does not exist, until it is closed or this process ends.

    Raises:
        HeldElsewhere: another process holds it, or this one does by an earlier call.
        OSError: it cannot be made, or its file system has no locks.
    """
    # Opened without truncation: until the lock is ours, what it says is its holder's.
    lock = FileIO(os.open(path, os.O_RDWR | os.O_CREAT, 0o644), "r+")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        with lock:
            raise HeldElsewhere(_named(lock.read())) from error
    except OSError:
        lock.close()
        raise
    return lock


def sign(lock: FileIO) -> None:
    """Let a file that was taken name this process."""
    lock.seek(0)
    lock.truncate()
    lock.write(json.dumps({"pid": os.getpid(), "host": socket.gethostname()}).encode())


def _named(signature: bytes) -> str:
    try:
        known = json.loads(signature)
        return f"process {known['pid']} on {known['host']}"
    except (ValueError, KeyError, TypeError):
        return "another process"  # it took the file a moment ago, and has not signed yet
