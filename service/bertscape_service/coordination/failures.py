"""Why a job failed, as the problem object that it keeps."""

from bertscape.values import Pins, Problem, ProblemType, shortened
from bertscape_service.coordination.work_in_flight import UnfinishedWork
from bertscape_service.scheduling import FailJob

_SPEC_KEYS = {
    "checkpoints.pretrained": "model.pretrained",
    "checkpoints.finetuned": "model.finetuned",
    "splits.train": "data.train",
    "splits.eval": "data.eval",
}


def failure(job: UnfinishedWork, decided: FailJob) -> Problem:
    """The problem of a job that the scheduler has failed."""
    if decided.tile is not None:
        detail = (
            f"{job.place_of(decided.tile)} failed {decided.attempts} times; "
            f"the last error: {decided.error}"
        )
        return Problem(ProblemType.TILE_FAILED, detail)
    if decided.input_error:
        return job.problem or Problem(ProblemType.INVALID_VALUE, decided.error)
    detail = f"preparing failed {decided.attempts} times; the last error: {decided.error}"
    return Problem(ProblemType.PREPARING_FAILED, detail)


def change(pins: Pins, found: Pins) -> Problem | None:
    """The first thing in which a later preparing differs from the first; None: nothing does.

    Where it is a checkpoint or a split, the problem names the folder or file.
    """
    first = next(pins.differences(found), None)
    if first is None:
        return None
    key, before, now = first
    name = ".".join(key.split(".")[:2])
    source = _sources(pins).get(name)
    what = f"{source} ({key})" if source else key
    expected = f"what the job began with: {shortened(before)}"
    return Problem(
        ProblemType.INPUT_CHANGED,
        f"{what} changed since the job began: {shortened(now)}; expected {expected}",
        key=_SPEC_KEYS.get(name, name) if source else key,
        value=shortened(now),
        expected=expected,
    )


def _sources(findings: Pins) -> dict[str, str]:
    """Folder, file or id of every checkpoint and split, by its key in the findings."""
    sources = {f"checkpoints.{name}": c.source for name, c in findings.checkpoints.items()}
    return sources | {f"splits.{name}": split.source for name, split in findings.splits.items()}
