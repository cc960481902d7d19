"""The API's end of the dispatcher: starts it, speaks with it, and removes all that it leaves.

One `DispatcherLink` is one life of one dispatcher. The dispatcher leads a process session of its
own, so that a Ctrl-C in the terminal does not reach it and so that all it starts can be ended with
it. Neither torch nor Ray is imported here.
"""

import contextlib
import json
import logging
import os
import queue
import re
import secrets
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import IO, Self

from bertscape.values import InvalidInput, ProblemType
from bertscape_service.configuration import SAFE_PATH, new_private_folder
from bertscape_service.ray_cluster import process_session
from bertscape_service.ray_cluster.messages import Farewell

__all__ = ["LOG_NAME", "DispatcherLink", "DispatcherOptions", "clear_leftovers"]

LOG_NAME = "dispatcher.log"  # in the state directory
_RECORD_NAME = "dispatcher.json"
_LOG_BYTES = 10_000_000  # a longer log is put aside when the next dispatcher starts
_ORDERLY_END_S = 2.0  # how long a dispatcher may take to end itself before it is killed
# Another machine may lack our folder, and there anybody could make one of that name.
_ROOTS_EVERYWHERE = "/usr"
# No ray://: its proxy would stand between the driver and the workers.
_ADDRESS = re.compile(r"auto|[^:/\s]+:\d+|\[[^/\s]+\]:\d+")
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class DispatcherOptions:
    """What `bertscape serve` was told about Ray."""

    ray_address: str | None = None  # None: an embedded Ray of its own
    workers: int | None = None  # None: one per GPU, else one per core, as many as memory holds
    cpus_per_worker: int = 1
    worker_class: str = (
        "bertscape_workers.jobs.actor:EvaluationWorker"  # tests put another in its place
    )

    def __post_init__(self) -> None:
        address, invalid = self.ray_address, ProblemType.INVALID_VALUE
        if address is not None and not _ADDRESS.fullmatch(address):
            expected = "host:port of Ray's head, or auto"
            raise InvalidInput.of(invalid, "--ray-address", address, expected)
        counts = {"--workers": self.workers, "--cpus-per-worker": self.cpus_per_worker}
        for option, count in counts.items():
            if count is not None and count < 1:
                raise InvalidInput.of(invalid, option, count, "1 or more")

    def arguments(self) -> list[str]:
        """The same as command-line arguments of the dispatcher."""
        arguments = ["--cpus-per-worker", str(self.cpus_per_worker)]
        arguments += ["--worker-class", self.worker_class]
        if self.ray_address is not None:
            arguments += ["--ray-address", self.ray_address]
        if self.workers is not None:
            arguments += ["--workers", str(self.workers)]
        return arguments


