"""Tensors of a checkpoint that nothing would read; stdlib only.

A tensor that is silently left out changes what the model computes: an adapter that was not merged,
or a layer more than `config.json` has. Buffers and the heads of other tasks change nothing.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from bertscape.values import InvalidInput, ProblemType

# As PEFT and adapters name what they add to a layer, and PEFT the layer inside.
_ADAPTER = re.compile(
    r"(?:^|\.)(?:lora_\w+|loras?|ia3_\w+|hada_\w+|lokr_\w+|b?oft_\w+|vera_\w+|base_layer)(?:\.|$)"
)
# A layer of the encoder, or of a decoder that stands alone, by the names that families give it. Of
# a model with both, the count is the encoder's.
_LAYER = re.compile(
    r"(?:^|\.)(?:encoder|transformer)\.layer\.(\d+)\."
    r"|^(?:\w+\.)?encoder\.(?:layers|block)\.(\d+)\."
    r"|^(?:(?!decoder|classifier|score|cls)\w+\.)?(?:layers|h|attentions|blocks)\.(\d+)\."
)
_LAYER_COUNTS = ("num_hidden_layers", "n_layers", "n_layer", "num_layers")
_LAYERS_BEYOND = "num_nextn_predict_layers"  # stored after the last layer, and never used here

# Buffers that older versions of transformers stored; every one is recomputed.
_BUFFERS = ("position_ids", "token_type_ids", "inv_freq", "masked_bias")
# Heads for other tasks that a fine-tuned classifier's file may still hold.
_OTHER_HEADS = frozenset(
    {
        *("cls", "lm_head", "lm_predictions", "mask_predictions", "predictions", "qa_outputs"),
        *("discriminator_predictions", "generator_predictions", "generator_lm_head"),
        *("vocab_transform", "vocab_layer_norm", "vocab_projector", "pred_layer", "lm_loss"),
        *("sop_classifier", "nsp_classifier", "seq_relationship"),
    }
)


def refuse_adapters(names: Iterable[str], key: str, source: str) -> None:
    """Raise `InvalidInput` if a checkpoint holds adapters that were not merged."""
    found = [name for name in names if _ADAPTER.search(name)]
    if found:
        raise _refusal(
            found,
            key,
            source,
            "weights with their adapters merged, as PEFT's merge_and_unload() leaves them",
            "holds an adapter beside its base weights",
        )


def refuse_more_layers(
    names: Iterable[str], config: Mapping[str, Any], key: str, source: str
) -> None:
    """Raise `InvalidInput` if the weights have more layers than `config.json` says."""
    setting = next((n for n in _LAYER_COUNTS if isinstance(config.get(n), int)), None)
    if setting is None:
        return
    beyond = config.get(_LAYERS_BEYOND)
    count = config[setting] + (beyond if isinstance(beyond, int) else 0)
    found = [name for name in names if _layer(name) >= count]
    if found:
        raise _refusal(
            found,
            key,
            source,
            f"weights of as many layers as its config.json has, {setting} {config[setting]}",
            "holds more layers",
        )


def _layer(name: str) -> int:
    match = _LAYER.search(name)
    return int(match[match.lastindex or 0]) if match else -1


def refuse_bare_encoder(names: Iterable[str], key: str, source: str) -> None:
    """Raise `InvalidInput` for a θ1 whose encoder was saved without the classifier's prefix.

    `from_pretrained` finds either the encoder or the head in such a file.
    """
    found = [name for name in names if name.startswith("embeddings.")]
    if found:
        expected = "the names that save_pretrained gives to a classifier, as in bert.embeddings"
        raise _refusal(found, key, source, expected, "holds its encoder without the prefix")


_DENSE = r"\.(?:weight|bias)"
_OF_BERT = re.compile(
    r"embeddings\.(?:word|position|token_type)_embeddings\.weight"
    rf"|(?:embeddings\.LayerNorm|embeddings_project|pooler\.dense){_DENSE}"
    r"|encoder\.layer\.\d+\.(?:attention\.self\.(?:query|key|value)"
    r"|attention\.output\.(?:dense|LayerNorm)|intermediate\.dense|output\.(?:dense|LayerNorm))"
    rf"{_DENSE}"
)
_OF_DISTILBERT = re.compile(
    rf"embeddings\.(?:word|position)_embeddings\.weight|embeddings\.LayerNorm{_DENSE}"
    r"|transformer\.layer\.\d+\.(?:attention\.[qkv]_lin|attention\.out_lin|sa_layer_norm"
    rf"|ffn\.lin[12]|output_layer_norm){_DENSE}"
)
_WITHOUT_POOLER = {
    "camembert": _OF_BERT,
    "electra": _OF_BERT,
    "distilbert": _OF_DISTILBERT,
    "roberta": _OF_BERT,
    "xlm-roberta": _OF_BERT,
}


@dataclass(frozen=True, slots=True)
class Family:
    """What is known of a family's backbone without building its model."""

    names: re.Pattern[str] | None  # of its tensors, without the prefix; None if not known
    pooler: bool  # whether its classifier may have one

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> "Family":
        """The family of a `config.json`."""
        name = str(config.get("model_type"))
        names = _OF_BERT if name == "bert" else _WITHOUT_POOLER.get(name)
        known = not config.get("add_cross_attention")
        return cls(names if known else None, name not in _WITHOUT_POOLER)

    def counts(self, name: str) -> bool:
        """Whether a tensor may belong to the backbone: not a pooler that the family lacks."""
        return self.pooler or not name.startswith("pooler.")

    def refuse_foreign(self, names: Iterable[str], key: str, source: str) -> None:
        """Raise `InvalidInput` for a checkpoint with tensors that its architecture has not.

        Args:
            names: of tensors of the backbone, without the prefix.
            key: the checkpoint's key in the job spec.
            source: its folder.
        """
        found = [name for name in names if self.names and not self.names.fullmatch(name)]
        if found:
            raise _refusal(found, key, source, _ALL_READ, _NOT_READ)


