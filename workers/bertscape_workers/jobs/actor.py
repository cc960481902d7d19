"""The Ray actor: a worker that holds one replica, prepares jobs and evaluates tiles.

Its methods return what went wrong as values: an exception of another package's class may not
survive the way to the driver, and one that Ray raises itself then always means that the worker,
its node or Ray has died.

The dispatcher imports this module for the class alone, so torch and transformers are imported
where they are first used.
"""

import os
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import ray
from numpy.typing import NDArray

from bertscape.spec import JobSpec
from bertscape.values import InvalidInput, LogEntry, Pins, Problem
from bertscape_workers.jobs.tiles import TileOrder, TileWatch

if TYPE_CHECKING:
    from bertscape_workers.admission import MemoryLimits
    from bertscape_workers.jobs.kinds import TileRunner
    from bertscape_workers.jobs.prepare import Prepared

LIFETIME, PROGRESS = "lifetime", "progress"  # concurrency groups beside the one that works
LOAD_TIMEOUT_S = 600.0  # to bring a job's arrays to this node

_ERROR_LENGTH = 500


@dataclass(frozen=True, slots=True)
class Description:
    """What a worker is."""

    device: str  # model name
    memory: int | None  # bytes of its GPU; None on a CPU
    node_id: str  # Ray's, in hexadecimal digits
    pid: int


@dataclass(frozen=True, slots=True)
class Failure:
    """An exception, as values."""

    error: str  # one line, with its type
    trace: str  # many lines, for the log
    problem: Problem | None = None  # of an `InvalidInput`


@dataclass(frozen=True, slots=True)
class TileNumbers:
    """A tile's numbers."""

    numbers: NDArray[np.float64]  # (points of the tile, numbers of each), as the spec names them
    started: float  # Unix time, seconds
    seconds: float  # of evaluation alone, without loading
    output: Mapping[str, Any] | None = None  # of a fine-tuning: its `TrainingOutput` as JSON


@dataclass(frozen=True, slots=True)
class InputsGone:
    """The job's arrays are lost: the node that held them is gone."""

    error: str


@dataclass(frozen=True, slots=True)
class TrainingStopped:
    """A fine-tuning was told to stop; the checkpoints that it kept stay."""


@dataclass(frozen=True, slots=True)
class Underway:
    """How far a preparing or a fine-tuning is."""

    stage: str  # one or two words, as in "tokenizing"
    done: int
    total: int
    latest: LogEntry | None = None  # of a fine-tuning: the last of each number that was measured
    kept: int = 0  # checkpoints of a fine-tuning, since this attempt began


class Stages:
    """How far the work is that is under way, as it tells it."""

    def __init__(self) -> None:
        self.underway: Underway | None = None

    def watch(self, stop: Callable[[], bool]) -> TileWatch:
        """What a tile is to tell it all by."""
        return TileWatch(stage=self.tell, logged=self._logged, kept=self._kept, stop=stop)

    def tell(self, stage: str, done: int, total: int) -> None:
        """As `Progress`."""
        before = self.underway or Underway(stage, done, total)
        self.underway = replace(before, stage=stage, done=done, total=total)

    def end(self) -> None:
        """Nothing is under way."""
        self.underway = None

    def _logged(self, entry: LogEntry) -> None:
        if self.underway is not None:
            latest = entry.after(self.underway.latest)
            self.underway = replace(self.underway, latest=latest)

    def _kept(self) -> None:
        if self.underway is not None:
            self.underway = replace(self.underway, kept=self.underway.kept + 1)


