"""The one connection that writes to the journal, on a thread of its own."""

import logging
import queue
import sqlite3
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from bertscape.values import BertscapeError, Problem, ProblemType
from bertscape_service.journal.schema import upgrade

logger = logging.getLogger(__name__)

_JOINED = 256  # changes that one transaction holds at most
_RETRY_S = 1.0  # between tries while the disk refuses

Result = TypeVar("Result")
Change = Callable[[sqlite3.Connection], Result]


class JournalUnavailable(BertscapeError):
    """The disk or the database refuses; nothing of the change was kept."""

    @classmethod
    def because(cls, reason: object) -> "JournalUnavailable":
        """Build the problem from what SQLite said."""
        detail = f"the journal cannot be written or read: {reason}"
        return cls(Problem(ProblemType.UNAVAILABLE, detail))


@dataclass(slots=True, eq=False)
class _Write:
    change: Change[Any]
    lasting: bool
    result: Future[Any] = field(default_factory=Future)


class JournalWriter:
    """Changes go in from any thread; each gets a future that resolves after its commit.

    Changes are applied in the order in which they came. Those that wait together share one
    transaction, and none of them is acknowledged before it is committed.

    When the disk refuses, a change that is not `lasting` fails with `JournalUnavailable`. A
    `lasting` one cannot be asked for again: it stays at the head of the queue and is tried until
    the disk accepts it.

    Attributes:
        fault: Why the last transaction was refused; None while all is well.
    """

    def __init__(self, path: Path) -> None:
        self.fault: str | None = None
        self._connection = _connect(path)
        self._inbox: queue.SimpleQueue[_Write | None] = queue.SimpleQueue()
        self._waiting: deque[_Write] = deque()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
        self._thread.start()

    def submit(self, change: Change[Result], *, lasting: bool) -> "Future[Result]":
        """Queue a change; it may run more than once, but is committed once at most."""
        write = _Write(change, lasting)
        if self._closing:
            write.result.set_exception(JournalUnavailable.because("it is closed"))
        else:
            self._inbox.put(write)
        return write.result

    def close(self) -> None:
        """Commit what waits, then end the thread; what the disk still refuses is given up."""
        if not self._closing:
            self._closing = True
            self._inbox.put(None)
        self._thread.join()

    def _run(self) -> None:
        ended = False
        while not ended:
            ended = self._gather()
            if self._waiting:
                self._commit()
        for write in self._waiting:
            write.result.set_exception(JournalUnavailable.because(self.fault))
        self._connection.close()

    def _gather(self) -> bool:
        """Wait for changes and take those that are there; return whether the end was asked for."""
        try:
            arrived = self._inbox.get(timeout=_RETRY_S if self._waiting else None)
            while arrived is not None:
                if arrived.result.set_running_or_notify_cancel():
                    self._waiting.append(arrived)
                if len(self._waiting) >= _JOINED:
                    return False
                arrived = self._inbox.get_nowait()
        except queue.Empty:
            return False
        return True

    def _commit(self) -> None:
        writes, self._waiting = list(self._waiting), deque()
        try:
            self._commit_together(writes)
        except BaseException as error:  # noqa: BLE001  whatever it is, its future carries it
            if len(writes) > 1 and not _disk_refused(error):
                for write in writes:  # one of them is at fault; the others must not fail too
                    self._commit_alone(write)
                return
            self._refuse(writes, error)

    def _commit_alone(self, write: _Write) -> None:
        try:
            self._commit_together([write])
        except BaseException as error:  # noqa: BLE001  whatever it is, its future carries it
            self._refuse([write], error)

    def _commit_together(self, writes: list[_Write]) -> None:
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            results = [write.change(self._connection) for write in writes]
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:  # a full disk has rolled back by itself
                self._connection.execute("ROLLBACK")
            raise
        if self.fault is not None:
            logger.warning("the journal can be written again")
        self.fault = None
        for write, result in zip(writes, results, strict=True):
            write.result.set_result(result)

    def _refuse(self, writes: list[_Write], error: BaseException) -> None:
        if not _disk_refused(error):
            for write in writes:
                write.result.set_exception(error)
            return
        if self.fault is None:
            logger.warning("the journal cannot be written, and is tried again: %s", error)
        self.fault = str(error)
        for write in writes:
            if write.lasting:
                self._waiting.append(write)
            else:
                write.result.set_exception(JournalUnavailable.because(error))


def _disk_refused(error: BaseException) -> bool:
    """Whether it is the disk's or the file's fault, not the change's."""
    return type(error) in (sqlite3.OperationalError, sqlite3.DatabaseError)


def _connect(path: Path) -> sqlite3.Connection:
    try:
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        try:
            connection.execute("PRAGMA busy_timeout = 5000")
            upgrade(connection, path)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA foreign_keys = ON")
        except BaseException:
            connection.close()
            raise
    except sqlite3.OperationalError as error:
        raise JournalUnavailable.because(f"{path}: {error}") from error
    return connection
