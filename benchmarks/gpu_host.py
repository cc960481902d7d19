"""Runs `gpu_check.py` from the bundle, on a host that has torch: `gpu-bundle/run` calls it.

The host's Python may hold other versions of our packages, and packages that ours would import
because they are there. So an environment is made that sees the bundle's packages, the host's torch
and numpy, and what these two need: links, made in a second. Where that does not work, the reason is
printed, and the host's own Python runs it, with the bundle's packages before its own.

Only the standard library is imported here.
"""

import os
import re
import subprocess
import sys
import venv
from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path

OF_THE_HOST = ("torch", "numpy")
# Where torch does not say what it needs: the folders that lie beside it.
BESIDE = (
    *("torch", "torchgen", "functorch", "triton", "nvidia", "cuda", "numpy", "numpy.libs"),
    *("sympy", "mpmath", "networkx", "setuptools"),
)
REACHED = "import torch; print(torch.__version__, torch.cuda.is_available())"
TRIAL = f"import bertscape, numpy, ray, transformers; {REACHED}"


def main() -> int:
    """Prepare, and run; the exit status of the check."""
    bundle, *options = sys.argv[1:]
    folder = Path(bundle).resolve()
    wanted = (folder / "python-version").read_text("ascii").strip()
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    if here != wanted:
        print(f"{sys.executable} is Python {here}; the bundle is for {wanted}: set PYTHON")
        return 2
    command, environment = prepared(folder)
    check = folder / "project" / "benchmarks" / "gpu_check.py"
    return subprocess.run([*command, str(check), *options], env=environment).returncode


def prepared(folder: Path) -> tuple[list[str], dict[str, str]]:
    """The command that runs Python with all packages, and its environment."""
    environment = {key: one for key, one in os.environ.items() if key != "PYTHONPATH"}
    environment["PYTHONNOUSERSITE"] = "1"
    python = str(folder / "env" / "bin" / "python")
    try:
        make_environment(folder / "env", folder / "site")
        version, reached = _said(python, TRIAL, environment)
        # Where torch finds a GPU from the host's own Python alone, something of that was missed.
        if reached == "True" or _said(sys.executable, REACHED, dict(os.environ))[1] == "False":
            print(f"an environment of the bundle's packages and torch {version}", flush=True)
            return [python], environment
        reason = "torch reaches no GPU from it"
    except subprocess.CalledProcessError as error:
        reason = error.stderr.strip().rpartition("\n")[2]
    except (OSError, ValueError) as error:
        reason = str(error)
    print(f"no environment of its own ({reason}); the host's Python takes its place", flush=True)
    return [sys.executable], {**environment, "PYTHONPATH": str(folder / "site")}


def _said(python: str, code: str, environment: dict[str, str]) -> tuple[str, str]:
    """The two words that the code prints."""
    command = [python, "-c", code]
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    version, reached = done.stdout.split()[-2:]
    return version, reached


def make_environment(folder: Path, site: Path) -> None:
    """An environment with links to the host's packages.

    Args:
        folder: where it is made anew.
        site: the bundle's packages, which come first.
    """
    venv.EnvBuilder(symlinks=True, clear=True).create(folder)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    packages = folder / "lib" / version / "site-packages"
    ours = {import_name(path) for path in site.iterdir()}
    for found in sorted(host_packages()):
        if import_name(found) not in ours and not (packages / found.name).exists():
            (packages / found.name).symlink_to(found)
    (packages / "bundle.pth").write_text(f"{site}\n", "utf-8")


def import_name(path: Path) -> str:
    """What it is about: `six` is that of `six.py` and of `six-1.17.dist-info`."""
    return re.sub(r"(-[^-]+\.dist-info|\.py)$", "", path.name).lower()


def host_packages() -> set[Path]:
    """The folders and files of torch and numpy, and of all that they need."""
    found: set[Path] = set()
    for one in needs(OF_THE_HOST):
        base = Path(str(one.locate_file("")))
        tops = {file.parts[0] for file in one.files or ()}
        found |= {base / top for top in tops - {"..", "__pycache__"} if (base / top).exists()}
    for name in OF_THE_HOST:
        spec = find_spec(name)
        if spec is not None and spec.origin is not None:
            base = Path(spec.origin).parents[1]
            found |= {base / top for top in BESIDE if (base / top).exists()}
    return found


def needs(names: tuple[str, ...]) -> Iterator[Distribution]:
    """These packages and what they need in turn, of what is installed."""
    left, seen = list(names), set[str]()
    while left:
        name = re.sub(r"[-_.]+", "-", left.pop()).lower()
        if name in seen:
            continue
        seen.add(name)
        try:
            one = distribution(name)
        except PackageNotFoundError:
            continue
        yield one
        for need in one.requires or ():
            if "extra ==" not in need.partition(";")[2]:
                left += re.findall(r"^[A-Za-z0-9._-]+", need)


if __name__ == "__main__":
    raise SystemExit(main())
