"""What every use of the Hugging Face `Trainer` here shares: quiet, and told step by step."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import Dataset
from transformers import Trainer, TrainerCallback, TrainingArguments
from transformers.trainer_callback import PrinterCallback

from bertscape.values import Progress


class Examples(Dataset[dict[str, Any]]):
    """Tokenized, unpadded examples in the form that a `Trainer` takes."""

    def __init__(self, rows: Sequence[dict[str, Any]]) -> None:
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self.rows[index]


@contextmanager
def torch_threads(count: int | None) -> Iterator[None]:
    """Compute with `count` threads; sums, and so results, depend on their number."""
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def quiet_arguments(output: Path, **settings: Any) -> TrainingArguments:
    """`TrainingArguments` that print nothing, report nowhere and keep only what a checkpoint needs.

    Args:
        output: the folder of the checkpoints.
        settings: further fields of `TrainingArguments`, under their own names.
    """
    quiet: dict[str, Any] = {
        "output_dir": str(output),
        "report_to": "none",
        "disable_tqdm": True,
        "log_level": "error",
        "logging_strategy": "epoch",
        "save_only_model": True,
        "remove_unused_columns": False,
        "dataloader_pin_memory": torch.cuda.is_available(),
        "use_cpu": not torch.cuda.is_available(),
    }
    arguments = TrainingArguments(**{**quiet, **settings})
    if arguments.n_gpu > 1:
        arguments._n_gpu = 1  # else each would take a whole batch, and a step be another
    return arguments


def silence(trainer: Trainer, stage: str, progress: Progress | None) -> None:
    """Let `trainer` tell `progress` instead of printing its logs to standard output."""
    trainer.remove_callback(PrinterCallback)
    if progress is not None:
        trainer.add_callback(_Steps(stage, progress))


class _Steps(TrainerCallback):
    """Hands the optimizer's steps on to a `Progress`."""

    def __init__(self, stage: str, progress: Progress) -> None:
        self.stage = stage
        self.progress = progress

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ARG002
        self.progress(self.stage, state.global_step, state.max_steps)  # not 0 if it resumes

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ARG002
        self.progress(self.stage, state.global_step, state.max_steps)
