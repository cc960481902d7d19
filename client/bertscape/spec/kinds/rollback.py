"""Rollback: what each layer group of θ1 is worth, by putting it back to θ0."""

from collections.abc import Iterator, Mapping
from typing import Annotated, ClassVar, Literal, Self

from pydantic import BeforeValidator, field_validator

from bertscape.spec.kinds.job import Amount, JobSpec, Precision
from bertscape.spec.parts import Layers, Model, Visitor, wrong
from bertscape.values import THIRDS, LayerGroup

ROLLBACK_NUMBERS = tuple(
    f"{name}{deviation}"
    for deviation in ("", "_stderr")
    for name in (
        *("train_loss", "train_error", "eval_loss", "eval_error"),
        *("train_loss_change", "train_error_change", "eval_loss_change", "eval_error_change"),
    )
)
"""The order of the sixteen float64 numbers of one rolled-back group.

The changes are against θ1 itself, on the same examples; their standard errors are those of the
mean of the examples' differences.
"""


class RollbackSpec(JobSpec):
    """Which groups of θ1 to put back to θ0, and on which data to measure it.

    The points of the job are θ1 itself, and then the groups in their order.
    """

    result_form: ClassVar[str | None] = "rollback"

    kind: Literal["rollback"]
    model: Model
    groups: Annotated[
        tuple[Layers, ...],
        BeforeValidator(lambda value: tuple(value) if isinstance(value, list) else value),
    ] = tuple(LayerGroup(third) for third in THIRDS)
    precision: Precision = "auto"

    @field_validator("groups")
    @classmethod
    def _different(cls, groups: tuple[LayerGroup, ...]) -> tuple[LayerGroup, ...]:
        if not groups or len(set(groups)) != len(groups):
            raise wrong("one layer group or more, none twice")
        return groups

    @property
    def point_count(self) -> int:
        """As `JobSpec.point_count`: θ1 and each group."""
        return 1 + len(self.groups)

    def points_per_tile(self, _: int) -> int:
        """As `JobSpec.points_per_tile`: there are few, and each may go to a worker of its own."""
        return 1

    @property
    def number_names(self) -> tuple[str, ...]:
        """As `JobSpec.number_names`."""
        return ROLLBACK_NUMBERS

    def amounts(self) -> Iterator[Amount]:
        """As `JobSpec.amounts`: also θ1 and the groups."""
        yield from super().amounts()
        yield Amount("groups", self.point_count, "points", "points, of which θ1 is one")

    @property
    def layer_groups(self) -> Mapping[str, LayerGroup]:
        """As `JobSpec.layer_groups`: each that is put back."""
        return {f"groups[{place}]": group for place, group in enumerate(self.groups)}

    def visited(self, visitor: Visitor) -> Self:
        """As `JobSpec.visited`."""
        return self.with_parts(model=visitor.model(self.model), data=visitor.data(self.data))
