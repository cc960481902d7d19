"""How far a study is, as one line on a terminal; nothing in a pipe."""

import sys
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from tqdm import tqdm

from bertscape.job_status import JobStatus
from bertscape.progress import duration
from bertscape.study.plan import Step

_ENDS = "{desc}: |{bar}| {n_fmt}/{total_fmt} steps{postfix}"


class StudyProgress:
    """A bar on standard error: steps done, what runs now, and how long the rest will take."""

    def __init__(self, steps: Sequence[Step], shown: bool = True) -> None:
        self._bar = tqdm(
            total=len(steps),
            desc="study",
            file=sys.stderr,
            disable=None if shown else True,  # None: only where it is no terminal
            dynamic_ncols=True,
            bar_format=_ENDS,
        )

    def show(self, done: int, running: Sequence[tuple[Step, JobStatus]], eta: float | None) -> None:
        """Bring the bar up to date; `eta` is in seconds."""
        self._bar.n = done
        left = [] if eta is None or not running else [f"about {duration(eta)} left"]
        self._bar.set_postfix_str(", ".join([*now(running), *left]), refresh=False)
        self._bar.refresh()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._bar.close()


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
