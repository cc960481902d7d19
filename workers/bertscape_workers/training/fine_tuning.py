"""Fine-tuning with the Hugging Face `Trainer`, into a folder that is itself a trajectory.

`checkpoint-0` holds θ0 as the run began: the pre-trained backbone, completed if it lacked its
pooler, or a random one. Then follows one `checkpoint-<step>` for each epoch, or for every so many
steps. Each is a complete sequence-classification checkpoint in safetensors, with its tokenizer
beside it. Runs that are to share θ0 start from one `checkpoint-0`: its backbone is taken over bit
for bit, the head is always drawn from the seed.
"""

import logging
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import (
    DataCollatorWithPadding,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    TrainerCallback,
)
from transformers.trainer_utils import align_special_tokens

from bertscape.spec import Checkpoint, FinetuneSpec, Hub, Training
from bertscape.values import (
    CheckpointFound,
    InvalidInput,
    KeptCheckpoint,
    LogEntry,
    ProblemType,
    Progress,
    TrainingOutput,
)
from bertscape_workers.admission import MemoryLimits, MemoryNeed, memory_for_training
from bertscape_workers.checkpoints import (
    CheckpointFiles,
    locate,
    locate_tokenizer,
    quiet_arguments,
    quiet_transformers,
    silence,
    torch_threads,
    weight_warnings,
)
from bertscape_workers.data import (
    TokenizedSplit,
    Vocabulary,
    fitted_split,
    load_tokenizer,
    quoting_warnings,
    read_rows,
)
from bertscape_workers.training.head_labels import label_names
from bertscape_workers.training.kept_checkpoints import (
    clear_abandoned,
    drop_state,
    held,
    read_state,
    resume_point,
    step_of,
    trajectory,
    writing,
)
from bertscape_workers.training.starting_model import (
    empty_model,
    examples_of,
    refuse_other_weights,
    starting_model,
)
from bertscape_workers.training.trainer import (
    FineTuningTrainer,
    Kept,
    Log,
    Logged,
    Stop,
    log_entries,
    logging_steps,
    logits_alone,
    watch,
)

__all__ = [
    "FineTuned",
    "TrainingInputs",
    "check",
    "finetune",
    "refuse_existing_trajectory",
    "train",
    "train_alone",
    "trajectory",
]

MOST_CHECKPOINTS = 900
"""Of one run; each is a copy of the model, and has an entry in the log."""

STAGE = "fine-tuning"

_log = logging.getLogger(__name__)

_TRAINER_SAMPLING = {"random": "random", "by_length": "group_by_length"}
_TRAINER_SCHEDULE = {
    "linear": "linear",
    "cosine": "cosine",
    "constant": "constant_with_warmup",  # the Trainer's "constant" knows no warm-up
}


@dataclass(frozen=True, slots=True)
class TrainingInputs:
    """Everything that a run needs, found and checked."""

    spec: FinetuneSpec
    threads: int | None  # of the CPU; None: as many as torch chooses
    files: CheckpointFiles
    tokenizer: CheckpointFiles
    pin: CheckpointFound  # of what the run starts from
    labels: tuple[str, ...]  # class names in the head's order
    train: TokenizedSplit
    eval: TokenizedSplit
    parameters: int  # of the model
    bf16: bool  # what `auto` came to
    warnings: tuple[str, ...] = ()  # what a user of the checkpoints must know

    @property
    def steps(self) -> int:
        """The optimizer steps of the run."""
        return self.spec.training.steps(len(self.train))

    @property
    def memory(self) -> MemoryNeed:
        """What the run takes at the least."""
        return _memory_for(self.parameters, (self.train, self.eval))


