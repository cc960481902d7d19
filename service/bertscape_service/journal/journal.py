"""The journal: everything that the service promises not to lose, in one SQLite file.

A **job** is one request; a **tile** row holds the numbers of a tile that is done; an **attempt**
row tells of one try that ended. A surface is derived from these and never stored here.

Thread safety: every method may be called from any thread. Writes go through one connection on
one thread (`JournalWriter`), in the order of the calls; each returns a future that resolves after
its commit, and nothing may be acknowledged before. Reads use one read-only connection, block
their caller for as long as the disk takes, and see what was committed before the call.

Who may change what: one process owns the file (the state directory's lock sees to that), and in it
the coordinator alone calls the methods that write. Rows of `tiles`, `attempts` and `rates` are only
ever added. A job's pins are set once. A job that has ended never changes its state again, and takes
no more tiles: whoever comes first wins, and the others are told so by their future.
"""

import json
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from bertscape.values import Pins, Problem, TrainingOutput
from bertscape_service.journal.parsing import RowParser, attempt_row, measured_rate, tile_rows
from bertscape_service.journal.rows import (
    Added,
    AttemptRow,
    EstimatedWork,
    JobRow,
    MeasuredRate,
    NewJob,
    RateKey,
    Results,
    RunFacts,
    TileRow,
    UnfinishedJob,
)
from bertscape_service.journal.writer import JournalUnavailable, JournalWriter
from bertscape_service.scheduling import JobState


