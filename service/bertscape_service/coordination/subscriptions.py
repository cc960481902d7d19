"""Who follows which job: a change wakes every follower, several at a time wake it once."""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Coroutine, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

from bertscape.values import BertscapeError

logger = logging.getLogger(__name__)


class Subscriptions:
    """Followers by job. Everything here belongs on the event loop's thread."""

    def __init__(self) -> None:
        self._followers: defaultdict[str, set[asyncio.Event]] = defaultdict(set)
        self.closed = False

    @contextmanager
    def follow(self, job_id: str) -> Iterator[asyncio.Event]:
        """An event that is set at each change of the job, and when all is over."""
        changed = asyncio.Event()
        self._followers[job_id].add(changed)
        try:
            yield changed
        finally:
            self._followers[job_id].discard(changed)
            if not self._followers[job_id]:
                del self._followers[job_id]

    def notify(self, job_id: str) -> None:
        """The job has changed."""
        for follower in self._followers.get(job_id, ()):
            follower.set()

    def close(self) -> None:
        """The service ends: wake everyone for good."""
        self.closed = True
        for followers in self._followers.values():
            for follower in followers:
                follower.set()


class Commits:
    """What runs beside the loop: mostly commits, and who is told once they are done.

    Args:
        subscriptions: who follows which job.
    """

    def __init__(self, subscriptions: Subscriptions) -> None:
        self._subscriptions = subscriptions
        self._tasks: set[asyncio.Task[Any]] = set()

    async def of(self, job_id: str, write: "Future[Any]") -> None:
        """Wait for a commit, then tell those who follow the job."""
        await asyncio.wrap_future(write)
        self._subscriptions.notify(job_id)

    def announce(self, job_id: str, write: "Future[Any]") -> None:
        """Tell those who follow the job once this is committed."""
        self.spawn(self.of(job_id, write))

    def spawn(self, work: Coroutine[Any, Any, Any]) -> "asyncio.Task[Any]":
        """Begin something that the end of the service waits for."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finish)
        return task

    async def finish(self, seconds: float) -> None:
        """Wait for all that is under way, at most so long."""
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=seconds)
            for task in late:
                task.cancel()

    def _finish(self, task: "asyncio.Task[Any]") -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None and not isinstance(error, BertscapeError):
            logger.error("the coordinator is at fault", exc_info=error)
