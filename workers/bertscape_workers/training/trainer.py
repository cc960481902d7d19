"""The Hugging Face `Trainer` as a fine-tuning uses it: whole checkpoints, dev numbers, a log."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import Trainer, TrainerCallback
from transformers.trainer_pt_utils import LengthGroupedSampler, get_length_grouped_indices

from bertscape.spec import FINETUNE_NUMBERS
from bertscape.values import InvalidInput, LogEntry, ProblemType
from bertscape_workers.data import error_rate, mean_loss, outcomes_of
from bertscape_workers.evaluation import untaken
from bertscape_workers.training.kept_checkpoints import drop_state_before, writing

LOGGED = 50
"""Times that the training loss is logged in a run, besides once for each checkpoint."""

Log = Sequence[Mapping[str, Any]]  # as the Trainer keeps it
Logged = Callable[[LogEntry], None]
Stop = Callable[[], bool]
Kept = Callable[[], None]


class Stopped(Exception):
    """The run was told to stop; its whole checkpoints stay."""


class FineTuningTrainer(Trainer):
    """Keeps whole checkpoints, and measures the evaluation split as surfaces do."""

    _place: Path | None = None  # where a checkpoint is being written
    _diverged: torch.Tensor | None = None  # the first step whose loss was not finite, or 0

    def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:
        """Log `FINETUNE_NUMBERS` of the evaluation split; in float32, whatever training uses."""
        with _plain_forward(self.model):
            found = self.evaluation_loop(self.get_eval_dataloader(), "evaluation", False)
        numbers = measure(np.asarray(found.predictions), np.asarray(found.label_ids))
        if self.state.global_step > 0 and not math.isfinite(numbers[0]):
            raise self._divergence("the loss of data.eval", self.state.global_step)
        metrics = dict(zip(FINETUNE_NUMBERS, numbers, strict=True))
        self.log(dict(metrics))
        self.control = self.callback_handler.on_evaluate(
            self.args, self.state, self.control, metrics
        )
        return metrics

    def training_step(self, *args: Any, **named: Any) -> torch.Tensor:
        """As the Trainer; notes a loss that is not finite on the device, without waiting for it."""
        loss = super().training_step(*args, **named)
        if self._diverged is None:
            self._diverged = torch.zeros((), dtype=torch.long, device=loss.device)
        here = (self._diverged == 0) & ~torch.isfinite(loss)
        self._diverged.masked_fill_(here, self.state.global_step + 1)
        return loss

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """As the Trainer; ends a run whose loss is not finite, since its weights are then none."""
        super().log(logs, start_time)
        if "loss" in logs and self._diverged is not None and (step := int(self._diverged)):
            raise self._divergence("the loss of data.train", step)

    def _divergence(self, what: str, step: int) -> InvalidInput:
        return InvalidInput.of(
            ProblemType.INVALID_VALUE,
            "training.learning_rate",
            self.args.learning_rate,
            "a rate (or a longer warmup, or fp32) at which weights and losses stay finite; the "
            "checkpoints before that step are kept",
            f"made {what} not finite at step {step}",
        )

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        sampler = super()._get_train_sampler(train_dataset)
        if not isinstance(sampler, LengthGroupedSampler):
            return sampler
        return ByLength(sampler.batch_size, sampler.lengths, self.args.seed)

    def compute_loss(self, model: Any, inputs: Any, *args: Any, **named: Any) -> Any:
        """As the Trainer; a batch that the model cannot take is refused with the model's words."""
        config: Any = self.model.config  # type: ignore[union-attr]  # never None here
        examples, longest = inputs["input_ids"].shape
        told = f"a batch of {examples} examples of up to {longest} tokens"
        with untaken("model.pretrained", config.name_or_path, config.model_type, told):
            return super().compute_loss(model, inputs, *args, **named)

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        output = Path(str(self.args.output_dir))
        for name, value in self.model.named_parameters():  # type: ignore[union-attr]  # as above
            if not torch.isfinite(value).all():
                raise self._divergence(name, self.state.global_step)
        with writing(output) as self._place:
            super()._save_checkpoint(model, trial)
        self._place = None
        drop_state_before(output / f"checkpoint-{self.state.global_step}")

    def _get_output_dir(self, trial: Any) -> str:
        return str(self._place or super()._get_output_dir(trial))


