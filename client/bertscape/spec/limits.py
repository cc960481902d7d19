"""What one job may ask for."""

from dataclasses import dataclass

from bertscape.spec.kinds import JobSpec, LandscapeSpec, RollbackSpec
from bertscape.values import (
    InvalidInput,
    ProblemType,
)


@dataclass(frozen=True, slots=True)
class Limits:
    """What one job may ask for at most; a service sets its own."""

    points: int = 100_000
    examples: int = 1_000_000  # of one split
    trajectory: int = 1_000  # checkpoints

    def check(self, spec: JobSpec) -> None:
        """Raise `InvalidInput` (limit-exceeded) where the spec asks for more."""
        for key, (count, limit, unit) in self._counts(spec).items():
            if count > limit:
                raise InvalidInput.of(
                    ProblemType.LIMIT_EXCEEDED, key, count, f"at most {limit} {unit}", unit
                )

    def _counts(self, spec: JobSpec) -> dict[str, tuple[int, int, str]]:
        """(how many, at most, of what) by key."""
        data = spec.data
        counts = {
            "data.train.examples": (data.train.examples or 0, self.examples, "examples"),
            "data.eval.examples": (data.eval.examples or 0, self.examples, "examples"),
        }
        if isinstance(spec, LandscapeSpec):
            counts["grid"] = (spec.point_count, self.points, "points")
            counts["trajectory"] = (len(spec.trajectory), self.trajectory, "checkpoints")
            for axis, direction in (("x", spec.x), ("y", spec.y)):
                if direction is not None and direction.pca is not None:
                    along = len(direction.pca)
                    counts[f"{axis}.pca"] = (along, self.trajectory, "checkpoints")
        if isinstance(spec, RollbackSpec):
            counts["groups"] = (spec.point_count, self.points, "points, of which θ1 is one")
        return counts
