"""The job object of the REST interface, made from what is committed and what is known right now."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from bertscape_service.journal_rows import JobRow


@dataclass(frozen=True, slots=True)
class Activity:
    """What happens to a job at this moment; gone with the process."""

    workers: int = 0  # working on it now
    eta_seconds: float | None = None
    stage: tuple[str, int, int] | None = None  # of preparing: words, done, total


IDLE = Activity()


def job_object(row: JobRow, activity: Activity = IDLE) -> dict[str, Any]:
    """The job object, ready for `json.dumps`: NaN and infinity are strings in it."""
    stage = activity.stage
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
        "progress": None
        if stage is None
        else {"stage": stage[0], "done": stage[1], "total": stage[2]},
        "error": row.error.to_json() if row.error else None,
        "spec": row.spec.to_json(),
        "self_checks": _self_checks(row),
    }


def _self_checks(row: JobRow) -> list[dict[str, Any]]:
    checks = row.findings.self_checks if row.findings else ()
    return [check.to_json() for check in checks]


def _timestamp(seconds: float) -> str:
    """RFC 3339, in UTC, to the millisecond."""
    moment = datetime.fromtimestamp(seconds, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
