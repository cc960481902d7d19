"""How many operations a point takes, from the architecture's sizes and the examples' lengths.

A product of an (n, k) and a (k, m) matrix counts 2·n·k·m (Kaplan et al. 2020, "Scaling Laws for
Neural Language Models", section 2.1, counts so too). Of a layer of width h and inner width w, with
n tokens in an example (Vaswani et al. 2017, "Attention Is All You Need", sections 3.2 and 3.3):

    queries, keys, values, and the mixed answer     2 · 4h²    for each token
    the two feed-forward products                   2 · 2hw    for each token
    scores, and the values mixed by them            4h · n²    for each example

The packed pass needs only the first token of the last layer: there keys and values are computed for
all tokens, the rest for one token of each example. Embeddings, normalization and the head are not
counted, as in `benchmarks/evaluator.py`: they are less than 1 % of a BERT.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bertscape.values import LayerGroup
from bertscape_workers.costs.lengths import Lengths

FORWARD_AND_BACKWARD = 3
"""A training step over one forward pass: the gradients of inputs and of weights take one each."""

# The model types that have a packed forward pass.
_FAMILIES = frozenset({"bert", "distilbert", "electra", "roberta"})
_HIDDEN, _INNER = ("hidden_size", "dim"), ("intermediate_size", "hidden_dim")
_LAYERS = ("num_hidden_layers", "n_layers")
_DEFAULTS = {"hidden": 768, "inner": 3072, "layers": 12}  # of BERT, RoBERTa and DistilBERT
_ELECTRA_DEFAULTS = {"hidden": 256, "inner": 1024, "layers": 12}


@dataclass(frozen=True, slots=True)
class Encoder:
    """The sizes of an encoder with equal layers."""

    family: str  # as `model_type` of its config
    layers: int
    hidden: int  # h
    inner: int  # w

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> "Encoder | None":
        """As a config says; None if there is no formula for this model type."""
        family = str(config.get("model_type", ""))
        if family not in _FAMILIES or config.get("is_decoder", False):
            return None
        usual = _ELECTRA_DEFAULTS if family == "electra" else _DEFAULTS
        return cls(
            family,
            layers=_size(config, _LAYERS, usual["layers"]),
            hidden=_size(config, _HIDDEN, usual["hidden"]),
            inner=_size(config, _INNER, usual["inner"]),
        )

    @property
    def name(self) -> str:
        """What decides how fast a device multiplies for it, as in "bert 768 × 3072"."""
        return f"{self.family} {self.hidden} × {self.inner}"

    def whole(self, lengths: Lengths) -> float:
        """One pass of all tokens through all layers, as a plain model does it, without padding."""
        return self.layers * self._layer(lengths)

    def packed(self, lengths: Lengths, group: LayerGroup, *, kept: bool) -> tuple[float, float]:
        """(once, for each point) of the packed pass on a plane on which this group moves.

        Args:
            lengths: of all examples of both splits.
            group: what moves.
            kept: whether the states above the layers that stay are kept for all points.
        """
        prefix = group.prefix(self.layers) or 0 if kept else 0
        below = sum(self._packed_layer(layer, lengths) for layer in range(prefix))
        above = sum(self._packed_layer(layer, lengths) for layer in range(prefix, self.layers))
        return below, above

    def states(self, lengths: Lengths, group: LayerGroup) -> int:
        """How many hidden states enter the lowest layer that moves; 0 if the embeddings move."""
        prefix = group.prefix(self.layers)
        if prefix is None:
            return 0
        return lengths.examples if prefix == self.layers else lengths.tokens

    def _packed_layer(self, layer: int, lengths: Lengths) -> float:
        if layer < self.layers - 1:
            return self._layer(lengths)
        keys_and_values = 4 * self.hidden**2
        rest = lengths.examples * (self._products - keys_and_values)
        return lengths.tokens * (keys_and_values + 4 * self.hidden) + rest

    def _layer(self, lengths: Lengths) -> float:
        return lengths.tokens * self._products + 4 * self.hidden * lengths.squares

    @property
    def _products(self) -> int:
        """Of one token in one layer."""
        return 8 * self.hidden**2 + 4 * self.hidden * self.inner


def _size(config: Mapping[str, Any], names: tuple[str, ...], default: int) -> int:
    return next((int(config[name]) for name in names if isinstance(config.get(name), int)), default)
