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
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import ray
from numpy.typing import NDArray

from bertscape.spec import FinetuneSpec, JobSpec
from bertscape.values import (
    InvalidInput,
    LogEntry,
    Pins,
    Problem,
    TrainingOutput,
)

if TYPE_CHECKING:
    from bertscape_workers.admission import MemoryLimits
    from bertscape_workers.jobs.kinds import JobInputs, PointEvaluator
    from bertscape_workers.jobs.prepare import Prepared
    from bertscape_workers.training import TrainingInputs

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
    """The job's arrays could not be had: the node that held them is gone."""

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


class EvaluationWorker:
    """One worker. The work is done in one thread, one call at a time.

    Args:
        threads: CPU threads to compute with.
    """

    def __init__(self, threads: int) -> None:
        from bertscape_workers.checkpoints import set_threads

        self._threads = threads
        self._loaded: str | None = None  # id of the object whose evaluator is held
        self._evaluator: PointEvaluator | None = None
        self._underway: Underway | None = None
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
        return self._underway

    @ray.method(concurrency_group=PROGRESS)
    def stop(self, run: str) -> None:
        """Have the fine-tuning of that name end after its present step; it may not have begun."""
        self._to_stop.add(run)

    @ray.method(num_returns=2)
    def prepare(
        self, spec: JobSpec, limits: "MemoryLimits | None"
    ) -> "tuple[Pins | Failure, JobInputs | TrainingInputs | None]":
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
            self._underway = None

    def evaluate_tile(
        self, inputs: list[Any], coordinates: NDArray[np.float64]
    ) -> TileNumbers | Failure | InputsGone:
        """Evaluate the points of a tile, one after the other.

        Args:
            inputs: the one reference to the job's `JobInputs`; in a list, so that Ray hands
                over the reference itself and the arrays are mapped only where they are new.
            coordinates: (points, 2) float64, as `JobSpec.coordinates` has them.
        """
        try:
            evaluator = self._load(inputs[0])
            started, clock = time.time(), time.perf_counter()
            rows = [evaluator.evaluate(float(alpha), float(beta)) for alpha, beta in coordinates]
            return TileNumbers(np.stack(rows), started, time.perf_counter() - clock)
        except (ray.exceptions.ObjectLostError, ray.exceptions.GetTimeoutError) as error:
            return InputsGone(_one_line(error))
        except Exception as error:  # noqa: BLE001  whatever it is, it goes back as a value
            self._unload()  # what it left behind is not to be trusted
            return _failure(error)

    def train(
        self, inputs: list[Any], output: str, run: str
    ) -> TileNumbers | Failure | InputsGone | TrainingStopped:
        """Do the one point of a fine-tuning, or what is missing of it.

        Args:
            inputs: the one reference to the job's `TrainingInputs`, in a list.
            output: the folder for its checkpoints; an earlier attempt may have left some there.
            run: a name of this attempt, for `stop`.
        """
        try:
            self._unload()  # training needs the memory
            found = ray.get(inputs[0], timeout=LOAD_TIMEOUT_S)
            started, clock = time.time(), time.perf_counter()
            numbers, left = self._train(found, Path(output), lambda: run in self._to_stop)
            return TileNumbers(numbers, started, time.perf_counter() - clock, left.to_json())
        except (ray.exceptions.ObjectLostError, ray.exceptions.GetTimeoutError) as error:
            return InputsGone(_one_line(error))
        except Exception as error:  # noqa: BLE001  whatever it is, it goes back as a value
            return TrainingStopped() if run in self._to_stop else _failure(error)
        finally:
            self._underway = None
            self._to_stop.discard(run)

    def forget(self, object_id: str) -> None:
        """Let go of the arrays of this id, where it is they that are held."""
        if self._loaded == object_id:
            self._unload()

    def _load(self, reference: Any) -> "PointEvaluator":
        if self._evaluator is None or self._loaded != reference.hex():
            self._unload()
            self._evaluator = self._make_evaluator(ray.get(reference, timeout=LOAD_TIMEOUT_S))
            self._loaded = reference.hex()
        return self._evaluator

    def _unload(self) -> None:
        self._evaluator = self._loaded = None

    def _tell(self, stage: str, done: int, total: int) -> None:
        before = self._underway or Underway(stage, done, total)
        self._underway = replace(before, stage=stage, done=done, total=total)

    def _tell_logged(self, entry: LogEntry) -> None:
        if self._underway is not None:
            latest = entry.after(self._underway.latest)
            self._underway = replace(self._underway, latest=latest)

    def _tell_kept(self) -> None:
        if self._underway is not None:
            self._underway = replace(self._underway, kept=self._underway.kept + 1)

    # The three methods below are all that a worker for tests replaces.

    def _prepare(
        self, spec: JobSpec, limits: "MemoryLimits | None"
    ) -> "Prepared[Pins, JobInputs | TrainingInputs]":
        from bertscape_workers.jobs.kinds import prepare_job
        from bertscape_workers.jobs.training_job import prepare_training

        if isinstance(spec, FinetuneSpec):
            return prepare_training(spec, threads=self._threads, progress=self._tell, limits=limits)
        return prepare_job(spec, threads=self._threads, progress=self._tell, limits=limits)

    def _make_evaluator(self, inputs: "JobInputs") -> "PointEvaluator":
        from bertscape_workers.jobs.kinds import evaluator_of

        return evaluator_of(inputs)

    def _train(
        self, inputs: "TrainingInputs", output: Path, stop: Callable[[], bool]
    ) -> tuple[NDArray[np.float64], TrainingOutput]:
        from bertscape_workers.jobs.training_job import run_training

        return run_training(inputs, output, self._tell, self._tell_logged, stop, self._tell_kept)


def _on_gpu() -> bool:
    from bertscape_workers.checkpoints import pick_device

    return pick_device().startswith("cuda")


def _failure(error: Exception) -> Failure:
    problem = error.problem if isinstance(error, InvalidInput) else None
    return Failure(_one_line(error), "".join(traceback.format_exception(error)), problem)


def _one_line(error: Exception) -> str:
    """The error's type and the last line of its message."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = f"{type(error).__name__}: {lines[-1]}" if lines else type(error).__name__
    return text if len(text) <= _ERROR_LENGTH else text[: _ERROR_LENGTH - 1] + "…"
