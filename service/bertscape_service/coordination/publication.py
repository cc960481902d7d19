"""Surfaces and rollbacks as files: derived from the journal, never the other way round.

A file's name holds the job's revision, which counts what its result is made from. So a name
means one content for ever, a restarted service knows what is still good, and the entity tag (the
file's sha256) changes exactly when the content does.
"""

import contextlib
import hashlib
import threading
from dataclasses import dataclass
from pathlib import Path

from bertscape.results import (
    Attempt,
    Result,
    Run,
    assemble_result,
    result_bytes,
)
from bertscape.values import publishing
from bertscape_service.journal import (
    Journal,
    Results,
    RunFacts,
)


@dataclass(frozen=True, slots=True)
class Published:
    """A result as its file holds it."""

    content: bytes
    etag: str  # strong, with its quotes


class Publication:
    """The published results of one state directory.

    Every method reads and writes files, may be called from any thread, and builds one result at
    a time.
    """

    def __init__(self, journal: Journal, folder: Path) -> None:
        self._journal = journal
        self._folder = folder
        self._building = threading.Lock()
        for unfinished in folder.glob(".*.part"):  # of a service that was killed
            unfinished.unlink()

    def publish(self, job_id: str) -> Published | None:
        """Bring the job's file up to date and read it; None before its first tile.

        Raises:
            JournalUnavailable: the journal could not be read.
            OSError: the file could not be written.
        """
        with self._building:
            job = self._journal.job(job_id)
            if job is None or job.tiles_done == 0:
                return None
            path = self._path(job_id, job.revision)
            try:
                content = path.read_bytes()
            except FileNotFoundError:
                content = self._build(job_id)
        return Published(content, f'"{hashlib.sha256(content).hexdigest()}"')

    def _build(self, job_id: str) -> bytes:
        results = self._journal.results(job_id)
        assert results is not None  # noqa: S101  jobs are never deleted
        content = result_bytes(_result(results))
        path = self._path(job_id, results.row.revision)
        with publishing(path) as file:
            file.write(content)
        for earlier in self._folder.glob(f"{job_id}.*.h5"):
            if earlier != path:
                with contextlib.suppress(FileNotFoundError):
                    earlier.unlink()
        return content

    def _path(self, job_id: str, revision: int) -> Path:
        return self._folder / f"{job_id}.{revision}.h5"


def _result(results: Results) -> Result:
    row = results.row
    assert row.findings is not None  # noqa: S101  pinned before the first tile
    facts = row.run or RunFacts(0, row.findings.threads, {})
    attempts = tuple(
        Attempt(a.tile, a.attempt, a.worker, a.device, a.started, a.seconds, a.outcome.value)
        for a in results.attempts
        if a.tile is not None
    )
    return assemble_result(
        row.spec,
        row.findings,
        row.tile_points,
        ((tile.tile, tile.numbers) for tile in results.tiles),
        Run(attempts, facts.workers, facts.threads, row.tile_points, facts.versions),
    )
