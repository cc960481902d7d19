"""The end of a job, together with the publication of its result."""

import asyncio
import logging

from bertscape.values import BertscapeError, Problem, ProblemType
from bertscape_service.coordination.publication import Publication
from bertscape_service.coordination.subscriptions import Commits
from bertscape_service.coordination.work_in_flight import UnfinishedWork
from bertscape_service.estimation import note_rates
from bertscape_service.journal import Journal
from bertscape_service.scheduling import JobState

logger = logging.getLogger(__name__)

PUBLISH_AGAIN_S = 5.0  # while the disk refuses the result of a completed job


class Endings:
    """Ends jobs in the journal, and has their results published.

    A job is said to be completed once its result is published. A job that failed or was cancelled
    has ended at once; what it had computed is published after that, or when someone asks for it.
    """

    def __init__(self, journal: Journal, publication: Publication, commits: Commits) -> None:
        self._journal = journal
        self._publication = publication
        self._commits = commits

    def complete(self, job: UnfinishedWork) -> None:
        """Every tile of the job has come."""
        self._commits.spawn(self._complete(job))

    def fail(self, job: UnfinishedWork, problem: Problem) -> None:
        """The job goes on no more, for this reason."""
        ended = self._journal.end_job(job.job_id, JobState.FAILED, problem)
        self._commits.announce(job.job_id, ended)
        self._publish_later(job.job_id)

    async def cancel(self, job_id: str) -> bool:
        """End the job because someone cancelled it.

        Returns:
            Whether that ended it; False if it had ended or never existed.

        Raises:
            JournalUnavailable: the disk refuses.
        """
        ended = self._journal.end_job(job_id, JobState.CANCELLED, lasting=False)
        if not await asyncio.wrap_future(ended):
            return False
        self._publish_later(job_id)
        return True

    async def _complete(self, job: UnfinishedWork) -> None:
        await asyncio.wrap_future(self._journal.settled())
        state, error = JobState.COMPLETED, None
        try:
            await self._publish_whole(job.job_id)
        except Exception as fault:
            logger.exception("the surface of job %s cannot be made", job.job_id)
            detail = f"its surface cannot be made: {fault}"
            state, error = JobState.FAILED, Problem(ProblemType.INTERNAL, detail)
        await asyncio.to_thread(self._note_rates, job.job_id)
        await self._commits.of(job.job_id, self._journal.end_job(job.job_id, state, error))

    def _note_rates(self, job_id: str) -> None:
        try:
            note_rates(self._journal, job_id)
        except Exception:  # a job is done, whatever is known of its pace
            logger.exception("what job %s took is not written down", job_id)

    async def _publish_whole(self, job_id: str) -> None:
        while True:
            try:
                await asyncio.to_thread(self._publication.publish, job_id)
            except OSError as error:
                logger.warning("the surface of job %s waits for the disk: %s", job_id, error)
                await asyncio.sleep(PUBLISH_AGAIN_S)
            else:
                return

    def _publish_later(self, job_id: str) -> None:
        self._commits.spawn(self._publish_what_is_done(job_id))

    async def _publish_what_is_done(self, job_id: str) -> None:
        try:
            await asyncio.wrap_future(self._journal.settled())
            await asyncio.to_thread(self._publication.publish, job_id)
        except (OSError, BertscapeError) as error:  # made again when someone asks for it
            logger.warning("the surface of job %s is not published now: %s", job_id, error)
