"""What one job may ask for."""

from dataclasses import dataclass

from bertscape.spec.kinds import JobSpec
from bertscape.values import InvalidInput, ProblemType


@dataclass(frozen=True, slots=True)
class Limits:
    """What one job may ask for at most; a service sets its own."""

    points: int = 100_000
    examples: int = 1_000_000  # of one split
    trajectory: int = 1_000  # checkpoints

    def check(self, spec: JobSpec) -> None:
        """Raise `InvalidInput` (limit-exceeded) if the spec asks for more."""
        for asked in spec.amounts():
            limit: int = getattr(self, asked.limit)
            if asked.count > limit:
                raise InvalidInput.of(
                    ProblemType.LIMIT_EXCEEDED,
                    asked.key,
                    asked.count,
                    f"at most {limit} {asked.unit}",
                    asked.unit,
                )
