"""The scheduler against a simulated cluster that fails in every way, in any order of events."""

import random
from collections import Counter
from dataclasses import dataclass, field

from hypothesis import given, settings, strategies as st
from tests.service.validated_scheduler import ValidatedScheduler

from bertscape_service.scheduling import (
    ArraysLost,
    CapacityChanged,
    CompleteJob,
    DispatcherLost,
    DropJob,
    Event,
    FailJob,
    Instruction,
    JobAdmitted,
    JobCancelled,
    JobPrepared,
    KillWorker,
    MarkPreparing,
    MarkRunning,
    PrepareFailed,
    PrepareJob,
    RunTile,
    Scheduler,
    StartWorker,
    TileAdvanced,
    TileDone,
    TileFailed,
    WorkerDied,
    WorkerReady,
)
from bertscape_service.scheduling.scheduler import MAX_ATTEMPTS, PREPARING_AT_ONCE, JobState

DEVICES = ("A", "B")


@dataclass
class Cluster:
    """A cluster, and the journal beside it: carries out instructions and checks each of them."""

    scheduler: Scheduler = field(default_factory=ValidatedScheduler)
    starting: list[str] = field(default_factory=list)
    devices: dict[str, str] = field(default_factory=dict)  # of ready workers
    told: dict[str, PrepareJob | RunTile] = field(default_factory=dict)  # by busy worker
    ended_workers: list[str] = field(default_factory=list)
    arrays: set[str] = field(default_factory=set)  # jobs that are prepared
    pinned: dict[str, str] = field(default_factory=dict)
    missing: dict[str, set[int]] = field(default_factory=dict)  # tiles of unfinished jobs
    state: dict[str, str] = field(default_factory=dict)
    done: Counter[tuple[str, int]] = field(default_factory=Counter)
    failures: Counter[tuple[str, int | None]] = field(default_factory=Counter)
    capacity: int = 0

    def feed(self, event: Event) -> None:
        self.record(event)
        for instruction in self.scheduler.handle(event):
            self.carry_out(instruction)
        self.check()

    def record(self, event: Event) -> None:  # noqa: C901 - one short case for each event
        """What the journal and the cluster know before the scheduler hears of it."""
        match event:
            case JobAdmitted(job_id, tiles):
                self.missing[job_id] = set(tiles)
                self.state[job_id] = "queued"
            case JobCancelled(job_id):
                self.missing.pop(job_id, None)
                self.state[job_id] = "cancelled"
            case CapacityChanged(workers):
                self.capacity = workers
            case WorkerReady(worker_id, device):
                self.starting.remove(worker_id)
                self.devices[worker_id] = device
            case JobPrepared(job_id, worker_id, device):
                del self.told[worker_id]
                self.arrays.add(job_id)
                if job_id in self.missing:
                    self.pinned[job_id] = device
                    self.failures[job_id, None] = 0
            case TileDone(job_id, tile, worker_id):
                del self.told[worker_id]
                if job_id in self.missing:
                    self.missing[job_id].remove(tile)
                    self.done[job_id, tile] += 1
            case TileFailed(job_id, tile, worker_id):
                del self.told[worker_id]
                self.failures[job_id, tile] += 1
            case TileAdvanced(job_id, tile):
                self.failures[job_id, tile] = 0
            case PrepareFailed(job_id, worker_id):
                del self.told[worker_id]
                self.failures[job_id, None] += 1
            case ArraysLost(_, worker_id):
                del self.told[worker_id]
            case WorkerDied(worker_id, _, counts):
                told = self.told.get(worker_id)
                if counts and told is not None:
                    what = told.tile if isinstance(told, RunTile) else None
                    self.failures[told.job_id, what] += 1
                self.end_worker(worker_id)
            case DispatcherLost():
                for worker_id in [*self.starting, *self.devices]:
                    self.end_worker(worker_id)
                self.arrays.clear()
                self.capacity = 0

    def end_worker(self, worker_id: str) -> None:
        self.told.pop(worker_id, None)
        if self.devices.pop(worker_id, None) is None:
            self.starting.remove(worker_id)
        self.ended_workers.append(worker_id)

    def carry_out(self, instruction: Instruction) -> None:
        match instruction:
            case StartWorker(worker_id, delay_s):
                assert worker_id not in {*self.starting, *self.devices, *self.ended_workers}
                assert 0 <= delay_s <= 30
                self.starting.append(worker_id)
            case KillWorker(worker_id):
                assert worker_id not in self.told
                self.end_worker(worker_id)
            case PrepareJob(job_id, _, attempt):
                assert self.state[job_id] == "preparing"
                assert attempt == self.failures[job_id, None] + 1 <= MAX_ATTEMPTS
                assert job_id not in {
                    told.job_id for told in self.told.values() if isinstance(told, PrepareJob)
                }
                self.give(instruction)
            case RunTile(job_id, tile, _, attempt):
                assert self.state[job_id] == "running"
                assert job_id in self.arrays
                assert tile in self.missing[job_id]
                assert attempt == self.failures[job_id, tile] + 1 <= MAX_ATTEMPTS
                assert (job_id, tile) not in {
                    (told.job_id, told.tile)
                    for told in self.told.values()
                    if isinstance(told, RunTile)
                }
                self.give(instruction)
            case MarkPreparing(job_id):
                assert self.state[job_id] in ("queued", "running")
                self.state[job_id] = "preparing"
            case MarkRunning(job_id):
                assert self.state[job_id] == "preparing"
                self.state[job_id] = "running"
            case CompleteJob(job_id):
                assert self.missing.pop(job_id) == set()
                self.state[job_id] = "completed"
            case FailJob(job_id, tile, _, attempts):
                assert attempts == self.failures[job_id, tile] == MAX_ATTEMPTS
                del self.missing[job_id]
                self.state[job_id] = "failed"
            case DropJob(job_id):
                assert job_id not in self.missing
                self.arrays.discard(job_id)

    def give(self, told: PrepareJob | RunTile) -> None:
        device = self.devices[told.worker_id]  # only ready workers are told
        assert told.worker_id not in self.told
        assert self.pinned.get(told.job_id, device) == device
        self.told[told.worker_id] = told

    def check(self) -> None:
        shown = {w.worker_id: (w.device, w.job_id, w.tile) for w in self.scheduler.workers()}
        assert shown == {worker: self.expected(worker) for worker in shown}
        assert set(shown) == {*self.starting, *self.devices}
        assert len(shown) >= self.capacity
        for worker, device in self.devices.items():
            if worker not in self.told:
                assert len(shown) <= self.capacity
                assert not self.has_work(device), f"{worker} stands idle"
        for job_id, state in self.state.items():
            assert self.scheduler.job_state(job_id) == state

    def expected(self, worker_id: str) -> tuple[str | None, str | None, int | None]:
        told = self.told.get(worker_id)
        tile = told.tile if isinstance(told, RunTile) else None
        return self.devices.get(worker_id), told.job_id if told else None, tile

    def has_work(self, device: str) -> bool:
        runs = {(t.job_id, t.tile) for t in self.told.values() if isinstance(t, RunTile)}
        prepares = {
            t.job_id: self.devices[t.worker_id]
            for t in self.told.values()
            if isinstance(t, PrepareJob)
        }
        may_prepare = list(prepares.values()).count(device) < PREPARING_AT_ONCE
        for job_id, tiles in self.missing.items():
            if self.pinned.get(job_id, device) != device:
                continue
            if self.state[job_id] == "running" and any((job_id, t) not in runs for t in tiles):
                return True
            if self.state[job_id] != "running" and job_id not in prepares and may_prepare:
                return True
        return False

    def normal_events(self) -> list[Event]:
        """What happens where nothing fails: one event for each worker that owes one."""
        owed: list[Event] = [
            WorkerReady(worker, DEVICES[int(worker[2:]) % len(DEVICES)]) for worker in self.starting
        ]
        for worker, told in self.told.items():
            if isinstance(told, RunTile):
                owed.append(TileDone(told.job_id, told.tile, worker))
            else:
                owed.append(JobPrepared(told.job_id, worker, self.devices[worker]))
        return owed

    def faults(self) -> list[Event]:
        """What may go wrong now."""
        possible: list[Event] = [DispatcherLost()]
        for worker in [*self.starting, *self.devices]:
            possible += [WorkerDied(worker, "x", counts) for counts in (False, True)]
        for worker, told in self.told.items():
            if isinstance(told, RunTile):
                possible.append(TileFailed(told.job_id, told.tile, worker, "x"))
                possible.append(TileAdvanced(told.job_id, told.tile, worker))
                possible.append(ArraysLost(told.job_id, worker))
            else:
                possible.append(PrepareFailed(told.job_id, worker, "x", final=False))
        possible += [WorkerDied(worker, "late", counts=True) for worker in self.ended_workers[-2:]]
        possible += [TileDone("job-0", 0, worker) for worker in self.ended_workers[-2:]]
        possible += [JobCancelled(job_id) for job_id in self.missing]
        return possible

    def feed_fault(self, event: Event) -> None:
        worker = getattr(event, "worker_id", None)
        if worker in self.ended_workers:
            assert self.scheduler.handle(event) == []  # nothing of the cluster changes
        else:
            self.feed(event)

    def settle(self) -> None:
        """Let everything come to its end, without further faults."""
        self.feed(CapacityChanged(2 * len(DEVICES)))
        while self.missing:
            if owed := self.normal_events():
                self.feed(owed[0])
            else:  # jobs are pinned to a device that no worker has; the next ones will have it
                self.feed(DispatcherLost())
                self.feed(CapacityChanged(2 * len(DEVICES)))
        while self.told:
            self.feed(next(e for e in self.normal_events() if not isinstance(e, WorkerReady)))


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_whatever_fails_every_job_ends_and_no_tile_is_done_twice(data: st.DataObject) -> None:
    cluster = Cluster()
    steps = data.draw(st.integers(0, 60), label="steps")
    for _ in range(steps):
        kind = data.draw(st.sampled_from(["go on", "go on", "go on", "fault", "job", "capacity"]))
        if kind == "job" and len(cluster.state) < 6:
            tiles = tuple(data.draw(st.permutations(range(data.draw(st.integers(0, 5))))))
            cluster.feed(JobAdmitted(f"job-{len(cluster.state)}", tiles))
        elif kind == "capacity":
            cluster.feed(CapacityChanged(data.draw(st.integers(0, 5))))
        elif kind == "fault":
            cluster.feed_fault(data.draw(st.sampled_from(cluster.faults())))
        elif owed := cluster.normal_events():
            cluster.feed(data.draw(st.sampled_from(owed)))
    cluster.settle()
    assert cluster.missing == {}
    assert cluster.arrays == set(), "arrays of ended jobs stay on the cluster"
    assert set(cluster.state.values()) <= {"completed", "failed", "cancelled"}
    assert set(cluster.done.values()) <= {1}


