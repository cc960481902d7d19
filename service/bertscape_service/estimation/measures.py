"""What a job took once it is done: in all, and at which rates its workers worked."""

from collections.abc import Iterator, Sequence

from bertscape.values import Findings
from bertscape_service.estimation.keys import main_stage, rate_key
from bertscape_service.journal import AttemptRow, JobRow, Journal, MeasuredRate, Outcome


def note_rates(journal: Journal, job_id: str) -> None:
    """Write down what a job took whose points are all done; it blocks.

    Raises:
        JournalUnavailable: the disk refuses to be read.
    """
    job, attempts = journal.job(job_id), journal.attempts(job_id)
    if job is None or job.findings is None or not attempts:
        return
    estimate, pins = job.estimate, job.findings
    key, rates = None, list[MeasuredRate]()
    if estimate is not None and estimate.model is not None:
        key = rate_key(job.spec, estimate.model, pins.device, pins.threads)
        rates = [*_rates(job, attempts)]
    journal.measure(job_id, _taken(attempts), key, rates)


def _taken(attempts: Sequence[AttemptRow]) -> float:
    """From the first attempt to the end of the last, whatever lay between."""
    ends = [attempt.started + attempt.seconds for attempt in attempts]
    return max(ends) - min(attempt.started for attempt in attempts)


def _rates(job: JobRow, attempts: Sequence[AttemptRow]) -> Iterator[MeasuredRate]:
    work = job.estimate
    assert work is not None  # noqa: S101  the caller has looked
    evaluator = job.findings.evaluator if isinstance(job.findings, Findings) else None
    prepared = [one for one in attempts if one.tile is None and one.outcome is Outcome.DONE]
    if prepared:
        seconds = prepared[-1].seconds
        yield MeasuredRate("preparing", work.preparing, 1, seconds, evaluator)
    tiles = [one for one in attempts if one.tile is not None]
    done = [one for one in tiles if one.outcome is Outcome.DONE]
    if job.spec.trains and len(done) != len(tiles):
        return  # a part of its steps was done by an attempt that was lost
    if job.points_total != job.spec.point_count:
        return  # it took more rounds than were counted
    workers = len({one.worker for one in done})
    flops = work.once * workers + work.each * work.count
    seconds = sum(one.seconds for one in done)
    if seconds > 0:
        yield MeasuredRate(main_stage(job.spec), flops, work.count, seconds, evaluator)
