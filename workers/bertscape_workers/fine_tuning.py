"""Fine-tuning with the Hugging Face `Trainer`, into a folder that is itself a trajectory.

`checkpoint-0` holds θ0 as the run began: the pre-trained backbone, completed where it lacked its
pooler, or a random one. Then follows one `checkpoint-<step>` for each epoch. Each is a complete
sequence-classification checkpoint in safetensors, with its tokenizer beside it. Runs that are to
share θ0 start from one `checkpoint-0`: its backbone is taken over bit for bit, the head is always
drawn anew from the seed.
"""

import enum
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    DataCollatorWithPadding,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    Trainer,
    TrainerCallback,
    set_seed,
)

from bertscape.errors import InvalidInput, ProblemType
from bertscape.spec import Checkpoint, Data
from bertscape_workers.architecture import refuse_long_inputs
from bertscape_workers.checkpoints import CheckpointFiles, locate, locate_tokenizer
from bertscape_workers.evaluator import takes_token_types
from bertscape_workers.splits import Vocabulary, build_split, load_tokenizer
from bertscape_workers.tables import Row, read_rows
from bertscape_workers.training import (
    Examples,
    Progress,
    quiet_arguments,
    quiet_transformers,
    silence,
    torch_threads,
)

_KEY = "pretrained"


class Start(enum.StrEnum):
    """Where the backbone begins."""

    PRETRAINED = "pretrained"  # at the checkpoint's own weights
    SCRATCH = "scratch"  # at random weights of the checkpoint's architecture, drawn from the seed


class Schedule(enum.StrEnum):
    """How the learning rate falls after the warm-up."""

    LINEAR = "linear"
    COSINE = "cosine"
    CONSTANT = "constant"


_TRAINER_SCHEDULE = {
    Schedule.LINEAR: "linear",
    Schedule.COSINE: "cosine",
    Schedule.CONSTANT: "constant_with_warmup",  # the Trainer's "constant" knows no warm-up
}


@dataclass(frozen=True, slots=True)
class FineTuning:
    """One run: what starts, on which data, for how long.

    Raises:
        InvalidInput: a value that no run can have.
    """

    pretrained: Checkpoint  # a folder or a hub id: architecture, tokenizer and, unless scratch, θ0
    data: Data
    start: Start = Start.PRETRAINED
    labels: tuple[str, ...] | None = None  # class names in the head's order; default: the data's
    epochs: int = 3
    max_steps: int | None = None  # optimizer steps; overrides `epochs`
    batch_size: int = 32
    learning_rate: float = 2e-5  # at its peak
    warmup: float = 0.1  # share of all steps, in [0, 1)
    weight_decay: float = 0.01
    schedule: Schedule = Schedule.LINEAR
    seed: int = 0  # of the head, a random backbone, the order of the examples and dropout
    threads: int | None = None  # CPU threads; default: torch's own choice

    def __post_init__(self) -> None:
        _require("start", self.start, self.start in set(Start), " or ".join(Start))
        _require("schedule", self.schedule, self.schedule in set(Schedule), " or ".join(Schedule))
        _require("epochs", self.epochs, self.epochs >= 1, "at least 1")
        steps = self.max_steps
        _require("max_steps", steps, steps is None or steps >= 1, "at least 1")
        _require("batch_size", self.batch_size, self.batch_size >= 1, "at least 1")
        rate = self.learning_rate
        _require("learning_rate", rate, 0 < rate < math.inf, "a finite number above 0")
        _require("warmup", self.warmup, 0 <= self.warmup < 1, "a share of the steps in [0, 1)")
        decay = self.weight_decay
        _require("weight_decay", decay, 0 <= decay < math.inf, "a finite number, 0 or more")
        _require("seed", self.seed, 0 <= self.seed < 2**32, "a whole number in [0, 2^32)")
        threads = self.threads
        _require("threads", threads, threads is None or threads >= 1, "at least 1")
        names = self.labels
        distinct = names is None or len(set(names)) == len(names) >= 2
        _require("labels", names, distinct, "two or more different names")


@dataclass(frozen=True, slots=True)
class FineTuned:
    """What a run left behind."""

    output: Path
    checkpoints: tuple[Path, ...]  # the trajectory: `checkpoint-0` first, the final one last
    labels: tuple[str, ...]  # class names in the head's order
    eval_accuracy: float  # of the final model, in [0, 1]
    eval_loss: float  # its mean cross-entropy on the evaluation split, in nats

    @property
    def initial(self) -> Path:
        """θ0, complete: the folder that another run starts from to share it."""
        return self.checkpoints[0]

    @property
    def final(self) -> Path:
        """The fine-tuned model."""
        return self.checkpoints[-1]


