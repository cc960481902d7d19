"""What the scheduler tells workers to do, event by event."""

import pickle
from pathlib import Path

import pytest
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
    JobRefused,
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
    TilesAdded,
    WorkerDied,
    WorkerReady,
    WorkerSnapshot,
    WorkerState,
    events,
    instructions,
)
from bertscape_service.scheduling.scheduler import MAX_START_DELAY_S, IllegalTransition, JobState


def feed(scheduler: Scheduler, *happened: Event) -> list[Instruction]:
    """The instructions that the last of these events brings."""
    last: list[Instruction] = []
    for event in happened:
        last = scheduler.handle(event)
    return last


def with_workers(*devices: str) -> Scheduler:
    """A scheduler with idle workers w-1, w-2, ... on these devices."""
    scheduler = ValidatedScheduler()
    ready = [WorkerReady(f"w-{number}", device) for number, device in enumerate(devices, start=1)]
    feed(scheduler, CapacityChanged(len(devices)), *ready)
    return scheduler


def running(tiles: tuple[int, ...], workers: int = 1) -> Scheduler:
    """A scheduler whose job "a", prepared by w-1, runs its first tiles on all workers."""
    scheduler = with_workers(*["cpu"] * workers)
    feed(scheduler, JobAdmitted("a", tiles), JobPrepared("a", "w-1", "cpu"))
    return scheduler


def busy_with(scheduler: Scheduler) -> dict[str, tuple[str | None, int | None]]:
    return {w.worker_id: (w.job_id, w.tile) for w in scheduler.workers()}


# Another round of tiles


def test_a_round_that_comes_before_the_last_tile_is_done_goes_on() -> None:
    scheduler = running((0, 1))
    assert feed(scheduler, TileDone("a", 0, "w-1")) == [RunTile("a", 1, "w-1", 1)]
    assert feed(scheduler, TilesAdded("a", (2, 3))) == []
    assert feed(scheduler, TileDone("a", 1, "w-1")) == [RunTile("a", 2, "w-1", 1)]
    assert feed(scheduler, TileDone("a", 2, "w-1")) == [RunTile("a", 3, "w-1", 1)]
    assert feed(scheduler, TileDone("a", 3, "w-1")) == [CompleteJob("a"), DropJob("a")]


def test_idle_workers_begin_the_round() -> None:
    scheduler = running((0,), workers=2)
    assert busy_with(scheduler) == {"w-1": (None, None), "w-2": ("a", 0)}
    assert feed(scheduler, TilesAdded("a", (1, 2))) == [RunTile("a", 1, "w-1", 1)]
    assert feed(scheduler, TileDone("a", 0, "w-2")) == [RunTile("a", 2, "w-2", 1)]


def test_a_round_waits_for_a_job_that_is_prepared_again() -> None:
    scheduler = running((0,))
    feed(scheduler, DispatcherLost(), TilesAdded("a", (1,)))
    assert scheduler.job_state("a") is JobState.PREPARING
    assert scheduler.pending("a") == 2


def test_a_round_of_an_ended_or_unknown_job_or_of_known_tiles() -> None:
    scheduler = running((0, 1))
    for known in ((0,), (1,), (2, 2)):
        with pytest.raises(IllegalTransition, match="a tile stands there twice"):
            scheduler.handle(TilesAdded("a", known))
    with pytest.raises(IllegalTransition, match="no such job"):
        scheduler.handle(TilesAdded("b", (2,)))
    feed(scheduler, JobCancelled("a"))
    assert feed(scheduler, TilesAdded("a", (2,))) == []
    assert scheduler.pending("a") == 0


# The plain course of things


def test_a_job_is_prepared_run_in_order_completed_and_dropped() -> None:
    scheduler = ValidatedScheduler()
    course: list[tuple[Event, list[Instruction]]] = [
        (JobAdmitted("a", (4, 2)), []),
        (CapacityChanged(1), [StartWorker("w-1", 0.0)]),
        (WorkerReady("w-1", "cpu"), [MarkPreparing("a"), PrepareJob("a", "w-1", 1)]),
        (JobPrepared("a", "w-1", "cpu"), [MarkRunning("a"), RunTile("a", 4, "w-1", 1)]),
        (TileDone("a", 4, "w-1"), [RunTile("a", 2, "w-1", 1)]),
        (TileDone("a", 2, "w-1"), [CompleteJob("a"), DropJob("a")]),
    ]
    for event, expected in course:
        assert scheduler.handle(event) == expected
    assert scheduler.job_state("a") is JobState.COMPLETED


