"""Do two versions compute the same? Compares the result files of two folders, byte for byte.

    git worktree add ../before COMMIT
    (cd ../before && make demo && make paper)
    make demo && make paper
    python benchmarks/same_bytes.py ../before .

Every HDF5 file under either folder must lie under both, by the same path. Compared are all datasets
and attributes but those of the group `run/`, which tells of workers and times. A folder's own path
and the random id of a job in an attribute are no difference. What the self-checks expected is left
out with `--without-expected`: plainly loaded models give it, and not the evaluator whose numbers
the file holds. Exit status 1: something differs, and each difference is a line.
"""

import argparse
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import h5py

FOLDERS = ("demo", "demo-paper")  # what `make demo` and `make paper` leave
JOB = re.compile(r"outputs/[0-9a-f]{12}/")
EXPECTED = re.compile(r'"expected": \[[^]]*\]')
NOTHING = re.compile(r"(?!)")
OWN_COPIES = {"service", "state"}  # folders of the service itself


def main() -> int:
    """Print the differences, and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    parser.add_argument("--without-expected", action="store_true")
    options = parser.parse_args()
    before, after = options.before.resolve(), options.after.resolve()
    files = sorted(results(before) | results(after))
    ignored = EXPECTED if options.without_expected else NOTHING
    differences = [line for file in files for line in compared(before, after, file, ignored)]
    print(*differences, sep="\n", end="\n" if differences else "")
    print(f"{len(files)} files, {len(differences)} differences")
    return 1 if differences or not files else 0


def results(root: Path) -> set[Path]:
    """The result files of a checkout, relative to it; not the service's own copies."""
    found = (file for name in FOLDERS for file in (root / name).rglob("*.h5"))
    return {file.relative_to(root) for file in found if not OWN_COPIES & set(file.parts)}


def compared(before: Path, after: Path, file: Path, ignored: re.Pattern[str]) -> Iterator[str]:
    """One line for each difference."""
    missing = [root for root in (before, after) if not (root / file).is_file()]
    if missing:
        yield f"{file}: not in {missing[0]}"
        return
    old, new = content(before, file, ignored), content(after, file, ignored)
    for key in sorted(old.keys() | new.keys()):
        if old.get(key) != new.get(key):
            yield f"{file}: {key}: {shown(old.get(key))} != {shown(new.get(key))}"


def content(root: Path, file: Path, ignored: re.Pattern[str]) -> dict[str, object]:
    """Every dataset and attribute outside `run/`, by its name, as comparable values."""
    found: dict[str, object] = {}

    def note(name: str, item: h5py.Group | h5py.Dataset) -> None:
        if name.partition("/")[0] == "run":
            return
        if isinstance(item, h5py.Dataset):
            values = item[()]
            texts = item.dtype.kind == "O"  # pointers, which are never the same twice
            found[name] = (
                str(item.dtype),
                item.shape,
                values.tolist() if texts else values.tobytes(),
            )
        for key, value in item.attrs.items():
            # References between a dataset and its scales are addresses in the file.
            if key not in ("DIMENSION_LIST", "REFERENCE_LIST"):
                text = str(value).replace(str(root), "ROOT")
                found[f"{name}@{key}"] = ignored.sub("", JOB.sub("outputs/JOB/", text))

    with h5py.File(root / file, "r") as opened:
        note("", opened)
        opened.visititems(note)
    return found


def shown(value: object) -> str:
    """A value in few characters."""
    text = repr(value)
    return text if len(text) < 100 else f"{text[:100]}…"


if __name__ == "__main__":
    sys.exit(main())
