"""One worker from its start to its death, as an asyncio task of the dispatcher."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import ray
from ray.exceptions import (
    ActorUnavailableError,
    LocalRayletDiedError,
    NodeDiedError,
    OutOfMemoryError,
    RayActorError,
    RayError,
    WorkerCrashedError,
)

from bertscape_service.ray_cluster.cluster import Cluster
from bertscape_workers.jobs import Description, last_line

__all__ = ["DEATHS", "WorkerLife"]

DEATHS = (
    RayActorError,
    WorkerCrashedError,
    OutOfMemoryError,
    NodeDiedError,
    LocalRayletDiedError,
)
"""What awaiting an actor's answer raises if the actor, its node or Ray has died."""

GRACE_S = 0.5  # a node that dies takes its workers along: they may be noticed first
UNAVAILABLE_S = 60.0  # how long to find out what happened to an unreachable worker
ANSWER_S = 5.0

logger = logging.getLogger(__name__)

Order = Callable[[Any], Awaitable[None]]  # told the actor; raises one of DEATHS if that dies


class WorkerLife:
    """One worker: its actor, what it is doing, and how it ended.

    Args:
        worker_id: as StartWorker named it.
        make_actor: starts the Ray actor.
        cluster: tells a node's death from a worker's.
        on_ready: told what the worker is, once it can take work.
        on_death: told the reason, and whether its process alone died; not after `kill`.
    """

    def __init__(
        self,
        worker_id: str,
        make_actor: Callable[[], Any],
        cluster: Cluster,
        on_ready: Callable[[Description], None],
        on_death: Callable[[str, bool], None],
    ) -> None:
        self.worker_id = worker_id
        self.description: Description | None = None
        self._make_actor = make_actor
        self._cluster = cluster
        self._on_ready = on_ready
        self._on_death = on_death
        self._orders: asyncio.Queue[Order] = asyncio.Queue()
        self._actor: Any = None
        self._task: asyncio.Task[None] | None = None

    def start(self, delay_s: float) -> None:
        """Start it after a delay."""
        self._task = asyncio.create_task(self._live(delay_s))

    def give(self, order: Order) -> None:
        """Queue something to do; one is done at a time."""
        self._orders.put_nowait(order)

    def kill(self) -> None:
        """End it, in whatever state it is; nothing is reported."""
        if self._task is not None:
            self._task.cancel()
        self._kill_actor()

    def forget(self, object_id: str) -> None:
        """Let it drop the arrays of this id once it has time."""
        if self._actor is not None:
            self._actor.forget.remote(object_id)

    async def _live(self, delay_s: float) -> None:
        await asyncio.sleep(delay_s)
        try:
            self._actor = self._make_actor()
            self.description = await self._actor.describe.remote()
            self._on_ready(self.description)
            await self._work()
        except Exception as error:  # noqa: BLE001  any of them ends this worker
            counts = await self._died_alone(error)
            self._kill_actor()
            logger.warning("worker %s died (counts: %s): %s", self.worker_id, counts, error)
            self._on_death(last_line(error), counts)

    async def _work(self) -> None:
        """Carry out orders as they come, until the worker dies: then raise what says so."""
        death = asyncio.ensure_future(_answer(self._actor.outlive.remote()))
        try:
            while True:
                order = asyncio.ensure_future(self._orders.get())
                await asyncio.wait({death, order}, return_when=asyncio.FIRST_COMPLETED)
                if death.done():
                    order.cancel()
                    death.result()
                await order.result()(self._actor)
        finally:
            death.cancel()

    def _kill_actor(self) -> None:
        if self._actor is not None:
            with contextlib.suppress(RayError):
                ray.kill(self._actor, no_restart=True)

    async def _died_alone(self, error: Exception) -> bool:
        """Whether the worker's process alone died; its node and Ray live."""
        if isinstance(error, RayActorError) and error.preempted:
            return False
        if isinstance(error, ActorUnavailableError) and not await self._is_dead():
            return False
        if self.description is None:
            return True  # it never was on a known node, and had nothing to do
        await asyncio.sleep(GRACE_S)
        try:
            return await asyncio.to_thread(self._cluster.node_lives, self.description.node_id)
        except Exception:
            logger.exception("whether the node of worker %s lives is not known", self.worker_id)
            return False

    async def _is_dead(self) -> bool:
        """Whether a worker that could not be reached is known to be dead in the end.

        False if its node went silent, or if it answers again: a call was lost, but no
        process died.
        """
        for _ in range(int(UNAVAILABLE_S / ANSWER_S)):
            try:
                await asyncio.wait_for(_answer(self._actor.describe.remote()), ANSWER_S)
            except ActorUnavailableError:
                await asyncio.sleep(1.0)
            except TimeoutError:
                continue
            except RayError:
                return True
            else:
                return False
        return False


async def _answer(reference: Any) -> Any:
    """An object reference as a coroutine, where asyncio accepts only coroutines."""
    return await reference