class EvaluationWorker:
    """One worker. The work is done in one thread, one call at a time.

    Args:
        threads: CPU threads to compute with.
    """

    def __init__(self, threads: int) -> None:
        from bertscape_workers.checkpoints import set_threads

        self._threads = threads
        self._loaded: str | None = None  # id of the object whose runner is held
        self._runner: TileRunner | None = None
        self._stages = Stages()
        self._to_stop: set[str] = set()  # fine-tunings, by the names of their runs
        set_threads(threads)

    def describe(self) -> Description:
        """What this worker is; answered once it can take work."""
        import torch

        from bertscape_workers.checkpoints import device_model

        context = ray.get_runtime_context()
        memory = torch.cuda.get_device_properties(0).total_memory if _on_gpu() else None
        return Description(device_model(), memory, context.get_node_id(), os.getpid())

    @ray.method(concurrency_group=LIFETIME)
    def outlive(self) -> None:
        """Never returns: the end of this call is the end of the worker."""
        threading.Event().wait()

    @ray.method(concurrency_group=PROGRESS)
    def progress(self) -> Underway | None:
        """How far the preparing or the fine-tuning is that is under way, if any."""
        return self._stages.underway

    @ray.method(concurrency_group=PROGRESS)
    def stop(self, run: str) -> None:
        """End the fine-tuning of that name after its present step; it may not have begun."""
        self._to_stop.add(run)

    @ray.method(num_returns=2)
    def prepare(self, spec: JobSpec, limits: "MemoryLimits | None") -> "tuple[Pins | Failure, Any]":
        """Prepare a job on this worker's device.

        The second value is large: it goes to the object store, belongs to the caller, and so
        outlives this worker.
        """
        try:
            self._unload()  # two jobs' arrays may not fit
            prepared = self._prepare(spec, limits)
        except Exception as error:  # noqa: BLE001  whatever it is, it goes back as a value
            return _failure(error), None
        else:
            return prepared.findings, prepared.inputs
        finally:
            self._stages.end()

    def run_tile(
        self, inputs: list[Any], kind: str, order: TileOrder
    ) -> TileNumbers | Failure | InputsGone | TrainingStopped:
        """Do the points of a tile.

        Args:
            inputs: the one reference to what preparing gave for the workers; in a list, so that
                Ray hands over the reference itself and the arrays are mapped only where they are
                new.
            kind: of the job.
            order: the tile.
        """
        try:
            runner = self._load(inputs[0], kind)
            started, clock = time.time(), time.perf_counter()
            watch = self._stages.watch(lambda: order.run in self._to_stop)
            numbers, left = runner.run(order, watch)
            output = None if left is None else left.to_json()
            return TileNumbers(numbers, started, time.perf_counter() - clock, output)
        except (ray.exceptions.ObjectLostError, ray.exceptions.GetTimeoutError) as error:
            return InputsGone(one_line(error))
        except Exception as error:  # noqa: BLE001  whatever it is, it goes back as a value
            self._unload()  # what it left behind is not to be trusted
            return TrainingStopped() if order.run in self._to_stop else _failure(error)
        finally:
            self._stages.end()
            self._to_stop.discard(order.run)

    def forget(self, object_id: str) -> None:
        """Let go of the arrays of this id, if these are held."""
        if self._loaded == object_id:
            self._unload()

    def _load(self, reference: Any, kind: str) -> "TileRunner":
        if self._runner is None or self._loaded != reference.hex():
            self._unload()
            found = ray.get(reference, timeout=LOAD_TIMEOUT_S)
            self._runner = self._make_runner(kind, found)
            self._loaded = reference.hex()
        return self._runner

    def _unload(self) -> None:
        self._runner = self._loaded = None

    # The two methods below are all that a worker for tests replaces.

    def _prepare(self, spec: JobSpec, limits: "MemoryLimits | None") -> "Prepared[Pins, Any]":
        from bertscape_workers.jobs.kinds import prepare_job

        return prepare_job(spec, threads=self._threads, progress=self._stages.tell, limits=limits)

    def _make_runner(self, kind: str, inputs: Any) -> "TileRunner":
        from bertscape_workers.jobs.kinds import runner_of

        return runner_of(kind, inputs)


def _on_gpu() -> bool:
    from bertscape_workers.checkpoints import pick_device

    return pick_device().startswith("cuda")


def _failure(error: Exception) -> Failure:
    problem = error.problem if isinstance(error, InvalidInput) else None
    return Failure(one_line(error), "".join(traceback.format_exception(error)), problem)


def one_line(error: Exception) -> str:
    """The error's type and the last line of its message."""
    said = str(error).strip()
    name = type(error).__name__
    return _shortened(f"{name}: {last_line(error)}" if said else name)


def last_line(error: Exception) -> str:
    """The last line of an error's message, if Ray says what happened; else its type."""
    lines = [" ".join(line.split()) for line in str(error).splitlines() if line.strip()]
    return _shortened(lines[-1] if lines else type(error).__name__)


def _shortened(text: str) -> str:
    return text if len(text) <= _ERROR_LENGTH else text[: _ERROR_LENGTH - 1] + "…"
