"""The command that runs a study and writes its report."""

import os
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from bertscape.cli.text import warn_of_failed_checks, write_hint, write_json, write_line
from bertscape.values import DONE, BertscapeError, Command, InvalidInput, ProblemType

if TYPE_CHECKING:
    from bertscape.http import Client
    from bertscape.spec import StudySpec
    from bertscape.study import StudyResults

_NAME = "paper"
_PATIENCE_S = 300.0  # with a service of others: as long as its restart takes
_START_S = 120.0  # for the first worker of a service of its own


def _add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("spec", metavar="SPEC", type=Path, help="the study, a YAML or JSON file")
    parser.add_argument(
        "-o",
        "--output",
        metavar="DIR",
        type=Path,
        help="the folder for its results; resumes a study that was interrupted there "
        "(default: SPEC without its ending)",
    )
    parser.add_argument(
        "--url",
        help="address of the service that runs its jobs "
        "(default: $BERTSCAPE_URL, else it starts its own)",
    )
    parser.add_argument("--token", help="bearer token of that service (default: $BERTSCAPE_TOKEN)")
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="print what the jobs would take that are still to be done; submit nothing",
    )
    parser.add_argument("--json", action="store_true", help="print the outcome as JSON")


def _paper(options: Namespace) -> int:
    from bertscape.spec import load_study

    study = load_study(options.spec)
    url = options.url or os.environ.get("BERTSCAPE_URL")
    if options.dry_run:
        return _estimate(study, options, url)
    results = write_paper(study, _folder(options), url, options.token)
    _tell(results, _folder(options), as_json=options.json)
    return DONE


def write_paper(
    study: "StudySpec", folder: Path, url: str | None = None, token: str | None = None
) -> "StudyResults":
    """Run a study, and write its report, as `bertscape paper` does.

    Args:
        study: with absolute paths.
        folder: of its results.
        url: of the service; by default it starts one for this study.
        token: of the service.

    Raises:
        JobFailed, InvalidInput, ServiceError: as `run_study`; a report of all that is there has
            been written before.
    """
    from bertscape.report import write_report
    from bertscape.study import REPORT, StudyResults, run_study

    with _client(study, folder, url, token) as client:
        if url is None:
            write_hint(f"{folder}: run this again to resume")
        try:
            results = run_study(study, folder, client, alone=url is None)
        except BertscapeError:
            write_report(StudyResults.load(folder), folder / REPORT)
            raise
    write_report(results, folder / REPORT)
    return results


def _estimate(study: "StudySpec", options: Namespace, url: str | None) -> int:
    from bertscape.cli.estimate_text import study_text
    from bertscape.study import estimate_study, wait_for_workers

    folder = _folder(options)
    with _place(folder) as place, _client(study, place, url, options.token) as client:
        if url is None:
            wait_for_workers(client, _START_S)
        estimate = estimate_study(study, folder, client)
    if options.json:
        write_json(estimate.to_json())
    else:
        write_line(study_text(estimate))
    return DONE


@contextmanager
def _place(folder: Path) -> Iterator[Path]:
    """The study's folder, whose service knows rates; one that does not exist is not made."""
    if folder.exists():
        yield folder
        return
    with TemporaryDirectory(prefix="bertscape-") as place:
        yield Path(place)


@contextmanager
def _client(
    study: "StudySpec", folder: Path, url: str | None, token: str | None
) -> "Iterator[Client]":
    from bertscape.http import Client, Retries, require_service
    from bertscape.study import own_service

    if url is None:
        require_service(_NAME)
        with own_service(study, folder) as client:
            yield client
    else:
        with Client(url, token, retries=Retries(tries=10**6, seconds=_PATIENCE_S)) as client:
            yield client


def _folder(options: Namespace) -> Path:
    folder: Path = options.output or options.spec.with_suffix("")
    if folder.exists() and not folder.is_dir():
        raise InvalidInput.of(
            ProblemType.INVALID_VALUE, "-o", str(folder), "a folder, or a new name"
        )
    return folder


def _tell(results: "StudyResults", folder: Path, *, as_json: bool) -> None:
    from bertscape.study import REPORT

    for found in (results.curves, results.surfaces, results.layers, results.rollbacks):
        for one in found.values():
            warn_of_failed_checks([check.to_json() for check in one.self_checks])
    if as_json:
        write_json({"output": str(folder), "report": str(folder / REPORT)})
    else:
        write_line(str(folder / REPORT))


PAPER = Command(
    name=_NAME,
    help="run a study: everything that the paper shows, for your model and tasks",
    add_arguments=_add_arguments,
    run=_paper,
    extra="plot",
    requires=("jinja2", "matplotlib"),
)
