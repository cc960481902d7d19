"""The model that a fine-tuning starts from, and the examples that it sees.

θ0 is the checkpoint's backbone, completed from the seed if it lacks its pooler, or a random one
of its architecture. The head is always drawn from the seed: those of other checkpoints are
never used.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils.data import Dataset
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    PreTrainedConfig,
    PreTrainedModel,
    set_seed,
)

from bertscape.values import InvalidInput, ProblemType, brief
from bertscape_workers.admission import architecture, unused_tensors
from bertscape_workers.checkpoints import CheckpointFiles, known_tensors, renamed, tensor_names
from bertscape_workers.data import TokenizedSplit

# What transformers raises for a checkpoint that it cannot read, or build a model of.
_LOADING_ERRORS = (
    *(OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError),
    ImportError,  # of a package that the architecture needs
)


def starting_model(
    files: CheckpointFiles, labels: Sequence[str], seed: int, max_length: int, *, scratch: bool
) -> PreTrainedModel:
    """θ0 with a new head, both in float32; all that is random comes from the seed.

    Args:
        files: the checkpoint; from scratch it need hold no weights.
        labels: class names in the head's order.
        seed: of the head, of a missing pooler, of a random backbone.
        max_length: tokens of the longest example, which the model must have positions for.
        scratch: whether the backbone is drawn, too.

    Raises:
        InvalidInput: no model that can classify sequences, or one without all of its backbone.
    """
    config = _checked_config(files, labels, max_length)
    set_seed(seed)
    fresh = model_from_config(files, config)
    if scratch:
        return fresh
    head = _head(fresh)
    del fresh  # one model at a time
    model = _without_renaming(load_start(files, config, seed), files, config)
    model.load_state_dict(head, strict=False)
    return model


def _without_renaming(
    model: PreTrainedModel, files: CheckpointFiles, config: PreTrainedConfig
) -> PreTrainedModel:
    """A model whose `save_pretrained` undoes no `key_mapping`: it would write the prefix again."""
    if renamed(files) is None:
        return model
    copy = model_from_config(files, config)
    copy.load_state_dict(model.state_dict())
    return copy


def empty_model(files: CheckpointFiles, labels: Sequence[str], max_length: int) -> PreTrainedModel:
    """The same model without any memory for its parameters; arguments as of `starting_model`.

    Raises:
        InvalidInput: no model that can classify sequences.
    """
    with torch.device("meta"):
        return model_from_config(files, _checked_config(files, labels, max_length))


def model_from_config(files: CheckpointFiles, config: PreTrainedConfig) -> PreTrainedModel:
    """A model of this config, drawn at random."""
    with _checkpoint_errors(files):
        model: PreTrainedModel = AutoModelForSequenceClassification.from_config(  # type: ignore[no-untyped-call]
            config, dtype=torch.float32, trust_remote_code=False
        )
    return model


def _checked_config(
    files: CheckpointFiles, labels: Sequence[str], max_length: int
) -> PreTrainedConfig:
    architecture.refuse_unreadable(files.config, files.key)
    architecture.refuse_other_positions(files.config, files.key)
    config = _config(files, labels)
    architecture.refuse_long_inputs(config.to_dict(), max_length)
    return config


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


def refuse_other_weights(files: CheckpointFiles) -> None:
    """Raise `InvalidInput` if a checkpoint's names show tensors that its config does not have."""
    names = list(tensor_names(files))
    unused_tensors.refuse_adapters(names, files.key, files.source)
    unused_tensors.refuse_more_layers(names, files.config, files.key, files.source)


def load_start(files: CheckpointFiles, config: PreTrainedConfig, seed: int) -> PreTrainedModel:
    """The checkpoint's backbone in float32, its pooler drawn from `seed` if it has none."""
    model: PreTrainedModel
    set_seed(seed)
    with _checkpoint_errors(files):
        model, found = AutoModelForSequenceClassification.from_pretrained(
            files.folder,
            config=config,
            key_mapping=renamed(files),
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
            files.key,
            files.source,
            "safetensors with every tensor of its backbone but the pooler",
            f"lacks {', '.join(wrong[:3])}",
        )
    unused_tensors.refuse_unused(
        found["unexpected_keys"], known_tensors(model), files.key, files.source
    )
    _refuse_not_finite(model, files)
    return model


def _refuse_not_finite(model: PreTrainedModel, files: CheckpointFiles) -> None:
    for name, value in model.named_parameters():
        if _is_backbone(model, name) and not torch.isfinite(value).all():
            raise InvalidInput.of(
                ProblemType.INVALID_CHECKPOINT,
                files.key,
                files.source,
                "finite weights",
                f"has NaN or infinity in {name}",
            )


def _head(model: PreTrainedModel) -> dict[str, torch.Tensor]:
    """What is drawn: the heads of other checkpoints are never used."""
    return {
        name: value for name, value in model.state_dict().items() if not _is_backbone(model, name)
    }


def _is_backbone(model: PreTrainedModel, name: str) -> bool:
    return name.startswith(f"{model.base_model_prefix}.")


@contextmanager
def _checkpoint_errors(files: CheckpointFiles) -> Iterator[None]:
    """Name the checkpoint if transformers cannot read it."""
    try:
        yield
    except _LOADING_ERRORS as error:
        raise InvalidInput.of(
            ProblemType.INVALID_CHECKPOINT,
            files.key,
            files.source,
            "config.json and safetensors of a model that transformers can classify sequences with",
            f"({brief(error)})",
        ) from error


# --- the examples -------------------------------------------------------------------------------


def examples_of(split: TokenizedSplit) -> Dataset[dict[str, Any]]:
    """Unpadded examples, with `labels` in [0, K), in the order of the file."""
    return _SplitExamples(split)


class _SplitExamples(Dataset[dict[str, Any]]):
    """Makes each when it is asked for: all of a split as lists would take ten times its memory."""

    def __init__(self, split: TokenizedSplit) -> None:
        self._columns = {"input_ids": split.tokens, "token_type_ids": split.token_types}
        self._starts, self._lengths, self._labels = split.starts, split.lengths, split.labels

    def __len__(self) -> int:
        return len(self._labels)

    def __getitem__(self, index: int) -> dict[str, Any]:
        start, length = int(self._starts[index]), int(self._lengths[index])
        return {
            name: column[start : start + length].tolist()
            for name, column in self._columns.items()
            if column is not None
        } | {"labels": int(self._labels[index])}
