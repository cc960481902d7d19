"""What a checkpoint's `config.json` says, read as plain values; stdlib only.

Both the admission of a job, which may not import transformers, and preparing it use these.
"""

from collections.abc import Mapping
from typing import Any

from bertscape.values import (
    InvalidInput,
    ProblemType,
)

Config = Mapping[str, Any]

# Position ids of these begin at padding_idx + 1, so that many rows of the table are never used.
_OFFSET_POSITIONS = frozenset(
    {
        "camembert",
        "data2vec-text",
        "ibert",
        "lilt",
        "longformer",
        "luke",
        "markuplm",
        "mpnet",
        "roberta",
        "roberta-prelayernorm",
        "xlm-roberta",
        "xlm-roberta-xl",
        "xmod",
    }
)
_CLASSIFIER = "ForSequenceClassification"
_POSITION_KEYS = ("max_position_embeddings", "n_positions")

# What transformers 5 computes of `position_embedding_type`. It dropped relative positions, and of
# most families no longer reads the setting: it would compute absolute ones without a word.
_POSITION_TYPES = {"esm": ("absolute", "rotary")}
_ABSOLUTE = ("absolute",)

# Settings that change what the same tensors compute, under the names that families give them.
_FUNCTION_KEYS = (
    "model_type",
    "vocab_size",
    "hidden_size",
    "dim",
    "embedding_size",
    "num_hidden_layers",
    "n_layers",
    "num_attention_heads",
    "n_heads",
    "intermediate_size",
    "hidden_dim",
    "hidden_act",
    "activation",
    "max_position_embeddings",
    "type_vocab_size",
    "position_embedding_type",
    "pad_token_id",
)


def position_limit(config: Config) -> int | None:
    """How many tokens the model can tell apart by their position; None where nothing limits it."""
    for name in _POSITION_KEYS:
        count = config.get(name)
        if isinstance(count, int) and count > 0:
            offset = config.get("model_type") in _OFFSET_POSITIONS
            padding = config.get("pad_token_id", 1)
            return count - (padding if isinstance(padding, int) else 1) - 1 if offset else count
    return None


def refuse_long_inputs(config: Config, max_length: int) -> None:
    """Raise `InvalidInput` where `max_length` is above what the model has positions for."""
    limit = position_limit(config)
    if limit is not None and max_length > limit:
        raise InvalidInput.of(
            ProblemType.INVALID_VALUE,
            "data.max_length",
            max_length,
            f"at most {limit}, the model's number of positions",
        )


def refuse_other_positions(config: Config, key: str) -> None:
    """Raise `InvalidInput` where transformers would compute other positions than the config's."""
    found, family = config.get("position_embedding_type"), config.get("model_type")
    known = _POSITION_TYPES.get(str(family), _ABSOLUTE)
    if found is not None and found not in known:
        raise InvalidInput.of(
            ProblemType.INVALID_CHECKPOINT,
            key,
            found,
            f"{' or '.join(known)}: transformers supports no other for a {family} model",
            "is its position_embedding_type",
        )


def refuse_other_heads(config: Config, key: str, source: str) -> None:
    """Raise `InvalidInput` for any head but that of a single-label classifier.

    The loss of a regression or a multi-label head is no cross-entropy over classes.
    """
    names = config.get("architectures") or ()
    if names and not any(str(name).endswith(_CLASSIFIER) for name in names):
        raise InvalidInput.of(
            ProblemType.INVALID_CHECKPOINT,
            key,
            source,
            f"a fine-tuned …{_CLASSIFIER} model with its head",
            f"is a {', '.join(map(str, names))}",
        )
    problem = config.get("problem_type")
    if problem in ("regression", "multi_label_classification") or label_count(config) < 2:
        found = f"has problem_type {problem!r} and {label_count(config)} label(s)"
        raise InvalidInput.of(
            ProblemType.INVALID_CHECKPOINT,
            key,
            source,
            "a single-label classification head with two or more classes",
            found,
        )


def label_count(config: Config) -> int:
    """K, the classes of the head; a config that names none has two, as in transformers."""
    names = config.get("id2label")
    if isinstance(names, Mapping) and names:
        return len(names)
    count = config.get("num_labels", config.get("_num_labels", 2))
    return count if isinstance(count, int) else 2


def label_index(config: Config) -> dict[str, int]:
    """The head's class names and their indices; a config may give either direction."""
    names = config.get("label2id")
    if isinstance(names, Mapping) and names:
        return {str(name): int(index) for name, index in names.items()}
    numbers = config.get("id2label")
    if isinstance(numbers, Mapping):
        return {str(name): int(index) for index, name in numbers.items()}
    return {}


def refuse_other_architecture(
    finetuned: tuple[Config, str], other: tuple[Config, str], key: str
) -> None:
    """Raise `InvalidInput` where two checkpoints cannot share a plane.

    Args:
        finetuned: the config of θ1, which fixes what every point computes, and where it is from.
        other: the same of another checkpoint.
        key: the other checkpoint's key in the job spec.
    """
    (here, source), (there, other_source) = finetuned, other
    for name in _FUNCTION_KEYS:
        if name in here and name in there and here[name] != there[name]:
            raise InvalidInput.of(
                ProblemType.CHECKPOINT_MISMATCH,
                key,
                other_source,
                f"the {name} of model.finetuned ({source}), {here[name]!r}",
                f"has {name} {there[name]!r}",
            )