def test_all_workers_take_tiles_once_one_of_them_has_prepared() -> None:
    scheduler = with_workers("cpu", "cpu", "cpu")
    assert feed(scheduler, JobAdmitted("a", (0, 1, 2, 3))) == [
        MarkPreparing("a"),
        PrepareJob("a", "w-1", 1),
    ]
    assert feed(scheduler, JobPrepared("a", "w-1", "cpu")) == [
        MarkRunning("a"),
        RunTile("a", 0, "w-2", 1),
        RunTile("a", 1, "w-3", 1),
        RunTile("a", 2, "w-1", 1),
    ]
    assert scheduler.pending("a") == 1
    assert scheduler.in_flight("a") == (0, 1, 2)


def test_the_oldest_job_goes_first_and_the_next_is_prepared_when_it_has_nothing_left() -> None:
    scheduler = running((0, 1, 2), workers=2)
    assert feed(scheduler, JobAdmitted("b", (7,))) == []
    assert feed(scheduler, TileDone("a", 0, "w-2")) == [RunTile("a", 2, "w-2", 1)]
    assert feed(scheduler, TileDone("a", 1, "w-1")) == [
        MarkPreparing("b"),
        PrepareJob("b", "w-1", 1),
    ]
    assert feed(scheduler, JobPrepared("b", "w-1", "cpu")) == [
        MarkRunning("b"),
        RunTile("b", 7, "w-1", 1),
    ]
    # A failed tile of the older job goes before everything of a younger one.
    assert feed(scheduler, TileFailed("a", 2, "w-2", "bad")) == [RunTile("a", 2, "w-2", 2)]


def test_jobs_that_wait_are_prepared_and_run_in_the_order_of_their_admission() -> None:
    scheduler = ValidatedScheduler()
    feed(scheduler, *(JobAdmitted(job_id, (0, 1, 2)) for job_id in "abc"), CapacityChanged(2))
    assert feed(scheduler, WorkerReady("w-1", "cpu"))[-1] == PrepareJob("a", "w-1", 1)
    assert feed(scheduler, WorkerReady("w-2", "cpu"))[-1] == PrepareJob("b", "w-2", 1)
    # The younger one is prepared first; then both have pending tiles, and the older one goes first.
    assert feed(scheduler, JobPrepared("b", "w-2", "cpu"))[-1] == RunTile("b", 0, "w-2", 1)
    assert feed(scheduler, JobPrepared("a", "w-1", "cpu"))[-1] == RunTile("a", 0, "w-1", 1)
    assert feed(scheduler, TileDone("b", 0, "w-2")) == [RunTile("a", 1, "w-2", 1)]


def test_while_one_job_is_prepared_others_are_prepared_beside_it_but_not_all_at_once() -> None:
    scheduler = with_workers("cpu", "cpu", "cpu")
    feed(scheduler, JobAdmitted("a", (0,)), JobAdmitted("b", (0,)))
    assert feed(scheduler, JobAdmitted("c", (0,))) == []
    assert busy_with(scheduler) == {"w-1": ("a", None), "w-2": ("b", None), "w-3": (None, None)}
    assert feed(scheduler, JobPrepared("a", "w-1", "cpu")) == [
        MarkRunning("a"),
        RunTile("a", 0, "w-3", 1),
        MarkPreparing("c"),
        PrepareJob("c", "w-1", 1),
    ]


def test_workers_are_shown_as_they_are() -> None:
    scheduler = running((5,), workers=2)
    feed(scheduler, CapacityChanged(3))
    assert scheduler.capacity == 3
    assert scheduler.workers() == (
        WorkerSnapshot("w-1", WorkerState.IDLE, "cpu", None, None),
        WorkerSnapshot("w-2", WorkerState.BUSY, "cpu", "a", 5),
        WorkerSnapshot("w-3", WorkerState.STARTING, None, None, None),
    )


# Attempts


def test_a_failed_tile_comes_first_and_its_third_failure_names_tile_and_last_error() -> None:
    scheduler = running((3, 1, 2))
    assert feed(scheduler, TileFailed("a", 3, "w-1", "one")) == [RunTile("a", 3, "w-1", 2)]
    assert feed(scheduler, TileFailed("a", 3, "w-1", "two")) == [RunTile("a", 3, "w-1", 3)]
    assert feed(scheduler, TileFailed("a", 3, "w-1", "three")) == [
        FailJob("a", 3, "three", 3, False),
        DropJob("a"),
    ]
    assert scheduler.job_state("a") is JobState.FAILED


