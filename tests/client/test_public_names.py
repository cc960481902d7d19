"""What `import bertscape` gives, and what it must not load."""

import subprocess
import sys

import pytest

import bertscape

HEAVY = ("torch", "ray", "fastapi", "transformers", "datasets", "matplotlib", "xarray")


def test_every_public_name_is_there_and_documented() -> None:
    assert sorted(bertscape.__all__, key=str.lower) == sorted(set(bertscape.__all__), key=str.lower)
    for name in bertscape.__all__:
        value = getattr(bertscape, name)
        if callable(value):
            assert value.__doc__, name


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
