"""How sharp a surface is to become."""

from collections.abc import Iterator

from pydantic import Field

from bertscape.spec.parts.base import Values


class Until(Values):
    """Examples are added in rounds until every point is that sharp, or all are used.

    Each round doubles the sample of the training split. Samples of one seed are nested: a round
    evaluates the examples that are new in it.
    """

    stderr: float = Field(
        gt=0, description="standard error of each point's training loss, as a share of that loss"
    )

    @staticmethod
    def additions(first: int, examples: int) -> Iterator[int]:
        """How many examples each round adds, the first included.

        >>> list(Until.additions(100, 1000))
        [100, 100, 200, 400, 200]
        """
        reached = 0
        while reached < examples:
            added = min(reached or first, examples - reached)
            reached += added
            yield added
