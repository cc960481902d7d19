"""The backbone as one flat float32 vector, and the model whose parameters are views of it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoConfig, AutoModelForSequenceClassification, PreTrainedModel
from transformers.conversion_mapping import get_model_conversion_mapping

from bertscape.values import InvalidInput, ProblemType, brief
from bertscape_workers.admission import COMPLETE_CHECKPOINT_HINT, TensorHeader, unused_tensors
from bertscape_workers.checkpoints.checkpoints import (
    CheckpointFiles,
    Wanted,
    find_tensors,
    read_rows,
    read_tensors,
    tensor_names,
)

# Floats; 64 bytes. Matrix products give other last bits at other alignments, so every tensor of
# every working copy begins at a multiple of this.
ALIGNMENT = 16

Config = dict[str, Any]  # of a model, as plain values
Vector = NDArray[np.float32]  # (layout.size,): a backbone, or a direction

# What transformers raises for a config.json that it cannot read, or build a model of. The last is
# for what a family needs beside transformers.
_CONFIG_ERRORS = (
    *(OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError),
    ImportError,
)


@dataclass(frozen=True, slots=True)
class BackboneTensor:
    """Where one parameter lies in the vector; parameters that share memory lie there once."""

    names: tuple[str, ...]  # in the classification model's state dict; the first is the main one
    shape: tuple[int, ...]
    offset: int  # floats from the vector's start

    @property
    def size(self) -> int:
        """Floats, without padding."""
        return int(np.prod(self.shape, dtype=np.int64))

    def view(self, vector: Vector) -> NDArray[np.float32]:
        """This parameter's values in a vector, in its own shape, without a copy."""
        return vector[self.offset : self.offset + self.size].reshape(self.shape)


@dataclass(frozen=True, slots=True)
class Layout:
    """How a backbone lies in its vector; the gaps between tensors hold zeros."""

    tensors: tuple[BackboneTensor, ...]
    size: int  # floats, gaps included
    prefix: str  # the backbone's attribute in the classification model, as in "bert"

    @property
    def parameters(self) -> int:
        """How many parameters move, gaps not counted."""
        return sum(tensor.size for tensor in self.tensors)

    def empty(self) -> Vector:
        """A vector of zeros."""
        return np.zeros(self.size, dtype=np.float32)


def load_config(files: CheckpointFiles) -> Config:
    """The config of a checkpoint as plain values that build the model anywhere.

    Raises:
        InvalidInput: transformers has no sequence classifier of that architecture.
    """
    try:
        config = AutoConfig.from_pretrained(
            files.folder, local_files_only=True, trust_remote_code=False
        )
        with torch.device("meta"):
            _from_config(config)
    except _CONFIG_ERRORS as error:
        expected = "a config.json of an architecture that transformers can classify sequences with"
        raise _unreadable(files, expected, error) from error
    return dict(config.to_dict())


def whole_config(files: CheckpointFiles, family: str) -> Config:
    """A checkpoint's config with the defaults of what it leaves out.

    Args:
        files: the checkpoint.
        family: the `model_type` if it names none.

    Raises:
        InvalidInput: transformers cannot read it.
    """
    stated = {"model_type": family, **files.config}
    try:
        return dict(AutoConfig.for_model(**stated).to_dict())
    except _CONFIG_ERRORS as error:
        expected = "a config.json that transformers can read"
        raise _unreadable(files, expected, error) from error


def _unreadable(files: CheckpointFiles, expected: str, error: Exception) -> InvalidInput:
    found = f"({brief(error)})"
    return InvalidInput.of(ProblemType.INVALID_CHECKPOINT, files.key, files.source, expected, found)


def skeleton(config: Config) -> PreTrainedModel:
    """The classification model without any memory for its parameters."""
    with torch.device("meta"):
        return build_model(config)


def build_model(config: Config) -> PreTrainedModel:
    """The plain Hugging Face model with meaningless parameters, in evaluation mode, float32."""
    model = _from_config(AutoConfig.for_model(**config))
    model.train(mode=False)
    return model


def _from_config(config: Any) -> PreTrainedModel:
    model: PreTrainedModel = AutoModelForSequenceClassification.from_config(  # type: ignore[no-untyped-call]
        config, dtype=torch.float32, trust_remote_code=False
    )
    return model


