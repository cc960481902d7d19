"""The client installs light: an environment that holds its own requirements and nothing else."""

import importlib.metadata
import os
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement

REPOSITORY = Path(__file__).parents[2]


def requirements_of(name: str) -> set[str]:
    """The distributions that an installation without extras brings, by name."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        current = waiting.pop()
        if current.lower() in found:
            continue
        found.add(current.lower())
        for line in importlib.metadata.requires(current) or []:
            requirement = Requirement(line)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                waiting.append(requirement.name)
    return found


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A site folder of links to just those distributions, and the variables to use it."""
    site = tmp_path_factory.mktemp("site")
    for name in requirements_of("bertscape"):
        files = importlib.metadata.files(name) or []
        for top in {file.parts[0] for file in files if ".." not in file.parts}:
            target = Path(str(importlib.metadata.distribution(name).locate_file(top)))
            if not (site / top).exists() and target.suffix != ".pth":
                (site / top).symlink_to(target)
    packages = [str(REPOSITORY / part) for part in ("client", "workers", "service")]
    return {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join([str(site), *packages])}


def python(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    base = getattr(sys, "_base_executable", sys.executable)  # outside the virtual environment
    return subprocess.run(
        [base, "-S", "-s", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    "heavy", ["torch", "ray", "fastapi", "transformers", "matplotlib", "xarray"]
)
def test_the_environment_is_light(environment: dict[str, str], heavy: str) -> None:
    assert python(environment, "-c", f"import {heavy}").returncode != 0


def test_bertscape_imports(environment: dict[str, str]) -> None:
    result = python(environment, "-c", "import bertscape; bertscape.Client; bertscape.Surface")
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.parametrize(
    ("command", "extra"),
    [
        (("serve",), "service"),
        (("report", "x"), "plot"),
        (("demo",), "all"),
        (("run", "x.yaml", "-o", "x.h5"), "workers"),
        (("paper", "x.yaml"), "plot"),
    ],
)
def test_a_command_without_its_extra_prints_the_install_command(
    environment: dict[str, str], command: tuple[str, ...], extra: str
) -> None:
    result = python(environment, "-m", "bertscape", *command)
    assert result.returncode == 2
    assert f"pip install 'bertscape[{extra}]'" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_labelled_dataset_without_its_extra_says_the_install_command(
    environment: dict[str, str],
) -> None:
    names = "from bertscape.results.result_file import Contents, labelled"
    code = f"{names}; labelled(Contents({{}}, []))"
    result = python(environment, "-c", code)
    assert result.returncode != 0
    assert "pip install 'bertscape[xarray]'" in result.stderr
