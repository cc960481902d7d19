"""The packed evaluator: the numbers of the reference evaluator, as fast as the machine multiplies.

At a point it combines the parameters

    θ + α·x + β·y

matrix by matrix into the form that the device multiplies fastest, the one working copy that it
holds, and runs both splits through the packed forward pass.
"""

import warnings
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from transformers.activations import ACT2FN

from bertscape_workers.backbone import BackboneTensor, Vector
from bertscape_workers.devices import pick_device
from bertscape_workers.evaluator import EvaluatorInputs
from bertscape_workers.packed_architectures import Encoder, find_encoder
from bertscape_workers.packed_forward import (
    Embeddings,
    Forward,
    Head,
    LastLayer,
    Layer,
    Model,
    Norm,
)
from bertscape_workers.packed_products import Linear, Products, products_for
from bertscape_workers.packed_split import Block, pack, position_ids, used_words
from bertscape_workers.splits import TokenizedSplit
from bertscape_workers.statistics import error_rate, mean_loss

# Tokens of a block, by kind of device. A CPU's block and a layer's matrices share its cache; a
# GPU's block keeps all of it busy. Chosen by measurement, and never by a worker: sums, and so the
# last bits of results, depend on it.
BLOCK_TOKENS = {"cpu": 3072, "cuda": 32768}

Term = tuple[torch.Tensor, float]  # a direction, (layout.size,), and how far along it


class PackedEvaluator:
    """Holds one working copy of the parameters; `evaluate` may be called any number of times.

    A point's value depends on the point alone: not on the points before it, nor on this instance.

    Args:
        inputs: of a model that `find_encoder` knows.
        device: as torch names it; default: the GPU where there is one.

    Raises:
        ValueError: the model is of no architecture that is known here.
    """

    def __init__(self, inputs: EvaluatorInputs, device: str | None = None) -> None:
        encoder = find_encoder(inputs.config, inputs.layout, set(inputs.head))
        if encoder is None:
            raise ValueError(f"no packed forward pass for a {inputs.config.get('model_type')!r}")
        where = torch.device(device or pick_device())
        self._products = products_for(where)
        limit = BLOCK_TOKENS[where.type]
        words = used_words((inputs.train, inputs.eval))
        self._parameters = _Parameters(inputs, encoder, words, self._products, limit, where)
        plain_gelu = encoder.activation == "gelu"
        self._forward = Forward(
            encoder.heads, None if plain_gelu else ACT2FN[encoder.activation], self._products
        )
        self._splits = [
            (split, pack(split, words, position_ids(split, encoder.padding), limit, where))
            for split in (inputs.train, inputs.eval)
        ]
        self._device = where
        self._origin = _tensor(inputs.origin, where)
        self._x = _tensor(inputs.x, where)
        self._y = None if inputs.y is None else _tensor(inputs.y, where)

    def evaluate(self, alpha: float, beta: float) -> NDArray[np.float64]:
        """The numbers at (α, β).

        Args:
            alpha: along x, in units of its length.
            beta: along y; 0 on a curve.

        Returns:
            (8,) float64 in the order of `bertscape.findings.NUMBERS`: losses in nats, errors in
            [0, 1]. A loss that is NaN or infinite stays so. A prediction from logits with a NaN
            counts as wrong.
        """
        terms = [(self._x, alpha)]
        if self._y is not None:
            terms.append((self._y, beta))
        return self._measure(self._origin, terms)

    def evaluate_backbone(self, backbone: Vector) -> NDArray[np.float64]:
        """The numbers of any backbone, (layout.size,) float32, with θ1's head; as `evaluate`."""
        return self._measure(_tensor(backbone, self._device), ())

    def _measure(self, origin: torch.Tensor, terms: Sequence[Term]) -> NDArray[np.float64]:
        with torch.inference_mode(), self._products.in_use():
            model = self._parameters.at(origin, terms)
            results = [self._split_numbers(model, *split) for split in self._splits]
        pairs = [pair for both in results for pair in both]
        return np.array([*(mean for mean, _ in pairs), *(error for _, error in pairs)])

    def _split_numbers(
        self, model: Model, split: TokenizedSplit, blocks: Sequence[Block]
    ) -> tuple[tuple[float, float], tuple[float, float]]:
        """((J, its standard error), (error rate, its standard error))."""
        classes = len(model.head.output.bias)
        logits = torch.empty((len(split), classes), dtype=torch.float64)  # in the file's order
        for block in blocks:
            logits[block.examples] = self._forward.logits(model, block).to("cpu", torch.float64)
        labels = torch.from_numpy(split.labels)
        losses = -torch.log_softmax(logits, dim=-1).gather(1, labels[:, None])[:, 0]  # (n,)
        right = (logits.argmax(dim=-1) == labels) & ~logits.isnan().any(dim=-1)
        return mean_loss(losses.numpy()), error_rate((~right).numpy())