def finetune(settings: FineTuning, output: Path, progress: Progress | None = None) -> FineTuned:
    """Fine-tune a classifier; equal settings on an equal machine give equal checkpoints.

    Args:
        settings: the run.
        output: the folder for the trajectory; it may exist, but hold no checkpoint yet.
        progress: told of each optimizer step.

    Raises:
        InvalidInput: a checkpoint, a data file or a label that does not do.
    """
    _refuse_existing_trajectory(output)
    with quiet_transformers(), torch_threads(settings.threads):
        files = _files(settings)
        rows = {name: read_rows(settings.data, name) for name in ("train", "eval")}
        labels = settings.labels or _label_names(rows["train"])
        model = _initial_model(files, settings, labels)
        tokenizer = load_tokenizer([files])
        train, evaluation = (
            _examples(rows[name], f"data.{name}", tokenizer, model, settings, labels)
            for name in ("train", "eval")
        )
        trainer = _trainer(settings, output, model, tokenizer, train)
        silence(trainer, "fine-tuning", progress)
        trainer.train()
        metrics = trainer.evaluate(evaluation)
    return FineTuned(
        output=output,
        checkpoints=trajectory(output),
        labels=labels,
        eval_accuracy=float(metrics["eval_accuracy"]),
        eval_loss=float(metrics["eval_loss"]),
    )


def trajectory(output: Path) -> tuple[Path, ...]:
    """The `checkpoint-<step>` folders of a `Trainer` output folder, in the order of their steps."""
    steps = {
        int(path.name.removeprefix("checkpoint-")): path
        for path in output.glob("checkpoint-*")
        if path.name.removeprefix("checkpoint-").isdecimal() and path.is_dir()
    }
    return tuple(steps[step] for step in sorted(steps))


def _require(key: str, value: object, valid: bool, expected: str) -> None:
    if not valid:
        raise InvalidInput.of(ProblemType.INVALID_VALUE, key, value, expected)


def _refuse_existing_trajectory(output: Path) -> None:
    if found := trajectory(output):
        raise InvalidInput.of(
            ProblemType.INVALID_VALUE,
            "output",
            str(output),
            "a folder without checkpoints, so that two runs never mix",
            f"holds {found[0].name}",
        )


# --- the model at step 0 ------------------------------------------------------------------------


def _files(settings: FineTuning) -> CheckpointFiles:
    """The folder that the run starts from; a random start needs no weights there."""
    find = locate_tokenizer if settings.start == Start.SCRATCH else locate
    return find(settings.pretrained, _KEY)


def _initial_model(
    files: CheckpointFiles, settings: FineTuning, labels: Sequence[str]
) -> PreTrainedModel:
    """θ0 with a new head, both in float32; all that is random comes from the seed."""
    config = _config(files, labels)
    refuse_long_inputs(config.to_dict(), settings.data.max_length)
    set_seed(settings.seed)
    with _checkpoint_errors(files):
        fresh: PreTrainedModel = AutoModelForSequenceClassification.from_config(  # type: ignore[no-untyped-call]
            config, dtype=torch.float32, trust_remote_code=False
        )
    if settings.start == Start.SCRATCH:
        return fresh
    return _with_head_of(fresh, _load(files, config, settings.seed))


def _config(files: CheckpointFiles, labels: Sequence[str]) -> PreTrainedConfig:
    config: PreTrainedConfig
    with _checkpoint_errors(files):
        config = AutoConfig.from_pretrained(
            files.folder,
            local_files_only=True,
            trust_remote_code=False,
            num_labels=len(labels),
            id2label=dict(enumerate(labels)),
            label2id={name: index for index, name in enumerate(labels)},
            problem_type="single_label_classification",
        )
    return config


def _load(files: CheckpointFiles, config: PreTrainedConfig, seed: int) -> PreTrainedModel:
    """The checkpoint's backbone in float32, its pooler drawn from `seed` where it has none."""
    model: PreTrainedModel
    set_seed(seed)
    with _checkpoint_errors(files):
        model, found = AutoModelForSequenceClassification.from_pretrained(
            files.folder,
            config=config,
            dtype=torch.float32,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            ignore_mismatched_sizes=True,  # heads of another label count; the backbone: see below
            output_loading_info=True,
        )
    absent = set(found["missing_keys"]) | {name for name, *_ in found["mismatched_keys"]}
    wrong = sorted(name for name in absent if _is_backbone(model, name) and "pooler" not in name)
    if wrong:
        raise InvalidInput.of(
            ProblemType.INVALID_CHECKPOINT,
            _KEY,
            files.source,
            "safetensors with every tensor of its backbone but the pooler",
            f"lacks {', '.join(wrong[:3])}",
        )
    return model


