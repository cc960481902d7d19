"""What the service says about a job at one moment."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from bertscape.values.errors import Problem, ProblemType, ServiceError, shortened
from bertscape.values.training_output import LogEntry, TrainingOutput

COMPLETED = "completed"
FINAL_STATES = frozenset({COMPLETED, "failed", "cancelled"})


@dataclass(frozen=True, slots=True)
class JobStatus:
    """One job object of the service."""

    id: str
    state: str  # queued | preparing | running | completed | failed | cancelled
    name: str | None = None
    kind: str = ""
    points_done: int = 0
    points_total: int = 0
    eta_seconds: float | None = None  # until the last point, where it can be told
    workers: int = 0  # that evaluate it now
    stage: str | None = None  # while it is prepared, or trains: what is being done
    steps: tuple[int, int] | None = None  # of the optimizer, while it trains: done, in all
    latest: LogEntry | None = None  # while it trains: the last of each number that was measured
    error: Problem | None = None  # why it failed
    self_checks: Sequence[Mapping[str, Any]] = ()
    output: TrainingOutput | None = None  # of a fine-tuning that is done
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False)  # as it came

    @property
    def final(self) -> bool:
        """Whether the job has ended."""
        return self.state in FINAL_STATES

    @classmethod
    def from_json(cls, members: Mapping[str, Any]) -> Self:
        """Read a job object; members that are not known here are kept in `raw` alone.

        Raises:
            ServiceError: it is no job object.
        """
        try:
            error, output = members.get("error"), members.get("output")
            return cls(
                id=str(members["id"]),
                state=str(members["state"]),
                name=members.get("name"),
                kind=str(members.get("kind") or ""),
                points_done=int(members.get("points_done") or 0),
                points_total=int(members.get("points_total") or 0),
                eta_seconds=_number(members.get("eta_seconds")),
                workers=int(members.get("workers") or 0),
                stage=_stage(members.get("progress")),
                steps=_steps(members),
                latest=_latest(members.get("progress")),
                error=Problem.from_json(error) if error else None,
                self_checks=tuple(members.get("self_checks") or ()),
                output=TrainingOutput.from_json(output) if output else None,
                raw=members,
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            detail = f"the service answered with {shortened(members)}; expected a job object"
            raise ServiceError(Problem(ProblemType.INTERNAL, detail)) from error


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


def _steps(members: Mapping[str, Any]) -> tuple[int, int] | None:
    progress = members.get("progress")
    if not progress or members["state"] != "running":
        return None
    return int(progress["done"]), int(progress["total"])


def _latest(progress: Any) -> LogEntry | None:
    latest = progress.get("latest") if progress else None
    return LogEntry.from_json(latest) if latest else None


def _stage(progress: Any) -> str | None:
    """For example "tokenizing 3/10"."""
    if not progress:
        return None
    done, total = progress.get("done"), progress.get("total")
    return f"{progress.get('stage')} {done}/{total}" if total else str(progress.get("stage"))
