"""Who follows which job: a change wakes every follower, several at a time wake it once."""

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager


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
