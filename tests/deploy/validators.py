"""The programs that judge the files of deploy/, where they are installed."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
DEPLOY = REPOSITORY / "deploy"


def said(
    program: str,
    *arguments: str | Path,
    given: str = "",
    complaints: bool = False,
    **variables: str,
) -> str:
    """What a program writes; it must find no fault. Without the program the test is skipped.

    Args:
        program: in this environment, or anywhere on the path.
        arguments: of the program.
        given: its standard input.
        complaints: whether to return what it writes to its standard error instead.
        variables: of its environment, beside the present ones.
    """
    beside = Path(sys.executable).with_name(program)
    found = str(beside) if beside.exists() else shutil.which(program)
    if found is None:
        pytest.skip(f"{program} is not installed")
    run = subprocess.run(
        [found, *map(str, arguments)],
        input=given,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stderr if complaints else run.stdout


def lint_yaml(*paths: Path) -> None:
    """Neatly written, no key twice, and no longer lines than the rest of the project."""
    rules: Mapping[str, str] = {
        "line-length": "{max: 100}",
        "document-start": "disable",
        "braces": "{max-spaces-inside: 0}",
    }
    listed = ", ".join(f"{name}: {value}" for name, value in rules.items())
    said("yamllint", "--strict", "-d", f"{{extends: default, rules: {{{listed}}}}}", *paths)


def check_serve(command: list[str]) -> None:
    """Whether `bertscape serve` knows these options."""
    import argparse

    from bertscape_service.running.commands import SERVE

    parser = argparse.ArgumentParser(prog="bertscape serve", exit_on_error=False)
    SERVE.add_arguments(parser)
    parser.parse_args(command)


def check_script(text: str) -> None:
    """Whether bash can read a script, and shellcheck finds no fault in it."""
    said("bash", "-n", given=text)
    said("shellcheck", "--shell=bash", "-", given=text)