class Journal:
    """The jobs, tiles and attempts of one state directory.

    Args:
        path: the file; created if it does not exist.
        writer: what writes to it; by default one of its own. `close` closes it too.

    Raises:
        InvalidInput: the file is not a journal, or that of a newer version.
        JournalUnavailable: the disk refuses, also from every method that reads.
    """

    def __init__(self, path: Path, writer: JournalWriter | None = None) -> None:
        self._writer = writer or JournalWriter(path)
        self._reader = sqlite3.connect(
            f"{path.resolve().as_uri()}?mode=ro",
            uri=True,
            isolation_level=None,
            check_same_thread=False,
        )
        self._reader.row_factory = sqlite3.Row
        self._reading = threading.Lock()
        self._parser = RowParser()

    def close(self) -> None:
        """Commit what waits, and close the file."""
        self._writer.close()
        with self._reading:
            self._reader.close()

    @property
    def fault(self) -> str | None:
        """Why the disk refuses to take what is written now; None while it does not."""
        return self._writer.fault

    # Writes.

    def add_job(self, job: NewJob) -> "Future[Added]":
        """Write a job down, or find the one whose idempotency key this is."""
        return self._writer.submit(
            lambda connection: _add_job(connection, job, self._parser), lasting=False
        )

    def mark(self, job_id: str, state: JobState) -> "Future[bool]":
        """Record how far an unfinished job is; False if it has ended."""
        return self._writer.submit(
            lambda connection: _set_state(connection, job_id, state, None), lasting=True
        )

    def end_job(
        self, job_id: str, state: JobState, error: Problem | None = None, *, lasting: bool = True
    ) -> "Future[bool]":
        """Record that a job is completed, failed or cancelled; False if it had ended."""
        return self._writer.submit(
            lambda connection: _set_state(connection, job_id, state, error), lasting=lasting
        )

    def pin(self, job_id: str, findings: Pins, run: RunFacts) -> "Future[None]":
        """Record what preparing found (the first time), and on what the job runs (every time)."""
        return self._writer.submit(
            lambda connection: _pin(connection, job_id, findings, run), lasting=True
        )

    def add_tile(
        self,
        job_id: str,
        tile: TileRow,
        attempt: AttemptRow,
        output: TrainingOutput | None = None,
    ) -> "Future[bool]":
        """Record a tile that is done, and a fine-tuning's output with it.

        The result is False if the job has ended, or had this tile.
        """
        return self._writer.submit(
            lambda connection: _add_tile(connection, job_id, tile, attempt, output), lasting=True
        )

    def add_round(self, job_id: str, tiles: int, points: int) -> "Future[None]":
        """Record that so many more tiles and points are to be done, unless the job has ended."""
        return self._writer.submit(
            lambda connection: _add_round(connection, job_id, tiles, points), lasting=True
        )

    def add_attempt(self, job_id: str, attempt: AttemptRow) -> "Future[None]":
        """Record an attempt that gave no tile."""
        return self._writer.submit(
            lambda connection: _add_attempt(connection, job_id, attempt), lasting=True
        )

    def keep_estimate(self, job_id: str, estimate: EstimatedWork) -> "Future[None]":
        """Record what a job was estimated to take, unless it has ended."""
        return self._writer.submit(
            lambda connection: _keep_estimate(connection, job_id, estimate), lasting=True
        )

    def measure(
        self, job_id: str, taken: float, key: RateKey | None, rates: Sequence[MeasuredRate]
    ) -> "Future[None]":
        """Record how long a job took whose tiles are all done, and how fast its workers were."""
        return self._writer.submit(
            lambda connection: _measure(connection, job_id, taken, key, rates), lasting=True
        )

    def settled(self) -> "Future[None]":
        """Resolves once everything written before is committed."""
        return self._writer.submit(lambda _: None, lasting=True)

    # Reads.

    def check(self) -> None:
        """Raise if the file cannot be read, or does not take what is written now."""
        self.jobs(1)
        if self.fault is not None:
            raise JournalUnavailable.because(self.fault)

    def job(self, job_id: str) -> JobRow | None:
        """The job of that id, or None."""
        with self._read() as reader:
            row = reader.execute("SELECT * FROM jobs WHERE id = ?", (job_id,)).fetchone()
        return self._parser.job(row) if row else None

    def job_of_key(self, idempotency_key: str, body_sha256: str) -> Added | None:
        """The job that was submitted with this key, or None."""
        with self._read() as reader:
            return _find_key(reader, idempotency_key, body_sha256, self._parser)

    def jobs(self, limit: int, after: int | None = None) -> tuple[JobRow, ...]:
        """At most `limit` jobs, the newest first: those older than the one numbered `after`."""
        with self._read() as reader:
            rows = reader.execute(
                "SELECT * FROM jobs WHERE number < ? ORDER BY number DESC LIMIT ?",
                (2**62 if after is None else after, limit),
            ).fetchall()
        return tuple(self._parser.job(row) for row in rows)

    def unfinished(self) -> tuple[UnfinishedJob, ...]:
        """Every job that has not ended, in the order of submission, with what it lacks."""
        with self._read() as reader:
            rows = reader.execute("SELECT * FROM jobs WHERE active ORDER BY number").fetchall()
            return tuple(_unfinished(reader, self._parser.job(row)) for row in rows)

    def results(self, job_id: str) -> Results | None:
        """All that the job's surface is made from, read at one moment; None: no such job."""
        with self._read() as reader:
            row = reader.execute("SELECT * FROM jobs WHERE id = ?", (job_id,)).fetchone()
            if row is None:
                return None
            job = self._parser.job(row)
            attempts = reader.execute(
                "SELECT * FROM attempts WHERE job = ? ORDER BY number", (job.number,)
            )
            return Results(
                job,
                tuple(tile_rows(reader, job)),
                tuple(attempt_row(attempt) for attempt in attempts),
            )

    def attempts(self, job_id: str) -> tuple[AttemptRow, ...]:
        """The attempts of a job that ended, in that order."""
        with self._read() as reader:
            rows = reader.execute(
                "SELECT attempts.* FROM attempts JOIN jobs ON jobs.number = attempts.job"
                " WHERE jobs.id = ? ORDER BY attempts.number",
                (job_id,),
            ).fetchall()
        return tuple(attempt_row(row) for row in rows)

    def rates(self, key: RateKey, stage: str, limit: int) -> tuple[MeasuredRate, ...]:
        """How fast such workers were at this stage of earlier jobs, the latest first."""
        with self._read() as reader:
            rows = reader.execute(
                "SELECT * FROM rates WHERE device = ? AND model = ? AND stage = ? AND threads = ?"
                " AND precision = ? ORDER BY number DESC LIMIT ?",
                (key.device, key.model, stage, key.threads, key.precision, limit),
            ).fetchall()
        return tuple(measured_rate(row) for row in rows)

    @contextmanager
    def _read(self) -> Iterator[sqlite3.Connection]:
        """The reading connection, in one transaction so that all it shows is of one moment."""
        with self._reading:
            try:
                self._reader.execute("BEGIN")
                try:
                    yield self._reader
                finally:
                    self._reader.execute("ROLLBACK")
            except sqlite3.Error as error:
                raise JournalUnavailable.because(error) from error