@dataclass(frozen=True, slots=True)
class FineTuned:
    """What a run left behind."""

    output: TrainingOutput

    @property
    def folder(self) -> Path:
        """Of the trajectory."""
        return Path(self.output.folder)

    @property
    def checkpoints(self) -> tuple[Path, ...]:
        """The trajectory: `checkpoint-0` first, the final one last."""
        return tuple(Path(one.path) for one in self.output.checkpoints)

    @property
    def labels(self) -> tuple[str, ...]:
        """Class names in the head's order."""
        return self.output.labels

    @property
    def initial(self) -> Path:
        """θ0, complete: the folder that another run starts from to share it."""
        return self.checkpoints[0]

    @property
    def final(self) -> Path:
        """The fine-tuned model."""
        return self.checkpoints[-1]

    @property
    def numbers(self) -> LogEntry:
        """The entry of the log that has the numbers of the final model."""
        final = self.output.final
        assert final is not None  # noqa: S101  each kept checkpoint is measured
        return final

    @property
    def eval_accuracy(self) -> float:
        """Of the final model on the evaluation split, in [0, 1]."""
        accuracy = self.output.accuracy
        return math.nan if accuracy is None else accuracy

    @property
    def eval_loss(self) -> float:
        """The final model's mean cross-entropy on the evaluation split, in nats."""
        loss = self.numbers.eval_loss
        return math.nan if loss is None else loss


def finetune(
    spec: FinetuneSpec,
    output: Path,
    progress: Progress | None = None,
    *,
    threads: int | None = None,
) -> FineTuned:
    """Fine-tune a classifier; equal specs on an equal machine give equal checkpoints.

    Args:
        spec: the run.
        output: the folder for the trajectory; it may exist, but hold no checkpoint yet.
        progress: told of each optimizer step.
        threads: CPU threads; default: torch's own choice.

    Raises:
        InvalidInput: a checkpoint, a data file or a label that does not do; or another run has
            the folder.
        CheckpointNotWritten: the disk refuses a checkpoint.
    """
    refuse_existing_trajectory(output)
    return train_alone(check(spec, threads=threads), output, progress)


def check(
    spec: FinetuneSpec, limits: MemoryLimits | None = None, *, threads: int | None = None
) -> TrainingInputs:
    """Find everything that a run needs, and look at all of it before the run begins.

    Args:
        spec: the run.
        limits: the memory there is, which is looked at before a model is loaded; without them
            nothing is checked.
        threads: CPU threads; default: torch's own choice.

    Raises:
        InvalidInput: as `finetune`.
    """
    _refuse_no_threads(threads)
    bf16 = _takes_bf16(spec.precision)
    scratch = spec.training.start == "scratch"
    with quiet_transformers(), torch_threads(threads):
        find = locate_tokenizer if scratch else locate
        files = find(spec.model.pretrained, "model.pretrained")
        if not scratch:
            refuse_other_weights(files)
        named = spec.model.tokenizer
        tokenizer = files if named is None else locate_tokenizer(named, "model.tokenizer")
        rows = {name: read_rows(spec.data, name) for name in ("train", "eval")}
        labels = spec.training.labels or label_names(rows["train"])
        model = empty_model(files, labels, spec.data.max_length)
        vocabulary = Vocabulary.of(model)
        loaded = load_tokenizer([tokenizer])
        _refuse_other_padding(loaded, tokenizer, vocabulary)
        fitted = {
            name: fitted_split(
                f"data.{name}",
                rows[name],
                loaded,
                spec.data.max_length,
                vocabulary,
                {label: index for index, label in enumerate(labels)},
                len(labels),
            )
            for name in rows
        }
    splits = {name: split for name, (split, _) in fitted.items()}
    _refuse_many_checkpoints(spec.training, len(splits["train"]))
    size = model.num_parameters()
    if limits is not None:
        limits.check(_memory_for(size, splits.values()))
    if not scratch:
        with quiet_transformers():
            _model(spec, files, labels)  # a tensor that it lacks is missed here, not later
    warnings = () if scratch else tuple(weight_warnings(files))
    for name, (_, told) in fitted.items():
        warnings += (*quoting_warnings(spec.data, name, rows[name]), *told)
    for warning in warnings:
        _log.warning("%s", warning)
    return TrainingInputs(
        spec,
        threads,
        files,
        tokenizer,
        files.found(weights=not scratch),
        labels,
        **splits,
        parameters=size,
        bf16=bf16,
        warnings=warnings,
    )


