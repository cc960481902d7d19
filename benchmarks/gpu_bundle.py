"""One archive for a GPU's host without a network: this project and the packages that it lacks.

    python benchmarks/gpu_bundle.py [--output dist/gpu-bundle.tar.xz] [--python 3.12]

Run it where there is a network, git and pip (`make gpu-bundle`). What is packed is HEAD, so commit
first. The host must have Python of that version on Linux x86-64, and in it torch built for CUDA,
with numpy. There, one command unpacks it and another runs `gpu_check.py` from it:

    python3 -m tarfile -e gpu-bundle.tar.xz . && gpu-bundle/run --output FOLDER

Packages are packed as they are installed, and not as wheels: nothing is left to be installed there,
and the archive is smaller. Versions are those of `constraints.txt`. Left out are torch, numpy and
their own needs, which the host has, and of Ray what no worker uses. `run` makes an environment of
these packages and the host's torch alone; see `gpu_host.py`.
"""

import argparse
import io
import lzma
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MOST_MIB = 56  # that the archive may take
DICTIONARY = 64 << 20  # bytes that xz looks back: Ray's three programs share much of their code
NAME = "gpu-bundle"  # of the folder in it

# torch and numpy are the host's, with filelock, fsspec, Jinja2, MarkupSafe, networkx, sympy and
# typing_extensions; some of these are small and packed all the same, in the versions of ours.
# `datasets` and `pyarrow` are imported for datasets of the hub and Parquet alone.
PACKAGES = (
    *("accelerate", "annotated-doc", "annotated-types", "anyio", "attrs", "certifi", "click"),
    *("fastapi", "filelock", "fsspec", "grpcio", "h11", "h5py", "hf-xet", "httpcore2", "httpx2"),
    *("huggingface_hub", "idna", "Jinja2", "jsonschema", "jsonschema-specifications"),
    *("lazy_loader", "markdown-it-py", "MarkupSafe", "mdurl", "msgpack", "opentelemetry-api"),
    *("packaging", "protobuf", "psutil", "pydantic", "pydantic_core", "Pygments", "PyYAML", "ray"),
    *("referencing", "regex", "requests", "rich", "rpds-py", "safetensors", "shellingham"),
    *("starlette", "tokenizers", "tqdm", "transformers", "truststore", "typer"),
    *("typing-inspection", "typing_extensions", "urllib3", "uvicorn"),
)
# Ray's parts that nothing here imports, and scripts of all packages.
UNUSED = (
    *(f"ray/{part}" for part in ("jars", "rllib", "tune", "serve", "data", "llm")),
    "ray/dashboard/client",
    "bin",
)
GLIBC = (39, 35, 34, 31, 28, 27, 24, 17, 12, 5)  # minor versions that wheels are built for
_OLD_NAMES = ("manylinux2014_x86_64", "manylinux2010_x86_64", "manylinux1_x86_64")
PLATFORMS = (*(f"manylinux_2_{minor}_x86_64" for minor in GLIBC), *_OLD_NAMES)

RUN = """\
#!/bin/sh
# All steps of benchmarks/gpu_check.py; its options may follow. PYTHON is the Python that has torch.
here=$(cd "$(dirname "$0")" && pwd)
exec "${PYTHON:-python3}" "$here/project/benchmarks/gpu_host.py" "$here" "$@"
"""


def main() -> int:
    """Make the archive; 1 if it is too large."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--output", type=Path, default=ROOT / "dist" / f"{NAME}.tar.xz")
    parser.add_argument("--python", default="3.12", help="of the host (default: %(default)s)")
    parser.add_argument("--preset", type=int, default=6, choices=range(10), help="of xz")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="gpu-bundle-") as name:
        folder = Path(name) / NAME
        folder.mkdir()
        add_project(folder / "project")
        add_packages(folder / "site", folder / "project", options.python)
        drop_unused(folder / "site")
        (folder / "python-version").write_text(f"{options.python}\n", "ascii")
        (folder / "run").write_text(RUN, "ascii")
        (folder / "run").chmod(0o755)
        options.output.parent.mkdir(parents=True, exist_ok=True)
        pack(folder, options.output, options.preset)
    size = options.output.stat().st_size / (1 << 20)
    print(f"{options.output}: {size:.1f} MiB of at most {MOST_MIB}")
    return int(size > MOST_MIB)


def add_project(folder: Path) -> None:
    """What git has at HEAD."""
    if _git("status", "--porcelain").strip():
        print("there are changes that are not committed; HEAD is packed without them")
    folder.mkdir()
    with tarfile.open(fileobj=io.BytesIO(_git("archive", "HEAD"))) as archive:
        archive.extractall(folder, filter="data")


def _git(*arguments: str) -> bytes:
    return subprocess.run(["git", *arguments], cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout


def add_packages(site: Path, project: Path, python: str) -> None:
    """Every package and the project itself, installed for the host's Python."""
    pip = [sys.executable, "-m", "pip"]
    # As this machine has it set: torch's version there is another than ours.
    quiet = ["--quiet", "--no-deps"]
    wheels = project.parent / "wheels"
    subprocess.run([*pip, "wheel", *quiet, "--wheel-dir", str(wheels), str(project)], check=True)
    shutil.rmtree(project / "build", ignore_errors=True)
    target = [
        *("--target", str(site), "--no-compile", "--only-binary", ":all:"),
        *("--python-version", python, "--implementation", "cp"),
        *(part for platform in PLATFORMS for part in ("--platform", platform)),
    ]
    pinned = list(pins(ROOT / "constraints.txt"))
    own = [str(wheel) for wheel in wheels.iterdir()]
    subprocess.run([*pip, "install", *quiet, *target, *pinned, *own], check=True)
    shutil.rmtree(wheels)


def pins(constraints: Path) -> Iterator[str]:
    """Each package with its version.

    Raises:
        ValueError: one has no version there.
    """
    lines = constraints.read_text("utf-8").splitlines()
    versions = {normal(line.partition("==")[0]): line for line in lines if "==" in line}
    for name in PACKAGES:
        if normal(name) not in versions:
            raise ValueError(f"{constraints} has no version of {name}")
        yield versions[normal(name)]


def normal(name: str) -> str:
    """A package's name in its one normal form."""
    return re.sub(r"[-_.]+", "-", name.strip()).lower()


def drop_unused(site: Path) -> None:
    """Remove what nothing here imports."""
    for name in UNUSED:
        shutil.rmtree(site / name, ignore_errors=True)


def pack(folder: Path, output: Path, preset: int) -> None:
    """Write the archive; equal folders give equal bytes."""
    known = {"preset": preset, "dict_size": DICTIONARY}
    filters = [{"id": lzma.FILTER_X86}, {"id": lzma.FILTER_LZMA2, **known}]
    files = sorted(path for path in folder.rglob("*") if not path.is_dir())
    with (
        lzma.open(output, "wb", filters=filters) as stream,
        tarfile.open(fileobj=stream, mode="w") as archive,
    ):
        for path in files:
            archive.add(path, str(path.relative_to(folder.parent)), filter=_plain)


def _plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Without what tells of this machine."""
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    member.mtime = 0
    member.mode = 0o755 if member.mode & 0o100 else 0o644
    return member


if __name__ == "__main__":
    os.environ["PIP_DISABLE_PIP_VERSION_CHECK"] = "1"
    raise SystemExit(main())