# Changes, each inside a transaction of the writer.


def _add_job(connection: sqlite3.Connection, job: NewJob, parser: RowParser) -> Added:
    if job.idempotency_key is not None:
        earlier = _find_key(connection, job.idempotency_key, job.body_sha256, parser)
        if earlier is not None:
            return earlier
    points, now = job.spec.point_count, time.time()
    connection.execute(
        "INSERT INTO jobs (id, state, spec, tile_points, points_total, tiles_total, created,"
        " updated, idempotency_key, body_sha256) VALUES (?, 'queued', ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            job.id,
            json.dumps(job.spec.to_json()),
            job.tile_points,
            points,
            -(-points // job.tile_points),
            now,
            now,
            job.idempotency_key,
            job.body_sha256,
        ),
    )
    return Added(_by_id(connection, job.id, parser), created=True, same_body=True)


def _find_key(
    connection: sqlite3.Connection, key: str, body_sha256: str, parser: RowParser
) -> Added | None:
    found = connection.execute(
        "SELECT id, body_sha256 FROM jobs WHERE idempotency_key = ?", (key,)
    ).fetchone()
    if found is None:
        return None
    job_id, earlier = found
    row = _by_id(connection, job_id, parser)
    return Added(row, created=False, same_body=earlier == body_sha256)


def _by_id(connection: sqlite3.Connection, job_id: str, parser: RowParser) -> JobRow:
    cursor = connection.cursor()
    cursor.row_factory = sqlite3.Row
    return parser.job(cursor.execute("SELECT * FROM jobs WHERE id = ?", (job_id,)).fetchone())


def _set_state(
    connection: sqlite3.Connection, job_id: str, state: JobState, error: Problem | None
) -> bool:
    problem = json.dumps(error.to_json()) if error else None
    changed = connection.execute(
        "UPDATE jobs SET state = ?, error = ?, updated = ? WHERE id = ? AND active",
        (state, problem, time.time(), job_id),
    )
    return changed.rowcount == 1


def _pin(connection: sqlite3.Connection, job_id: str, findings: Pins, run: RunFacts) -> None:
    connection.execute(
        "UPDATE jobs SET findings = coalesce(findings, ?), run = ?, updated = ?,"
        " revision = revision + 1 WHERE id = ?",
        (findings.model_dump_json(), json.dumps(asdict(run)), time.time(), job_id),
    )


def _add_tile(
    connection: sqlite3.Connection,
    job_id: str,
    tile: TileRow,
    attempt: AttemptRow,
    output: TrainingOutput | None,
) -> bool:
    blob = np.ascontiguousarray(tile.numbers, dtype="<f8").tobytes()
    added = connection.execute(
        "INSERT OR IGNORE INTO tiles (job, tile, numbers)"
        " SELECT number, ?, ? FROM jobs WHERE id = ? AND active",
        (tile.tile, blob, job_id),
    )
    if added.rowcount != 1:
        return False
    connection.execute(
        "UPDATE jobs SET tiles_done = tiles_done + 1, points_done = points_done + ? WHERE id = ?",
        (len(tile.numbers), job_id),
    )
    if output is not None:
        text = json.dumps(output.to_json())
        connection.execute("UPDATE jobs SET output = ? WHERE id = ?", (text, job_id))
    _add_attempt(connection, job_id, attempt)
    return True