def _refuse_other_padding(
    tokenizer: PreTrainedTokenizerBase, files: CheckpointFiles, vocabulary: Vocabulary
) -> None:
    """The `Trainer` pads its batches, and would fail at its first step."""
    padding = tokenizer.pad_token_id
    if padding is None or padding >= vocabulary.tokens:
        found = "has none" if padding is None else f"has {padding} for it"
        raise InvalidInput.of(
            ProblemType.INVALID_CHECKPOINT,
            "model.tokenizer",
            files.source,
            f"a padding token among the {vocabulary.tokens} that the model knows",
            found,
        )


def _memory_for(parameters: int, splits: Iterable[TokenizedSplit]) -> MemoryNeed:
    return memory_for_training(parameters, sum(split.bytes for split in splits))


def train_alone(
    inputs: TrainingInputs, output: Path, progress: Progress | None = None
) -> FineTuned:
    """Run a training that begins here and now, in a folder that no other run may have.

    Raises:
        InvalidInput: another run has the folder, or had it; else as `train`.
        CheckpointNotWritten: the disk refuses a checkpoint.
    """
    with held(output):
        refuse_existing_trajectory(output)
        return train(inputs, output, progress)


def train(
    inputs: TrainingInputs,
    output: Path,
    progress: Progress | None = None,
    logged: Logged | None = None,
    stop: Stop | None = None,
    kept: Kept | None = None,
) -> FineTuned:
    """Run the training, or the rest of it if the folder holds an earlier attempt.

    Args:
        inputs: what `check` found.
        output: the folder for the trajectory; what an earlier attempt at the same run left there
            is gone on from, and ends as it would have ended undisturbed.
        progress: told of each optimizer step.
        logged: told of each entry of the log.
        stop: asked after each step; True ends the run.
        kept: told once each checkpoint after that of step 0 is whole.

    Raises:
        InvalidInput: the checkpoint is no longer the one that was checked, its model cannot
            take a batch, or the loss is no longer finite.
        CheckpointNotWritten: the disk refuses a checkpoint.
        Stopped: `stop` said so.
    """
    clear_abandoned(output)
    earlier = resume_point(output)
    if earlier is not None and read_state(earlier).global_step >= inputs.steps:
        log: Log = read_state(earlier).log_history
    else:
        with quiet_transformers(), torch_threads(inputs.threads):
            callback = watch(stop, logged, kept)
            trainer = _trainer(inputs, output, callback, begun=earlier is None)
            silence(trainer, STAGE, progress)
            if inputs.steps:
                trainer.train(resume_from_checkpoint=None if earlier is None else str(earlier))
            else:
                trainer.evaluate()
            log = trainer.state.log_history
    drop_state(output)
    whole = tuple(KeptCheckpoint(step_of(path), str(path)) for path in trajectory(output))
    entries = log_entries(log)
    return FineTuned(
        TrainingOutput(str(output), whole, inputs.labels, entries, eval_examples=len(inputs.eval))
    )


def refuse_existing_trajectory(output: Path) -> None:
    """Raise `InvalidInput` if the folder holds a checkpoint: two runs never mix."""
    if found := trajectory(output):
        raise InvalidInput.of(
            ProblemType.INVALID_VALUE,
            "output",
            str(output),
            "a folder without checkpoints, so that two runs never mix",
            f"holds {found[0].name}",
        )


def _refuse_many_checkpoints(training: Training, examples: int) -> None:
    count = training.checkpoints(examples)
    if count > MOST_CHECKPOINTS:
        raise InvalidInput.of(
            ProblemType.LIMIT_EXCEEDED,
            "training.keep",
            training.keep,
            f"at most {MOST_CHECKPOINTS} checkpoints of a run",
            f"of {training.steps(examples)} steps keeps {count}",
        )


def _refuse_no_threads(threads: int | None) -> None:
    if threads is not None and threads < 1:
        raise InvalidInput.of(ProblemType.INVALID_VALUE, "threads", threads, "at least 1")


