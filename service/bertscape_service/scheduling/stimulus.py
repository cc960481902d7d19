"""What caused what: a name for each event, which all that follows from it carries."""

from dataclasses import dataclass, field

__all__ = ["Caused"]


@dataclass(frozen=True, slots=True)
class Caused:
    """An event, or an instruction that it brought.

    Attributes:
        stimulus_id: The name of the event, the same in both; empty if nobody gave it one. Two
            values that differ in nothing else are equal.
    """

    stimulus_id: str = field(default="", kw_only=True, compare=False, repr=False)
