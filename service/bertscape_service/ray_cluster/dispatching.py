"""Instructions in, events out: what the scheduler decides, carried out on Ray.

Nothing here is worth keeping: when it ends, the coordinator starts another and hands it what is
still missing. All of it runs in one thread, in one asyncio loop.
"""

import asyncio
import contextlib
import logging
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import ray

from bertscape.spec import JobSpec
from bertscape.values import Problem, ProblemType, Tile, TrainingOutput
from bertscape_service.ray_cluster.cluster import (
    MEMORY_PER_WORKER,
    Capacity,
    Cluster,
    worker_environment,
)
from bertscape_service.ray_cluster.messages import (
    ClusterFound,
    DescribeJob,
    PrepareDone,
    PrepareRefused,
    TileRefused,
    TileResult,
    WorkProgress,
)
from bertscape_service.ray_cluster.worker_life import DEATHS, WorkerLife
from bertscape_service.scheduling import (
    ArraysLost,
    DropJob,
    KillWorker,
    PrepareJob,
    RunTile,
    StartWorker,
    TileAdvanced,
    TileFailed,
    WorkerDied,
    WorkerReady,
)
from bertscape_workers.admission import MemoryLimits
from bertscape_workers.jobs import (
    LIFETIME,
    PROGRESS,
    Description,
    Failure,
    InputsGone,
    TileNumbers,
    TileOrder,
    TrainingStopped,
    Underway,
    last_line,
)

__all__ = ["Dispatcher"]

PROGRESS_S = 0.5  # between two looks at how far preparing is

TileOutcome = TileNumbers | Failure | InputsGone | TrainingStopped

logger = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class Job:
    """A job as this process knows it."""

    job_id: str
    spec: JobSpec
    tiles: Sequence[Tile]
    output: str  # the folder of what a fine-tuning leaves behind
    inputs: Any = None  # reference to its workers' inputs, once prepared
    stop: Callable[[], None] | None = None  # ends the fine-tuning that is under way