def _takes_bf16(precision: str) -> bool:
    there = has_bf16()
    if precision == "bf16" and not there:
        raise InvalidInput.of(
            ProblemType.INVALID_VALUE, "precision", "bf16", "a GPU that has bf16, or fp32"
        )
    return there and precision != "fp32"


def has_bf16() -> bool:
    # Without emulation, which old GPUs have and which is slower than float32.
    return torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False)


def _model(spec: FinetuneSpec, files: CheckpointFiles, labels: tuple[str, ...]) -> PreTrainedModel:
    return starting_model(
        files,
        labels,
        spec.training.seed,
        spec.data.max_length,
        scratch=spec.training.start == "scratch",
    )


def _trainer(
    inputs: TrainingInputs, output: Path, callback: TrainerCallback, *, begun: bool
) -> FineTuningTrainer:
    """A Trainer at step 0 of the run, which is stored where the run begins."""
    start = inputs.spec.model
    files = _here(start.pretrained, inputs.files)
    _refuse_another(inputs, files)
    model = _model(inputs.spec, files, inputs.labels)
    tokenizer = load_tokenizer([_here(start.tokenizer or start.pretrained, inputs.tokenizer)])
    # As the Trainer will: the configs of one run are equal.
    align_special_tokens(model, tokenizer)  # type: ignore[no-untyped-call]
    if begun and not trajectory(output):
        _store(model, tokenizer, output)
    return FineTuningTrainer(
        model=model,
        args=quiet_arguments(output, **_arguments(inputs, begun=begun)),
        train_dataset=examples_of(inputs.train),
        eval_dataset=examples_of(inputs.eval),
        processing_class=tokenizer,
        data_collator=DataCollatorWithPadding(tokenizer),
        callbacks=[callback],
        preprocess_logits_for_metrics=logits_alone,
    )


def _here(checkpoint: Checkpoint, found: CheckpointFiles) -> CheckpointFiles:
    """The same files on this node: a hub id may have been downloaded to the cache of another."""
    if not isinstance(checkpoint, Hub):
        return found
    return locate_tokenizer(Hub(hub=checkpoint.hub, revision=found.commit), found.key)


def _refuse_another(inputs: TrainingInputs, files: CheckpointFiles) -> None:
    found = files.found(weights=inputs.spec.training.start == "pretrained")
    if found != inputs.pin:
        raise InvalidInput.of(
            ProblemType.INPUT_CHANGED,
            files.key,
            files.source,
            "the checkpoint as it was when the run was prepared",
            "has changed since",
        )


def _store(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, output: Path) -> None:
    with writing(output) as place:
        model.save_pretrained(place / "checkpoint-0")
        tokenizer.save_pretrained(place / "checkpoint-0")


def _arguments(inputs: TrainingInputs, *, begun: bool) -> dict[str, object]:
    """The run in the Trainer's own words."""
    training = inputs.spec.training
    every = {} if training.keep == "epoch" else {"save_steps": training.keep}
    every |= {} if training.keep == "epoch" else {"eval_steps": training.keep}
    strategy = "epoch" if training.keep == "epoch" else "steps"
    return {
        "num_train_epochs": training.epochs,
        "max_steps": training.max_steps or -1,
        "per_device_train_batch_size": training.batch_size,
        "per_device_eval_batch_size": 64,
        "train_sampling_strategy": _TRAINER_SAMPLING[training.batches],
        "learning_rate": training.learning_rate,
        "warmup_steps": training.warmup,  # below 1 the Trainer reads a share of all steps
        "weight_decay": training.weight_decay,
        "lr_scheduler_type": _TRAINER_SCHEDULE[training.schedule],
        "seed": training.seed,
        "bf16": inputs.bf16 and inputs.steps > 0,
        "label_names": ["labels"],  # which the Trainer does not find in every model's signature
        "save_strategy": strategy,
        "eval_strategy": strategy,  # before each checkpoint, whose state then has the log
        "eval_on_start": begun,
        **every,
        "save_only_model": False,
        "logging_strategy": "steps",
        "logging_steps": logging_steps(inputs.steps),
        "logging_nan_inf_filter": False,  # a loss that is NaN is logged as NaN
    }
