"""Splits: tokenized examples with labels, as a few flat arrays."""

import hashlib
import inspect
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain

import numpy as np
from numpy.typing import NDArray
from transformers import AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from bertscape.values import InvalidInput, ProblemType, brief
from bertscape_workers.admission import has_tokenizer, refuse_repeated_settings
from bertscape_workers.checkpoints import CheckpointFiles
from bertscape_workers.data.class_names import ClassByName, ClassNames, classes_of
from bertscape_workers.data.rows import Row
from bertscape_workers.data.samples import SampleExample, sample_of

# Rows that are tokenized at a time: what a tokenizer gives takes ten times the arrays' memory.
ROWS_AT_A_TIME = 4096


@dataclass(frozen=True, slots=True)
class TokenizedSplit:
    """n examples of T tokens in all, unpadded, one after the other, in the order of the file."""

    tokens: NDArray[np.int32]  # (T,)
    token_types: NDArray[np.int32] | None  # (T,); None if the model has none
    lengths: NDArray[np.int32]  # (n,), special tokens included
    labels: NDArray[np.int64]  # (n,), in [0, K)
    class_by_name: ClassByName | None = None  # as `SplitFound.class_by_name`
    sample: tuple[SampleExample, ...] = ()  # some examples once more, each tokenized alone

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def emptied(self) -> "TokenizedSplit":
        """The same without an example."""
        types = None if self.token_types is None else self.token_types[:0]
        return TokenizedSplit(self.tokens[:0], types, self.lengths[:0], self.labels[:0])

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
    token_types: int  # 0 if the model takes none

    @classmethod
    def of(cls, model: PreTrainedModel) -> "Vocabulary":
        """The bounds of a model's ids.

        Whether a model takes token types is said by its `forward`. GPT-2 and others have no count
        of types in their config: they embed types by the table of words.
        """
        config = model.config
        # A model of text and pictures keeps it in the config of the text. A model of characters
        # has none, and takes every code point.
        own: int | None = getattr(config, "vocab_size", None)
        text: int = getattr(config.get_text_config(), "vocab_size", sys.maxunicode + 1)
        tokens = own or text
        takes_types = "token_type_ids" in inspect.signature(model.forward).parameters
        types = getattr(config, "type_vocab_size", tokens) if takes_types else 0
        return cls(tokens=tokens, token_types=types)


def load_tokenizer(candidates: Sequence[CheckpointFiles]) -> PreTrainedTokenizerBase:
    """The tokenizer of the first checkpoint that has one.

    Raises:
        InvalidInput: none of them has one.
    """
    for files in candidates:
        if has_tokenizer(files.folder):
            refuse_repeated_settings(files.folder, "model.tokenizer")
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
            f"({brief(error)})",
        ) from error


@dataclass(frozen=True, slots=True)
class _Tokenized:
    """Some neighbouring rows, tokenized; arrays as in `TokenizedSplit`."""

    tokens: NDArray[np.int32]
    token_types: NDArray[np.int32] | None
    lengths: NDArray[np.int32]


def _tokenize(
    rows: Sequence[Row], tokenizer: PreTrainedTokenizerBase, max_length: int, with_types: bool
) -> _Tokenized:
    columns = [[row.texts[index] for row in rows] for index in range(len(rows[0].texts))]
    encoded = tokenizer(
        *columns,
        truncation=True,
        max_length=max_length,
        return_attention_mask=False,
        return_token_type_ids=with_types,
        verbose=False,
    )
    ids = encoded["input_ids"]
    return _Tokenized(
        tokens=_flat(ids),
        token_types=_flat(encoded["token_type_ids"]) if "token_type_ids" in encoded else None,
        lengths=np.array([len(one) for one in ids], dtype=np.int32),
    )


def _flat(lists: Iterable[Sequence[int]]) -> NDArray[np.int32]:
    return np.fromiter(chain.from_iterable(lists), dtype=np.int32)


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
    numbers, by_name = classes_of(rows, key, ClassNames(labels, classes))
    with_types = vocabulary.token_types > 0 and "token_type_ids" in tokenizer.model_input_names
    parts = [
        _tokenize(rows[first : first + ROWS_AT_A_TIME], tokenizer, max_length, with_types)
        for first in range(0, len(rows), ROWS_AT_A_TIME)
    ]
    lengths = np.concatenate([part.lengths for part in parts])
    _refuse_tokenless(rows, lengths, key)
    tokens = np.concatenate([part.tokens for part in parts])
    found = [part.token_types for part in parts if part.token_types is not None]
    types = np.concatenate(found) if found else None
    _refuse_above(tokens, vocabulary.tokens, "token ids", key)
    if types is not None:
        _refuse_above(types, vocabulary.token_types, "token types", key)
    classes_found = np.array(numbers, dtype=np.int64)
    split = TokenizedSplit(tokens, types, lengths, classes_found, by_name)
    sample = sample_of(rows, classes_found, split.by_length, tokenizer, max_length)
    return replace(split, sample=sample)


def _refuse_tokenless(rows: Sequence[Row], lengths: NDArray[np.int32], key: str) -> None:
    """A tokenizer that adds no special tokens makes nothing of an empty text."""
    empty = np.flatnonzero(lengths == 0)
    if len(empty):
        row = rows[empty[0]]
        raise InvalidInput.of(
            ProblemType.INVALID_DATA,
            f"{key}, {row.place}: text",
            " | ".join(row.texts),
            "text that the tokenizer makes at least one token of",
        )


def _refuse_above(ids: NDArray[np.int32], count: int, what: str, key: str) -> None:
    if ids.size and int(ids.max()) >= count:
        raise InvalidInput.of(
            ProblemType.CHECKPOINT_MISMATCH,
            "model.tokenizer",
            f"{what} up to {int(ids.max())} in {key}",
            f"the tokenizer of the model, which knows {count} {what}",
        )
