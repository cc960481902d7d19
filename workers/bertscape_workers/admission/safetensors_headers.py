"""The safetensors files of a checkpoint folder, and what their headers say; stdlib only.

A safetensors file begins with eight bytes, the little-endian length of a JSON header, which gives
each tensor's dtype, shape and place. Reading it costs a few kilobytes, whatever the file's size.
"""

import json
import re
import struct
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bertscape.spec import repeated_key
from bertscape.values import InvalidInput, ProblemType
from bertscape_workers.admission.text_files import file_kind

SINGLE_FILE = "model.safetensors"
INDEX_FILE = "model.safetensors.index.json"
CONFIG_FILE = "config.json"
ADAPTER_FILE = "adapter_config.json"  # PEFT's, beside adapter_model.safetensors
FLOATING = frozenset({"F64", "F32", "F16", "BF16"})  # what can be read as float32
COMPLETE_CHECKPOINT_HINT = (
    "use the run's step-0 checkpoint (`bertscape finetune` stores it as checkpoint-0)"
)

# Of a tokenizer. Its vocabulary is checked against the text, and is the tokenizer's own to read.
_TOKENIZER_SETTINGS = ("tokenizer_config.json", "special_tokens_map.json", "added_tokens.json")
_SHARD_OR_ADAPTER = re.compile(
    r"(?:model-\d+-of-\d+|adapter_model)\.safetensors|adapter_model\.bin|adapter_config\.json"
)
_OTHER_WEIGHTS = re.compile(r"pytorch_model.*\.bin|tf_model.*\.h5|flax_model.*\.msgpack")
_OF_A_RUN = re.compile(r"checkpoint-(\d+)")
_TOKENIZER_FILE = re.compile(r"tokenizer.*|vocab.*|merges\.txt|.*\.model")
_VARIANT = re.compile(r"model\.[^.]+(?:-\d+-of-\d+)?\.safetensors(?:\.index\.json)?")
# What torch.compile and DistributedDataParallel put before every name of the model inside.
WRAPPERS = ("_orig_mod.", "module.")
_LONGEST_HEADER = 100_000_000  # bytes; the format's own limit


@dataclass(frozen=True, slots=True)
class TensorHeader:
    """One tensor, as the header of its file describes it."""

    file: Path
    stored: str  # its name in that file
    dtype: str  # in the format's own words, as in "F32"
    shape: tuple[int, ...]


def weight_files(folder: Path, key: str) -> tuple[Path, ...]:
    """The safetensors files of a checkpoint folder: one, or all that the index names, sorted.

    Args:
        folder: the checkpoint's folder.
        key: its key in the job spec, for the message.

    Raises:
        InvalidInput: the folder does not exist, or has no safetensors file.
    """
    refuse_no_folder(folder, key)
    if (folder / SINGLE_FILE).is_file():
        return (folder / SINGLE_FILE,)
    if (folder / INDEX_FILE).is_file():
        return tuple(sorted(_indexed(folder, key)))
    expected, found = _without_weights(folder, key)
    raise InvalidInput.of(ProblemType.INVALID_CHECKPOINT, key, str(folder), expected, found)


def refuse_no_folder(folder: Path, key: str, expected: str = "a checkpoint folder") -> None:
    """Raise `InvalidInput` if a path is no folder; a file's message names its folder."""
    if folder.is_dir():
        return
    found = "does not exist"
    if folder.is_file():
        found, expected = "is a file", f"{expected}, as the file's own, {str(folder.parent)!r}"
    raise InvalidInput.of(ProblemType.PATH_NOT_FOUND, key, str(folder), expected, found)


def _checkpoints_of_a_run(folder: Path) -> str:
    """The `checkpoint-<step>` folders in a folder, for a message; empty if there are none."""
    if not folder.is_dir():
        return ""
    steps = sorted(
        int(match[1])
        for path in folder.iterdir()
        if (match := _OF_A_RUN.fullmatch(path.name)) and path.is_dir()
    )
    some = [f"checkpoint-{step}" for step in (steps if len(steps) <= 4 else steps[:3])]
    more = [] if len(steps) <= 4 else ["…", f"checkpoint-{steps[-1]}"]
    return ", ".join([*some, *more])