class _Parameters:
    """Combines the parameters of a point, tensor by tensor, into the model's own form."""

    def __init__(
        self,
        inputs: EvaluatorInputs,
        encoder: Encoder,
        words: NDArray[np.int64],
        products: Products,
        rows: int,
        device: torch.device,
    ) -> None:
        self._encoder = encoder
        self._places = {name: tensor for tensor in inputs.layout.tensors for name in tensor.names}
        self._head = {
            name: torch.from_numpy(np.array(values, dtype=np.float32)).to(device)
            for name, values in inputs.head.items()
        }
        self._words = torch.from_numpy(words).to(device)
        self._products = products
        self._rows = rows
        self._origin: torch.Tensor
        self._terms: Sequence[Term]

    def at(self, origin: torch.Tensor, terms: Sequence[Term]) -> Model:
        """The model at origin + Σ factor · direction."""
        self._origin, self._terms = origin, terms
        return Model(
            self._embeddings(),
            tuple(self._layer(index) for index in range(self._encoder.layers - 1)),
            self._last_layer(),
            self._classifier(),
        )

    def _embeddings(self) -> Embeddings:
        encoder = self._encoder
        types = encoder.embedding("token_type_embeddings")
        return Embeddings(
            self._tensor(f"{encoder.embedding('word_embeddings')}.weight", self._words),
            self._tensor(f"{encoder.embedding('position_embeddings')}.weight"),
            self._tensor(f"{types}.weight") if encoder.architecture.token_types else None,
            self._norm(encoder.embedding("LayerNorm")),
            self._linear(encoder.projection) if encoder.projected else None,
        )

    def _layer(self, index: int) -> Layer:
        names = self._encoder.architecture.names
        query, key, value = (
            self._encoder.layer(index, name) for name in (names.query, names.key, names.value)
        )
        return Layer(self._linear(query, key, value), *self._after_attention(index))

    def _last_layer(self) -> LastLayer:
        names, index = self._encoder.architecture.names, self._encoder.layers - 1
        query, key, value = (
            self._encoder.layer(index, name) for name in (names.query, names.key, names.value)
        )
        keys_and_values, queries = self._linear(key, value), self._linear(query)
        return LastLayer(keys_and_values, *self._after_attention(index), queries)

    def _after_attention(self, index: int) -> tuple[Linear, Norm, Linear, Linear, Norm]:
        """The rest of a layer, in the order of `Layer`."""
        names, layer = self._encoder.architecture.names, self._encoder.layer
        return (
            self._linear(layer(index, names.attention_output)),
            self._norm(layer(index, names.attention_norm)),
            self._linear(layer(index, names.expand)),
            self._linear(layer(index, names.contract)),
            self._norm(layer(index, names.output_norm)),
        )

    def _classifier(self) -> Head:
        architecture = self._encoder.architecture
        return Head(
            self._linear(architecture.dense),
            architecture.head_activation,
            self._linear(architecture.output),
        )

    def _norm(self, module: str) -> Norm:
        weight, bias = self._tensor(f"{module}.weight"), self._tensor(f"{module}.bias")
        return Norm(weight, bias, self._encoder.epsilon)

    def _linear(self, *modules: str) -> Linear:
        """One linear layer of the outputs of all modules, end to end."""
        weights = [self._tensor(f"{module}.weight") for module in modules]
        biases = [self._tensor(f"{module}.bias") for module in modules]
        return self._products.pack(torch.cat(weights), torch.cat(biases), self._rows)

    def _tensor(self, name: str, rows: torch.Tensor | None = None) -> torch.Tensor:
        """A parameter at the point, or only some rows of it."""
        if name in self._head:
            return self._head[name]
        place = self._places[name]
        values = _part(self._origin, place, rows)
        for number, (direction, factor) in enumerate(self._terms):
            along = _part(direction, place, rows)
            # The first sum is a tensor of its own, and takes the others.
            values = torch.add(values, along, alpha=factor, out=values if number else None)
        return values


def _part(vector: torch.Tensor, place: BackboneTensor, rows: torch.Tensor | None) -> torch.Tensor:
    whole = vector[place.offset : place.offset + place.size].view(place.shape)
    return whole if rows is None else whole.index_select(0, rows)


def _tensor(vector: Vector, device: torch.device) -> torch.Tensor:
    with warnings.catch_warnings():
        # Arrays from the object store are read-only. These are never written to.
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")
        return torch.from_numpy(vector).to(device)
