"""What a checkpoint's `config.json` says, read as plain values; stdlib only.

Both the admission of a job, which may not import transformers, and preparing it use these.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from bertscape.values import InvalidInput, ProblemType

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
POSITION_TYPES = {"esm": ("absolute", "rotary")}
_ABSOLUTE = ("absolute",)

# What these families take beside text; without it they would be evaluated on inputs of zeros that
# nobody trains them on, or not at all. Of others (LayoutLM, LiLT) it is optional.
_MORE_THAN_TEXT = {
    "layoutlmv2": "the picture of a page",
    "tapas": "seven types of each token, from a table",
}

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
    "layer_norm_eps",
    "layer_norm_epsilon",
    "norm_eps",
    "norm_epsilon",
    "rms_norm_eps",
    "hidden_activation",
    "activation_function",
    "is_decoder",
    "is_encoder_decoder",
    "relative_attention",
    "max_relative_positions",
    "position_buckets",
    "pos_att_type",
    "position_biased_input",
    "share_att_key",
    "norm_rel_ebd",
    "sinusoidal_pos_embds",
    "num_hidden_groups",
    "inner_group_num",
    "attention_window",
    "local_attention",
    "global_attn_every_n_layers",
    "rope_theta",
    "rope_parameters",
    "rotary_value",
    "attention_type",
    "block_size",
    "num_random_blocks",
    "conv_kernel_size",
    "head_ratio",
)
_LABEL_TABLES = ("id2label", "label2id")
_PLACEHOLDER = re.compile(r"LABEL_([0-9]+)")  # what transformers calls a class without a name


def position_limit(config: Config) -> int | None:
    """How many tokens the model can tell apart by their position; None if nothing limits it."""
    for name in _POSITION_KEYS:
        count = config.get(name)
        if isinstance(count, int) and count > 0:
            offset = config.get("model_type") in _OFFSET_POSITIONS
            padding = config.get("pad_token_id", 1)
            return count - (padding if isinstance(padding, int) else 1) - 1 if offset else count
    return None


def refuse_long_inputs(config: Config, max_length: int) -> None:
    """Raise `InvalidInput` if `max_length` is above what the model has positions for."""
    limit = position_limit(config)
    if limit is not None and max_length > limit:
        raise InvalidInput.of(
            ProblemType.INVALID_VALUE,
            "data.max_length",
            max_length,
            f"at most {limit}, the model's number of positions",
        )


def refuse_other_positions(config: Config, key: str) -> None:
    """Raise `InvalidInput` if transformers would compute other positions than the config's."""
    found, family = config.get("position_embedding_type"), config.get("model_type")
    known = POSITION_TYPES.get(str(family), _ABSOLUTE)
    if found is not None and found not in known:
        raise InvalidInput.of(
            ProblemType.INVALID_CHECKPOINT,
            key,
            found,
            f"{' or '.join(known)}: transformers supports no other for a {family} model",
            "is its position_embedding_type",
        )