def _without_weights(folder: Path, key: str) -> tuple[str, str]:
    """What was expected, and what a folder holds from which no weights can be read."""
    if (folder / ADAPTER_FILE).is_file():
        base = read_json(folder / ADAPTER_FILE, key).get("base_model_name_or_path")
        merged = "a whole model: load base and adapter, call PEFT's merge_and_unload(), save that"
        return merged, f"is an adapter of {base}, without the weights of its base"
    if run := _checkpoints_of_a_run(folder):
        return "one of them", f"is the folder of a run, which holds {run}"
    expected = f"{SINGLE_FILE} or {INDEX_FILE} in the folder"
    variants = sorted(path.name for path in folder.iterdir() if _VARIANT.fullmatch(path.name))
    if variants:
        return expected, f"holds a variant alone, {variants[0]}: only weights without one are read"
    others = sorted(path.name for path in folder.glob("*.safetensors"))
    if others:
        return expected, f"holds safetensors of another name, {others[0]}"
    if old := sorted(p.name for p in folder.iterdir() if _OTHER_WEIGHTS.fullmatch(p.name)):
        how = "load it with from_pretrained() and write it with save_pretrained()"
        expected = f"{expected}: it holds {old[0]}; {how}, which makes safetensors"
    return expected, "has no safetensors file"


def unread_files(folder: Path, key: str) -> list[str]:
    """The weight files of a checkpoint folder that are not read, by name.

    The rule is that of `from_pretrained`: a single file comes before an index, and of shards those
    that the index names are read. Shards of an older run and adapters then lie there unread.

    Args:
        folder: as of `weight_files`.
        key: as of `weight_files`.
    """
    read = {path.name for path in weight_files(folder, key)}
    stale = {INDEX_FILE} if SINGLE_FILE in read else set()
    return sorted(
        path.name
        for path in folder.iterdir()
        if path.name in stale or (_SHARD_OR_ADAPTER.fullmatch(path.name) and path.name not in read)
    )


def _indexed(folder: Path, key: str) -> Iterator[Path]:
    index = read_json(folder / INDEX_FILE, key)
    names = index.get("weight_map")
    if not isinstance(names, dict) or not names:
        raise _broken(folder / INDEX_FILE, key, "has no weight_map")
    for name in {str(name) for name in names.values()}:
        # A name with folders in it would lead out of the checkpoint.
        if Path(name).name != name or not (folder / name).is_file():
            raise _broken(folder / INDEX_FILE, key, f"names {name!r}, which is not in the folder")
        yield folder / name
    if not isinstance(index.get("metadata"), dict):
        raise _broken(folder / INDEX_FILE, key, "has no metadata, which from_pretrained looks for")


def read_json(path: Path, key: str) -> dict[str, Any]:
    """The JSON object in a file of a checkpoint.

    Raises:
        InvalidInput: the file does not exist, holds anything else, or gives a key twice.
    """
    if not path.is_file():
        run = _checkpoints_of_a_run(path.parent)
        raise InvalidInput.of(
            ProblemType.INVALID_CHECKPOINT,
            key,
            str(path.parent),
            f"{path.name} in the folder",
            f"has no {path.name}{f', but {run}' if run else ''}",
        )
    try:
        text = path.read_text(encoding="utf-8")
        value = json.loads(text)
    except (OSError, ValueError, RecursionError) as error:
        raise _broken(path, key, f"({error})") from error
    if not isinstance(value, dict):
        raise _broken(path, key, "holds no JSON object")
    _refuse_repeated(text, path, key)
    return value


def _refuse_repeated(text: str, path: Path, key: str) -> None:
    """The last value would win in silence."""
    if told := repeated_key(text):
        raise InvalidInput.of(
            ProblemType.INVALID_CHECKPOINT, key, str(path), "each key once", f"has {told}"
        )


