"""What a fine-tuning left behind: its checkpoints, and the loss and error on the way."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Self

from bertscape.values.json_values import plain


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One moment of a training; None if a number was not measured there."""

    step: int  # of the optimizer
    epoch: float  # passes over the training split, so far
    loss: float | None = None  # mean training loss since the entry before that has one, in nats
    learning_rate: float | None = None
    eval_loss: float | None = None  # mean cross-entropy on the evaluation split, in nats
    eval_error: float | None = None  # 1 − accuracy there, in [0, 1]
    eval_loss_stderr: float | None = None
    eval_error_stderr: float | None = None

    def after(self, earlier: "LogEntry | None") -> "LogEntry":
        """This entry, with the latest of what was not measured there from an earlier one."""
        if earlier is None:
            return self
        measured = {name: value for name, value in asdict(self).items() if value is not None}
        return replace(earlier, **measured)

    def to_json(self) -> dict[str, Any]:
        """The numbers there are, NaN and infinity as strings; `from_json` reads them back."""
        named = ((field.name, getattr(self, field.name)) for field in fields(self))
        return {name: plain(value) for name, value in named if value is not None}

    @classmethod
    def from_json(cls, members: Mapping[str, Any]) -> Self:
        """Read plain values.

        Raises:
            KeyError, TypeError, ValueError: they are not those of an entry.
        """
        numbers = {name: float(value) for name, value in members.items()}
        return cls(**{**numbers, "step": int(members["step"])})  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class KeptCheckpoint:
    """One checkpoint of the trajectory."""

    step: int
    path: str  # of its folder, where the service runs


@dataclass(frozen=True, slots=True)
class TrainingOutput:
    """The output of a `finetune` job, whole or so far."""

    folder: str
    checkpoints: tuple[KeptCheckpoint, ...]  # in the order of their steps; 0 is θ0
    labels: tuple[str, ...]  # class names in the head's order
    log: tuple[LogEntry, ...]  # in the order of their steps
    eval_examples: int | None = None  # of the evaluation split; None in what older versions wrote

    @property
    def final(self) -> LogEntry | None:
        """The last entry that has the evaluation split's numbers: those of the final model."""
        return next((one for one in reversed(self.log) if one.eval_error is not None), None)

    @property
    def accuracy(self) -> float | None:
        """Of the final model on the evaluation split, in [0, 1]."""
        final = self.final
        return None if final is None or final.eval_error is None else 1.0 - final.eval_error

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values, NaN and infinity as strings; `from_json` reads them back."""
        return {**asdict(replace(self, log=())), "log": [one.to_json() for one in self.log]}

    @classmethod
    def from_json(cls, members: Mapping[str, Any]) -> Self:
        """Read plain values.

        Raises:
            KeyError, TypeError, ValueError: they are not those of a training's output.
        """
        examples = members.get("eval_examples")
        return cls(
            folder=str(members["folder"]),
            checkpoints=tuple(KeptCheckpoint(**one) for one in members["checkpoints"]),
            labels=tuple(members["labels"]),
            log=tuple(LogEntry.from_json(one) for one in members["log"]),
            eval_examples=None if examples is None else int(examples),
        )