def test_attempts_are_counted_for_each_tile_by_itself() -> None:
    scheduler = running((1, 2))
    feed(scheduler, TileFailed("a", 1, "w-1", "x"), TileFailed("a", 1, "w-1", "x"))
    assert feed(scheduler, TileDone("a", 1, "w-1")) == [RunTile("a", 2, "w-1", 1)]
    assert feed(scheduler, TileFailed("a", 2, "w-1", "x")) == [RunTile("a", 2, "w-1", 2)]


def test_three_deaths_of_workers_at_a_tile_fail_its_job() -> None:
    scheduler = running((9, 8))
    for number, attempt in ((1, 2), (2, 3)):
        successor = f"w-{number + 1}"
        assert feed(scheduler, WorkerDied(f"w-{number}", "SIGKILL", counts=True)) == [
            StartWorker(successor, 0.0)
        ]
        assert feed(scheduler, WorkerReady(successor, "cpu")) == [
            RunTile("a", 9, successor, attempt)
        ]
    assert feed(scheduler, WorkerDied("w-3", "SIGKILL", counts=True)) == [
        FailJob("a", 9, "worker w-3 died: SIGKILL", 3, False),
        DropJob("a"),
        StartWorker("w-4", 0.0),
    ]


def test_attempts_at_a_tile_that_has_advanced_count_anew() -> None:
    scheduler = running((0,))
    feed(scheduler, TileFailed("a", 0, "w-1", "x"))
    for _ in range(5):
        feed(scheduler, WorkerDied(scheduler.workers()[0].worker_id, "SIGKILL", counts=True))
        (worker,) = scheduler.workers()
        told = feed(scheduler, WorkerReady(worker.worker_id, "cpu"))
        assert told == [RunTile("a", 0, worker.worker_id, told[0].attempt)]
        assert feed(scheduler, TileAdvanced("a", 0, worker.worker_id)) == []
        assert scheduler.in_flight("a") == (0,)
    assert told[0].attempt == 2  # the one before it had advanced, too
    worker_id = scheduler.workers()[0].worker_id
    assert feed(scheduler, TileFailed("a", 0, worker_id, "1")) == [RunTile("a", 0, worker_id, 2)]
    assert feed(scheduler, TileFailed("a", 0, worker_id, "2")) == [RunTile("a", 0, worker_id, 3)]
    assert feed(scheduler, TileFailed("a", 0, worker_id, "3"))[0] == FailJob("a", 0, "3", 3, False)


def test_a_death_that_does_not_count_gives_the_tile_back_with_the_same_attempt() -> None:
    scheduler = running((9, 8))
    feed(scheduler, TileFailed("a", 9, "w-1", "x"))
    for number in range(1, 6):
        feed(scheduler, WorkerDied(f"w-{number}", "its node died", counts=False))
        assert feed(scheduler, WorkerReady(f"w-{number + 1}", "cpu")) == [
            RunTile("a", 9, f"w-{number + 1}", 2)
        ]


@pytest.mark.parametrize("by_death", [False, True])
def test_three_failed_attempts_at_preparing_fail_the_job(by_death: bool) -> None:
    scheduler = with_workers("cpu")
    feed(scheduler, JobAdmitted("a", (0,)))
    for attempt in (1, 2, 3):
        worker = scheduler.workers()[0].worker_id
        if by_death:
            got = feed(scheduler, WorkerDied(worker, "gone", counts=True))
            told = feed(scheduler, WorkerReady(f"w-{attempt + 1}", "cpu"))
            error = f"worker {worker} died: gone"
        else:
            got = told = feed(scheduler, PrepareFailed("a", worker, "disk", final=False))
            error = "disk"
        if attempt < 3:
            assert told == [PrepareJob("a", scheduler.workers()[0].worker_id, attempt + 1)]
    assert got[:2] == [FailJob("a", None, error, 3, False), DropJob("a")]


def test_preparing_that_was_lost_with_a_node_is_no_attempt() -> None:
    scheduler = with_workers("cpu", "cpu")
    feed(scheduler, JobAdmitted("a", (0,)))
    assert feed(scheduler, WorkerDied("w-1", "its node died", counts=False)) == [
        StartWorker("w-3", 0.0),
        PrepareJob("a", "w-2", 1),
    ]


