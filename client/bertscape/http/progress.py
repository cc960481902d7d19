"""Progress as one line on a terminal; nothing in a pipe."""

import sys
from types import TracebackType
from typing import Any, Never, Self

from tqdm import tqdm

from bertscape.values import JobStatus, LogEntry


class Bar:
    """A bar on standard error for as long as a block lasts.

    Args:
        shown: whether to show it if standard error is a terminal.
        settings: further ones of `tqdm`, under its own names.
    """

    def __init__(self, shown: bool, **settings: Any) -> None:
        self._bar = tqdm(
            file=sys.stderr,
            disable=None if shown else True,  # None: hidden only if it is no terminal
            dynamic_ncols=True,
            **settings,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._bar.close()


class JobProgress(Bar):
    """A bar on standard error that shows each status it is given."""

    def __init__(self, status: JobStatus, shown: bool = True) -> None:
        super().__init__(
            shown,
            total=status.points_total or None,
            initial=status.points_done,
            desc=status.name or status.id,
            unit="points",
            bar_format="{desc}: {percentage:3.0f}% |{bar}| {n_fmt}/{total_fmt} {unit}{postfix}",
        )
        self.show(status)

    def show(self, status: JobStatus) -> None:
        """Bring the bar up to date."""
        if status.steps is not None:
            (self._bar.n, self._bar.total), self._bar.unit = status.steps, "steps"
        else:
            self._bar.n, self._bar.unit = status.points_done, "points"
            self._bar.total = status.points_total or self._bar.total
        self._bar.set_postfix_str(outlook(status), refresh=False)
        self._bar.refresh()


class StageProgress:
    """One bar on standard error, restarted for each stage of long work in this process."""

    def __init__(self) -> None:
        self._stage = ""
        self._bar = self._new("", 0)

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Say how far a stage is; another name than the last one's begins another bar."""
        if stage != self._stage:
            self.close()
            self._stage, self._bar = stage, self._new(stage, total)
        self._bar.update(done - self._bar.n)

    def close(self) -> None:
        """Take the bar away."""
        self._bar.close()

    @staticmethod
    def _new(stage: str, total: int) -> "tqdm[Never]":
        # None: silent unless standard error is a terminal
        disable = None if stage else True
        return tqdm(total=total, desc=stage, file=sys.stderr, disable=disable, leave=False)


def outlook(status: JobStatus) -> str:
    """What the job does and how long it will: "running on 4 workers, about 2 min left"."""
    text = status.state
    if status.state == "preparing" and status.stage:
        text = f"preparing: {status.stage}"
    if status.state == "running" and status.workers:
        text = f"running on {status.workers} {'worker' if status.workers == 1 else 'workers'}"
    if status.state == "running" and status.stage:
        text = f"running: {status.stage}{_measured(status.latest)}"
    if status.eta_seconds is not None and not status.final:
        text += f", about {duration(status.eta_seconds)} left"
    return text


def _measured(latest: LogEntry | None) -> str:
    """The last numbers of a training: ", loss 0.412, dev accuracy 0.8456, dev loss 0.391"."""
    if latest is None:
        return ""
    numbers = [] if latest.loss is None else [f"loss {latest.loss:.3g}"]
    if latest.eval_error is not None:
        numbers.append(f"dev accuracy {1 - latest.eval_error:.4f}")
    if latest.eval_loss is not None:
        numbers.append(f"dev loss {latest.eval_loss:.3g}")
    return "".join(f", {number}" for number in numbers)


def duration(seconds: float) -> str:
    """A length of time for people: "40 s", "5 min", "2 h 10 min"."""
    if not seconds < 1e9:
        return "an unknown time"
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
