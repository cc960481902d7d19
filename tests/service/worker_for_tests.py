"""A worker whose jobs do what their names say; everything around it is the real one.

It is imported by the dispatcher and by its Ray workers, by the name of this file.
"""

import os
import signal
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bertscape.spec import JobSpec
from bertscape.values import CheckpointFound, Findings, InvalidInput, ProblemType
from bertscape_workers.admission import MemoryLimits
from bertscape_workers.jobs import TileOrder, TileWatch
from bertscape_workers.jobs.actor import EvaluationWorker

WAITS_FOR = "waits for "  # and a file: the name of a job that prepares until that is there
ARRAY_SIZE = 2_000_000  # float32: far above what Ray keeps out of its object store


class WorkerForTests(EvaluationWorker):
    """Prepares and evaluates by the job's name."""

    def _prepare(self, spec: JobSpec, limits: MemoryLimits | None) -> Any:
        match spec.name:
            case "bad input":
                raise InvalidInput.of(
                    ProblemType.INVALID_DATA, "data.train.path", "x.tsv", "a row with a label"
                )
            case "breaks":
                raise RuntimeError("first line\nthe disk is on fire")
            case str(name) if name.startswith(WAITS_FOR):
                self._stages.tell("tokenizing", 1, 2)
                while not Path(name.removeprefix(WAITS_FOR)).exists():
                    time.sleep(0.02)
        inputs: Any = {"name": spec.name, "array": np.ones(ARRAY_SIZE, np.float32)}
        # Not `Prepared` itself: its module takes seconds to import.
        return SimpleNamespace(findings=_findings(), inputs=inputs)

    def _make_runner(self, kind: str, inputs: Any) -> Any:
        return RunnerForTests(EvaluatorForTests(**inputs))


class RunnerForTests:
    """Point by point. Not `PointByPoint` itself: its module takes seconds to import."""

    def __init__(self, evaluator: "EvaluatorForTests") -> None:
        self._evaluator = evaluator

    def run(self, order: TileOrder, watch: TileWatch) -> Any:
        rows = [self._evaluator.evaluate(float(x), float(y)) for x, y in order.coordinates]
        return np.stack(rows), None


class EvaluatorForTests:
    """(α, β, sum of the array, is it read-only, is it the store's memory, pid, arenas, NaN)."""

    def __init__(self, name: str, array: NDArray[np.float32]) -> None:
        self.name = name
        self.array = array

    def evaluate(self, alpha: float, beta: float) -> NDArray[np.float64]:
        match self.name:
            case "raises":
                raise ValueError(f"no value at {alpha}, {beta}")
            case "dies":
                os.kill(os.getpid(), signal.SIGKILL)
            case "slow":
                time.sleep(60.0)
        read_only, shared = not self.array.flags.writeable, _is_in_shared_memory(self.array)
        total = float(self.array.sum())
        arenas = float(os.environ["MALLOC_ARENA_MAX"])
        return np.array([alpha, beta, total, read_only, shared, os.getpid(), arenas, np.nan])


def _is_in_shared_memory(array: NDArray[np.float32]) -> bool:
    """Whether the array's memory is a mapping that processes share."""
    address = array.ctypes.data
    for line in Path("/proc/self/maps").read_text().splitlines():
        span, permissions, *_ = line.split()
        low, high = (int(end, 16) for end in span.split("-"))
        if low <= address < high:
            return permissions.endswith("s")
    return False


def _findings() -> Findings:
    return Findings(
        checkpoints={"pretrained": CheckpointFound(source="p", sha256="0")},
        splits={},
        delta1_norm=1.0,
        delta2_norm=1.0,
        cosine=0.0,
        classes=2,
        self_checks=(),
        trajectory=None,
        precision="fp32",
        device="any",
        threads=1,
        torch="any",
    )
