"""Layer groups: which part of a backbone moves on a plane."""

from dataclasses import dataclass

from bertscape.values.errors import InvalidInput, ProblemType

ALL, EMBEDDINGS, POOLER = "all", "embeddings", "pooler"
THIRDS = ("low", "middle", "high")
NAMES = (ALL, *THIRDS, EMBEDDINGS, POOLER)


@dataclass(frozen=True, slots=True)
class LayerGroup:
    """What moves: the whole backbone, its embeddings, its pooler, or some of its encoder layers.

    Encoder layers are counted from 0. A third of them has a name, and is known only where their
    number is:

    >>> LayerGroup("high").layers(12)
    range(8, 12)
    """

    value: str | tuple[int, int] = ALL  # one of `NAMES`, or a half-open range of encoder layers

    def __post_init__(self) -> None:
        if self.value not in NAMES and not _is_range(self.value):
            raise InvalidInput.of(
                ProblemType.INVALID_VALUE,
                "layers",
                self.value,
                f"{', '.join(NAMES)}, or [first, end], a half-open range of encoder layers",
            )

    @property
    def is_all(self) -> bool:
        """Whether everything moves."""
        return self.value == ALL

    @property
    def holds_embeddings(self) -> bool:
        """Whether the embeddings move."""
        return self.value in (ALL, EMBEDDINGS)

    @property
    def holds_pooler(self) -> bool:
        """Whether the pooler moves, if the model has one."""
        return self.value in (ALL, POOLER)

    def prefix(self, count: int) -> int | None:
        """How many of the lowest of `count` encoder layers stay, with the embeddings below them.

        None if the embeddings move, and with them all that layers are given.

        >>> LayerGroup((2, 5)).prefix(12), LayerGroup("pooler").prefix(12)
        (2, 12)
        """
        if self.holds_embeddings:
            return None
        layers = self.layers(count)
        return layers.start if layers else count

    def layers(self, count: int) -> range:
        """Which of `count` encoder layers move; a range is not cut to them.

        The thirds of L layers are [⌊kL/3⌋, ⌊(k+1)L/3⌋) for k = 0, 1, 2: of fewer than three
        layers some are empty.
        """
        if isinstance(self.value, tuple):
            return range(*self.value)
        if self.value in THIRDS:
            third = THIRDS.index(self.value)
            return range(third * count // 3, (third + 1) * count // 3)
        return range(count if self.is_all else 0)

    def to_json(self) -> str | list[int]:
        """As a job spec has it."""
        return list(self.value) if isinstance(self.value, tuple) else self.value


ALL_LAYERS = LayerGroup()


def _is_range(value: object) -> bool:
    if not isinstance(value, tuple) or len(value) != 2:
        return False
    first, end = value
    return type(first) is int and type(end) is int and 0 <= first < end