_ALL_READ = "tensors of its config.json's architecture, known buffers and other tasks' heads alone"
_NOT_READ = "holds tensors that would not be read"


@dataclass(frozen=True, slots=True)
class Known:
    """What a classifier reads of a checkpoint, by the names in its state dict."""

    prefix: str  # of the backbone, as in "bert"
    names: frozenset[str]  # parameters and buffers
    ignored: tuple[str, ...] = ()  # patterns that transformers ignores in this family

    def unused(self, names: Iterable[str], *, head: bool) -> list[str]:
        """Those of a checkpoint's tensors that the architecture has not.

        Args:
            names: of the tensors, with the backbone's prefix or without.
            head: whether the checkpoint's own head is used, as θ1's is.
        """
        return [name for name in names if not self._reads(name) and self._counts(name, head)]

    def _reads(self, name: str) -> bool:
        last = name.rpartition(".")[2]
        return (
            last in _BUFFERS
            or name in self.names
            or f"{self.prefix}.{name}" in self.names
            or any(re.search(pattern, name) for pattern in self.ignored)
        )

    def _counts(self, name: str, head: bool) -> bool:
        """Whether a tensor that is not read would change what the checkpoint computes."""
        inside = name.removeprefix(f"{self.prefix}.")
        part = inside.partition(".")[0]
        children = self._children()
        if part == "pooler" and part not in children:
            return False  # of a family whose classifier does without
        if inside != name or part in children:
            return True
        return head and part not in _OTHER_HEADS

    def _children(self) -> Collection[str]:
        """The modules of the backbone."""
        inside = f"{self.prefix}."
        return {
            name.removeprefix(inside).partition(".")[0]
            for name in self.names
            if name.startswith(inside)
        }


def refuse_unused(
    names: Iterable[str], known: Known, key: str, source: str, *, head: bool = False
) -> None:
    """Raise `InvalidInput` if a checkpoint holds tensors that the architecture has not.

    Args:
        names: of its tensors.
        known: what θ1's architecture reads.
        key: the checkpoint's key in the job spec.
        source: its folder or hub id.
        head: whether its own head is used, as θ1's is.
    """
    found = known.unused(names, head=head)
    if found:
        raise _refusal(found, key, source, _ALL_READ, _NOT_READ)


def _refusal(names: list[str], key: str, source: str, expected: str, found: str) -> InvalidInput:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    told = f"{found}: {', '.join(names[:3])}{more}"
    return InvalidInput.of(ProblemType.INVALID_CHECKPOINT, key, source, expected, told)