@dataclass(frozen=True, slots=True)
class _Record:
    """What a later service must know to clean up after this one, should it be killed."""

    session: int  # the dispatcher's process id, which is its session's id
    started: float | None  # of the dispatcher, in Unix seconds
    token: str  # value of `process_session.TOKEN_VARIABLE` in all of the session
    directory: str  # private, with Ray's temporary files in it

    @classmethod
    def read(cls, path: Path) -> Self | None:
        """The record at this path, or None if there is no readable one."""
        try:
            return cls(**json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    def write(self, path: Path) -> None:
        temporary = path.with_suffix(".new")
        temporary.write_text(json.dumps(asdict(self)), encoding="utf-8")
        temporary.replace(path)

    def is_ours(self) -> bool:
        """Whether the session of this id is the recorded one, and not a later one of equal id.

        A session's id is not given away while any member lives. So the leader of equal start
        time proves it, and so does any member that was started with the token.
        """
        if self.started is not None and process_session.started_at(self.session) == self.started:
            return True
        found = process_session.members(self.session)
        return any(process_session.bears_token(member, self.token) for member in found)


def clear_leftovers(state_directory: Path) -> None:
    """End what is left of a dispatcher whose service was killed; nothing that is not its own."""
    path = state_directory / _RECORD_NAME
    record = _Record.read(path)
    if record is None:
        return
    if record.is_ours():
        logger.warning("ending the session %d of an earlier dispatcher", record.session)
        process_session.kill_session(record.session)
    _remove_directory(record.directory)
    path.unlink(missing_ok=True)


class DispatcherLink:
    """One dispatcher process and the pipe to it.

    Both callbacks are called from the link's own thread, one at a time; after `stop` was called
    there may be a last message, but no loss.

    Args:
        options: What to tell the dispatcher about Ray.
        on_message: Gets each message of `bertscape_service.ray_cluster.messages` that arrives.
        on_lost: Gets the reason, exactly once, when the dispatcher ends without `stop`; by then
            nothing of its session lives.
        state_directory: Where its log and the record of its process are kept.
    """

    def __init__(
        self,
        options: DispatcherOptions,
        on_message: Callable[[object], None],
        on_lost: Callable[[str], None],
        state_directory: Path,
    ) -> None:
        self._options = options
        self._on_message = on_message
        self._on_lost = on_lost
        self._state_directory = state_directory
        self._outbox: queue.SimpleQueue[object] = queue.SimpleQueue()
        self._lock = threading.Lock()  # over start, stop and what an end leaves to be done
        self._process: subprocess.Popen[bytes] | None = None
        self._record: _Record | None = None
        self._socket: socket.socket | None = None
        self._reader: threading.Thread | None = None
        self._stopping = False
        self._ended = False

    @property
    def alive(self) -> bool:
        """Whether the dispatcher was started and has not ended."""
        return self._process is not None and not self._ended

    @property
    def session(self) -> int | None:
        """The id of the dispatcher's process and session; None before `start`."""
        return self._record.session if self._record else None

    def start(self) -> None:
        """End what an earlier dispatcher left behind, then start one.

        Raises:
            RuntimeError: it was started before; each link has one life.
        """
        with self._lock:
            if self._process is not None or self._stopping:
                raise RuntimeError("a DispatcherLink starts once; make another")
            clear_leftovers(self._state_directory)
            ours, theirs = socket.socketpair()
            with theirs:
                self._spawn(theirs.fileno())
            self._socket = ours
            # Its own descriptor: the socket stays open until `stop` is done with it.
            connection = Connection(os.dup(ours.fileno()))
        self._reader = threading.Thread(
            target=self._read, args=(connection,), name="dispatcher-reader", daemon=True
        )
        self._reader.start()
        threading.Thread(
            target=self._write, args=(connection,), name="dispatcher-writer", daemon=True
        ).start()

    def send(self, message: object) -> None:
        """Queue a message or an instruction; silently dropped once the dispatcher is lost."""
        if self.alive:
            self._outbox.put(message)

    def stop(self) -> None:
        """End the dispatcher and all that it started; nothing of it remains on return."""
        with self._lock:
            self._stopping = True
            if self._process is None:
                return
            self._hang_up()
        self._end()
        if self._reader is not None and self._reader is not threading.current_thread():
            self._reader.join(_ORDERLY_END_S)

    def _spawn(self, descriptor: int) -> None:
        token, directory = secrets.token_hex(16), str(new_private_folder())
        arguments = ["--pipe-fd", str(descriptor), "--directory", directory]
        with _open_log(self._state_directory / LOG_NAME) as log:
            self._process = subprocess.Popen(
                [
                    sys.executable,
                    "-P",  # nothing is imported from where it happens to run
                    "-m",
                    "bertscape_service.ray_cluster.dispatcher",
                    *arguments,
                    *self._options.arguments(),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._working_directory(directory),
                env=os.environ | {process_session.TOKEN_VARIABLE: token} | SAFE_PATH,
                pass_fds=(descriptor,),
                start_new_session=True,
            )
        pid = self._process.pid
        self._record = _Record(pid, process_session.started_at(pid), token, directory)
        self._record.write(self._state_directory / _RECORD_NAME)

    def _working_directory(self, private: str) -> str:
        """Ray adds it to its workers' module path, on other machines too: ours alone to write."""
        if self._options.ray_address is not None:
            return _ROOTS_EVERYWHERE
        empty = Path(private, "work")
        empty.mkdir()
        return str(empty)

    def _write(self, connection: Connection) -> None:
        """Send what is queued, until the pipe breaks; the reader then sees its end."""
        while (message := self._outbox.get()) is not None:
            try:
                connection.send(message)
            except OSError:
                return
            except Exception:
                # A message that does not pickle would be waited for in vain.
                logger.exception("a message to the dispatcher could not be sent: %r", message)
                self._hang_up()
                return

    def _read(self, connection: Connection) -> None:
        """Hand on each message, until the pipe ends; then clean up, and say so."""
        farewell: str | None = None
        try:
            while True:
                message = connection.recv()
                if isinstance(message, Farewell):
                    farewell = message.reason
                else:
                    self._deliver(message)
        except (EOFError, OSError):
            pass
        except Exception as error:
            logger.exception("a message from the dispatcher could not be read")
            farewell = f"a message from it could not be read: {error}"
        status = self._end()
        connection.close()
        if not self._stopping:
            self._on_lost(farewell or f"the dispatcher ended with status {status}")

    def _deliver(self, message: object) -> None:
        try:
            self._on_message(message)
        except Exception:
            logger.exception("a message from the dispatcher was not understood: %r", message)

    def _end(self) -> int | None:
        """Wait for the dispatcher's own end, then kill what is left; its exit status."""
        with self._lock:
            process, record = self._process, self._record
            if process is None or record is None:
                return None
            if not self._ended:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(_ORDERLY_END_S)
                process_session.kill_session(record.session)
                process.wait()
                self._ended = True
                self._outbox.put(None)
                (self._state_directory / _RECORD_NAME).unlink(missing_ok=True)
                _remove_directory(record.directory)
                if self._socket is not None:
                    self._socket.close()
            return process.returncode

    def _hang_up(self) -> None:
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)


def _open_log(path: Path) -> IO[bytes]:
    """The log to append to; one that has grown long is put aside, one at most."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and path.stat().st_size > _LOG_BYTES:
        path.replace(path.with_suffix(".log.1"))
    return path.open("ab")


def _remove_directory(directory: str) -> None:
    shutil.rmtree(directory, ignore_errors=True)