def logits_alone(found: Any, labels: Any) -> Any:  # noqa: ARG001  # the Trainer gives both
    """The logits of a batch without the states that an encoder with a decoder gives beside them."""
    return found[0] if isinstance(found, (tuple, list)) else found


class ByLength(LengthGroupedSampler):
    """The Trainer's order by length, which depends on the seed and the epoch alone.

    The Trainer's own sampler draws from torch's global generator. A run that goes on in the middle
    of an epoch would then meet other batches than the run that was never interrupted.
    """

    def __init__(self, batch_size: int, lengths: Sequence[int], seed: int) -> None:
        super().__init__(batch_size, lengths=list(lengths))
        self._seed = seed
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Told by the Trainer before each epoch, and of the one that a resumed run goes on in."""
        self._epoch = epoch

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self._seed + self._epoch)
        order = get_length_grouped_indices(  # type: ignore[no-untyped-call]
            self.lengths, self.batch_size, generator=generator
        )
        return iter(order)


@contextmanager
def _plain_forward(model: Any) -> Iterator[None]:
    """Without the autocast that accelerate puts around `forward`, as an instance's attribute."""
    wrapped = model.__dict__.pop("forward", None)
    try:
        yield
    finally:
        if wrapped is not None:
            model.forward = wrapped


def measure(logits: NDArray[Any], labels: NDArray[np.int64]) -> tuple[float, float, float, float]:
    """`FINETUNE_NUMBERS` from logits, (n, K), and labels, (n,) in [0, K).

    Losses are in nats, from logits as float64. A prediction from logits with a NaN counts as wrong.
    """
    found = outcomes_of(torch.from_numpy(logits).double(), labels)
    (loss, loss_error), (rate, rate_error) = mean_loss(found.losses), error_rate(found.wrong)
    return loss, rate, loss_error, rate_error


def watch(stop: Stop | None, logged: Logged | None, kept: Kept | None) -> TrainerCallback:
    """A callback that ends the run once `stop` says so, and hands on what is logged and kept."""
    return _Watch(stop, logged, kept)


class _Watch(TrainerCallback):
    """Stops the run when it is told to, and hands on what is logged, and that one is kept."""

    def __init__(self, stop: Stop | None, logged: Logged | None, kept: Kept | None) -> None:
        self._stop = stop
        self._logged = logged
        self._kept = kept

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ARG002
        self._look()
        _log_with_each_checkpoint(control)

    def on_epoch_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ARG002
        _log_with_each_checkpoint(control)

    def on_prediction_step(self, *_: Any, **__: Any) -> None:
        self._look()

    def on_log(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ARG002
        if self._logged is not None and (entries := log_entries(state.log_history[-4:])):
            self._logged(entries[-1])

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ARG002
        if self._kept is not None:
            self._kept()

    def _look(self) -> None:
        # An exception, because the Trainer would end its epoch first, and keep a checkpoint there.
        if self._stop is not None and self._stop():
            raise Stopped


def _log_with_each_checkpoint(control: Any) -> None:
    """A run that resumes there then logs the same means as one that never stopped."""
    if control.should_save:
        control.should_log = True


def logging_steps(steps: int) -> int:
    """How many steps one logged training loss is the mean of."""
    return max(1, math.ceil(steps / LOGGED))


def log_entries(log: Log) -> tuple[LogEntry, ...]:
    """The Trainer's log with one entry a step."""
    by_step: dict[int, dict[str, Any]] = {}
    for line in log:
        numbers = {name: line[name] for name in _NUMBERS if name in line}
        if numbers:
            step = by_step.setdefault(int(line["step"]), {"epoch": 0.0})
            step.update(numbers, epoch=float(line.get("epoch") or 0.0))
    return tuple(LogEntry(step=step, **numbers) for step, numbers in sorted(by_step.items()))


_NUMBERS = ("loss", "learning_rate", *FINETUNE_NUMBERS)