def test_bad_input_found_while_preparing_fails_the_job_at_once() -> None:
    scheduler = with_workers("cpu")
    feed(scheduler, JobAdmitted("a", (0,)))
    assert feed(scheduler, PrepareFailed("a", "w-1", "no label", final=True)) == [
        FailJob("a", None, "no label", 1, True),
        DropJob("a"),
    ]


def test_a_refused_job_starts_no_tile_though_its_preparing_succeeded() -> None:
    scheduler = with_workers("cpu")
    feed(scheduler, JobAdmitted("a", (0,)), JobAdmitted("b", (0,)))
    assert feed(scheduler, JobRefused("a", "dev.tsv changed")) == [
        FailJob("a", None, "dev.tsv changed", 0, True),
        DropJob("a"),
    ]
    assert feed(scheduler, JobPrepared("a", "w-1", "cpu")) == [
        DropJob("a"),
        MarkPreparing("b"),
        PrepareJob("b", "w-1", 1),
    ]


# Jobs that end with work in flight


@pytest.mark.parametrize(
    "late",
    [
        TileDone("a", 1, "w-1"),
        TileFailed("a", 1, "w-1", "x"),
        ArraysLost("a", "w-1"),
    ],
)
@pytest.mark.parametrize("end", [JobCancelled("a"), JobRefused("a", "x")])
def test_reports_on_an_ended_job_only_free_their_worker(late: Event, end: Event) -> None:
    scheduler = running((0, 1, 2, 3), workers=2)
    assert feed(scheduler, JobAdmitted("b", (0,)), end)[-1] == DropJob("a")
    assert scheduler.pending("a") == 0
    assert scheduler.in_flight("a") == (0, 1)
    assert feed(scheduler, late) == [MarkPreparing("b"), PrepareJob("b", "w-1", 1)]
    assert scheduler.in_flight("a") == (0,)
    assert feed(scheduler, WorkerDied("w-2", "late", counts=True)) == [StartWorker("w-3", 0.0)]


def test_a_tile_may_advance_after_its_job_has_ended() -> None:
    scheduler = running((0,))
    feed(scheduler, JobCancelled("a"))
    assert feed(scheduler, TileAdvanced("a", 0, "w-1")) == []
    assert busy_with(scheduler) == {"w-1": ("a", 0)}
    assert feed(scheduler, DispatcherLost(), TileAdvanced("a", 0, "w-1")) == []


def test_a_cancelled_preparing_frees_its_worker_and_its_arrays() -> None:
    scheduler = with_workers("cpu")
    assert feed(scheduler, JobAdmitted("a", (0,)), JobCancelled("a")) == [DropJob("a")]
    assert feed(scheduler, JobPrepared("a", "w-1", "cpu")) == [DropJob("a")]
    feed(scheduler, JobAdmitted("b", (0,)), JobCancelled("b"))
    assert feed(scheduler, PrepareFailed("b", "w-1", "x", final=False)) == []
    assert busy_with(scheduler) == {"w-1": (None, None)}


def test_a_job_cancelled_in_the_queue_never_reaches_the_cluster() -> None:
    scheduler = ValidatedScheduler()
    assert feed(scheduler, JobAdmitted("a", (0,)), JobCancelled("a")) == []
    assert scheduler.job_state("a") is JobState.CANCELLED
    assert feed(scheduler, CapacityChanged(1), WorkerReady("w-1", "cpu")) == []


def test_a_second_end_of_a_job_is_absorbed() -> None:
    scheduler = running((0,))
    feed(scheduler, TileDone("a", 0, "w-1"))
    assert feed(scheduler, JobCancelled("a")) == []
    assert feed(scheduler, JobRefused("a", "x")) == []
    assert scheduler.job_state("a") is JobState.COMPLETED


def test_a_job_admitted_again_is_not_touched_by_reports_on_its_first_life() -> None:
    scheduler = running((0, 1), workers=2)
    feed(scheduler, JobCancelled("a"), JobAdmitted("a", (0, 1)))
    # w-2 and w-1 still run tiles 0 and 1 of the first life.
    assert scheduler.job_state("a") is JobState.QUEUED
    assert feed(scheduler, TileDone("a", 0, "w-2")) == [
        MarkPreparing("a"),
        PrepareJob("a", "w-2", 1),
    ]
    assert feed(scheduler, TileFailed("a", 1, "w-1", "x")) == []
    assert feed(scheduler, JobPrepared("a", "w-2", "cpu")) == [
        MarkRunning("a"),
        RunTile("a", 0, "w-1", 1),
        RunTile("a", 1, "w-2", 1),
    ]