def _with_head_of(fresh: PreTrainedModel, model: PreTrainedModel) -> PreTrainedModel:
    """`model` with the head of `fresh`: the heads of other checkpoints are never used."""
    head = {
        name: value for name, value in fresh.state_dict().items() if not _is_backbone(fresh, name)
    }
    model.load_state_dict(head, strict=False)
    return model


def _is_backbone(model: PreTrainedModel, name: str) -> bool:
    return name.startswith(f"{model.base_model_prefix}.")


@contextmanager
def _checkpoint_errors(files: CheckpointFiles) -> Iterator[None]:
    """Name the checkpoint where transformers cannot read it."""
    try:
        yield
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise InvalidInput.of(
            ProblemType.INVALID_CHECKPOINT,
            _KEY,
            files.source,
            "config.json and safetensors of a model that transformers can classify sequences with",
            f"({' '.join(str(error).split())[:200]})",
        ) from error


# --- the examples -------------------------------------------------------------------------------


def _label_names(rows: Sequence[Row]) -> tuple[str, ...]:
    """The classes in the data: names in sorted order, or the whole numbers from 0 to K − 1."""
    found = {str(row.label).strip() for row in rows}
    if not all(label.isascii() and label.isdecimal() for label in found):
        names = tuple(sorted(found))
        _require("data.label", names, len(names) >= 2, "two or more different labels")
        return names
    numbers = sorted({int(label) for label in found})
    complete = numbers == list(range(len(numbers))) and len(numbers) >= 2
    _require("data.label", numbers, complete, "whole numbers from 0 without a gap, two or more")
    return tuple(str(number) for number in numbers)


def _examples(
    rows: Sequence[Row],
    key: str,
    tokenizer: PreTrainedTokenizerBase,
    model: PreTrainedModel,
    settings: FineTuning,
    labels: Sequence[str],
) -> Examples:
    """Tokenized, truncated and unpadded examples with `labels` in [0, K)."""
    types = getattr(model.config, "type_vocab_size", 0) if takes_token_types(model) else 0
    split = build_split(
        key,
        rows,
        tokenizer,
        settings.data.max_length,
        Vocabulary(tokens=model.config.vocab_size, token_types=types),
        {name: index for index, name in enumerate(labels)},
        len(labels),
    )
    columns = {"input_ids": split.tokens, "token_type_ids": split.token_types}
    return Examples(
        [
            {
                name: column[start : start + length].tolist()
                for name, column in columns.items()
                if column is not None
            }
            | {"labels": int(label)}
            for start, length, label in zip(split.starts, split.lengths, split.labels, strict=True)
        ]
    )


# --- the Trainer --------------------------------------------------------------------------------


def _trainer(
    settings: FineTuning,
    output: Path,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    train: Examples,
) -> Trainer:
    return Trainer(
        model=model,
        args=quiet_arguments(
            output,
            num_train_epochs=settings.epochs,
            max_steps=settings.max_steps or -1,
            per_device_train_batch_size=settings.batch_size,
            per_device_eval_batch_size=64,
            learning_rate=settings.learning_rate,
            warmup_steps=settings.warmup,  # below 1 the Trainer reads a share of all steps
            weight_decay=settings.weight_decay,
            lr_scheduler_type=_TRAINER_SCHEDULE[Schedule(settings.schedule)],
            seed=settings.seed,
            save_strategy="epoch",
        ),
        train_dataset=train,
        processing_class=tokenizer,
        data_collator=DataCollatorWithPadding(tokenizer),
        compute_metrics=_accuracy,
        callbacks=[_StepZero()],
    )


class _StepZero(TrainerCallback):
    """Stores θ0, complete, before the first step."""

    def on_train_begin(self, args: Any, state: Any, control: Any, **parts: Any) -> None:  # noqa: ARG002
        if state.global_step == 0:
            folder = Path(args.output_dir) / "checkpoint-0"
            parts["model"].save_pretrained(folder)
            parts["processing_class"].save_pretrained(folder)


def _accuracy(prediction: Any) -> dict[str, float]:
    return {"accuracy": float(np.mean(prediction.predictions.argmax(-1) == prediction.label_ids))}