@dataclass
class Crowd:
    """Many workers that report in random order; 2 % of first attempts fail or kill their worker."""

    scheduler: Scheduler = field(default_factory=Scheduler)
    chance: random.Random = field(default_factory=lambda: random.Random(1))
    under_way: list[Event] = field(default_factory=list)
    busy: set[str] = field(default_factory=set)
    done: Counter[tuple[str, int]] = field(default_factory=Counter)
    attempts: Counter[tuple[str, int]] = field(default_factory=Counter)
    completed: list[str] = field(default_factory=list)

    def feed(self, event: Event) -> None:
        self.busy.discard(getattr(event, "worker_id", ""))
        if isinstance(event, TileDone):
            self.done[event.job_id, event.tile] += 1
        for instruction in self.scheduler.handle(event):
            self.carry_out(instruction)

    def carry_out(self, instruction: Instruction) -> None:
        match instruction:
            case StartWorker(worker_id):
                self.under_way.append(WorkerReady(worker_id, "cpu"))
            case PrepareJob(job_id, worker_id):
                self.under_way.append(JobPrepared(job_id, worker_id, "cpu"))
            case RunTile(job_id, tile, worker_id):
                assert worker_id not in self.busy
                self.busy.add(worker_id)
                self.attempts[job_id, tile] += 1
                self.under_way.append(self.outcome(instruction))
            case CompleteJob(job_id):
                self.completed.append(job_id)

    def outcome(self, run: RunTile) -> Event:
        luck = self.chance.random() if run.attempt == 1 else 1.0
        if luck < 0.01:
            return TileFailed(run.job_id, run.tile, run.worker_id, "x")
        if luck < 0.02:
            return WorkerDied(run.worker_id, "x", counts=True)
        return TileDone(run.job_id, run.tile, run.worker_id)

    def next_event(self) -> Event:
        position = self.chance.randrange(len(self.under_way))
        self.under_way[position], self.under_way[-1] = (
            self.under_way[-1],
            self.under_way[position],
        )
        return self.under_way.pop()


def test_a_thousand_workers_complete_twenty_thousand_tiles_under_faults() -> None:
    crowd = Crowd()
    crowd.feed(CapacityChanged(1_000))
    job_ids = [f"job-{number}" for number in range(4)]
    for job_id in job_ids:
        crowd.feed(JobAdmitted(job_id, tuple(range(5_000))))
    while crowd.under_way:
        crowd.feed(crowd.next_event())
    crowd.scheduler.validate_state()

    assert sorted(crowd.completed) == job_ids
    assert len(crowd.done) == 20_000
    assert set(crowd.done.values()) == {1}
    assert set(crowd.attempts.values()) == {1, 2}
    assert len(crowd.scheduler.workers()) == 1_000
    assert {crowd.scheduler.job_state(job_id) for job_id in job_ids} == {JobState.COMPLETED}