class Dispatcher:
    """Carries out instructions, and sends their outcomes.

    Args:
        cluster: where the workers are; already started.
        worker_class: what to make actors of: `EvaluationWorker`, or one for tests.
        send: takes each message and event to the coordinator.
    """

    def __init__(
        self, cluster: Cluster, worker_class: type, send: Callable[[object], None]
    ) -> None:
        self._cluster = cluster
        self._worker_class = worker_class
        self._send = send
        self._jobs: dict[str, Job] = {}
        self._workers: dict[str, WorkerLife] = {}
        self._capacity = Capacity(0, 0, 0, gpus=False)
        self._device_memory: int | None = None  # the smallest of the workers' GPUs

    def handle(self, message: object) -> None:
        """Carry out a message of the coordinator; its outcome is sent later."""
        match message:
            case DescribeJob(job_id, spec, tile_points, output):
                self._jobs[job_id] = Job(job_id, spec, spec.tiles(tile_points), output)
            case StartWorker(worker_id, delay_s):
                self._start(worker_id, delay_s)
            case KillWorker(worker_id):
                if (worker := self._workers.pop(worker_id, None)) is not None:
                    worker.kill()
            case PrepareJob(job_id, worker_id):
                self._give(worker_id, job_id, self._prepare)
            case RunTile(job_id, tile, worker_id, attempt):
                self._give(worker_id, job_id, self._run_tile, tile, attempt)
            case DropJob(job_id):
                self._drop(job_id)
            case _:
                logger.error("not an instruction: %r", message)

    def resize(self, capacity: Capacity) -> None:
        """The cluster is found, or has changed."""
        self._capacity = capacity
        self._send(
            ClusterFound(
                workers=capacity.workers,
                memory_per_worker=self._limits().worker,
                object_store=capacity.object_store,
                threads=self._cluster.options.cpus_per_worker,
                ray_version=ray.__version__,
                dashboard=self._cluster.dashboard,
            )
        )

    def _limits(self) -> MemoryLimits:
        return MemoryLimits(
            worker=self._device_memory or self._capacity.memory_per_worker,
            object_store=self._capacity.object_store,
            gpu=self._device_memory is not None,
        )

    # --- workers --------------------------------------------------------------------------------

    def _start(self, worker_id: str, delay_s: float) -> None:
        def ready(description: Description) -> None:
            self._send(WorkerReady(worker_id, description.device))
            self._note_device_memory(description.memory)

        def died(reason: str, counts: bool) -> None:
            if self._workers.pop(worker_id, None) is not None:
                self._send(WorkerDied(worker_id, reason, counts))

        worker = WorkerLife(worker_id, self._make_actor, self._cluster, ready, died)
        self._workers[worker_id] = worker
        worker.start(delay_s)

    def _make_actor(self) -> Any:
        options = self._cluster.options
        capacity = self._capacity
        remote: Any = ray.remote(  # type: ignore[call-overload]  # Ray's stub lacks the groups
            num_cpus=0 if capacity.gpus else options.cpus_per_worker,
            num_gpus=1 if capacity.gpus else 0,
            # Keeps Ray from placing more on a node than `capacity_of` counted there.
            memory=0 if options.workers else min(MEMORY_PER_WORKER, capacity.memory_per_worker),
            max_restarts=0,  # the scheduler decides what follows a death
            max_task_retries=0,
            concurrency_groups={LIFETIME: 1, PROGRESS: 1},
            # An embedded Ray has it already, and so has workers that are started and wait.
            runtime_env={"env_vars": worker_environment(options)} if options.ray_address else None,
        )(self._worker_class)
        return remote.remote(options.cpus_per_worker)

    def _note_device_memory(self, memory: int | None) -> None:
        if memory is not None and (self._device_memory is None or memory < self._device_memory):
            self._device_memory = memory
            self.resize(self._capacity)

    def _give(self, worker_id: str, job_id: str, carry_out: Callable[..., Any], *more: int) -> None:
        worker, job = self._workers.get(worker_id), self._jobs.get(job_id)
        if worker is None:
            return  # it has died, and that was reported
        if job is None:
            logger.error("worker %s was given job %s, which is not known", worker_id, job_id)
            self._send(ArraysLost(job_id, worker_id))
            return
        worker.give(lambda actor: carry_out(actor, worker, job, *more))

    def _drop(self, job_id: str) -> None:
        job = self._jobs.pop(job_id, None)
        if job is None or job.inputs is None:
            return
        if job.stop is not None:
            job.stop()
        for worker in self._workers.values():
            worker.forget(job.inputs.hex())

    # --- preparing ------------------------------------------------------------------------------

    async def _prepare(self, actor: Any, worker: WorkerLife, job: Job) -> None:
        findings, inputs = actor.prepare.remote(job.spec, self._limits())
        progress = asyncio.create_task(self.follow(actor, job.job_id))
        try:
            found = await findings
        except DEATHS:
            raise
        except Exception as error:
            logger.exception("preparing job %s", job.job_id)
            found = Failure(last_line(error), "")
        finally:
            progress.cancel()
        if isinstance(found, Failure):
            self._refuse(worker.worker_id, job.job_id, found)
            return
        job.inputs = inputs
        device = worker.description.device if worker.description else found.device
        self._send(PrepareDone(job.job_id, worker.worker_id, device, found))

    def _refuse(self, worker_id: str, job_id: str, failure: Failure) -> None:
        problem = failure.problem
        if problem is None:
            logger.error("preparing job %s: %s\n%s", job_id, failure.error, failure.trace)
            detail = f"preparing failed: {failure.error}"
            problem = Problem(ProblemType.PREPARING_FAILED, detail)
        final = failure.problem is not None
        self._send(PrepareRefused(job_id, worker_id, problem, final))

    async def follow(self, actor: Any, job_id: str, kept: TileAdvanced | None = None) -> None:
        """Report what is new of a preparing or a fine-tuning, until cancelled.

        Args:
            actor: the worker.
            job_id: the job.
            kept: to be sent once more checkpoints are kept than before.
        """
        known: Underway | None = None
        with contextlib.suppress(*DEATHS):
            while True:
                now: Underway | None = await actor.progress.remote()
                if now is not None and now != known:
                    if kept is not None and now.kept > (known.kept if known else 0):
                        self._send(kept)
                    known = now
                    self._send(WorkProgress(job_id, now.stage, now.done, now.total, now.latest))
                await asyncio.sleep(PROGRESS_S)

    # --- tiles ----------------------------------------------------------------------------------

    async def _run_tile(
        self, actor: Any, worker: WorkerLife, job: Job, tile: int, attempt: int
    ) -> None:
        if job.inputs is None:
            self._send(ArraysLost(job.job_id, worker.worker_id))
            return
        run = uuid.uuid4().hex
        number, index = divmod(tile, len(job.tiles))
        coordinates = job.spec.coordinates(job.tiles[index].points)
        order = TileOrder(coordinates, job.output, run, number)
        try:
            async with self._telling(actor, worker.worker_id, job, tile, run):
                outcome = await self._ordered(actor, job, order)
        except DEATHS:
            raise
        except Exception as error:
            logger.exception("tile %d of job %s", tile, job.job_id)
            outcome = Failure(last_line(error), "")
        self.report_tile(outcome, worker, job.job_id, tile, attempt)

    async def _ordered(self, actor: Any, job: Job, order: TileOrder) -> TileOutcome:
        if job.spec.trains and self._jobs.get(job.job_id) is not job:
            return TrainingStopped()  # dropped before this worker came to it
        outcome: TileOutcome = await actor.run_tile.remote([job.inputs], job.spec.kind, order)
        return outcome

    @asynccontextmanager
    async def _telling(
        self, actor: Any, worker_id: str, job: Job, tile: int, run: str
    ) -> AsyncIterator[None]:
        """While a training is under way, its stages are told, and it can be stopped."""
        if not job.spec.trains:
            yield
            return
        job.stop = lambda: actor.stop.remote(run)
        kept = TileAdvanced(job.job_id, tile, worker_id)
        progress = asyncio.create_task(self.follow(actor, job.job_id, kept))
        try:
            yield
        finally:
            job.stop = None
            progress.cancel()

    def report_tile(
        self,
        outcome: TileOutcome,
        worker: WorkerLife,
        job_id: str,
        tile: int,
        attempt: int,
    ) -> None:
        """Send what came of a tile."""
        worker_id = worker.worker_id
        match outcome:
            case TileNumbers(numbers, started, seconds, output):
                device = worker.description.device if worker.description else ""
                left = None if output is None else TrainingOutput.from_json(output)
                told = (job_id, tile, worker_id, attempt, device)
                self._send(TileResult(*told, numbers, started, seconds, left))
            case InputsGone(error):
                logger.warning("the arrays of job %s are gone: %s", job_id, error)
                self._send(ArraysLost(job_id, worker_id))
            case TrainingStopped():
                self._send(TileFailed(job_id, tile, worker_id, "it was told to stop"))
            case Failure(error, trace, problem):
                logger.error("tile %d of job %s: %s\n%s", tile, job_id, error, trace)
                if problem is None:
                    self._send(TileFailed(job_id, tile, worker_id, error))
                else:
                    self._send(TileRefused(job_id, tile, worker_id, problem))
