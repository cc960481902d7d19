"""The commands that talk to a service: submit, jobs, show, watch, fetch and cancel."""

import contextlib
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from bertscape.cli.output_file import RESULT, refuse_unwritable
from bertscape.cli.text import (
    job_text,
    jobs_table,
    output_text,
    warn_of_failed_checks,
    write_hint,
    write_json,
    write_line,
    write_warnings,
)
from bertscape.values import DONE, JOB_FAILED, Command, InvalidInput, ProblemType, ServiceError

if TYPE_CHECKING:
    from bertscape.http import Client, Job
    from bertscape.results import Result


def _client(options: Namespace) -> "Client":
    from bertscape.http import Client

    return Client(options.url, options.token)


def _add_service(parser: ArgumentParser, json: str = "print the job as JSON") -> None:
    from bertscape.http import DEFAULT_URL

    service = parser.add_argument_group("service")
    service.add_argument(
        "--url", help=f"address of the service (default: $BERTSCAPE_URL, else {DEFAULT_URL})"
    )
    service.add_argument(
        "--token",
        help="bearer token (default: $BERTSCAPE_TOKEN, which is safer: "
        "other users can see a command's options)",
    )
    parser.add_argument("--json", action="store_true", help=json)


def _add_job(parser: ArgumentParser) -> None:
    parser.add_argument("id", metavar="ID", help="the job's id, as listed by `bertscape jobs`")
    _add_service(parser)


# ------------------------------------------------------------------------------------- submit


def _add_submit(parser: ArgumentParser) -> None:
    parser.add_argument("spec", metavar="SPEC", type=Path, help="the job spec, a YAML or JSON file")
    parser.add_argument("--wait", action="store_true", help="wait until the job has ended")
    parser.add_argument(
        "--dry-run", action="store_true", help="print what the job would take; submit nothing"
    )
    parser.add_argument(
        "-o", "--output", metavar="FILE", type=Path, help="with --wait: the HDF5 file to write"
    )
    parser.add_argument(
        "--idempotency-key",
        metavar="KEY",
        help="the same key with the same spec gives the same job (default: a new key)",
    )
    _add_service(parser)


def _submit(options: Namespace) -> int:
    from bertscape.spec import load_spec

    if options.dry_run:
        return _estimate(options)
    if options.output is not None:
        if not options.wait:
            raise InvalidInput.of(
                ProblemType.INVALID_VALUE,
                "-o",
                str(options.output),
                "--wait as well: -o needs --wait",
            )
        refuse_unwritable(options.output, RESULT)
    spec = load_spec(options.spec)
    if options.output is not None and spec.result_form is None:
        expected = "no -o for a fine-tuning: its checkpoints stay where the service runs"
        raise InvalidInput.of(ProblemType.INVALID_VALUE, "-o", str(options.output), expected)
    with _client(options) as client:
        job = client.submit(spec, idempotency_key=options.idempotency_key)
        if not options.wait:
            _show_submitted(job, as_json=options.json)
            return DONE
        write_hint(f"job {job.id}; it continues without this command: bertscape watch {job.id}")
        _follow(job)
        if options.output is not None:
            # A failed job may still have a partial result. If it has none, the reason why the job
            # ended says enough.
            forgiven = () if job.completed else (ServiceError,)
            with contextlib.suppress(*forgiven):
                _fetch_to(job, options.output)
        return _report_end(job, as_json=options.json)


def _estimate(options: Namespace) -> int:
    from bertscape.cli.estimate_text import estimate_text

    for name in ("wait", "output", "idempotency_key"):
        if getattr(options, name):
            option = f"--{name.replace('_', '-')}"
            expected = f"no {option} with --dry-run, which submits nothing"
            raise InvalidInput.of(ProblemType.INVALID_VALUE, "--dry-run", None, expected)
    with _client(options) as client:
        estimate = client.estimate(options.spec)
    if options.json:
        write_json(estimate.to_json())
    else:
        write_line(estimate_text(estimate))
    return DONE


