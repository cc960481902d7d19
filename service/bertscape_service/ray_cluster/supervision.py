"""Keeps one dispatcher alive: starts it, and another one with back-off when it is lost."""

import asyncio
import logging
from collections.abc import Callable
from typing import Protocol

from bertscape.values import backoff

logger = logging.getLogger(__name__)

_MAX_DELAY_S = 30.0


class Link(Protocol):
    """One life of one dispatcher, as `DispatcherLink` has it."""

    def start(self) -> None:
        """Spawn it; may block."""

    def send(self, message: object) -> None:
        """Hand it a message; dropped once it is lost."""

    def stop(self) -> None:
        """End it and all that it started; may block for seconds."""


LinkFactory = Callable[[Callable[[object], None], Callable[[str], None]], Link]
"""Makes a link of its two callbacks, on_message and on_lost, which any thread may call."""


def delay_before_start(losses: int) -> float:
    """Seconds to wait after so many losses without a sign of life: 0, 0, 1, 2, 4 … 30."""
    return backoff(losses - 1, first=1.0, longest=_MAX_DELAY_S)


class Supervision:
    """The dispatcher of a service. Its methods belong on the event loop's thread.

    Args:
        make_link: makes a link; each has one life.
        on_message: gets each message of the present dispatcher.
        on_lost: gets the reason when it is lost, after its last message and before another starts.
    """

    def __init__(
        self,
        make_link: LinkFactory,
        on_message: Callable[[object], None],
        on_lost: Callable[[str], None],
    ) -> None:
        self._make_link = make_link
        self._on_message = on_message
        self._on_lost = on_lost
        self._link: Link | None = None
        self._lost: asyncio.Future[str] | None = None
        self._losses = 0  # since one last gave a sign of life
        self._task: asyncio.Task[None] | None = None

    @property
    def alive(self) -> bool:
        """Whether a dispatcher is there, starting or started."""
        return self._link is not None

    def start(self) -> None:
        """Begin to keep a dispatcher alive."""
        self._task = asyncio.create_task(self._keep_alive(), name="supervision")

    def send(self, message: object) -> None:
        """Hand the dispatcher a message; dropped if there is none: on_lost has said so."""
        if self._link is not None:
            self._link.send(message)

    def gave_sign_of_life(self) -> None:
        """The dispatcher works: the back-off starts again."""
        self._losses = 0

    def give_up_on_it(self, reason: str) -> None:
        """Replace the present dispatcher, because what it says makes no sense."""
        self._resolve(self._lost, reason)

    async def stop(self) -> None:
        """End the dispatcher, and start no other."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._stop_link()

    async def _keep_alive(self) -> None:
        while True:
            await asyncio.sleep(delay_before_start(self._losses))
            reason = await self._live_once()
            self._losses += 1
            delay = delay_before_start(self._losses)
            logger.warning("the dispatcher is lost (%s); another starts in %g s", reason, delay)
            self._on_lost(reason)

    async def _live_once(self) -> str:
        """Start a dispatcher and wait for its loss; return the reason."""
        loop = asyncio.get_running_loop()
        lost: asyncio.Future[str] = loop.create_future()
        self._lost = lost

        def on_message(message: object) -> None:
            loop.call_soon_threadsafe(self._hear, lost, message)

        def on_lost(reason: str) -> None:
            loop.call_soon_threadsafe(self._resolve, lost, reason)

        try:
            link = self._link = self._make_link(on_message, on_lost)
            await asyncio.to_thread(link.start)
        except Exception as error:
            logger.exception("the dispatcher does not start")
            self._resolve(lost, f"it does not start: {error}")
        reason = await lost
        await self._stop_link()
        return reason

    async def _stop_link(self) -> None:
        link, self._link = self._link, None
        if link is not None:
            await asyncio.to_thread(link.stop)

    def _hear(self, lost: "asyncio.Future[str]", message: object) -> None:
        if not lost.done():  # else it is the last word of one that was given up on
            self._on_message(message)

    @staticmethod
    def _resolve(lost: "asyncio.Future[str] | None", reason: str) -> None:
        if lost is not None and not lost.done():
            lost.set_result(reason)
