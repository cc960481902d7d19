"""What the commands print."""

import json
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bertscape.values import one_line

if TYPE_CHECKING:
    from bertscape.values import JobStatus


def write_line(text: str) -> None:
    """One line on standard output."""
    sys.stdout.write(text + "\n")


def write_json(value: object) -> None:
    """One JSON value on a line of its own, at once, for a script that follows."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def write_hint(text: str) -> None:
    """A line for people, on standard error and only if that is a terminal."""
    if sys.stderr.isatty():
        sys.stderr.write(text + "\n")


def warn_of_failed_checks(checks: Sequence[Mapping[str, Any]]) -> None:
    """A line on standard error for each self-check that failed."""
    from bertscape.results import describe_failures

    for sentence in describe_failures(checks):
        sys.stderr.write(f"bertscape: {sentence}\n")


def write_warnings(warnings: Sequence[str]) -> None:
    """A line on standard error for each thing that preparing a job found odd."""
    for warning in warnings:
        sys.stderr.write(f"bertscape: warning: {one_line(warning)}\n")


def table(rows: Sequence[Sequence[str]]) -> str:
    """Columns as wide as their widest cell; the first row is the head."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def jobs_table(jobs: "Sequence[JobStatus]") -> str:
    """One line per job; also the outputs of fine-tunings, if there are any."""
    trained = any(job.output for job in jobs)
    rows = [["ID", "STATE", "POINTS", "KIND", *(["OUTPUT"] if trained else []), "NAME"]]
    for job in jobs:
        points = f"{job.points_done}/{job.points_total}"
        output = [output_text(job)] if trained else []
        rows.append([job.id, job.state, points, job.kind, *output, _name(job)])
    return table(rows)


def job_text(job: "JobStatus") -> str:
    """One job, a line for each thing to know."""
    from bertscape.cli.estimate_text import kept_text
    from bertscape.http import outlook
    from bertscape.results import summarize

    share = f" ({100 * job.points_done // job.points_total} %)" if job.points_total else ""
    lines = {
        "id": job.id,
        "name": _name(job),
        "kind": job.kind,
        "state": outlook(job),
        "points": f"{job.points_done} of {job.points_total}{share}",
        "created": job.created or "",
        "updated": job.updated or "",
        "estimate": kept_text(job.estimate),
        "output": output_text(job),
        "self-checks": summarize(job.self_checks),
        "error": job.error.detail if job.error else "",
    }
    known = [(f"{key}:", text) for key, text in lines.items() if text]
    return table([*known, *(("warning:", one_line(warning)) for warning in job.warnings)])


def output_text(job: "JobStatus", before: str = "") -> str:
    """What a fine-tuning left behind, after `before`; nothing of other jobs."""
    if job.output is None:
        return ""
    accuracy = job.output.accuracy
    known = "" if accuracy is None else f"dev accuracy {accuracy:.4f}, "
    count = len(job.output.checkpoints)
    noun = "checkpoint" if count == 1 else "checkpoints"
    return f"{before}{known}{count} {noun} in {job.output.folder}"


def _name(job: "JobStatus") -> str:
    # A name is free text: a line break in it must not make two lines of one job.
    return one_line(job.name or "")
