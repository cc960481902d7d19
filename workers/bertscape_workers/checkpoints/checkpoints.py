"""Checkpoints as files: where they lie, what pins them, and their tensors as float32."""

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError
from huggingface_hub.utils.tqdm import (
    are_progress_bars_disabled,
    disable_progress_bars,
    enable_progress_bars,
)
from numpy.typing import NDArray
from safetensors import safe_open

from bertscape.spec import Checkpoint, Hub, JobOutput, plain
from bertscape.values import CheckpointFound, InvalidInput, ProblemType, brief
from bertscape_workers.admission import (
    CONFIG_FILE,
    FLOATING,
    TensorHeader,
    lacking,
    read_json,
    refuse_no_folder,
    tensor_headers,
    unread_files,
    weight_files,
    wrapper_prefix,
)

_HUB_FILES = (
    "config.json",
    "model*.safetensors",
    "model.safetensors.index.json",
    "adapter_config.json",  # to say what it is
    "tokenizer*",
    "vocab*",
    "merges.txt",
    "special_tokens_map.json",
    "added_tokens.json",
    "*.model",
)
_STEP = re.compile(r"(?:^|[-_])(\d+)$")
_BLOCK = 1 << 20  # bytes read at a time


@dataclass(frozen=True, slots=True)
class CheckpointFiles:
    """A checkpoint in a local folder: the user's own, or a snapshot in the hub's cache."""

    key: str  # in the job spec, for messages
    source: str  # the folder, or the hub id
    folder: Path
    commit: str | None = None  # of a hub id

    @property
    def config(self) -> dict[str, Any]:
        """The plain values of `config.json`."""
        return read_json(self.folder / CONFIG_FILE, self.key)

    def found(self, *, weights: bool = True) -> CheckpointFound:
        """What pins this checkpoint, read from its files; of an architecture its config alone."""
        sha256 = self._sha256(weight_files(self.folder, self.key) if weights else ())
        return CheckpointFound(source=self.source, sha256=sha256, commit=self.commit)

    def _sha256(self, weights: Sequence[Path]) -> str:
        """Of `config.json` and the safetensors files, each with its name and size before it."""
        digest = hashlib.sha256()
        for path in (self.folder / CONFIG_FILE, *weights):
            digest.update(f"{path.name}\0{path.stat().st_size}\0".encode())
            with path.open("rb") as stream:
                while block := stream.read(_BLOCK):
                    digest.update(block)
        return digest.hexdigest()


def locate(checkpoint: Checkpoint, key: str) -> CheckpointFiles:
    """Find a checkpoint's folder; a hub id is downloaded, or taken from the local cache.

    Raises:
        InvalidInput: no such folder, no such hub id, no config.json, or no safetensors.
    """
    files = locate_tokenizer(checkpoint, key)
    weight_files(files.folder, key)
    read_json(files.folder / CONFIG_FILE, key)
    return files


def locate_tokenizer(checkpoint: Checkpoint, key: str) -> CheckpointFiles:
    """Find a folder that need hold no weights; a hub id is downloaded, or taken from the cache."""
    if isinstance(checkpoint, Hub):
        folder = _snapshot(checkpoint, key)
        return CheckpointFiles(key, checkpoint.hub, folder, commit=folder.name)
    if isinstance(checkpoint, JobOutput):
        raise InvalidInput.of(
            ProblemType.INVALID_VALUE,
            key,
            plain(checkpoint),
            "a folder or a hub id: a job's output is known to its service alone",
        )
    refuse_no_folder(Path(checkpoint), key)
    return CheckpointFiles(key, checkpoint, Path(checkpoint))


def _snapshot(checkpoint: Hub, key: str) -> Path:
    try:
        with _without_bars():
            folder = snapshot_download(
                checkpoint.hub,
                revision=checkpoint.revision,
                allow_patterns=list(_HUB_FILES),
                ignore_patterns=["*/*"],
            )
        return Path(folder)
    except (OSError, HfHubHTTPError, HFValidationError) as error:
        revision = f" at {checkpoint.revision}" if checkpoint.revision else ""
        raise InvalidInput.of(
            ProblemType.INVALID_CHECKPOINT,
            key,
            f"{checkpoint.hub}{revision}",
            "a model on the hub or in its local cache",
            f"({brief(error, 400)})",
        ) from error


@contextmanager
def _without_bars() -> Iterator[None]:
    """The hub's client draws its bars in a pipe too; a job tells its stages by other means."""
    shown = not are_progress_bars_disabled()
    disable_progress_bars()
    try:
        yield
    finally:
        if shown:
            enable_progress_bars()


