"""The job object of the REST interface, made from what is committed and what is known right now."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from bertscape.values import Findings, LogEntry
from bertscape_service.journal import JobRow


@dataclass(frozen=True, slots=True)
class Activity:
    """What happens to a job at this moment; gone with the process."""

    workers: int = 0  # working on it now
    eta_seconds: float | None = None
    stage: tuple[str, int, int] | None = None  # of preparing or training: words, done, total
    latest: LogEntry | None = None  # of a training: the last of each number that was measured


IDLE = Activity()


def job_object(row: JobRow, activity: Activity = IDLE) -> dict[str, Any]:
    """The job object, ready for `json.dumps`: NaN and infinity are strings in it."""
    return {
        "id": row.id,
        "name": row.spec.name,
        "kind": row.spec.kind,
        "state": row.state.value,
        "created": _timestamp(row.created),
        "updated": _timestamp(row.updated),
        "points_total": row.points_total,
        "points_done": row.points_done,
        "tiles_total": row.tiles_total,
        "tiles_done": row.tiles_done,
        "eta_seconds": activity.eta_seconds,
        "workers": activity.workers,
        "progress": _progress(activity),
        "error": row.error.to_json() if row.error else None,
        "spec": row.spec.to_json(),
        "self_checks": _self_checks(row),
        "output": row.output.to_json() if row.output else None,
    }


def brief(members: dict[str, Any]) -> dict[str, Any]:
    """A job object for a page of many: of a training's log the last entry alone."""
    output = members["output"]
    return (
        members if output is None else {**members, "output": {**output, "log": output["log"][-1:]}}
    )


def _progress(activity: Activity) -> dict[str, Any] | None:
    if activity.stage is None:
        return None
    stage, done, total = activity.stage
    latest = {} if activity.latest is None else {"latest": activity.latest.to_json()}
    return {"stage": stage, "done": done, "total": total, **latest}


def _self_checks(row: JobRow) -> list[dict[str, Any]]:
    checks = row.findings.self_checks if isinstance(row.findings, Findings) else ()
    return [check.to_json() for check in checks]


def _timestamp(seconds: float) -> str:
    """RFC 3339, in UTC, to the millisecond."""
    moment = datetime.fromtimestamp(seconds, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
