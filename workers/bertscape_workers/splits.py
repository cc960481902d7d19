"""Splits: tokenized examples with labels, as a few flat arrays."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from bertscape.errors import InvalidInput, ProblemType
from bertscape_workers.checkpoints import CheckpointFiles
from bertscape_workers.tables import Row


@dataclass(frozen=True, slots=True)
class TokenizedSplit:
    """n examples of T tokens in all, unpadded, one after the other, in the order of the file."""

    tokens: NDArray[np.int32]  # (T,)
    token_types: NDArray[np.int32] | None  # (T,); None where the model has none
    lengths: NDArray[np.int32]  # (n,), special tokens included
    labels: NDArray[np.int64]  # (n,), in [0, K)

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def bytes(self) -> int:
        """What the arrays take in memory."""
        arrays = (self.tokens, self.token_types, self.lengths, self.labels)
        return sum(array.nbytes for array in arrays if array is not None)

    @property
    def starts(self) -> NDArray[np.int64]:
        """Where each example begins in `tokens`, (n,)."""
        ends = np.cumsum(self.lengths, dtype=np.int64)
        return ends - self.lengths

    @property
    def by_length(self) -> NDArray[np.int64]:
        """The examples by (length, place in the file), (n,): the order of evaluation."""
        return np.argsort(self.lengths, kind="stable")

    def sha256(self) -> str:
        """Of token ids, token types, lengths and labels, little-endian, in the file's order."""
        digest = hashlib.sha256()
        for array in (self.tokens, self.token_types, self.lengths, self.labels):
            kind = "" if array is None else array.dtype.newbyteorder("<").str
            digest.update(f"{kind}{0 if array is None else len(array)}\0".encode())
            if array is not None:
                digest.update(np.ascontiguousarray(array).astype(kind).tobytes())
        return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """What the model can take: the bounds of ids, and whether it has token types."""

    tokens: int
    token_types: int  # 0 where the model takes none


def load_tokenizer(candidates: Sequence[CheckpointFiles]) -> PreTrainedTokenizerBase:
    """The tokenizer of the first checkpoint that has one.

    Raises:
        InvalidInput: none of them has one.
    """
    for files in candidates:
        if any(files.folder.glob("tokenizer*")) or any(files.folder.glob("vocab*")):
            return _load(files)
    raise InvalidInput.of(
        ProblemType.INVALID_CHECKPOINT,
        "model.tokenizer",
        ", ".join(files.source for files in candidates),
        "tokenizer files beside the weights, or the folder of a tokenizer under model.tokenizer",
        "holds no tokenizer",
    )


def _load(files: CheckpointFiles) -> PreTrainedTokenizerBase:
    try:
        return AutoTokenizer.from_pretrained(
            files.folder, local_files_only=True, trust_remote_code=False
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InvalidInput.of(
            ProblemType.INVALID_CHECKPOINT,
            "model.tokenizer",
            files.source,
            "a tokenizer that transformers can load",
            f"({' '.join(str(error).split())[:200]})",
        ) from error


def tokenize(
    rows: Sequence[Row],
    tokenizer: PreTrainedTokenizerBase,
    max_length: int,
    vocabulary: Vocabulary,
) -> dict[str, list[list[int]]]:
    """Token ids, and token types where the model and the tokenizer have them, for each row."""
    columns = [[row.texts[index] for row in rows] for index in range(len(rows[0].texts))]
    with_types = vocabulary.token_types > 0 and "token_type_ids" in tokenizer.model_input_names
    encoded = tokenizer(
        *columns,
        truncation=True,
        max_length=max_length,
        return_attention_mask=False,
        return_token_type_ids=with_types,
        verbose=False,
    )
    return {name: encoded[name] for name in ("input_ids", "token_type_ids") if name in encoded}


def build_split(
    key: str,
    rows: Sequence[Row],
    tokenizer: PreTrainedTokenizerBase,
    max_length: int,
    vocabulary: Vocabulary,
    labels: Mapping[str, int],
    classes: int,
) -> TokenizedSplit:
    """Tokenize rows and look up their labels.

    Args:
        key: the split's key in the job spec, for messages.
        rows: at least one.
        tokenizer: of the model.
        max_length: in tokens, special tokens included; longer examples are cut.
        vocabulary: the bounds of the model's ids.
        labels: the class names of θ1's head.
        classes: K, the classes of θ1's head.

    Raises:
        InvalidInput: a label that is no class of the head, or a token that the model lacks.
    """
    numbers = [_label(row, key, labels, classes) for row in rows]
    encoded = tokenize(rows, tokenizer, max_length, vocabulary)
    _refuse_tokenless(rows, encoded["input_ids"], key)
    tokens = _flat(encoded["input_ids"])
    types = _flat(encoded["token_type_ids"]) if "token_type_ids" in encoded else None
    _refuse_above(tokens, vocabulary.tokens, "token ids", key)
    if types is not None:
        _refuse_above(types, vocabulary.token_types, "token types", key)
    return TokenizedSplit(
        tokens=tokens,
        token_types=types,
        lengths=np.array([len(ids) for ids in encoded["input_ids"]], dtype=np.int32),
        labels=np.array(numbers, dtype=np.int64),
    )


def _refuse_tokenless(rows: Sequence[Row], ids: Sequence[Sequence[int]], key: str) -> None:
    """A tokenizer that adds no special tokens makes nothing of an empty text."""
    for row, tokens in zip(rows, ids, strict=True):
        if not tokens:
            raise InvalidInput.of(
                ProblemType.INVALID_DATA,
                f"{key}, {row.place}: text",
                " | ".join(row.texts),
                "text that the tokenizer makes at least one token of",
            )


def _flat(lists: Sequence[Sequence[int]]) -> NDArray[np.int32]:
    return np.fromiter((number for one in lists for number in one), dtype=np.int32)


def _refuse_above(ids: NDArray[np.int32], count: int, what: str, key: str) -> None:
    if ids.size and int(ids.max()) >= count:
        raise InvalidInput.of(
            ProblemType.CHECKPOINT_MISMATCH,
            "model.tokenizer",
            f"{what} up to {int(ids.max())} in {key}",
            f"the tokenizer of the model, which knows {count} {what}",
        )


def _label(row: Row, key: str, names: Mapping[str, int], classes: int) -> int:
    """A class name of the head, else a whole number, which may be written as text."""
    value = row.label
    index: Any = None
    match value:
        case bool():
            pass
        case int() | np.integer():
            index = int(value)
        case str() if value in names:
            index = names[value]
        case str() if value.strip().isascii() and value.strip().isdecimal():
            index = int(value)
    if index is None or not 0 <= index < classes:
        known = ", ".join(names) if names else "none"
        raise InvalidInput.of(
            ProblemType.INVALID_DATA,
            f"{key}, {row.place}: label",
            value,
            f"a whole number from 0 to {classes - 1}, or a name in the head's label2id ({known})",
        )
    return int(index)
