"""Admission: every check of a job that needs its files, but not their rows.

The API calls this at each submission. So it imports no torch, transformers or Ray, and reads only
configs and headers. What a hub id or a `datasets` id holds is found while preparing.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, Generic, TypeVar

from bertscape.spec import Checkpoint, JobSpec, Limits, sources, with_sources
from bertscape.values import InvalidInput, ProblemType
from bertscape_workers.admission import architecture, layer_groups, unused_tensors
from bertscape_workers.admission.memory import MemoryNeed, memory_for, memory_for_training
from bertscape_workers.admission.safetensors_headers import (
    COMPLETE_CHECKPOINT_HINT,
    CONFIG_FILE,
    FLOATING,
    TensorHeader,
    has_tokenizer,
    lacking,
    read_json,
    refuse_no_folder,
    refuse_repeated_settings,
    tensor_headers,
)
from bertscape_workers.admission.tables import (
    column_names,
    refuse_local_dataset,
    refuse_missing_columns,
    refuse_repeated_columns,
)

__all__ = ["Admitted", "MemoryNeed", "ModelFound", "admit", "admitted", "memory_need"]

AnyJob = TypeVar("AnyJob", bound=JobSpec)

_NO_LIMITS = Limits()
_TOKENIZER = "model.tokenizer"
_PRETRAINED = "model.pretrained"
_FINETUNED = "model.finetuned"

# Encoders with equal layers that share nothing.
_ENCODERS = frozenset({"bert", "camembert", "distilbert", "electra", "roberta", "xlm-roberta"})
# What their configs call their sizes.
_SIZES = (
    ("vocab_size",),
    ("embedding_size", "hidden_size", "dim"),  # of a word; ELECTRA widens it afterwards
    ("hidden_size", "dim"),
    ("intermediate_size", "hidden_dim"),
    ("num_hidden_layers", "n_layers"),
)


@dataclass(frozen=True, slots=True)
class ModelFound:
    """The model of a job, as a folder's config and headers describe it."""

    config: architecture.Config
    backbone: int  # parameters
    parameters: int  # with the head


@dataclass(frozen=True, slots=True)
class Admitted(Generic[AnyJob]):
    """A job that was checked against its files."""

    spec: AnyJob  # its paths with symbolic links resolved
    memory: MemoryNeed
    model: ModelFound | None  # θ1's, or a training's; None of a hub id
    tokenizer: Path | None  # the folder that holds it; None if it is not known yet


def admit(spec: AnyJob, limits: Limits = _NO_LIMITS, roots: Sequence[Path] | None = None) -> AnyJob:
    """Check a job against its files, as `admitted` does, and return its spec."""
    return admitted(spec, limits, roots).spec


def admitted(
    spec: AnyJob, limits: Limits = _NO_LIMITS, roots: Sequence[Path] | None = None
) -> Admitted[AnyJob]:
    """Check a job against its files. Each config and each header is read once.

    Args:
        spec: with absolute paths.
        limits: what one job may ask for.
        roots: the folders that its files must lie in, symbolic links resolved; None allows all.

    Raises:
        InvalidInput: the first thing that is wrong.
    """
    limits.check(spec)
    for key, path in _paths(spec):
        _refuse_outside(key, Path(path), roots)
    spec = _resolved(spec)
    for key, path in _folders(spec):
        _refuse_links_outside(key, Path(path), roots)
    folders = [_Folder.read(key, Path(path)) for key, path in _checkpoints(spec)]
    _check_tokenizer(spec)
    architectures = list(_architectures(spec))
    for config in architectures:
        architecture.refuse_unreadable(config, _PRETRAINED)
        architecture.refuse_long_inputs(config, spec.data.max_length)
        architecture.refuse_other_positions(config, _PRETRAINED)
    _check_checkpoints(folders, spec)
    for name in ("train", "eval"):
        _check_data(spec, name)
    model = _model_found(folders, architectures)
    tokenizer = next(filter(has_tokenizer, _tokenizers(spec)), None)
    return Admitted(spec, _memory_need(spec, model), model, tokenizer)


def memory_need(spec: JobSpec) -> MemoryNeed:
    """The memory that a job takes, from the headers of its checkpoint folders, in bytes."""
    folders = [_Folder.read(key, Path(path)) for key, path in _checkpoints(spec)]
    return _memory_need(spec, _model_found(folders, list(_architectures(spec))))


def _model_found(
    folders: Sequence["_Folder"], architectures: Sequence[architecture.Config]
) -> ModelFound | None:
    """Of a random start its config; else the folder of θ1, or the first."""
    if architectures:
        drawn = _drawn_parameters(architectures[0])
        return ModelFound(architectures[0], drawn, drawn)
    first = min(folders, key=lambda folder: folder.key != _FINETUNED, default=None)
    if first is None:
        return None
    backbone = sum(prod(shape) for shape in first.backbone().values())
    return ModelFound(first.config, backbone, first.parameters())


