"""What the HDF5 file of a rollback holds, format version 1; see `docs/file-format.md`."""

from typing import cast

import numpy as np

from bertscape.results.result_file import (
    Contents,
    Dataset,
    ResultFile,
    described,
    described_number,
    root_attributes,
)
from bertscape.results.rollback import Rollback
from bertscape.spec import ROLLBACK_NUMBERS, RollbackSpec


def rollback_contents(rollback: Rollback) -> Contents:
    """The file of a rollback, before it is written."""
    attributes = root_attributes(rollback.spec, rollback.findings, Rollback.form)
    return Contents(attributes, _datasets(rollback))


def _datasets(rollback: Rollback) -> list[Dataset]:
    groups = np.array(rollback.groups, dtype=object)
    about = "layer group of the fine-tuned backbone that is put back to the pre-trained one"
    far = "how far the group is put back"
    evaluated = "1 where a value was computed, 0 where it is missing"
    over = ("group",)
    return [
        Dataset("group", groups, over, described(about, "")),
        *(Dataset(n, rollback[n], over, described_number(n)) for n in ROLLBACK_NUMBERS),
        Dataset("distance", rollback.distance, over, described(far, "norm of delta1")),
        Dataset("evaluated", rollback.evaluated, over, described(evaluated, "1")),
    ]


def rollback_from(file: ResultFile) -> Rollback:
    """The rollback of an open file.

    Raises:
        SurfaceFileError: it lacks something, or contradicts its spec.
    """
    spec = cast(RollbackSpec, file.spec())  # its form says so
    shape = (spec.point_count,)
    rollback = Rollback(
        spec=spec,
        findings=file.findings(),
        numbers=np.stack([file.values(number, shape) for number in ROLLBACK_NUMBERS]),
        evaluated=file.values("evaluated", shape),
        run=file.run(),
    )
    names = tuple(name.decode() for name in file.values("group", shape))
    if names != rollback.groups:
        raise file.refusal("dataset group is not the groups that the spec asks for")
    return rollback