def _add_round(connection: sqlite3.Connection, job_id: str, tiles: int, points: int) -> None:
    connection.execute(
        "UPDATE jobs SET tiles_total = tiles_total + ?, points_total = points_total + ?,"
        " updated = ? WHERE id = ? AND active",
        (tiles, points, time.time(), job_id),
    )


def _add_attempt(connection: sqlite3.Connection, job_id: str, attempt: AttemptRow) -> None:
    connection.execute(
        "INSERT INTO attempts (job, tile, attempt, worker, device, outcome, error, started,"
        " seconds) SELECT number, ?, ?, ?, ?, ?, ?, ?, ? FROM jobs WHERE id = ?",
        (
            attempt.tile,
            attempt.attempt,
            attempt.worker,
            attempt.device,
            attempt.outcome,
            attempt.error,
            attempt.started,
            attempt.seconds,
            job_id,
        ),
    )
    connection.execute(
        "UPDATE jobs SET revision = revision + 1, updated = ? WHERE id = ?", (time.time(), job_id)
    )


def _keep_estimate(connection: sqlite3.Connection, job_id: str, estimate: EstimatedWork) -> None:
    connection.execute(
        "UPDATE jobs SET estimate = ? WHERE id = ? AND active",
        (json.dumps(asdict(estimate)), job_id),
    )


def _measure(
    connection: sqlite3.Connection,
    job_id: str,
    taken: float,
    key: RateKey | None,
    rates: Sequence[MeasuredRate],
) -> None:
    connection.execute("UPDATE jobs SET taken = ? WHERE id = ? AND active", (taken, job_id))
    if key is None:
        return
    for rate in rates:
        connection.execute(
            "INSERT INTO rates (job, stage, device, threads, precision, evaluator, model, flops,"
            " count, seconds) SELECT number, ?, ?, ?, ?, ?, ?, ?, ?, ? FROM jobs"
            " WHERE id = ? AND active",
            (
                rate.stage,
                key.device,
                key.threads,
                key.precision,
                rate.evaluator,
                key.model,
                rate.flops,
                rate.count,
                rate.seconds,
                job_id,
            ),
        )


# What a restart needs.


def _unfinished(reader: sqlite3.Connection, job: JobRow) -> UnfinishedJob:
    done = {
        tile for (tile,) in reader.execute("SELECT tile FROM tiles WHERE job = ?", (job.number,))
    }
    failed: dict[int, Any] = dict(
        reader.execute(
            "SELECT tile, count(*) FROM attempts AS one WHERE job = ? AND tile IS NOT NULL"
            " AND outcome = 'failed' AND number > coalesce((SELECT max(number) FROM attempts"
            " WHERE job = one.job AND tile = one.tile AND outcome = 'done'), 0) GROUP BY tile",
            (job.number,),
        ).fetchall()
    )
    missing = tuple(tile for tile in range(job.tiles_total) if tile not in done)
    (preparings,) = reader.execute(
        "SELECT count(*) FROM attempts WHERE job = :job AND tile IS NULL AND outcome = 'failed'"
        " AND number > coalesce((SELECT max(number) FROM attempts WHERE job = :job"
        " AND tile IS NULL AND outcome = 'done'), 0)",
        {"job": job.number},
    ).fetchone()
    counted = {tile: failed[tile] for tile in missing if tile in failed}
    tiles = tuple(tile_rows(reader, job)) if job.spec.sharpens else ()
    return UnfinishedJob(job, missing, counted, preparings, tiles)