def test_arrays_that_a_first_life_left_are_dropped_with_the_second() -> None:
    scheduler = with_workers("A")
    feed(scheduler, JobAdmitted("a", (0,)), JobCancelled("a"), JobAdmitted("a", (0,), device="B"))
    assert feed(scheduler, JobPrepared("a", "w-1", "A")) == []
    assert feed(scheduler, JobCancelled("a")) == [DropJob("a")]


def test_ended_jobs_are_forgotten_in_the_end() -> None:
    scheduler = ValidatedScheduler()
    for number in range(200):
        feed(scheduler, JobAdmitted(f"job-{number}", ()))
    assert scheduler.job_state("job-0") is None
    assert scheduler.job_state("job-199") is JobState.COMPLETED


# Arrays


def test_lost_arrays_are_prepared_again_without_an_attempt() -> None:
    scheduler = running((0, 1, 2), workers=2)
    # w-2 runs tile 0, w-1 runs tile 1.
    assert feed(scheduler, ArraysLost("a", "w-2")) == [
        MarkPreparing("a"),
        PrepareJob("a", "w-2", 1),
    ]
    assert feed(scheduler, TileDone("a", 1, "w-1")) == []
    assert feed(scheduler, JobPrepared("a", "w-2", "cpu")) == [
        MarkRunning("a"),
        RunTile("a", 0, "w-1", 1),
        RunTile("a", 2, "w-2", 1),
    ]


def test_arrays_missed_twice_are_prepared_once() -> None:
    scheduler = running((0, 1, 2), workers=3)
    # w-2, w-3 and w-1 run tiles 0, 1 and 2.
    feed(scheduler, ArraysLost("a", "w-2"))
    assert feed(scheduler, ArraysLost("a", "w-3")) == []
    feed(scheduler, JobPrepared("a", "w-2", "cpu"))
    # This report is about the old arrays: the new ones are there.
    assert feed(scheduler, ArraysLost("a", "w-1")) == [RunTile("a", 2, "w-1", 1)]
    assert scheduler.job_state("a") is JobState.RUNNING


def test_a_job_whose_last_tiles_finish_while_it_is_prepared_again_completes() -> None:
    scheduler = running((0, 1), workers=3)
    # w-2 runs tile 0, w-3 runs tile 1; w-1 has nothing to do.
    assert feed(scheduler, ArraysLost("a", "w-2"))[-1] == PrepareJob("a", "w-1", 1)
    feed(scheduler, TileDone("a", 1, "w-3"))
    feed(scheduler, JobPrepared("a", "w-1", "cpu"))
    assert feed(scheduler, ArraysLost("a", "w-2"))[-1] == PrepareJob("a", "w-3", 1)
    assert feed(scheduler, JobPrepared("a", "w-3", "cpu"))[-1] == RunTile("a", 0, "w-1", 1)
    assert feed(scheduler, TileDone("a", 0, "w-1")) == [CompleteJob("a"), DropJob("a")]


# Devices


def test_a_job_is_pinned_by_its_first_preparing() -> None:
    scheduler = with_workers("A", "B")
    assert feed(scheduler, JobAdmitted("a", (0, 1)), JobPrepared("a", "w-1", "A")) == [
        MarkRunning("a"),
        RunTile("a", 0, "w-1", 1),
    ]
    # The only worker of device A dies. B is idle, but may neither run nor prepare it.
    assert feed(scheduler, WorkerDied("w-1", "x", counts=False)) == [StartWorker("w-3", 0.0)]
    assert feed(scheduler, WorkerReady("w-3", "B")) == []
    assert feed(scheduler, CapacityChanged(3), WorkerReady("w-4", "A")) == [
        RunTile("a", 0, "w-4", 1)
    ]
    assert feed(scheduler, ArraysLost("a", "w-4")) == [
        MarkPreparing("a"),
        PrepareJob("a", "w-4", 1),
    ]


def test_a_restored_job_waits_for_its_device_while_others_pass_it() -> None:
    scheduler = with_workers("B")
    assert feed(scheduler, JobAdmitted("a", (0,), device="A")) == []
    assert feed(scheduler, JobAdmitted("b", (0,))) == [
        MarkPreparing("b"),
        PrepareJob("b", "w-1", 1),
    ]
    assert feed(scheduler, CapacityChanged(2), WorkerReady("w-2", "A")) == [
        MarkPreparing("a"),
        PrepareJob("a", "w-2", 1),
    ]