def refuse_other_heads(config: Config, key: str, source: str) -> None:
    """Raise `InvalidInput` for every head except a single-label classifier's.

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


def refuse_unreadable(config: Config, key: str) -> None:
    """Raise `InvalidInput` for what is no text classifier of float32 weights and class names."""
    family = str(config.get("model_type"))
    if family in _MORE_THAN_TEXT:
        found = f"is a model type that also takes {_MORE_THAN_TEXT[family]}"
        expected = "a model that classifies text alone"
        raise InvalidInput.of(ProblemType.INVALID_CHECKPOINT, key, family, expected, found)
    quantized = config.get("quantization_config")
    if quantized is not None:
        method = quantized.get("quant_method") if isinstance(quantized, Mapping) else quantized
        raise InvalidInput.of(
            ProblemType.INVALID_CHECKPOINT,
            key,
            method,
            "a checkpoint without one, its weights as they were before they were quantized",
            "is the method of its quantization_config",
        )
    for name in _LABEL_TABLES:
        if name not in config or isinstance(config[name], Mapping):
            continue
        if name == "id2label" and config[name] is None:
            continue  # as good as none: the head has num_labels classes without names
        raise _wrong_labels(key, config[name], f"is its {name}, no table", "none of it")


def _wrong_labels(key: str, value: Any, found: str, otherwise: str) -> InvalidInput:
    return InvalidInput.of(
        ProblemType.INVALID_CHECKPOINT,
        key,
        value,
        f"id2label from each class's index to its name and label2id its inverse, or {otherwise}",
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
    """The head's class names and their indices; `id2label` wins, and placeholders are no names.

    Where `id2label` has placeholders alone ("LABEL_0"), `label2id` may give the names.
    """
    names, indices = _named(config), _indexed(config)
    if indices and (not names or (_placeholders(names) and not _placeholders(indices))):
        return indices
    return names


def refuse_other_labels(config: Config, key: str, source: str) -> None:
    """Raise `InvalidInput` if a head's class names contradict each other.

    A table of placeholders says nothing: `label2id` keeps them where `config.id2label` alone was
    set. Else `label2id` must be the inverse of `id2label`.
    """
    try:
        names, indices = _named(config), _indexed(config)
    except (TypeError, ValueError) as error:
        raise _labels_refused(key, source, f"has an index in {error}") from error
    count = label_count(config)
    _refuse_other_count(config, count, key, source)
    stored = config.get("id2label") or {}
    repeated = [str(name) for name in stored.values() if list(stored.values()).count(name) > 1]
    if repeated:
        raise _labels_refused(key, source, f"has the name {repeated[0]!r} twice in id2label")
    for table, found in (("id2label", names), ("label2id", indices)):
        if found and not _placeholders(found) and sorted(found.values()) != list(range(count)):
            what = f"has other indices in {table} than 0 to {count - 1}: {_told(found)}"
            raise _labels_refused(key, source, what)
    if names and indices and not (_placeholders(names) or _placeholders(indices)):
        other = sorted(name for name in names | indices if names.get(name) != indices.get(name))
        if other:
            told = f"{other[0]!r} is {names.get(other[0])} by id2label"
            what = f"contradicts itself: {told} and {indices.get(other[0])} by label2id"
            raise _labels_refused(key, source, what)


def _refuse_other_count(config: Config, count: int, key: str, source: str) -> None:
    stated = config.get("num_labels")
    if isinstance(stated, int) and stated != count:
        what = f"has num_labels {stated} and {count} names in id2label"
        raise _labels_refused(key, source, what)


def _labels_refused(key: str, source: str, found: str) -> InvalidInput:
    return _wrong_labels(key, source, found, "none of both")


def _named(config: Config) -> dict[str, int]:
    """`id2label`, inverted."""
    table = config.get("id2label")
    return _indices(table.items(), "id2label") if isinstance(table, Mapping) else {}


def _indexed(config: Config) -> dict[str, int]:
    """`label2id`."""
    table = config.get("label2id")
    pairs = ((index, name) for name, index in table.items()) if isinstance(table, Mapping) else ()
    return _indices(pairs, "label2id")


def _indices(pairs: Iterable[tuple[Any, Any]], table: str) -> dict[str, int]:
    try:
        return {str(name): int(index) for index, name in pairs}
    except (TypeError, ValueError) as error:
        raise ValueError(f"{table} that is no whole number ({error})") from error


def _placeholders(names: Mapping[str, int]) -> bool:
    matches = ((_PLACEHOLDER.fullmatch(name), index) for name, index in names.items())
    return all(match is not None and int(match[1]) == index for match, index in matches)


def _told(names: Mapping[str, int]) -> str:
    return ", ".join(f"{index} {name!r}" for name, index in list(names.items())[:5])


def refuse_other_architecture(
    finetuned: tuple[Config, str], other: tuple[Config, str], key: str
) -> None:
    """Raise `InvalidInput` if two checkpoints cannot share a plane.

    Args:
        finetuned: the config of θ1, which fixes what every point computes, and its source.
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
