"""Surfaces and rollbacks as files: derived from the journal, never the other way round.

A file is named JOB.REVISION.SHA256.h5. The job's revision counts what its result is made from, so
a name means one content forever, and a restarted service knows which files are still good. The
sha256 is that of the file: it is the entity tag, and it is worked out once, when the file is made.
"""

import contextlib
import hashlib
import re
import threading
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from weakref import WeakValueDictionary

from bertscape.results import Attempt, Result, Run, assemble_result, result_bytes
from bertscape.values import publishing
from bertscape_service.journal import Journal, Results, RunFacts

_NAME = re.compile(r"(?P<job>.+)\.(?P<revision>\d+)\.(?P<sha256>[0-9a-f]{64})\.h5")


@dataclass(frozen=True, slots=True)
class Published:
    """A result as a file; what is under this name never changes."""

    job_id: str
    revision: int
    sha256: str  # of the file
    path: Path

    @classmethod
    def of(cls, path: Path) -> "Published | None":
        """What a file's name says; None if it is not the name of a result."""
        found = _NAME.fullmatch(path.name)
        if found is None:
            return None
        return cls(found["job"], int(found["revision"]), found["sha256"], path)

    @property
    def etag(self) -> str:
        """The strong entity tag, with its quotes."""
        return f'"{self.sha256}"'


class Publication:
    """The published results of one state directory.

    Every method may be called from any thread, and all except `give_back` read and write files for
    a while. Results of different jobs are made beside each other, that of one job once.
    """

    def __init__(self, journal: Journal, folder: Path) -> None:
        self._journal = journal
        self._folder = folder
        self._guard = threading.Lock()  # over all that follows; never held for long
        self._building: WeakValueDictionary[str, threading.Lock] = WeakValueDictionary()
        self._present: dict[str, Published] = {}  # by job
        self._lent: Counter[Path] = Counter()
        self._outdated: set[Path] = set()  # lent, and to be removed when it is given back
        self._find_present()

    def publish(self, job_id: str) -> Published | None:
        """Bring the job's file up to date; None before its first tile, and if it leaves no file.

        Raises:
            JournalUnavailable: the journal could not be read.
            OSError: the file could not be written.
        """
        with self._lock_of(job_id):
            return self._publish(job_id)

    def lend(self, job_id: str) -> Published | None:
        """As `publish`. The file stays, whatever follows it, until it is given back."""
        with self._lock_of(job_id):
            published = self._publish(job_id)
            if published is not None:
                with self._guard:
                    self._lent[published.path] += 1
            return published

    def give_back(self, published: Published) -> None:
        """What was lent is not read any more."""
        path = published.path
        with self._guard:
            self._lent[path] -= 1
            if self._lent[path] > 0:
                return
            del self._lent[path]
            if path in self._outdated:
                self._outdated.discard(path)
                path.unlink(missing_ok=True)

    def _find_present(self) -> None:
        """Take up what an earlier service left, and remove what is of no use."""
        for unfinished in self._folder.glob(".*.part"):  # of a service that was killed
            unfinished.unlink()
        for path in self._folder.glob("*.h5"):
            found = Published.of(path)
            if found is None:  # named as older versions did
                path.unlink()
            else:
                self._replace(found)

    def _lock_of(self, job_id: str) -> threading.Lock:
        with self._guard:
            return self._building.setdefault(job_id, threading.Lock())

    def _publish(self, job_id: str) -> Published | None:
        job = self._journal.job(job_id)
        if job is None or job.tiles_done == 0 or job.spec.result_form is None:
            return None
        present = self._present.get(job_id)
        if present is not None and present.revision == job.revision and present.path.exists():
            return present
        return self._build(job_id)

    def _build(self, job_id: str) -> Published:
        results = self._journal.results(job_id)
        assert results is not None  # noqa: S101  jobs are never deleted
        content = result_bytes(_result(results))
        sha256, revision = hashlib.sha256(content).hexdigest(), results.row.revision
        path = self._folder / f"{job_id}.{revision}.{sha256}.h5"
        with publishing(path) as file:
            file.write(content)
        published = Published(job_id, revision, sha256, path)
        self._replace(published)
        return published

    def _replace(self, published: Published) -> None:
        """Replace an earlier file by this one; the earlier is deleted once nobody reads it."""
        with self._guard:
            earlier = self._present.get(published.job_id)
            if earlier is not None and earlier.revision > published.revision:
                earlier, published = published, earlier
            self._present[published.job_id] = published
            if earlier is None or earlier.path == published.path:
                return
            if self._lent[earlier.path] > 0:
                self._outdated.add(earlier.path)
            else:
                with contextlib.suppress(FileNotFoundError):
                    earlier.path.unlink()


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
