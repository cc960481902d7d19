"""The result of a job as users fetch it."""

import asyncio

from bertscape.values import BertscapeError, Problem, ProblemType
from bertscape_service.coordination.jobs import no_such_job
from bertscape_service.coordination.publication import Publication, Published
from bertscape_service.journal import Journal


class JobResults:
    """The results of one service's jobs. Every method belongs on the event loop's thread."""

    def __init__(self, journal: Journal, publication: Publication) -> None:
        self._journal = journal
        self._publication = publication

    async def lend(self, job_id: str) -> Published:
        """The job's file, up to date; it stays until it is given back.

        Raises:
            BertscapeError: job-not-found, not-found if the job leaves no file,
                surface-not-ready before the first tile, or unavailable if the disk refuses.
        """
        row = await asyncio.to_thread(self._journal.job, job_id)
        if row is None:
            raise no_such_job(job_id)
        if row.spec.result_form is None:
            detail = f"job {row.id} is a fine-tuning, which has no surface; see its output"
            raise BertscapeError(Problem(ProblemType.NOT_FOUND, detail, value=row.id))
        try:
            published = await asyncio.to_thread(self._publication.lend, job_id)
        except OSError as error:
            detail = f"the surface cannot be written: {error}"
            raise BertscapeError(Problem(ProblemType.UNAVAILABLE, detail)) from error
        if published is None:
            detail = f"job {row.id} is {row.state.value} and has no tile yet"
            raise BertscapeError(Problem(ProblemType.SURFACE_NOT_READY, detail, value=row.id))
        return published

    def give_back(self, published: Published) -> None:
        """What was lent is not read any more."""
        self._publication.give_back(published)
