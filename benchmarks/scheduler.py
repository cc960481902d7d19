"""How many events a second the scheduler takes in, and whether its memory stays flat.

    python benchmarks/scheduler.py [--workers 1000] [--tiles 100000] [--jobs 10] [--json]

The scheduler is the real one; the cluster is simulated: workers take random times of a simulated
clock, and in 1 % of the first attempts the evaluator raises, the worker dies, or its node dies.
The time is that of the whole loop, simulated cluster included. Memory is what Python has allocated
(tracemalloc, in a second run) when a tenth of the tiles is done, and when all are.
"""

import argparse
import gc
import heapq
import json
import random
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass, field

from bertscape_service.scheduling import (
    ArraysLost,
    CapacityChanged,
    CompleteJob,
    Event,
    FailJob,
    Instruction,
    JobAdmitted,
    JobPrepared,
    PrepareJob,
    RunTile,
    Scheduler,
    StartWorker,
    TileDone,
    TileFailed,
    WorkerDied,
    WorkerReady,
)

DEVICE = "simulated"
FAULTS = 0.01  # of first attempts; later ones succeed, so that no job fails
JOBS_WAITING = 2  # admitted and not ended; so the backlog is the same at the start and later
EXPECTED_EVENTS_PER_S = 5_000
EXPECTED_GROWTH = 1.05


@dataclass(slots=True)
class Cluster:
    """Carries out instructions by scheduling the event that answers each on a simulated clock."""

    random: random.Random
    clock: float = 0.0
    sequence: int = 0
    under_way: list[tuple[float, int, Event]] = field(default_factory=list)
    faults: int = 0
    completed: int = 0
    failed: int = 0

    def carry_out(self, instruction: Instruction) -> None:
        """Have the event that answers the instruction happen later."""
        match instruction:
            case StartWorker(worker_id, delay_s):
                self._later(delay_s + 5.0, WorkerReady(worker_id, DEVICE))
            case PrepareJob(job_id, worker_id):
                self._later(10.0, JobPrepared(job_id, worker_id, DEVICE))
            case RunTile():
                self._later(self.random.uniform(0.5, 1.5), self._outcome(instruction))
            case CompleteJob():
                self.completed += 1
            case FailJob():
                self.failed += 1

    def next_event(self) -> Event:
        """Go on to the next event."""
        self.clock, _, event = heapq.heappop(self.under_way)
        return event

    def _later(self, delay_s: float, event: Event) -> None:
        self.sequence += 1
        heapq.heappush(self.under_way, (self.clock + delay_s, self.sequence, event))

    def _outcome(self, run: RunTile) -> Event:
        if run.attempt > 1 or self.random.random() >= FAULTS:
            return TileDone(run.job_id, run.tile, run.worker_id)
        self.faults += 1
        return self.random.choice(
            (
                TileFailed(run.job_id, run.tile, run.worker_id, "simulated"),
                WorkerDied(run.worker_id, "simulated", counts=True),
                WorkerDied(run.worker_id, "simulated", counts=False),
                ArraysLost(run.job_id, run.worker_id),
            )
        )


def simulate(
    workers: int, tiles: int, jobs: int, at_tile: Callable[[int], None] = lambda _: None
) -> tuple[int, Cluster]:
    """Run all jobs to their end; `at_tile` hears of each count of tiles done.

    Returns:
        The number of events, and the cluster as it is then.
    """
    cluster, scheduler = Cluster(random.Random(0)), Scheduler()
    events = done = 0

    def feed(event: Event) -> None:
        nonlocal events, done
        for instruction in scheduler.handle(event):
            cluster.carry_out(instruction)
        events += 1
        if isinstance(event, TileDone):
            done += 1
            at_tile(done)

    feed(CapacityChanged(workers))
    admitted = 0
    while cluster.completed + cluster.failed < jobs:
        if admitted < min(jobs, cluster.completed + JOBS_WAITING):
            feed(JobAdmitted(f"job-{admitted}", tuple(range(admitted, tiles, jobs))))
            admitted += 1
        feed(cluster.next_event())
    if cluster.failed or done != tiles:
        raise SystemExit(f"{cluster.failed} jobs failed; {done} tiles were done of {tiles}")
    return events, cluster


def allocated_bytes(workers: int, tiles: int, jobs: int) -> tuple[int, int]:
    """Bytes allocated with a tenth of the tiles done, and with all."""
    found: dict[int, int] = {}

    def measure(done: int) -> None:
        if done in (tiles // 10, tiles):
            gc.collect()
            found[done] = tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    simulate(workers, tiles, jobs, measure)
    tracemalloc.stop()
    return found[tiles // 10], found[tiles]


def main() -> None:
    """Measure, print, and fail below the bar."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--workers", type=int, default=1_000)
    parser.add_argument("--tiles", type=int, default=100_000)
    parser.add_argument("--jobs", type=int, default=10)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    size = (options.workers, options.tiles, options.jobs)
    start = time.perf_counter()
    events, cluster = simulate(*size)
    seconds = time.perf_counter() - start
    at_tenth, at_end = allocated_bytes(*size)
    figures = {
        "workers": options.workers,
        "tiles": options.tiles,
        "jobs": options.jobs,
        "faults": cluster.faults,
        "events": events,
        "seconds": round(seconds, 3),
        "events_per_s": round(events / seconds),
        "bytes_at_10_percent": at_tenth,
        "bytes_at_100_percent": at_end,
        "memory_growth": round(at_end / at_tenth, 3),
    }
    if options.json:
        print(json.dumps(figures))
    else:
        for name, value in figures.items():
            print(f"{name:22}{value}")
    passed = events / seconds >= EXPECTED_EVENTS_PER_S and at_end <= EXPECTED_GROWTH * at_tenth
    raise SystemExit(0 if passed else 1)


if __name__ == "__main__":
    main()
