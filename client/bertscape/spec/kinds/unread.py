"""What stands in place of a spec that cannot be read any more."""

from collections.abc import Mapping
from typing import Any, Self

from bertscape.spec.kinds.job import JobSpec
from bertscape.spec.parts import Visitor


class UnreadSpec(JobSpec):
    """A spec that another version took and this one refuses: its job is shown, and never run."""

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> "UnreadSpec":
        """As much of it as a job object shows."""
        name = values.get("name")
        shown: dict[str, Any] = {"kind": str(values.get("kind"))}
        return cls.model_construct(**shown, name=name if isinstance(name, str) else None)

    @property
    def point_count(self) -> int:
        """As `JobSpec.point_count`: none can be done."""
        return 0

    @property
    def number_names(self) -> tuple[str, ...]:
        """As `JobSpec.number_names`."""
        return ()

    def visited(self, visitor: Visitor) -> Self:
        """As `JobSpec.visited`: no source of it is known."""
        del visitor
        return self
