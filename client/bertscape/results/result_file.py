"""What the HDF5 files of all results share: how they are put together, and how they are read.

A whole file is put together in memory (a hundred thousand points take 7 MB) and written as plain
bytes, so that a full disk is an ordinary `OSError` and the published name never holds half a file.
`docs/file-format.md` describes the files.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import h5py
import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from bertscape.results.run import Attempt, Run
from bertscape.spec import JobSpec, parse_spec
from bertscape.values import (
    NUMBERS,
    Findings,
    InvalidInput,
    MissingExtra,
    Problem,
    ProblemType,
    SurfaceFileError,
    shortened,
)

if TYPE_CHECKING:
    import xarray

FORMAT_VERSION = 1
_FORMAT = "bertscape "  # and the form: the root attribute `format` of each file

_UNITS = {"loss": "nat", "error": "1"}
_SPLITS = {"train": "training split", "eval": "evaluation split"}

Attribute = str | int | float | list[int]
Source = str | Path | IO[bytes]  # a path, or the open file


@dataclass(frozen=True, slots=True)
class Dataset:
    """One dataset of a file, before it is written."""

    name: str
    values: NDArray[Any]
    dimensions: tuple[str, ...]  # names of dimension scales in the same group
    attributes: Mapping[str, str] = field(default_factory=dict)  # description, units


@dataclass(frozen=True, slots=True)
class Group:
    """A group of datasets below the root."""

    description: str
    datasets: Sequence[Dataset]


@dataclass(frozen=True, slots=True)
class Contents:
    """What a form of result puts into its file, beside `run/`."""

    attributes: Mapping[str, Attribute]  # of the root
    datasets: Sequence[Dataset]  # of the root; dimension scales first
    groups: Mapping[str, Group] = field(default_factory=dict)


# ------------------------------------------------------------------------------------- writing


def file_bytes(contents: Contents, run: Run) -> bytes:
    """The whole HDF5 file, as bytes."""
    # The core driver with no backing store never touches the disk, whatever the name.
    with h5py.File("result", "w", driver="core", backing_store=False) as file:
        file.attrs.update(contents.attributes)
        _write_group(file, contents.datasets)
        for name, group in contents.groups.items():
            written = file.create_group(name)
            written.attrs["description"] = group.description
            _write_group(written, group.datasets)
        _write_run(file, run)
        file.flush()
        image: bytes = file.id.get_file_image()
        return image


def _write_group(group: h5py.Group, datasets: Iterable[Dataset]) -> None:
    """Write datasets and tie each to its dimension scales, which are named first."""
    for dataset in datasets:
        text = dataset.values.dtype.kind == "O"
        written = group.create_dataset(
            dataset.name,
            data=dataset.values,
            dtype=h5py.string_dtype() if text else dataset.values.dtype,
            track_times=False,  # equal results make equal bytes
        )
        written.attrs.update(dataset.attributes)
        if dataset.dimensions == (dataset.name,):
            written.make_scale(dataset.name)
            continue
        for axis, dimension in enumerate(dataset.dimensions):
            written.dims[axis].attach_scale(group[dimension])


_ATTEMPTS: dict[str, tuple[type, str, str]] = {
    "tile": (int, "tile", "1"),
    "attempt": (int, "which try at the tile, from 1", "1"),
    "worker": (str, "worker that tried", ""),
    "device": (str, "device of the worker", ""),
    # This unit makes xarray decode times; in the next, "seconds" would make it a duration.
    "started": (float, "start of the attempt", "seconds since 1970-01-01 00:00:00"),
    "seconds": (float, "length of the attempt", "s"),
    "outcome": (str, "done, failed or lost", ""),
}
_DTYPES = {int: np.dtype("i8"), float: np.dtype("f8"), str: np.dtype(object)}


def _write_run(file: h5py.File, run: Run) -> None:
    """The group `run/`, one row an attempt."""
    group = file.create_group("run")
    group.attrs.update(
        {
            "workers": run.workers,
            "threads": run.threads,
            "tile_points": run.tile_points,
            "versions": as_json(dict(run.versions)),
        }
    )
    _write_group(group, _run_datasets(run))


def _run_datasets(run: Run) -> list[Dataset]:
    """One dataset a column of the attempts, on the dimension `row`."""
    rows = np.arange(len(run.attempts), dtype="i8")
    return [
        Dataset("row", rows, ("row",), described("attempts in the order of their ends", "1")),
        *(
            Dataset(
                name,
                np.array([getattr(attempt, name) for attempt in run.attempts], _DTYPES[kind]),
                ("row",),
                described(description, units),
            )
            for name, (kind, description, units) in _ATTEMPTS.items()
        ),
    ]


def root_attributes(spec: JobSpec, findings: Findings, form: str) -> dict[str, Attribute]:
    """Scalars and JSON texts; a value that is not defined for this job is left out.

    Args:
        spec: the job.
        findings: what preparing it found.
        form: of the result, as in "surface".
    """
    found = findings.to_json()
    names = ("delta1_norm", "delta2_norm", "cosine", "classes", "threads", "evaluator")
    # From the object, not its JSON: there NaN and infinity are strings.
    scalars = {name: getattr(findings, name) for name in names}
    return {
        "format": f"{_FORMAT}{form}",
        "format_version": FORMAT_VERSION,
        "kind": spec.kind,
        "spec": as_json(spec.to_json()),
        **{name: value for name, value in scalars.items() if value is not None},
        "precision": findings.precision,
        "device": findings.device,
        "torch": findings.torch,
        **_rounding_attributes(findings),
        "checkpoint_sha256": as_json({k: v["sha256"] for k, v in found["checkpoints"].items()}),
        "split_sha256": as_json({k: v["sha256"] for k, v in found["splits"].items()}),
        **{f"{n}_examples": s.examples for n, s in findings.splits.items() if n in _SPLITS},
        "self_checks": as_json(found["self_checks"]),
        "self_checks_failed": sum(check.passed is False for check in findings.self_checks),
        "findings": as_json(found),
        **({"warnings": as_json(found["warnings"])} if findings.warnings else {}),
    }


def _rounding_attributes(findings: Findings) -> dict[str, Attribute]:
    """The largest difference from fp32 of each loss and error, if it was measured."""
    if findings.rounding is None:
        return {}
    return {f"fp32_difference_{name}": getattr(findings.rounding, name) for name in NUMBERS[:4]}


def labelled(contents: Contents) -> "xarray.Dataset":
    """What `xarray.open_dataset(path, engine="h5netcdf")` reads from a file of these contents.

    Raises:
        MissingExtra: the package xarray is not installed.
    """
    try:
        import xarray
    except ImportError as error:
        detail = "a labelled dataset needs xarray: pip install 'bertscape[xarray]'"
        raise MissingExtra(Problem(ProblemType.UNAVAILABLE, detail)) from error
    variables = {d.name: (d.dimensions, d.values, dict(d.attributes)) for d in contents.datasets}
    scales = [d.name for d in contents.datasets if d.dimensions == (d.name,)]
    return xarray.Dataset(variables, attrs=dict(contents.attributes)).set_coords(scales)


def described(description: str, units: str) -> dict[str, str]:
    """The attributes of a dataset."""
    return {"description": description, **({"units": units} if units else {})}


def described_number(name: str) -> dict[str, str]:
    """The attributes of a number that was computed, by its name, as in "eval_loss_stderr"."""
    split, what, *rest = name.split("_")
    meaning = {"loss": "mean cross-entropy", "error": "1 - accuracy"}[what]
    of = "standard error of the " if "stderr" in rest else ""
    change = "change against the fine-tuned backbone of the " if "change" in rest else ""
    return described(f"{of}{change}{meaning} on the {_SPLITS[split]}", _UNITS[what])


def as_json(value: object) -> str:
    """As an attribute holds it."""
    return json.dumps(value, ensure_ascii=False)


# ------------------------------------------------------------------------------------- reading


@dataclass(frozen=True, slots=True)
class ResultFile:
    """An HDF5 file that is read, by whatever name; each method says what is wrong with it.

    Raises:
        SurfaceFileError: from every method; the message names the file.
    """

    file: h5py.File
    name: str
    form: str  # what it ought to be, as in "surface"

    def check_format(self) -> None:
        """Whether it is such a file, of a version that is known here."""
        found = _claimed_form(self.file)
        if found != self.form:
            other = f" but a {_FORMAT}{found}: `read_result` reads either" if found else ""
            raise self.refusal(f"not a {_FORMAT}{self.form}{other}")
        version = self.file.attrs.get("format_version")
        if version != FORMAT_VERSION:
            raise self.refusal(f"format version {version}")

    def refusal(self, reason: str) -> SurfaceFileError:
        """The error that says what is wrong."""
        return refusal(self.name, self.form, reason)

    def spec(self) -> JobSpec:
        """The job, whose results have this form."""
        try:
            spec = parse_spec(json.loads(self.attribute("spec")))
        except (InvalidInput, ValueError) as error:
            raise self.refusal(f"attribute spec is wrong ({error})") from error
        if spec.result_form != self.form:
            raise self.refusal(f"the spec is that of a {spec.kind}")
        return spec

    def findings(self) -> Findings:
        """What preparing found."""
        try:
            return Findings.model_validate_json(self.attribute("findings"))
        except ValidationError as error:
            raise self.refusal(f"attribute findings is wrong ({error})") from error

    def attribute(self, key: str, group: h5py.Group | None = None) -> Any:
        """An attribute of a group; by default of the root."""
        group = self.file if group is None else group
        if key not in group.attrs:
            raise self.refusal(f"no attribute {key} in {group.name}")
        return group.attrs[key]

    def values(
        self, key: str, shape: tuple[int, ...], group: h5py.Group | None = None
    ) -> NDArray[Any]:
        """A dataset of the expected shape."""
        group = self.file if group is None else group
        path = f"{group.name.rstrip('/')}/{key}"
        dataset = group.get(key)
        if not isinstance(dataset, h5py.Dataset):
            raise self.refusal(f"no dataset {path}")
        if dataset.shape != shape:
            raise self.refusal(f"dataset {path} of shape {shortened(dataset.shape)}, not {shape}")
        values: NDArray[Any] = dataset[()]
        return values

    def run(self) -> Run:
        """How it came about."""
        group = self.file.get("run")
        if not isinstance(group, h5py.Group):
            raise self.refusal("no group run")
        rows = group["row"].shape if "row" in group else (0,)
        columns = []
        for column, (kind, _, _) in _ATTEMPTS.items():
            values = self.values(column, rows, group)
            texts = kind is str
            columns.append([v.decode() if texts else kind(v) for v in values])
        return Run(
            attempts=tuple(Attempt(*row) for row in zip(*columns, strict=True)),
            workers=int(self.attribute("workers", group)),
            threads=int(self.attribute("threads", group)),
            tile_points=int(self.attribute("tile_points", group)),
            versions=json.loads(self.attribute("versions", group)),
        )


@contextmanager
def _reading(source: Source, form: str) -> Iterator[ResultFile]:
    """Open a file, by its path or open already, as a result of this form.

    Raises:
        SurfaceFileError: it does not exist, is not HDF5, or the block found it to be so.
    """
    name = str(source) if isinstance(source, str | Path) else "the stream"
    if isinstance(source, str | Path) and not Path(source).is_file():
        reason = "not a file" if Path(source).exists() else "no such file"
        raise refusal(name, form, reason, ProblemType.PATH_NOT_FOUND)
    try:
        # A published file never changes: no lock is needed, and a read-only disk allows none.
        with h5py.File(source, "r", locking=False) as file:
            yield ResultFile(file, name, form)
    except (OSError, RuntimeError) as error:  # what the HDF5 library raises
        raise refusal(name, form, f"not a whole HDF5 file ({error})") from error


@contextmanager
def reading(source: Source, form: str) -> Iterator[ResultFile]:
    """Open a file as a result of this form, in a version that is known here.

    Raises:
        SurfaceFileError: it is none, or the block found it to be so.
    """
    with _reading(source, form) as file:
        file.check_format()
        yield file


def form_of(source: Source) -> str | None:
    """What form of result a file claims to be, in whatever version; None: none.

    Raises:
        SurfaceFileError: it does not exist, or is not HDF5.
    """
    with _reading(source, "surface") as opened:
        return _claimed_form(opened.file)


def _claimed_form(file: h5py.File) -> str | None:
    found = file.attrs.get("format")
    is_ours = isinstance(found, str) and found.startswith(_FORMAT)
    return found.removeprefix(_FORMAT) if is_ours else None


def refusal(
    name: str, form: str, reason: str, kind: ProblemType = ProblemType.INVALID_DATA
) -> SurfaceFileError:
    """The error that says what is wrong with the file of this name."""
    expected = f"a {form} file of format version {FORMAT_VERSION}"
    detail = f"{name}: {reason}; expected {expected}"
    return SurfaceFileError(Problem(kind, detail, value=name, expected=expected))