# Restored jobs


def test_attempts_go_on_where_the_journal_left_them() -> None:
    scheduler = with_workers("cpu")
    admitted = JobAdmitted("a", (5, 6), "cpu", attempts={5: 2, 9: 2}, prepare_attempts=2)
    assert feed(scheduler, admitted) == [MarkPreparing("a"), PrepareJob("a", "w-1", 3)]
    assert feed(scheduler, JobPrepared("a", "w-1", "cpu"))[-1] == RunTile("a", 5, "w-1", 3)
    assert feed(scheduler, TileFailed("a", 5, "w-1", "x"))[0] == FailJob("a", 5, "x", 3, False)


def test_preparing_that_succeeded_ends_the_count_of_its_failures() -> None:
    scheduler = with_workers("cpu")
    feed(scheduler, JobAdmitted("a", (5,), prepare_attempts=2), JobPrepared("a", "w-1", "cpu"))
    assert feed(scheduler, ArraysLost("a", "w-1"))[-1] == PrepareJob("a", "w-1", 1)


def test_a_restored_job_with_nothing_missing_completes_at_once() -> None:
    assert ValidatedScheduler().handle(JobAdmitted("a", (), "cpu")) == [CompleteJob("a")]


@pytest.mark.parametrize(
    ("admitted", "tile"),
    [
        (JobAdmitted("a", (5, 6), attempts={6: 3}), 6),
        (JobAdmitted("a", (5, 6), prepare_attempts=3), None),
    ],
)
def test_a_restored_job_that_has_used_up_its_attempts_fails(
    admitted: JobAdmitted, tile: int | None
) -> None:
    (failed,) = ValidatedScheduler().handle(admitted)
    assert isinstance(failed, FailJob)
    assert (failed.tile, failed.attempts) == (tile, 3)


# Capacity, deaths and back-off


def test_too_many_workers_lose_the_idle_then_the_starting_then_the_busy_when_they_finish() -> None:
    scheduler = running((0, 1, 2), workers=2)
    feed(scheduler, CapacityChanged(4), JobAdmitted("b", (0,), device="B"))
    feed(scheduler, WorkerReady("w-3", "other"))
    assert feed(scheduler, CapacityChanged(1)) == [KillWorker("w-3"), KillWorker("w-4")]
    assert feed(scheduler, TileDone("a", 0, "w-2")) == [KillWorker("w-2")]
    assert feed(scheduler, TileDone("a", 1, "w-1")) == [RunTile("a", 2, "w-1", 1)]
    assert feed(scheduler, CapacityChanged(2)) == [StartWorker("w-5", 0.0)]


def test_of_idle_workers_the_one_that_worked_last_is_told_last_and_killed_first() -> None:
    scheduler = running((0,), workers=3)
    # w-2 has run the tile; w-3 and w-1 have waited, w-3 for longer.
    feed(scheduler, TileDone("a", 0, "w-2"))
    assert feed(scheduler, CapacityChanged(2)) == [KillWorker("w-2")]
    assert feed(scheduler, JobAdmitted("b", (0,)))[-1] == PrepareJob("b", "w-3", 1)


def test_what_a_killed_worker_still_says_is_ignored() -> None:
    scheduler = with_workers("cpu")
    feed(scheduler, CapacityChanged(2), CapacityChanged(0))
    for late in (
        WorkerReady("w-2", "cpu"),
        WorkerDied("w-1", "killed", counts=True),
        TileDone("a", 0, "w-1"),
        JobPrepared("a", "w-1", "cpu"),
    ):
        assert feed(scheduler, late) == []
    assert scheduler.workers() == ()


def test_workers_that_never_become_ready_are_replaced_ever_later() -> None:
    scheduler = ValidatedScheduler()
    feed(scheduler, JobAdmitted("a", (0,)))
    (started,) = feed(scheduler, CapacityChanged(1))
    delays = []
    for _ in range(8):
        assert isinstance(started, StartWorker)
        delays.append(started.delay_s)
        (started,) = feed(scheduler, WorkerDied(started.worker_id, "no memory", counts=True))
    assert delays == [0.0, 1.0, 2.0, 4.0, 8.0, 16.0, MAX_START_DELAY_S, MAX_START_DELAY_S]
    # None of that was an attempt, and one that gets ready ends the back-off.
    assert feed(scheduler, WorkerReady("w-9", "cpu"))[-1] == PrepareJob("a", "w-9", 1)
    assert feed(scheduler, WorkerDied("w-9", "x", counts=True))[0] == StartWorker("w-10", 0.0)


