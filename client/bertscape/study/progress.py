"""How far a study is, as one line on a terminal; nothing in a pipe."""

from collections.abc import Sequence

from bertscape.http import Bar, duration
from bertscape.study.plan import Step
from bertscape.values import JobStatus

_ENDS = "{desc}: |{bar}| {n_fmt}/{total_fmt} steps{postfix}"


class StudyProgress(Bar):
    """A bar on standard error: steps done, what runs now, and how long the rest will take."""

    def __init__(self, steps: Sequence[Step], shown: bool = True) -> None:
        super().__init__(shown, total=len(steps), desc="study", bar_format=_ENDS)

    def show(self, done: int, running: Sequence[tuple[Step, JobStatus]], eta: float | None) -> None:
        """Bring the bar up to date; `eta` is in seconds."""
        self._bar.n = done
        left = [] if eta is None or not running else [f"about {duration(eta)} left"]
        self._bar.set_postfix_str(", ".join([*now(running), *left]), refresh=False)
        self._bar.refresh()


def now(running: Sequence[tuple[Step, JobStatus]]) -> list[str]:
    """What the workers do: the first job that has some, and how many more there are."""
    busy = [(step, status) for step, status in running if status.state != "queued"]
    if not busy:
        return ["waiting for a worker"] if running else []
    step, status = busy[0]
    far = f" {status.points_done}/{status.points_total}" if status.points_total > 1 else ""
    doing = f" {status.stage}" if status.stage else ""
    more = [f"{len(running) - 1} more"] if len(running) > 1 else []
    return [f"{step.key}{far}{doing}", *more]