def _memory_need(spec: JobSpec, model: ModelFound | None) -> MemoryNeed:
    """The memory that a job takes, as far as headers show it.

    A hub id has no headers here: only what does not depend on its size is counted. The states that
    a layer group keeps depend on the rows' tokens. Preparing counts them.
    """
    found = model or ModelFound({}, 0, 0)
    if spec.trains:
        return memory_for_training(found.parameters)
    return memory_for(found.backbone, spec.direction_count, found.config, spec.data.max_length)


# --- paths --------------------------------------------------------------------------------------


def _folders(spec: JobSpec) -> Iterator[tuple[str, str]]:
    """(key, folder) of each checkpoint that is a folder."""
    named, _ = sources(spec)
    yield from ((key, value) for key, value in named.items() if isinstance(value, str))


def _checkpoints(spec: JobSpec) -> Iterator[tuple[str, str]]:
    """(key, folder) of each of these that must hold weights."""
    yield from (one for one in _folders(spec) if one[0] not in spec.weightless)


def _paths(spec: JobSpec) -> Iterator[tuple[str, str]]:
    named, files = sources(spec)
    yield from ((key, value) for key, value in (named | files).items() if isinstance(value, str))


def _refuse_outside(key: str, path: Path, roots: Sequence[Path] | None) -> None:
    """Comes before any reading: a message must not tell which paths outside the roots exist."""
    if roots is None:
        return
    real = _real(key, path)
    if not any(real.is_relative_to(root.resolve()) for root in roots):
        raise InvalidInput.of(
            ProblemType.PATH_NOT_ALLOWED,
            key,
            str(path),
            f"a path under {', '.join(str(root) for root in roots)}",
            "leads outside the allowed roots",
        )


def _real(key: str, path: Path) -> Path:
    try:
        return path.resolve()
    except (OSError, RuntimeError, ValueError) as error:  # links in a circle, a NUL
        raise InvalidInput.of(
            ProblemType.PATH_NOT_FOUND, key, str(path), "a readable path", f"({error})"
        ) from error


def _refuse_links_outside(key: str, folder: Path, roots: Sequence[Path] | None) -> None:
    """Comes before any file of the folder is opened: what is read may be stored in an output.

    A missing folder is left to other checks.
    """
    if roots is None or not folder.is_dir():
        return
    for file in _entries(key, folder):
        _refuse_outside(key, file, roots)
        # A tokenizer may keep templates in a folder. Nothing deeper is read.
        for below in _entries(key, file) if file.is_dir() else ():
            _refuse_outside(key, below, roots)


