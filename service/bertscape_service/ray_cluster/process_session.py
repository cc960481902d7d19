"""A whole process session, found and ended: a process and everything that it started.

A session's leader and all its descendants bear the leader's process id as their session id,
also after the leader is gone and its orphans have another parent. That is what makes it possible
to leave nothing behind.
"""

import os
import signal
import time
from collections.abc import Iterator

import psutil

__all__ = ["TOKEN_VARIABLE", "bears_token", "is_alive", "kill_session", "members", "started_at"]

TOKEN_VARIABLE = "BERTSCAPE_SESSION"  # noqa: S105  a name, no secret
"""The environment variable by which the members of a session are known as ours."""

_POLL_S = 0.02


def members(session: int) -> Iterator[psutil.Process]:
    """The living processes of a session; one that ended and waits for its parent does not count."""
    for pid in psutil.pids():
        try:
            if os.getsid(pid) == session and is_alive(process := psutil.Process(pid)):
                yield process
        except (OSError, psutil.Error):
            continue  # it ended meanwhile, or belongs to someone else


def is_alive(process: psutil.Process) -> bool:
    """Whether this very process, not a later one of the same id, still runs."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def started_at(pid: int) -> float | None:
    """When the process of this id started, in Unix seconds; None if there is none."""
    try:
        return psutil.Process(pid).create_time()
    except psutil.Error:
        return None


def bears_token(process: psutil.Process, token: str) -> bool:
    """Whether the process was started with this value of `TOKEN_VARIABLE`."""
    try:
        return process.environ().get(TOKEN_VARIABLE) == token
    except psutil.Error:
        return False


def kill_session(session: int, spare: int | None = None, timeout_s: float = 5.0) -> bool:
    """Kill every process of a session, those too that it starts meanwhile.

    Args:
        session: The session's id, which is its leader's process id.
        spare: The process id of a member that is left alive: the caller's own.
        timeout_s: How long to continue, in seconds.

    Returns:
        Whether none was left at the end.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        left = [process for process in members(session) if process.pid != spare]
        for process in left:
            _kill(process)
        if not left:
            return True
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_S)


def _kill(process: psutil.Process) -> None:
    try:
        process.send_signal(signal.SIGKILL)  # refuses if the id belongs to another by now
    except psutil.Error:
        return
