"""How far a study is, and how long it will still take."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from bertscape.study.plan import Step
from bertscape.values import JobStatus


def units(step: Step) -> float:
    """How much there is to do: epochs of a training, points of anything else."""
    return float(step.training.epochs if step.training else step.spec.point_count)


@dataclass(slots=True)
class Pace:
    """Units done in a time, of one kind of work: it says how long the rest will take.

    Several jobs at a time share the workers: the pace is that of all of them together, over the
    time in which there was any.
    """

    seconds: float = 0.0
    done: float = 0.0
    seen: dict[str, float] = field(default_factory=dict)  # units done of each step, when last seen

    def note(self, seconds: float, done: Mapping[str, float]) -> None:
        """What had happened `seconds` after the last note, by the keys of the running steps.

        A step that is seen for the first time sets a mark: what it had done was done before.
        """
        gained = sum(count - self.seen.get(key, count) for key, count in done.items())
        if done:
            self.seconds += seconds
            self.done += gained
        self.seen.update(done)

    def remaining(self, left: float) -> float | None:
        """Seconds for so many units; None while the pace is not known."""
        if left <= 0:
            return 0.0
        return left * self.seconds / self.done if self.done > 0 else None


class Outlook:
    """The paces of trainings and of everything else."""

    def __init__(self) -> None:
        self._paces = {True: Pace(), False: Pace()}  # by: is a training

    def note(self, seconds: float, running: Sequence[tuple[Step, JobStatus]]) -> None:
        """What the steps that run now have done, `seconds` after the last note."""
        for training, pace in self._paces.items():
            pace.note(
                seconds,
                {
                    step.key: units(step) * _share(status)
                    for step, status in running
                    if step.spec.trains is training
                },
            )

    def eta(self, left: Sequence[tuple[Step, JobStatus | None]]) -> float | None:
        """Seconds until the last step is done; None while it cannot be told.

        Args:
            left: the steps that are not done, with their jobs' states if they have a job.
        """
        total = 0.0
        for training, pace in self._paces.items():
            count = sum(
                units(step) * (1 - (_share(status) if status else 0.0))
                for step, status in left
                if step.spec.trains is training
            )
            seconds = pace.remaining(count)
            if seconds is None:
                return None
            total += seconds
        return total


def _share(status: JobStatus) -> float:
    """Of a job that is done, in [0, 1]; a training is one point, and says its steps instead."""
    if status.points_total == 1 and status.steps is not None and status.steps[1]:
        done, total = status.steps
        return done / total
    return status.points_done / status.points_total if status.points_total else 0.0