def _show_submitted(job: "Job", *, as_json: bool) -> None:
    if as_json:
        write_json(job.status.to_json())
    else:
        write_line(job.id)
        write_hint(f"bertscape watch {job.id}")


def _follow(job: "Job") -> None:
    from bertscape.http import JobProgress

    with JobProgress(job.status) as progress:
        for status in job.events():
            progress.show(status)


def _report_end(job: "Job", *, as_json: bool) -> int:
    """Say how a job ended, and return the exit status that goes with it."""
    if as_json:
        write_json(job.status.to_json())
    else:
        write_line(f"{job.id} {job.state}{output_text(job.status, ': ')}")
    warn_of_failed_checks(job.status.self_checks)
    write_warnings(job.status.warnings)
    job.raise_for_failure()
    return DONE


SUBMIT = Command(
    name="submit",
    help="submit a job and print its id",
    add_arguments=_add_submit,
    run=_submit,
)


# ----------------------------------------------------------------------------- jobs, show, watch


def _add_jobs(parser: ArgumentParser) -> None:
    _add_service(parser, json="print each job as a line of JSON")


def _jobs(options: Namespace) -> int:
    with _client(options) as client:
        if options.json:
            for job in client.jobs():
                write_json(job.status.to_json())
        else:
            write_line(jobs_table([job.status for job in client.jobs()]))
    return DONE


def _show(options: Namespace) -> int:
    with _client(options) as client:
        status = client.job(options.id).status
    if options.json:
        write_json(status.to_json())
    else:
        write_line(job_text(status))
    warn_of_failed_checks(status.self_checks)
    return DONE


def _watch(options: Namespace) -> int:
    with _client(options) as client:
        job = client.job(options.id)
        if not options.json:
            _follow(job)
            return _report_end(job, as_json=False)
        for status in job.events():
            write_json(status.to_json())
        warn_of_failed_checks(job.status.self_checks)
        write_warnings(job.status.warnings)
        return DONE if job.completed else JOB_FAILED


JOBS = Command(name="jobs", help="list the jobs", add_arguments=_add_jobs, run=_jobs)
SHOW = Command(name="show", help="show one job", add_arguments=_add_job, run=_show)
WATCH = Command(
    name="watch",
    help="follow a job until it ends (--json: one line per change)",
    add_arguments=_add_job,
    run=_watch,
)


# --------------------------------------------------------------------------------- fetch, cancel


def _add_fetch(parser: ArgumentParser) -> None:
    parser.add_argument(
        "-o", "--output", metavar="FILE", type=Path, required=True, help="the HDF5 file to write"
    )
    _add_job(parser)


def _fetch(options: Namespace) -> int:
    refuse_unwritable(options.output, RESULT)
    with _client(options) as client:
        result = _fetch_to(client.job(options.id), options.output)
    share = float(result.evaluated.mean())
    warn_of_failed_checks([check.to_json() for check in result.self_checks])
    write_warnings(result.findings.warnings)
    if options.json:
        write_json({"output": str(options.output), "complete": share == 1, "share": share})
    elif share < 1:
        write_line(f"{options.output}: snapshot, {100 * share:.0f} % of points")
    else:
        write_line(f"{options.output}: complete")
    return DONE


def _fetch_to(job: "Job", path: Path) -> "Result":
    """Download, and return what the file holds."""
    from bertscape.results import read_result

    return read_result(job.fetch(path))


def _cancel(options: Namespace) -> int:
    with _client(options) as client:
        job = client.job(options.id).cancel()
    if options.json:
        write_json(job.status.to_json())
    else:
        write_line(f"{job.id} {job.state}")
    return DONE


FETCH = Command(
    name="fetch",
    help="download a job's result file; a snapshot while it runs",
    add_arguments=_add_fetch,
    run=_fetch,
)
CANCEL = Command(
    name="cancel",
    help="stop a job; finished points can still be downloaded",
    add_arguments=_add_job,
    run=_cancel,
)
