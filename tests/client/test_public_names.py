"""What `import bertscape` gives, and what it must not load."""

import dataclasses
import inspect
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import bertscape
from bertscape.figures import save_figure
from bertscape.report import write_report

PUBLIC: list[str] = vars(bertscape)["__all__"]  # which the stub of a lazy package does not say


def test_every_public_name_is_there_and_documented() -> None:
    assert sorted(PUBLIC, key=str.lower) == sorted(set(PUBLIC), key=str.lower)
    for name in PUBLIC:
        value = getattr(bertscape, name)
        if callable(value):
            assert documented(value), name


def documented(value: Any) -> bool:
    """Whether someone wrote its docstring: a dataclass without one is given its signature."""
    return bool(value.__doc__) and not value.__doc__.startswith(f"{value.__name__}(")


def test_a_signature_is_no_documentation() -> None:
    @dataclasses.dataclass
    class Bare:
        value: int

    assert Bare.__doc__
    assert not documented(Bare)


def public_functions() -> Iterator[Callable[..., Any]]:
    yield from (save_figure, write_report)
    for value in (getattr(bertscape, name) for name in PUBLIC):
        if inspect.isfunction(value):
            yield value
        elif inspect.isclass(value):
            yield from (method for _, method in inspect.getmembers(value, _is_ours))


def _is_ours(member: object) -> bool:
    written = inspect.isfunction(member) or inspect.ismethod(member)
    return written and str(getattr(member, "__module__", "")).startswith("bertscape")


def test_where_a_path_is_taken_its_text_is_taken_too() -> None:
    found = {}
    for function in public_functions():
        for name, parameter in inspect.signature(function).parameters.items():
            if "Path" in str(parameter.annotation):
                found[function.__qualname__, name] = "str" in str(parameter.annotation)
    assert {place for place, taken in found.items() if not taken} == set()
    assert {("load_spec", "path"), ("Job.fetch", "path"), ("write_report", "figures")} <= {*found}


NEITHER = "torch ray fastapi transformers datasets matplotlib xarray"  # of the client's needs


def loaded(code: str, modules: str) -> list[str]:
    """Which of these modules a fresh interpreter has loaded once it has run the code."""
    shown = f"import sys; print('LOADED', *sorted(set(sys.modules) & set({modules.split()!r})))"
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", f"{code}\n{shown}"],
        capture_output=True,
        text=True,
        check=True,
    )
    return result.stdout.splitlines()[-1].split()[1:]


@pytest.mark.parametrize(
    ("statement", "modules"),
    [
        ("import bertscape", f"{NEITHER} httpx2 pydantic numpy h5py"),
        ("import bertscape.cli", f"{NEITHER} httpx2 pydantic numpy h5py"),
        ("import bertscape.values", f"{NEITHER} httpx2 pydantic numpy"),
        ("import bertscape.spec; bertscape.spec.parse_spec", f"{NEITHER} httpx2 h5py tqdm"),
        ("import bertscape; bertscape.Client", NEITHER),
        ("import bertscape; bertscape.run_study", NEITHER),
    ],
)
def test_importing_loads_no_more_than_it_needs(statement: str, modules: str) -> None:
    assert loaded(statement, modules) == []


HELP = """
from bertscape.cli import main
try: main({arguments})
except SystemExit: pass
"""


def test_help_loads_nothing_that_takes_long() -> None:
    code = HELP.format(arguments=["--help"])
    assert loaded(code, f"{NEITHER} pydantic numpy httpx2 h5py yaml tqdm") == []


@pytest.mark.parametrize("command", ["measure", "plot", "report", "paper", "jobs", "submit"])
def test_the_help_of_a_command_loads_nothing_heavy(command: str) -> None:
    assert loaded(HELP.format(arguments=[command, "--help"]), NEITHER) == []