# The dispatcher is lost


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ([], [MarkPreparing("a"), PrepareJob("a", "w-2", 1)]),
        ([WorkerReady("w-1", "cpu")], [PrepareJob("a", "w-2", 1)]),
        (
            [WorkerReady("w-1", "cpu"), JobPrepared("a", "w-1", "cpu")],
            [PrepareJob("a", "w-2", 1)],
        ),
    ],
    ids=["queued", "preparing", "running"],
)
def test_a_lost_dispatcher_costs_no_attempt(before: list[Event], after: list[Instruction]) -> None:
    scheduler = ValidatedScheduler()
    feed(scheduler, JobAdmitted("a", (3, 4)), CapacityChanged(1), *before)
    was_running = scheduler.job_state("a") is JobState.RUNNING
    assert feed(scheduler, DispatcherLost()) == ([MarkPreparing("a")] if was_running else [])
    assert scheduler.workers() == ()
    assert scheduler.in_flight("a") == ()
    assert scheduler.pending("a") == 2
    assert feed(scheduler, CapacityChanged(1)) == [StartWorker("w-2", 0.0)]
    assert feed(scheduler, WorkerReady("w-2", "cpu")) == after
    assert feed(scheduler, JobPrepared("a", "w-2", "cpu")) == [
        MarkRunning("a"),
        RunTile("a", 3, "w-2", 1),
    ]


def test_tiles_lost_with_the_dispatcher_keep_their_order_and_their_attempts() -> None:
    scheduler = running((5, 4, 3, 2), workers=3)
    feed(scheduler, TileFailed("a", 5, "w-2", "x"), DispatcherLost(), CapacityChanged(1))
    assert feed(scheduler, TileDone("a", 4, "w-3")) == []  # from the lost dispatcher
    feed(scheduler, WorkerReady("w-4", "cpu"))
    told = feed(scheduler, JobPrepared("a", "w-4", "cpu"))
    order = []
    while isinstance(told[-1], RunTile):
        order.append((told[-1].tile, told[-1].attempt))
        told = feed(scheduler, TileDone("a", told[-1].tile, "w-4"))
    assert order == [(4, 1), (3, 1), (5, 2), (2, 1)]


def test_a_job_cancelled_while_there_is_no_dispatcher_drops_nothing() -> None:
    scheduler = running((0,))
    assert feed(scheduler, DispatcherLost(), JobCancelled("a")) == []


# What may not happen


@pytest.mark.parametrize(
    "event",
    [
        JobAdmitted("a", (0,)),
        JobAdmitted("b", (1, 1)),
        JobCancelled("no-such-job"),
        JobRefused("no-such-job", "x"),
        CapacityChanged(-1),
        WorkerReady("w-1", "cpu"),
        WorkerReady("w-9", "cpu"),
        WorkerDied("gpu-1", "x", counts=True),
        JobPrepared("a", "w-1", "cpu"),
        JobPrepared("a", "w-3", "cpu"),
        PrepareFailed("a", "w-2", "x", final=True),
        TileDone("a", 1, "w-2"),
        TileDone("a", 7, "w-2"),
        TileDone("b", 0, "w-2"),
        TileFailed("a", 0, "w-1", "x"),
        TileAdvanced("a", 1, "w-2"),
        ArraysLost("b", "w-1"),
    ],
)
def test_an_illegal_event_raises_with_the_story_and_changes_nothing(event: Event) -> None:
    scheduler = running((0, 1, 2), workers=2)
    feed(scheduler, CapacityChanged(3))  # w-3 starts
    before = scheduler.workers(), scheduler.pending("a"), scheduler.capacity
    with pytest.raises(IllegalTransition) as raised:
        scheduler.handle(event)
    assert raised.value.event == event
    assert type(event).__name__ in str(raised.value)
    assert (scheduler.workers(), scheduler.pending("a"), scheduler.capacity) == before
    assert feed(scheduler, TileDone("a", 0, "w-2")) == [RunTile("a", 2, "w-2", 1)]


