"""What `import bertscape` gives, and what it must not load."""

import inspect
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import bertscape
from bertscape.figures import save_figure
from bertscape.report import write_report

HEAVY = ("torch", "ray", "fastapi", "transformers", "datasets", "matplotlib", "xarray")


def test_every_public_name_is_there_and_documented() -> None:
    assert sorted(bertscape.__all__, key=str.lower) == sorted(set(bertscape.__all__), key=str.lower)
    for name in bertscape.__all__:
        value = getattr(bertscape, name)
        if callable(value):
            assert value.__doc__, name


def public_functions() -> Iterator[Callable[..., Any]]:
    yield from (save_figure, write_report)
    for value in map(bertscape.__dict__.__getitem__, bertscape.__all__):
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


@pytest.mark.parametrize("statement", ["import bertscape", "import bertscape.cli"])
def test_importing_loads_nothing_heavy(statement: str) -> None:
    code = f"{statement}; import sys; print(*sorted(set(sys.modules) & set({HEAVY!r})))"
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == ""


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "from bertscape.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        f"print('HEAVY', *sorted(set(sys.modules) & set({HEAVY!r})))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.splitlines()[-1].strip() == "HEAVY"