def has_tokenizer(folder: Path) -> bool:
    """Whether a folder holds a tokenizer."""
    return any(folder.glob("tokenizer*")) or any(folder.glob("vocab*"))


def refuse_repeated_settings(folder: Path, key: str) -> None:
    """Raise `InvalidInput` if a file of a tokenizer's settings gives a key twice.

    Or if one of its files is a Git LFS pointer, which the libraries report as broken JSON.
    """
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if _TOKENIZER_FILE.fullmatch(path.name) and _is_pointer(path):
            raise _broken(path, key, "")
    for name in _TOKENIZER_SETTINGS:
        if (folder / name).is_file():
            read_json(folder / name, key)


def tensor_headers(folder: Path, key: str) -> dict[str, TensorHeader]:
    """Every tensor of a checkpoint folder by its name today, without a wrapper's prefix.

    Raises:
        InvalidInput: no safetensors, or a file that is not whole.
    """
    stored = _stored_headers(folder, key)
    prefix = _prefix(stored)
    return {_current_name(name.removeprefix(prefix)): one for name, one in stored.items()}


def wrapper_prefix(folder: Path, key: str) -> str:
    """What a wrapper put before every name in a checkpoint folder, as in "module."; often ""."""
    return _prefix(_stored_headers(folder, key))


def _stored_headers(folder: Path, key: str) -> dict[str, TensorHeader]:
    headers: dict[str, TensorHeader] = {}
    for path in weight_files(folder, key):
        headers.update(_read_header(path, key))
    return headers


def _prefix(names: Collection[str]) -> str:
    """The longest one, made of wrappers, that all names share: one may be inside another."""
    prefix = ""
    while names and (more := next((w for w in WRAPPERS if _share(names, prefix + w)), None)):
        prefix += more
    return prefix


def _share(names: Collection[str], prefix: str) -> bool:
    return all(name.startswith(prefix) for name in names)


def _current_name(name: str) -> str:
    """Old checkpoints call a LayerNorm's weight gamma and its bias beta."""
    return name.replace("LayerNorm.gamma", "LayerNorm.weight").replace(
        "LayerNorm.beta", "LayerNorm.bias"
    )


def lacking(names: Sequence[str], key: str, source: str, expected: str) -> InvalidInput:
    """The error of a checkpoint that lacks these tensors."""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return InvalidInput.of(
        ProblemType.INVALID_CHECKPOINT,
        key,
        source,
        expected,
        f"lacks {', '.join(names[:3])}{more}",
    )


def _read_header(path: Path, key: str) -> dict[str, TensorHeader]:
    length, content = _header(path, key)
    try:
        text = content.decode()
        members = json.loads(text)
        members.pop("__metadata__", None)
        entries = {
            name: TensorHeader(path, name, str(entry["dtype"]), tuple(map(int, entry["shape"])))
            for name, entry in members.items()
        }
        end = max((int(entry["data_offsets"][1]) for entry in members.values()), default=0)
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise _broken(path, key, "does not begin with a safetensors header") from error
    _refuse_repeated(text, path, key)
    if path.stat().st_size < 8 + length + end:
        raise _broken(path, key, "is truncated")
    return entries


def _header(path: Path, key: str) -> tuple[int, bytes]:
    try:
        with path.open("rb") as stream:
            start = stream.read(8)
            length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
            if 2 <= length <= _LONGEST_HEADER:
                return length, stream.read(length)
    except OSError as error:
        raise _broken(path, key, f"({error})") from error
    raise _broken(path, key, "does not begin with a safetensors header")


def _is_pointer(path: Path) -> bool:
    kind = file_kind(path)
    return kind is not None and "pointer" in kind.told


def _broken(path: Path, key: str, found: str) -> InvalidInput:
    """The error of a file; what it is by its first bytes says more than what was `found`."""
    kind = file_kind(path)
    if kind is not None:
        found = f"is {kind.told}"
        found += f": {kind.advice}" if _is_pointer(path) else ""
    return InvalidInput.of(
        ProblemType.INVALID_CHECKPOINT, key, str(path), "a complete checkpoint file", found
    )
