"""What the HDF5 file of a surface holds, format version 1; see `docs/file-format.md`."""

from typing import cast

import numpy as np

from bertscape.results.result_file import (
    Attribute,
    Contents,
    Dataset,
    Group,
    ResultFile,
    described,
    described_number,
    root_attributes,
)
from bertscape.results.surface import Surface
from bertscape.spec import LandscapeSpec
from bertscape.values import NUMBERS, TrajectoryFound

_DELTA1 = "norm of delta1"  # the unit of both coordinates


def surface_contents(surface: Surface) -> Contents:
    """The file of a surface, before it is written."""
    groups = {}
    if surface.trajectory is not None:
        about = "checkpoints, projected onto the plane"
        groups["trajectory"] = Group(about, _trajectory_datasets(surface.trajectory))
    return Contents(_root_attributes(surface), _root_datasets(surface), groups)


def _root_datasets(surface: Surface) -> list[Dataset]:
    alpha = Dataset(
        "alpha", surface.alpha, ("alpha",), described("coordinate along delta1", _DELTA1)
    )
    datasets = [alpha]
    dimensions: tuple[str, ...] = ("alpha",)
    if surface.beta is not None:
        about = described("coordinate along delta2", _DELTA1)
        datasets.append(Dataset("beta", surface.beta, ("beta",), about))
        dimensions = ("beta", "alpha")
    datasets += [
        Dataset(name, surface[name], dimensions, described_number(name)) for name in surface.names
    ]
    about = described("1 where a value was computed, 0 where it is missing", "1")
    return [*datasets, Dataset("evaluated", surface.evaluated, dimensions, about)]


def _trajectory_datasets(trajectory: TrajectoryFound) -> list[Dataset]:
    places = {
        "alpha": "projection of the paper onto delta1",
        "beta": "projection of the paper: distance from the line along delta1",
        "alpha_lsq": "least squares onto the plane, relative to its origin, along delta1",
        "beta_lsq": "least squares onto the plane, relative to its origin, along delta2",
        "residual": "distance from the plane",
    }
    numbers = np.array(trajectory.numbers, dtype="f8").reshape(-1, len(NUMBERS))
    about = described("training step of the checkpoint", "1")
    return [
        Dataset("step", np.array(trajectory.step, dtype="i8"), ("step",), about),
        *(
            Dataset(
                name,
                np.array(getattr(trajectory, name), dtype="f8"),
                ("step",),
                described(description, _DELTA1),
            )
            for name, description in places.items()
        ),
        *(
            Dataset(name, numbers[:, column], ("step",), described_number(name))
            for column, name in enumerate(NUMBERS)
        ),
    ]


def _root_attributes(surface: Surface) -> dict[str, Attribute]:
    """Those of every result, and what a plane alone has."""
    explained = surface.findings.explained_variance or {}
    return {
        **root_attributes(surface.spec, surface.findings, Surface.form),
        **_round_attributes(surface),
        **_group_attributes(surface),
        **{f"{axis}_explained_variance": value for axis, value in explained.items()},
    }


def _round_attributes(surface: Surface) -> dict[str, int]:
    """If the job sharpens: how many rounds the values are from, and how many examples."""
    if not surface.spec.sharpens:
        return {}
    return {"rounds": surface.rounds, "train_examples": surface.examples["train"]}


def _group_attributes(surface: Surface) -> dict[str, float | list[int]]:
    """Of a layer group, the range of its layers and the lengths of its directions."""
    group = surface.findings.group
    if group is None:
        return {}
    values = {
        "group_layers": None if group.layers is None else list(group.layers),
        "group_x_norm": group.x_norm,
        "group_y_norm": group.y_norm,
    }
    return {name: value for name, value in values.items() if value is not None}


def surface_from(file: ResultFile) -> Surface:
    """The surface of an open file.

    Raises:
        SurfaceFileError: it lacks something, or contradicts its spec.
    """
    spec = cast(LandscapeSpec, file.spec())  # its form says so
    shape = spec.points.shape
    surface = Surface(
        spec=spec,
        findings=file.findings(),
        numbers=np.stack([file.values(number, shape) for number in spec.number_names]),
        evaluated=file.values("evaluated", shape),
        run=file.run(),
        rounds=int(file.attribute("rounds")) if spec.sharpens else 1,
    )
    for axis, values in (("alpha", surface.alpha), ("beta", surface.beta)):
        if values is not None and not np.allclose(
            file.values(axis, values.shape), values, rtol=0, atol=1e-9
        ):
            raise file.refusal(f"dataset {axis} is not the axis that the spec asks for")
    return surface