def _entries(key: str, folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError as error:
        raise InvalidInput.of(
            ProblemType.PATH_NOT_FOUND, key, str(folder), "a readable folder", f"({error})"
        ) from error


def _resolved(spec: AnyJob) -> AnyJob:
    def place(key: str, path: str) -> str:
        return str(_real(key, Path(path)))

    def checkpoint(key: str, value: Checkpoint) -> Checkpoint:
        return place(key, value) if isinstance(value, str) else value

    return with_sources(spec, checkpoint, place)


# --- checkpoints --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Folder:
    """A checkpoint folder, as its config and its headers describe it."""

    key: str
    path: Path
    config: dict[str, Any]
    tensors: dict[str, TensorHeader]  # by the name that they have today

    @classmethod
    def read(cls, key: str, path: Path) -> "_Folder":
        tensors = tensor_headers(path, key)
        return cls(key, path, read_json(path / CONFIG_FILE, key), tensors)

    def parameters(self) -> int:
        """How many the model has, with its head."""
        return sum(prod(tensor.shape) for tensor in self.tensors.values())

    def backbone(self) -> dict[str, tuple[int, ...]]:
        """Shapes of a classifier's floating tensors under its largest prefix, as in "bert."."""
        sizes: Counter[str] = Counter()
        for name, tensor in self.tensors.items():
            sizes[name.partition(".")[0]] += prod(tensor.shape)
        prefix = f"{sizes.most_common(1)[0][0]}." if sizes else ""
        return {
            name.removeprefix(prefix): tensor.shape
            for name, tensor in self.tensors.items()
            if name.startswith(prefix) and tensor.dtype in FLOATING
        }


def _check_tokenizer(spec: JobSpec) -> None:
    path = dict(_paths(spec)).get(_TOKENIZER)
    if path is not None:
        refuse_no_folder(Path(path), _TOKENIZER, "a folder with a tokenizer")
    found = next(filter(has_tokenizer, _tokenizers(spec)), None)
    if found is not None:
        refuse_repeated_settings(found, _TOKENIZER)


def _tokenizers(spec: JobSpec) -> Iterator[Path]:
    """The folders to look for a tokenizer, in this order; those of hub ids are not known yet."""
    checkpoints, _ = sources(spec)
    named = checkpoints.get(_TOKENIZER)
    places = (checkpoints.get(_FINETUNED), checkpoints.get(_PRETRAINED))
    for place in places if named is None else (named,):
        if not isinstance(place, str | None):
            return
        if place is not None:
            yield Path(place)


def _architectures(spec: JobSpec) -> Iterator[dict[str, Any]]:
    """The config of a random start, if it is a folder."""
    path = dict(_folders(spec)).get(_PRETRAINED)
    if path is not None and _PRETRAINED in spec.weightless:
        refuse_no_folder(Path(path), _PRETRAINED)
        yield read_json(Path(path) / CONFIG_FILE, _PRETRAINED)


def _drawn_parameters(config: architecture.Config) -> int:
    """At least how many a random model has: its word embeddings and its layers' matrices.

    0 if the architecture is not known here. The worker that prepares counts every parameter.
    """
    if config.get("model_type") not in _ENCODERS:
        return 0
    words, width, hidden, inner, layers = (
        next((config[name] for name in names if isinstance(config.get(name), int)), 0)
        for names in _SIZES
    )
    return int(words * width + layers * (4 * hidden * hidden + 2 * hidden * inner))


def _check_checkpoints(folders: Sequence[_Folder], spec: JobSpec) -> None:
    for folder in folders:
        architecture.refuse_unreadable(folder.config, folder.key)
        architecture.refuse_other_positions(folder.config, folder.key)
        unused_tensors.refuse_adapters(folder.tensors, folder.key, str(folder.path))
        unused_tensors.refuse_more_layers(
            folder.tensors, folder.config, folder.key, str(folder.path)
        )
    finetuned = next((folder for folder in folders if folder.key == _FINETUNED), None)
    for folder in folders[:1] if finetuned is None else [finetuned]:
        architecture.refuse_long_inputs(folder.config, spec.data.max_length)
    if finetuned is None:
        return
    architecture.refuse_other_heads(finetuned.config, finetuned.key, str(finetuned.path))
    architecture.refuse_other_labels(finetuned.config, finetuned.key, str(finetuned.path))
    unused_tensors.refuse_bare_encoder(finetuned.tensors, finetuned.key, str(finetuned.path))
    _check_groups(finetuned, spec)
    for folder in folders:
        if folder is not finetuned:
            architecture.refuse_other_architecture(
                (finetuned.config, str(finetuned.path)),
                (folder.config, str(folder.path)),
                folder.key,
            )
            _check_tensors(finetuned, folder)


def _check_groups(finetuned: _Folder, spec: JobSpec) -> None:
    tensors = [(name,) for name in finetuned.backbone()]
    for key, group in spec.layer_groups.items():
        layer_groups.members(group, tensors, key)


def _check_tensors(finetuned: _Folder, folder: _Folder) -> None:
    """Raise `InvalidInput` if a backbone tensor of θ1 is missing or has another shape.

    Its name may have the prefix or not.
    """
    there: dict[str, tuple[int, ...]] = {}
    for name, tensor in folder.tensors.items():
        there[name] = tensor.shape
        there.setdefault(name.partition(".")[2], tensor.shape)
    family = unused_tensors.Family.of(finetuned.config)
    wanted = {n: shape for n, shape in finetuned.backbone().items() if family.counts(n)}
    missing = [name for name in wanted if name not in there]
    if missing:
        family.refuse_foreign(missing, finetuned.key, str(finetuned.path))
        raise lacking(
            missing,
            folder.key,
            str(folder.path),
            f"every backbone tensor; {COMPLETE_CHECKPOINT_HINT}",
        )
    for name, shape in wanted.items():
        if there[name] != shape:
            raise InvalidInput.of(
                ProblemType.CHECKPOINT_MISMATCH,
                folder.key,
                str(folder.path),
                f"the shape in model.finetuned ({finetuned.path}), {list(shape)}",
                f"has {name} of shape {list(there[name])}",
            )


# --- data ---------------------------------------------------------------------------------------


def _check_data(spec: JobSpec, name: str) -> None:
    split = spec.data.train if name == "train" else spec.data.eval
    key = f"data.{name}"
    if split.path is None:
        refuse_local_dataset(split, key)
        return
    found = column_names(Path(split.path), key)
    refuse_missing_columns(found, spec.data, key, split.path)
    refuse_repeated_columns(found, spec.data, key, split.path)
