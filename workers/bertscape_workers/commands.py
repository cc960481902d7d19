"""The commands `run` and `finetune`; importing this needs no extra."""

import json
import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Never

from tqdm import tqdm

from bertscape.command import DONE, JOB_FAILED, Command
from bertscape.errors import InvalidInput, ProblemType
from bertscape.self_checks import describe_failures
from bertscape.spec import load_spec

if TYPE_CHECKING:
    from bertscape.surface import Surface

_REQUIRES = ("torch", "transformers", "safetensors", "tokenizers", "datasets", "accelerate")


class _Stages:
    """One bar on standard error, begun anew for each stage; nothing in a pipe."""

    def __init__(self) -> None:
        self._stage = ""
        self._bar = self._new("", 0)

    def __call__(self, stage: str, done: int, total: int) -> None:
        if stage != self._stage:
            self.close()
            self._stage, self._bar = stage, self._new(stage, total)
        self._bar.update(done - self._bar.n)

    def close(self) -> None:
        """Take the bar away."""
        self._bar.close()

    @staticmethod
    def _new(stage: str, total: int) -> "tqdm[Never]":
        # None: silent where standard error is no terminal
        disable = None if stage else True
        return tqdm(total=total, desc=stage, file=sys.stderr, disable=disable, leave=False)


def positive(text: str) -> int:
    """A whole number above 0, given as an option's value."""
    if not text.isascii() or not text.isdecimal() or int(text) < 1:
        raise ArgumentTypeError(f"{text!r}: expected a whole number, at least 1")
    return int(text)


# --- run ----------------------------------------------------------------------------------------


def _add_run_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("spec", type=Path, help="the job spec, a YAML or JSON file")
    parser.add_argument("-o", "--output", type=Path, required=True, help="the HDF5 file to write")
    parser.add_argument(
        "--threads", type=positive, default=1, help="CPU threads (default 1, as a worker has)"
    )
    parser.add_argument("--json", action="store_true", help="print a summary as JSON")


def _run(options: Namespace) -> int:
    spec = load_spec(options.spec)
    refuse_unwritable(options.output)

    from bertscape_workers.local_run import run_job

    stages = _Stages()
    try:
        surface = run_job(spec, stages, threads=options.threads)
    except KeyboardInterrupt:
        stages.close()
        _say("bertscape run: interrupted; nothing was written")
        return JOB_FAILED
    finally:
        stages.close()
    surface.save(options.output)
    _report(surface, options.output, as_json=options.json)
    return DONE


def refuse_unwritable(output: Path) -> None:
    """Raise `InvalidInput` before the work, where its result could not be written after it."""
    if output.is_dir() or not output.absolute().parent.is_dir():
        raise InvalidInput.of(
            ProblemType.INVALID_VALUE, "--output", str(output), "a file in an existing folder"
        )


def _report(surface: "Surface", output: Path, *, as_json: bool) -> None:
    checks = [check.model_dump(mode="json") for check in surface.self_checks]
    failures = describe_failures(checks)
    for failure in failures:
        _say(f"bertscape run: {failure}")
    passed = sum(check.passed is True for check in surface.self_checks)
    if as_json:
        summary = {
            "output": str(output),
            "points": int(surface.evaluated.sum()),
            "self_checks": checks,
            "self_checks_failed": len(failures),
        }
        sys.stdout.write(json.dumps(summary) + "\n")
        return
    sys.stdout.write(
        f"{output}: {int(surface.evaluated.sum())} points, "
        f"self-checks {passed} of {len(checks)} passed\n"
    )


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")


RUN = Command(
    name="run",
    help="compute a surface or a curve in this process, without a service",
    add_arguments=_add_run_arguments,
    run=_run,
    extra="workers",
    requires=_REQUIRES,
)