def layout_of(model: PreTrainedModel) -> Layout:
    """Lay out the backbone of a classification model.

    Raises:
        ValueError: the model has no backbone apart from its head.
    """
    prefix = model.base_model_prefix
    if model.base_model is model:
        raise ValueError(f"{type(model).__name__} keeps no backbone apart from its head")
    names: dict[torch.nn.Parameter, list[str]] = {}
    for name, parameter in model.base_model.named_parameters(remove_duplicate=False):
        names.setdefault(parameter, []).append(f"{prefix}.{name}")
    tensors, offset = [], 0
    for parameter, aliases in names.items():
        tensors.append(BackboneTensor(tuple(aliases), tuple(parameter.shape), offset))
        offset += -(-parameter.numel() // ALIGNMENT) * ALIGNMENT
    return Layout(tuple(tensors), offset, prefix)


def known_tensors(model: PreTrainedModel) -> unused_tensors.Known:
    """What a classification model reads of a checkpoint."""
    names = {name for name, _ in model.named_parameters(remove_duplicate=False)}
    names |= {name for name, _ in model.named_buffers(remove_duplicate=False)}
    # The only place where transformers says what it ignores.
    ignored = model._keys_to_ignore_on_load_unexpected or ()
    return unused_tensors.Known(
        model.base_model_prefix, frozenset({*names, *model.state_dict()}), tuple(ignored)
    )


def refuse_converted(files: CheckpointFiles, model: PreTrainedModel) -> None:
    """Raise `InvalidInput` if a checkpoint's tensors are not stored as the model has them.

    transformers converts some families while loading and saving: it merges experts, or renames.
    """
    if not get_model_conversion_mapping(model, add_legacy=False):
        return
    stored = set(tensor_names(files))
    if all(stored.intersection(one.names) for one in _wanted(layout_of(model))):
        return
    raise InvalidInput.of(
        ProblemType.INVALID_CHECKPOINT,
        files.key,
        files.source,
        "tensors stored with the names and shapes that the model has",
        f"is a {model.config.model_type} model: transformers converts its tensors while loading "
        "them (merges experts, or renames), and bertscape reads them as they are stored",
    )


def read_backbone(files: CheckpointFiles, layout: Layout, out: Vector) -> None:
    """Read a checkpoint's backbone into `out`, one tensor at a time; its head is not read.

    The tensors may be named with the backbone's prefix ("bert.") or without.

    Raises:
        InvalidInput: a tensor is missing, of another shape, or not finite.
    """
    for index, values in read_tensors(files, _wanted(layout), _EVERY_TENSOR):
        _refuse_not_finite(values, files, layout.tensors[index].names[0])
        layout.tensors[index].view(out)[...] = values


@dataclass(frozen=True, slots=True)
class StoredBackbone:
    """A checkpoint's backbone that stays in its files, to be read a few rows at a time."""

    files: CheckpointFiles
    layout: Layout
    stored: tuple[TensorHeader, ...]  # of each tensor of the layout

    @classmethod
    def find(cls, files: CheckpointFiles, layout: Layout) -> "StoredBackbone":
        """Raises `InvalidInput` if a tensor is missing or has another shape."""
        return cls(files, layout, tuple(find_tensors(files, _wanted(layout), _EVERY_TENSOR)))

    def rows(self, index: int, rows: slice) -> NDArray[np.float32]:
        """Some rows of the tensor with that index in the layout, in its shape.

        Raises:
            InvalidInput: they are not finite.
        """
        values = read_rows(self.stored[index], rows)
        _refuse_not_finite(values, self.files, self.layout.tensors[index].names[0])
        return values


_EVERY_TENSOR = f"every tensor of the backbone; {COMPLETE_CHECKPOINT_HINT}"


def _wanted(layout: Layout) -> list[Wanted]:
    return [
        Wanted((*tensor.names, *_without_prefix(tensor, layout)), tensor.shape)
        for tensor in layout.tensors
    ]


def _refuse_not_finite(values: NDArray[Any], files: CheckpointFiles, name: str) -> None:
    if not np.isfinite(values).all():
        raise InvalidInput.of(
            ProblemType.INVALID_CHECKPOINT,
            files.key,
            files.source,
            "finite weights",
            f"has NaN or infinity in {name}",
        )


def _without_prefix(tensor: BackboneTensor, layout: Layout) -> Iterator[str]:
    return (name.removeprefix(f"{layout.prefix}.") for name in tensor.names)


def read_head(files: CheckpointFiles, model: PreTrainedModel) -> dict[str, NDArray[Any]]:
    """Everything in θ1's state dict that is no backbone parameter, by its name there.

    A buffer that θ1 does not store is left out: the model has computed it from its config.

    Raises:
        InvalidInput: θ1 has no head, a head of another shape than its config says, or a head
            that is not finite.
    """
    stored = set(tensor_names(files))
    computed = {name for name, _ in model.named_buffers(remove_duplicate=False)} - stored
    state = {name: tensor for name, tensor in _head_state(model) if name not in computed}
    wanted = [Wanted((n,), tuple(t.shape), t.is_floating_point()) for n, t in state.items()]
    expected = "a fine-tuned sequence classifier, with its head"
    head = {
        wanted[index].names[0]: values for index, values in read_tensors(files, wanted, expected)
    }
    for name, values in head.items():
        _refuse_not_finite(values, files, name)
    return head


def _head_state(model: PreTrainedModel) -> Iterator[tuple[str, torch.Tensor]]:
    backbone = {name for tensor in layout_of(model).tensors for name in tensor.names}
    return ((name, value) for name, value in model.state_dict().items() if name not in backbone)


def attach(
    model: torch.nn.Module, layout: Layout, flat: torch.Tensor, head: Mapping[str, NDArray[Any]]
) -> None:
    """Make the backbone's parameters views of `flat` (layout.size,), and set the head's values."""
    parameters = dict(model.named_parameters(remove_duplicate=False))
    for tensor in layout.tensors:
        values = flat[tensor.offset : tensor.offset + tensor.size].view(tensor.shape)
        for name in tensor.names:
            parameters[name].data = values
    # Arrays from the object store are read-only, which torch.from_numpy warns of: copy first.
    state = {name: torch.from_numpy(np.array(values)) for name, values in head.items()}
    model.load_state_dict(state, strict=False)