def test_a_tile_done_twice_is_illegal_and_the_story_says_why() -> None:
    scheduler = running((0, 1))
    feed(scheduler, TileFailed("a", 0, "w-1", "first try"), TileDone("a", 0, "w-1"))
    with pytest.raises(IllegalTransition, match="not told to do that") as raised:
        scheduler.handle(TileDone("a", 0, "w-1"))
    assert "a: attempt 1 at tile 0 failed: first try" in raised.value.story
    assert "w-1: told to run tile 1 of a, attempt 1" in raised.value.story


def test_a_job_prepared_on_another_device_than_its_worker_has_is_illegal() -> None:
    scheduler = with_workers("A")
    feed(scheduler, JobAdmitted("a", (0,)))
    with pytest.raises(IllegalTransition):
        scheduler.handle(JobPrepared("a", "w-1", "B"))


# What caused what


def test_every_instruction_carries_the_event_that_brought_it() -> None:
    scheduler = ValidatedScheduler()
    course: list[tuple[Event, list[Instruction]]] = [
        (JobAdmitted("a", (4, 2), stimulus_id="submission-1"), []),
        (CapacityChanged(2, stimulus_id="found-2"), [StartWorker("w-1", 0), StartWorker("w-2", 0)]),
        (
            WorkerReady("w-1", "cpu", stimulus_id="ready-3"),
            [MarkPreparing("a"), PrepareJob("a", "w-1", 1)],
        ),
        (WorkerReady("w-2", "cpu", stimulus_id="ready-4"), []),
        (
            JobPrepared("a", "w-1", "cpu", stimulus_id="prepared-5"),
            [MarkRunning("a"), RunTile("a", 4, "w-2", 1), RunTile("a", 2, "w-1", 1)],
        ),
        (CapacityChanged(1, stimulus_id="found-6"), []),
        (TileDone("a", 4, "w-2", stimulus_id="done-7"), [KillWorker("w-2")]),
        (TileDone("a", 2, "w-1", stimulus_id="done-8"), [CompleteJob("a"), DropJob("a")]),
    ]
    for event, expected in course:
        brought = scheduler.handle(event)
        assert brought == expected
        assert {instruction.stimulus_id for instruction in brought} <= {event.stimulus_id}


@pytest.mark.parametrize(
    "end", [JobCancelled("a", stimulus_id="end"), JobRefused("a", "x", stimulus_id="end")]
)
def test_the_end_of_a_job_is_what_dropped_it(end: Event) -> None:
    for instruction in feed(running((0,)), end):
        assert instruction.stimulus_id == "end"


def test_a_story_names_what_caused_each_of_its_lines() -> None:
    scheduler = ValidatedScheduler()
    feed(
        scheduler,
        CapacityChanged(1, stimulus_id="found-1"),
        WorkerReady("w-1", "cpu", stimulus_id="ready-2"),
        JobAdmitted("a", (0,), stimulus_id="submission-3"),
    )
    with pytest.raises(IllegalTransition, match=r"\[done-4\]; before it") as raised:
        scheduler.handle(TileDone("a", 0, "w-1", stimulus_id="done-4"))
    assert raised.value.story == (
        "a: admitted with 1 tiles, device None [submission-3]",
        "a: attempt 1 at preparing, by w-1 [submission-3]",
        "w-1: ready on cpu [ready-2]",
        "w-1: told to prepare a, attempt 1 [submission-3]",
    )


def test_the_cause_is_no_part_of_what_is_said() -> None:
    assert TileDone("a", 0, "w-1", stimulus_id="one") == TileDone("a", 0, "w-1", stimulus_id="two")


# The vocabulary


def test_events_and_instructions_cross_a_pipe() -> None:
    for value in (
        JobAdmitted("a", (1, 2), "cpu", {1: 2}),
        DispatcherLost(),
        TileFailed("a", 1, "w-1", "x"),
        TileAdvanced("a", 1, "w-1"),
        FailJob("a", None, "x", 1, True),
        RunTile("a", 1, "w-1", 1),
    ):
        assert pickle.loads(pickle.dumps(value)) == value


def test_the_document_names_every_event_instruction_and_state() -> None:
    document = (Path(__file__).parents[2] / "docs" / "scheduler.md").read_text("utf-8")
    names = {*events.__all__, *instructions.__all__} - {
        "CoordinatorInstruction",
        "DispatcherInstruction",
        "Event",
        "Instruction",
    }
    names |= {*JobState, *WorkerState}
    assert sorted(name for name in names if f"`{name}`" not in document) == []
