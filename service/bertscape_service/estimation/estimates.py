"""What a job would take on the workers that are connected."""

from collections import Counter, OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from bertscape.spec import Data, JobSpec
from bertscape.values import JobEstimate, SplitEstimate
from bertscape_service.estimation.keys import main_stage, rate_key
from bertscape_service.estimation.rates import LOOKED_AT, predicted_seconds
from bertscape_service.journal import EstimatedWork, Journal, RateKey
from bertscape_service.ray_cluster import ClusterFound
from bertscape_service.scheduling import WorkerSnapshot
from bertscape_workers.admission import Admitted
from bertscape_workers.costs import Cost, Lengths, Work, cost_of, measure_lengths

_KEPT = 64  # splits whose lengths are remembered
_ROUNDS = (
    "`until` decides while the job runs how many rounds of examples it takes; the other numbers "
    "are those of the first round"
)


@dataclass(frozen=True, slots=True)
class Workers:
    """The workers that one job would have."""

    count: int
    device: str | None  # model name; None if there are none
    threads: int

    @classmethod
    def of(cls, workers: Sequence[WorkerSnapshot], cluster: ClusterFound | None) -> "Workers":
        """Those that are ready; a job admits one kind of device, so those of the commonest."""
        devices = Counter(worker.device for worker in workers if worker.device is not None)
        if not devices:
            return cls(0, None, 0)
        device, count = devices.most_common(1)[0]
        return cls(count, device, cluster.threads if cluster else 1)


@dataclass(frozen=True, slots=True)
class _Seconds:
    """How long a job takes, or why that is not known."""

    preparing: float | None = None
    rest: float | None = None
    reason: str = ""

    @property
    def total(self) -> float | None:
        if self.preparing is None or self.rest is None:
            return None
        return self.preparing + self.rest


class Estimator:
    """Estimates jobs. Any thread may call it; it reads rows, and takes up to seconds for many.

    Args:
        journal: knows how fast workers were.
        tile_points: the points of a tile.
    """

    def __init__(self, journal: Journal, tile_points: int) -> None:
        self._journal = journal
        self._tile_points = tile_points
        self._measured = _MeasuredSplits()

    def answer(self, job: Admitted[JobSpec], workers: Workers) -> JobEstimate:
        """What the job would take on these workers.

        Raises:
            InvalidInput: a row is wrong, as far as rows were read.
        """
        cost = cost_of(job, self._tile_points, self._measured)
        seconds = self._seconds(job.spec, cost.work, workers)
        return _answer(job.spec, cost, seconds, workers)

    def work(self, job: Admitted[JobSpec], workers: Workers) -> EstimatedWork:
        """What is to be remembered of that, to compare it with what the job will have taken."""
        work = cost_of(job, self._tile_points, self._measured).work
        if work is None:
            return EstimatedWork(None)
        seconds = self._seconds(job.spec, work, workers).total
        return EstimatedWork(seconds, work.model, work.preparing, work.once, work.each, work.count)

    def _seconds(self, spec: JobSpec, work: Work | None, workers: Workers) -> _Seconds:
        if work is None:
            return _Seconds(reason="the number of operations is not known")
        if spec.sharpens:
            return _Seconds(reason=_ROUNDS)
        if workers.device is None:
            return _Seconds(reason="no worker is connected")
        key = rate_key(spec, work.model, workers.device, workers.threads)
        busiest = work.once + work.each * self._busiest(spec, work.count, workers.count)
        rest = self._predicted(key, main_stage(spec), busiest, work.each)
        preparing = self._predicted(key, "preparing", work.preparing, work.preparing)
        return _Seconds(preparing, rest, "" if rest is not None else _unmeasured(spec, key))

    def _busiest(self, spec: JobSpec, count: int, workers: int) -> int:
        """The points of the worker that does most; a training's steps are all one worker's."""
        if spec.trains:
            return count
        size = spec.points_per_tile(self._tile_points)
        tiles = -(-count // size)
        return min(count, -(-tiles // workers) * size)

    def _predicted(self, key: RateKey, stage: str, flops: float, each: float) -> float | None:
        rates = self._journal.rates(key, stage, LOOKED_AT)
        packed = [rate for rate in rates if rate.evaluator != "reference"]
        return predicted_seconds(packed or rates, flops, each)


def _unmeasured(spec: JobSpec, key: RateKey) -> str:
    what = "training" if spec.trains else "surface, curve or rollback"
    return (
        f"no {what} was measured yet of {key.model} in precision {key.precision} on {key.device} "
        f"with {key.threads} {'thread' if key.threads == 1 else 'threads'} for each worker; one "
        "that is completed here makes it known"
    )


def _answer(spec: JobSpec, cost: Cost, seconds: _Seconds, workers: Workers) -> JobEstimate:
    unknown = dict(cost.unknown)
    if seconds.reason:
        unknown["seconds"] = seconds.reason
    if "memory" in unknown:
        reason = unknown.pop("memory")
        unknown |= {"memory_per_worker": reason, "object_store": reason}
    return JobEstimate(
        kind=spec.kind,
        points=spec.point_count,
        train=_split(cost, "train"),
        eval=_split(cost, "eval"),
        flops=None if cost.work is None else cost.work.total,
        seconds=seconds.total,
        preparing_seconds=None if seconds.total is None else seconds.preparing,
        workers=workers.count,
        device=workers.device,
        memory_per_worker=None if cost.memory is None else cost.memory.worker,
        object_store=None if cost.memory is None else cost.memory.object_store,
        disk=cost.disk,
        unknown=unknown,
    )


def _split(cost: Cost, name: str) -> SplitEstimate:
    lengths = cost.lengths.get(name)
    return SplitEstimate(
        examples=cost.examples[name],
        tokens=None if lengths is None else lengths.tokens,
        measured_examples=0 if lengths is None else lengths.measured,
    )


class _MeasuredSplits:
    """Lengths of splits, each measured once while its file and its tokenizer stay as they are."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[object, ...], Lengths] = OrderedDict()
        self._lock = Lock()

    def __call__(self, data: Data, name: str, folder: Path) -> Lengths:
        split = getattr(data, name)
        files = (Path(split.path), folder / "tokenizer.json")
        stats = [file.stat() for file in files]
        states = tuple((stat.st_size, stat.st_mtime_ns, stat.st_ino) for stat in stats)
        key = (split, data.text, data.label, data.max_length, files, states)
        with self._lock:
            if key in self._known:
                return self._known[key]
        found = measure_lengths(data, name, folder)
        with self._lock:
            self._known[key] = found
            while len(self._known) > _KEPT:
                self._known.popitem(last=False)
        return found
