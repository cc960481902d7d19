"""The command line: one program, with the commands of every package that is installed."""

import argparse
import importlib.metadata
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from bertscape.cli.measure_command import MEASURE
from bertscape.cli.paper_command import PAPER
from bertscape.cli.plot_command import PLOT
from bertscape.cli.report_command import REPORT
from bertscape.cli.service_commands import CANCEL, FETCH, JOBS, SHOW, SUBMIT, WATCH
from bertscape.values import (
    JOB_FAILED,
    WRONG_USE,
    BertscapeError,
    Command,
    JobFailed,
    MissingExtra,
    Problem,
    ProblemType,
    ServiceError,
)
from bertscape.version import version

INTERRUPTED = 130  # as a shell has it: 128 + SIGINT

_ENTRY_POINTS = "bertscape.commands"
_ORDER = [
    "serve",
    "submit",
    "run",
    "jobs",
    "show",
    "watch",
    "fetch",
    "cancel",
    "plot",
    "measure",
    "finetune",
    "paper",
    "report",
    "demo",
]
_EPILOG = """\
exit status: 0 done; 1 the job failed or the service has a problem; 2 wrong use or refused input;
130 interrupted. BERTSCAPE_URL and BERTSCAPE_TOKEN give the address of the service and its token."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status; a wrong input ends as a line, not a traceback."""
    available = commands()
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        options = _parser(available, arguments).parse_args(arguments)
        command = available[options.command]
        command.require()
        return _flushed(command.run(options))
    except BertscapeError as error:
        _complain(error)
        return _exit_status(error)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        return _reader_gone()
    except OSError as error:  # a full disk, a folder without write permission
        sys.stderr.write(f"bertscape: {error}\n")
        return JOB_FAILED


def _parser(available: dict[str, Command], arguments: Sequence[str]) -> argparse.ArgumentParser:
    """With the options of the chosen command alone: those of the others may take long to load."""
    chosen = next((one for one in arguments if not one.startswith("-")), None)
    parser = argparse.ArgumentParser(
        prog="bertscape",
        description="Loss landscapes of fine-tuned BERT models.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"bertscape {version()}")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for command in available.values():
        subparser = subparsers.add_parser(
            command.name,
            help=command.help,
            description=f"{command.help[:1].upper()}{command.help[1:]}.",
            allow_abbrev=False,
        )
        if command.name == chosen:
            command.add_arguments(subparser)
    return parser


def commands() -> dict[str, Command]:
    """All commands by name, in the order in which people meet them."""
    own = (SUBMIT, JOBS, SHOW, WATCH, FETCH, CANCEL, PLOT, MEASURE, PAPER, REPORT)
    found = {command.name: command for command in own}
    for entry_point in importlib.metadata.entry_points(group=_ENTRY_POINTS):
        try:
            found[entry_point.name] = entry_point.load()
        except (ImportError, AttributeError) as error:  # one broken package breaks no other command
            found[entry_point.name] = _unavailable(entry_point.name, error)
    last = len(_ORDER)
    places = {name: index for index, name in enumerate(_ORDER)}
    return dict(sorted(found.items(), key=lambda item: (places.get(item[0], last), item[0])))


def _unavailable(name: str, error: Exception) -> Command:
    def complain(_: argparse.Namespace) -> NoReturn:
        detail = f"bertscape {name} could not be loaded ({error}); expected a complete installation"
        raise MissingExtra(Problem(ProblemType.UNAVAILABLE, detail))

    return Command(name, "not available in this installation", lambda _: None, complain)


def _complain(error: BertscapeError) -> None:
    """One line on standard error, or one for each wrong key."""
    for problem in error.problem.errors or (error.problem,):
        sys.stderr.write(f"bertscape: {problem.detail}\n")


def _exit_status(error: BertscapeError) -> int:
    match error:
        case JobFailed():
            return JOB_FAILED
        case ServiceError(status=status) if not (400 <= status < 500 and status != 429):
            return JOB_FAILED
        case _:
            return WRONG_USE


def _flushed(status: int) -> int:
    """Meet a broken pipe here, not in the interpreter's last breath."""
    sys.stdout.flush()
    return status


def _reader_gone() -> int:
    """Whoever read our output has left, as `head` does; nothing is wrong."""
    # The interpreter flushes standard output at exit, and would complain once more.
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, sys.stdout.fileno())
    os.close(devnull)
    return 0
