"""A service of one's own: `bertscape serve` as a child process, for as long as a block lasts."""

import os
import re
import secrets
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bertscape.values import TOKEN_VARIABLE, BertscapeError, Command, Problem, ProblemType

EXTRA, REQUIRED_MODULES = "service", ("fastapi", "uvicorn", "ray", "torch", "transformers")
_START_LINE = re.compile(r"http://\S+:\d+")
_RELEASE_S = 30.0  # that an earlier one may take to let go of the state directory


@dataclass(frozen=True, slots=True)
class LocalService:
    """Where it is, and how to get in: other users of this machine cannot."""

    url: str
    token: str


@contextmanager
def local_service(
    state: Path, roots: Sequence[Path], log: Path, options: Sequence[str] = ()
) -> Iterator[LocalService]:
    """Serve on a free port of this machine; the service ends with the block, or with this process.

    Args:
        state: its state directory; resumes the unfinished jobs of an earlier one.
        roots: the folders that jobs may read from.
        log: the file for what it says.
        options: further ones of `bertscape serve`.

    Raises:
        BertscapeError: it did not start.
    """
    token = secrets.token_urlsafe()
    arguments = [
        *("--port", "0", "--state-dir", str(state), "--wait-for-state", f"{_RELEASE_S:g}"),
        *(part for root in roots for part in ("--allow-root", str(root))),
        *options,
    ]
    process, url = _started(arguments, token, log)
    try:
        yield LocalService(url, token)
    finally:
        _end(process)


def require_service(command: str) -> None:
    """Raise `MissingExtra`, with the install command, if no service can be started here."""
    Command(
        name=command,
        help="",
        add_arguments=lambda _: None,
        run=lambda _: 0,
        extra=EXTRA,
        requires=REQUIRED_MODULES,
    ).require()


def _started(arguments: list[str], token: str, log: Path) -> tuple[subprocess.Popen[str], str]:
    """The process and its URL."""
    with log.open("w") as file:
        process = subprocess.Popen(
            # -P: nothing is imported from where it happens to run.
            [sys.executable, "-P", "-m", "bertscape", "serve", "--end-with-input", *arguments],
            stdin=subprocess.PIPE,  # its end tells the service that we are gone
            stdout=subprocess.PIPE,
            stderr=file,
            text=True,
            env={**os.environ, TOKEN_VARIABLE: token},
        )
    if url := _printed_url(process):
        return process, url
    _end(process)
    detail = f"the service did not start: {log.read_text().strip() or 'it printed no URL'}"
    raise BertscapeError(Problem(ProblemType.UNAVAILABLE, detail))


def _printed_url(process: subprocess.Popen[str]) -> str | None:
    assert process.stdout is not None  # noqa: S101  (it was asked for)
    try:
        found = _START_LINE.search(process.stdout.readline())
    except BaseException:  # Ctrl-C while it starts
        _end(process)
        raise
    return found and found[0]


def _end(process: subprocess.Popen[str]) -> None:
    """Ask it to end, which takes it seconds, and see to it that it does."""
    process.terminate()
    with process:  # closes its pipes, and waits
        try:
            process.wait(_RELEASE_S)
        except subprocess.TimeoutExpired:
            process.kill()