def steps(checkpoints: Sequence[Checkpoint]) -> tuple[int, ...]:
    """The step of each checkpoint of a trajectory.

    It is the number that ends the folder's name, or the hub revision: 124 for `checkpoint-124`.
    If any of them has none, all are numbered by their place in the list, from 0.
    """
    names = [
        Path(checkpoint).name if isinstance(checkpoint, str) else _revision(checkpoint)
        for checkpoint in checkpoints
    ]
    found = [_STEP.search(name) for name in names]
    if all(found):
        return tuple(int(match[1]) for match in found if match)
    return tuple(range(len(checkpoints)))


def _revision(checkpoint: Hub | JobOutput) -> str:
    return (checkpoint.revision if isinstance(checkpoint, Hub) else None) or ""


# --- tensors ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Wanted:
    """A tensor to read: any of these names, with this shape."""

    names: tuple[str, ...]
    shape: tuple[int, ...]
    floating: bool = True


def tensor_names(files: CheckpointFiles) -> Iterator[str]:
    """The names of a checkpoint's tensors, as they are called today."""
    return iter(_headers(files))


def renamed(files: CheckpointFiles) -> dict[str, str] | None:
    """The `key_mapping` by which `from_pretrained` finds the tensors; None if it needs none."""
    prefix = wrapper_prefix(files.folder, files.key)
    return {f"^{re.escape(prefix)}": ""} if prefix else None


def weight_warnings(files: CheckpointFiles) -> Iterator[str]:
    """What is odd about a checkpoint's weight files, although they can be read."""
    if found := unread_files(files.folder, files.key):
        names = f"{', '.join(found[:3])}{', …' if len(found) > 3 else ''}"
        yield f"{files.key}: {files.source} also holds {names}: not read, as by from_pretrained"
    if prefix := wrapper_prefix(files.folder, files.key):
        told = f"every tensor in {files.source} is named with {prefix!r} in front"
        wrappers = "torch.compile and DistributedDataParallel do so"
        yield f"{files.key}: {told}, and was read without it ({wrappers})"


def find_tensors(
    files: CheckpointFiles, wanted: Sequence[Wanted], expected: str
) -> list[TensorHeader]:
    """Find tensors in a checkpoint's files; arguments and errors are those of `read_tensors`."""
    return _match(files, wanted, _headers(files), expected)


def read_rows(header: TensorHeader, rows: slice) -> NDArray[Any]:
    """Some rows of one tensor, as float32 if it is floating; all of one without rows."""
    with safe_open(header.file, framework="pt") as stream:
        return _values(stream.get_slice(header.stored)[rows if header.shape else ...])


def read_tensors(
    files: CheckpointFiles, wanted: Sequence[Wanted], expected: str
) -> Iterator[tuple[int, NDArray[Any]]]:
    """Read tensors one at a time: floating ones as float32, whatever the file holds.

    Args:
        files: the checkpoint.
        wanted: which tensors.
        expected: the end of the message if one is missing.

    Yields:
        (index into `wanted`, values), in the order of the files.

    Raises:
        InvalidInput: a tensor is missing, or of another shape; the message names it.
    """
    found = find_tensors(files, wanted, expected)
    for path in sorted({header.file for header in found}):
        with safe_open(path, framework="pt") as stream:
            for index, header in enumerate(found):
                if header.file == path:
                    yield index, _values(stream.get_tensor(header.stored))


def _headers(files: CheckpointFiles) -> Mapping[str, TensorHeader]:
    return tensor_headers(files.folder, files.key)


def _match(
    files: CheckpointFiles,
    wanted: Sequence[Wanted],
    headers: Mapping[str, TensorHeader],
    expected: str,
) -> list[TensorHeader]:
    found = [next((headers[n] for n in one.names if n in headers), None) for one in wanted]
    missing = [one.names[0] for one, match in zip(wanted, found, strict=True) if match is None]
    if missing:
        raise lacking(missing, files.key, files.source, expected)
    matches = [match for match in found if match is not None]
    for one, header in zip(wanted, matches, strict=True):
        if one.floating and header.dtype not in FLOATING:
            raise InvalidInput.of(
                ProblemType.INVALID_CHECKPOINT,
                files.key,
                files.source,
                "tensors in float64, float32, float16 or bfloat16",
                f"has {header.stored} as {header.dtype}",
            )
        if header.shape != one.shape:
            raise InvalidInput.of(
                ProblemType.CHECKPOINT_MISMATCH,
                files.key,
                files.source,
                f"the shape of model.finetuned's architecture, {list(one.shape)}",
                f"has {header.stored} of shape {list(header.shape)}",
            )
    return matches


def _values(tensor: torch.Tensor) -> NDArray[Any]:
    return (tensor.float() if tensor.is_floating_point() else tensor).numpy()
