"""The steps of `gpu_check.py`. What they find they say as lines.

What can be known of them without torch is here; a step's module is imported where it is run.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Step:
    """One step."""

    name: str
    module: str  # of this package; its `run(told, setting)` does the work
    seconds: float  # after which it is ended
    arguments: tuple[str, ...] = ()
    small: tuple[str, ...] | None = ()  # the arguments of the small form; None: not run in it

    def arguments_of(self, small: bool) -> tuple[str, ...]:
        """Those of the form that is run."""
        return (self.small or ()) if small else self.arguments


# What is worth most comes first: time may run out.
STEPS = (
    Step("host", "host", 60),
    Step("numerics", "numerics", 75, ("fp32", "tf32"), small=("fp32", "bf16")),
    Step("numerics-bf16", "numerics", 60, ("bf16",), small=None),
    Step("service", "service", 90, small=("full-memory",)),
    Step("speed-minilm", "speed", 45, ("minilm",), small=None),
    Step("speed-base", "speed", 60, ("base",), small=None),
    Step("speed-large", "speed", 80, ("large",), small=("tiny",)),
    Step("time-spent", "time_spent", 50, ("minilm", "base"), small=("tiny",)),
    Step("fine-tuning", "fine_tuning", 60),
    Step("full-memory", "full_memory", 80, small=None),
    Step("trials", "trials", 90, ("minilm", "base"), small=("tiny",)),
)
