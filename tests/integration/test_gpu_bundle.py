"""What `make gpu-bundle` packs, and the environment that a host makes of it, without a download."""

import importlib.util
import subprocess
import sys
import tarfile
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


def script(name: str) -> ModuleType:
    path = ROOT / "benchmarks" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


bundle, host = script("gpu_bundle"), script("gpu_host")


def test_each_package_has_its_version_of_the_constraints() -> None:
    pins = list(bundle.pins(ROOT / "constraints.txt"))
    assert len(pins) == len(bundle.PACKAGES)
    names = {pin.partition("==")[0].lower() for pin in pins}
    assert {"ray", "transformers", "pydantic_core"} <= names
    assert not {"torch", "numpy", "pyarrow"} & names


def test_a_package_without_a_version_is_named(tmp_path: Path) -> None:
    (tmp_path / "constraints.txt").write_text("accelerate==1.0\n")
    with pytest.raises(ValueError, match="has no version of annotated-doc"):
        list(bundle.pins(tmp_path / "constraints.txt"))


def test_the_archive_is_the_same_whoever_packs_it_when(tmp_path: Path) -> None:
    archives = []
    for place in ("one", "other"):
        folder = tmp_path / place / bundle.NAME
        (folder / "site" / "ray" / "jars").mkdir(parents=True)
        (folder / "site" / "ray" / "jars" / "x.jar").write_text(place)
        (folder / "site" / "ray" / "__init__.py").write_text("")
        (folder / "run").write_text(bundle.RUN)
        (folder / "run").chmod(0o755 if place == "one" else 0o700)
        bundle.drop_unused(folder / "site")
        archives.append(tmp_path / f"{place}.tar.xz")
        bundle.pack(folder, archives[-1], 1)
    assert archives[0].read_bytes() == archives[1].read_bytes()
    with tarfile.open(archives[0]) as archive:
        assert archive.getnames() == ["gpu-bundle/run", "gpu-bundle/site/ray/__init__.py"]


def test_an_environment_sees_torch_and_the_bundle_alone(tmp_path: Path) -> None:
    site = tmp_path / "site"
    site.mkdir()
    (site / "ours.py").write_text("name = 'ours'\n")
    (site / "sympy.py").write_text("name = 'ours too'\n")  # the host has that too
    host.make_environment(tmp_path / "env", site)
    trial = (
        "import importlib.util as u, numpy, ours, torch; "
        "print(ours.name, torch.ones(2).sum().item(), "
        "u.find_spec('sympy').origin, u.find_spec('pytest'), u.find_spec('transformers'))"
    )
    environment = {"PATH": "/usr/bin:/bin", "PYTHONNOUSERSITE": "1"}
    done = subprocess.run(
        [str(tmp_path / "env" / "bin" / "python"), "-c", trial],
        env=environment,
        capture_output=True,
        text=True,
    )
    expected = ["ours", "2.0", str(site / "sympy.py"), "None", "None"]
    assert done.stdout.split() == expected, done.stderr


def test_another_python_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "python-version").write_text("2.7\n")
    command = [sys.executable, str(ROOT / "benchmarks" / "gpu_host.py"), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert "the bundle is for 2.7: set PYTHON" in done.stdout


def test_what_does_not_work_is_said_and_the_hosts_python_takes_over(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "site").mkdir()  # holds nothing that the trial imports
    command, environment = host.prepared(tmp_path)
    assert command == [sys.executable]
    assert environment["PYTHONPATH"] == str(tmp_path / "site")
    said = capsys.readouterr().out
    assert "no environment of its own (ModuleNotFoundError: No module named 'bertscape')" in said
