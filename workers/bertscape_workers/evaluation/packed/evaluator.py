"""The packed evaluator: the numbers of the reference evaluator, as fast as the machine multiplies.

At a point it combines the parameters

    θ + α·x + β·y

matrix by matrix into the form that the device multiplies fastest, the one working copy that it
holds, and runs both splits through the packed forward pass.

Where a layer group alone moves, all else is brought into that form once; and the lowest layers,
where they and the embeddings stay, are run once: every point starts at the states above them.
"""

import logging
import warnings
from collections.abc import Callable, Iterable, Sequence
from functools import cache, partial
from typing import Any, ClassVar, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from transformers.activations import ACT2FN

from bertscape.values import ALL_LAYERS, EvaluatorName, LayerGroup
from bertscape_workers.admission import KEPT_STATES, keep_freed_memory
from bertscape_workers.checkpoints import BackboneTensor, Vector, pick_device
from bertscape_workers.data import Outcomes, TokenizedSplit, outcomes_of, point_numbers
from bertscape_workers.evaluation.packed.architectures import Encoder, find_encoder
from bertscape_workers.evaluation.packed.forward import (
    Embeddings,
    Forward,
    Head,
    LastLayer,
    Layer,
    LowerPart,
    Norm,
    UpperPart,
)
from bertscape_workers.evaluation.packed.method import Method, method_for
from bertscape_workers.evaluation.packed.products import Linear, Products
from bertscape_workers.evaluation.packed.split import Block, pack, position_ids, used_words
from bertscape_workers.evaluation.plain import EvaluatorInputs

Term = tuple[torch.Tensor, float]  # a direction, (layout.size,), and how far along it
States = Iterable[torch.Tensor]  # of a split, block by block; see `Forward.states`
Part = TypeVar("Part")

_log = logging.getLogger(__name__)


class PackedEvaluator:
    """Holds one working copy of the parameters; `evaluate` may be called any number of times.

    A point's value depends on the point alone: not on the points before it, nor on this instance.

    Args:
        inputs: of a model that `find_encoder` knows.
        device: as torch names it; default: the GPU if there is one.
        method: how to compute; default: what `method_for` has for the device and the precision.

    Raises:
        ValueError: the model is of no architecture that is known here.
    """

    name: ClassVar[EvaluatorName] = "packed"

    def __init__(
        self, inputs: EvaluatorInputs, device: str | None = None, method: Method | None = None
    ) -> None:
        encoder = find_encoder(inputs.config, inputs.layout, set(inputs.head))
        if encoder is None:
            raise ValueError(f"no packed forward pass for a {inputs.config.get('model_type')!r}")
        where = torch.device(device or pick_device())
        if where.type == "cpu":
            keep_freed_memory()
        method = method or method_for(where, inputs.precision)
        self._products = method.products
        words = used_words((inputs.train, inputs.eval))
        self._parameters = _Parameters(inputs, encoder, words, method, where)
        plain_gelu = encoder.activation == "gelu"
        self._forward = Forward(
            method.attention(encoder.heads),
            None if plain_gelu else ACT2FN[encoder.activation],
            self._products,
        )
        shape = (method.block_tokens, where, method.rows)
        self._splits = [
            (split, pack(split, words, position_ids(split, encoder.padding), *shape))
            for split in (inputs.train, inputs.eval)
        ]
        self._group = inputs.layers
        self._prefix = self._kept_layers(encoder)
        self._kept: list[list[torch.Tensor]] | None = None  # the states above the prefix
        self._device = where
        self._origin = _tensor(inputs.origin, where)
        self._x, self._y = (
            None if direction is None else _tensor(direction, where)
            for direction in (inputs.x, inputs.y)
        )

    def evaluate(self, alpha: float, beta: float) -> NDArray[np.float64]:
        """The numbers at (α, β).

        Args:
            alpha: along x, in units of its length.
            beta: along y; 0 on a curve.

        Returns:
            (8,) float64 in the order of `bertscape.values.NUMBERS`: losses in nats, errors in
            [0, 1]. A loss that is NaN or infinite stays so. A prediction from logits with a NaN
            counts as wrong.
        """
        return point_numbers(*self.outcomes_at(alpha, beta))

    def outcomes_at(self, alpha: float, beta: float) -> tuple[Outcomes, Outcomes]:
        """What the point (α, β) makes of each example of (train, eval)."""
        axes = ((self._x, alpha), (self._y, beta))
        terms = [(direction, factor) for direction, factor in axes if direction is not None]
        with torch.inference_mode(), self._products.in_use():
            kept = self._states_above_the_prefix()
            self._parameters.move_to(self._origin, terms, self._group)
            return self._outcomes(self._prefix or 0, kept or self._states(0))

    def evaluate_backbone(self, backbone: Vector) -> NDArray[np.float64]:
        """The numbers of any backbone, (layout.size,) float32, with θ1's head; as `evaluate`."""
        return point_numbers(*self.outcomes(backbone))

    def outcomes(self, backbone: Vector) -> tuple[Outcomes, Outcomes]:
        """What any backbone with θ1's head makes of each example of (train, eval)."""
        # What was kept for the plane makes room for this backbone's own copy.
        self._kept = None
        self._parameters.forget()
        with torch.inference_mode(), self._products.in_use():
            self._parameters.move_to(_tensor(backbone, self._device), ())
            return self._outcomes(0, self._states(0))

    def _kept_layers(self, encoder: Encoder) -> int | None:
        """How many of the lowest layers are run once for all points; None: not even embeddings."""
        layers = self._group.prefix(encoder.layers)
        if layers is None:
            return None
        blocks = [block for _, blocks in self._splits for block in blocks]
        at_head = layers == encoder.layers
        rows = sum(len(block.first if at_head else block.words) for block in blocks)
        size = rows * encoder.width * torch.float32.itemsize
        if size <= KEPT_STATES:
            return layers
        say_once(layers, size)
        return None

    def _states_above_the_prefix(self) -> Sequence[States] | None:
        """Of each split; computed at the first point, and never changed after it."""
        if self._kept is None and self._prefix is not None:
            self._parameters.move_to(self._origin, ())
            self._kept = [list(states) for states in self._states(self._prefix)]
        return self._kept

    def _states(self, layer: int) -> Sequence[States]:
        """What enters a layer, of each split, block by block as it is asked for."""
        model = self._parameters.below(layer)
        return [map(partial(self._forward.states, model), blocks) for _, blocks in self._splits]

    def _outcomes(self, layer: int, states: Sequence[States]) -> tuple[Outcomes, Outcomes]:
        """Of both splits, from the states that enter a layer."""
        model = self._parameters.above(layer)
        train, evaluation = (
            self._split_outcomes(model, *split, entering)
            for split, entering in zip(self._splits, states, strict=True)
        )
        return train, evaluation

    def _split_outcomes(
        self, model: UpperPart, split: TokenizedSplit, blocks: Sequence[Block], states: States
    ) -> Outcomes:
        if not blocks:
            return Outcomes(np.empty(0), np.empty(0, dtype=np.bool_))
        found = [
            self._forward.logits(model, entering, block)  # (block's n, K) float32
            for block, entering in zip(blocks, states, strict=True)
        ]
        places = torch.cat([block.examples for block in blocks])
        logits = torch.empty((len(split), found[0].shape[1]), dtype=torch.float64)
        # In the file's order; fetched once, because a GPU stands still until its answer is fetched.
        logits[places] = torch.cat(found).to("cpu", torch.float64)
        return outcomes_of(logits, split.labels)


@cache
def say_once(layers: int, size: int) -> None:
    """Once in a process, however many evaluators it makes."""
    _log.warning(
        "the states above the %d lowest layers, which stay, take %.3g GiB, more than the %.3g GiB "
        "that are kept: they are computed again at each point",
        layers,
        size / (1 << 30),
        KEPT_STATES / (1 << 30),
    )


class _Parameters:
    """Combines the parameters of a point, tensor by tensor, into the model's own form.

    What stays on a layer group's plane is made once, when it is first asked for, and held.
    """

    def __init__(
        self,
        inputs: EvaluatorInputs,
        encoder: Encoder,
        words: NDArray[np.int64],
        method: Method,
        device: torch.device,
    ) -> None:
        self._encoder = encoder
        self._places = {name: tensor for tensor in inputs.layout.tensors for name in tensor.names}
        self._head = {
            name: torch.from_numpy(np.array(values, dtype=np.float32)).to(device)
            for name, values in inputs.head.items()
        }
        self._words = torch.from_numpy(words).to(device)
        self._method = method
        self._held: dict[int | str, Any] = {}
        self._origin: torch.Tensor
        self._terms: Sequence[Term]
        self._group: LayerGroup
        self._along: Sequence[Term]  # of the part that is being made

    def move_to(
        self, origin: torch.Tensor, terms: Sequence[Term], group: LayerGroup = ALL_LAYERS
    ) -> None:
        """Go to origin + Σ factor · direction, where the directions are zero outside the group.

        With any group but all of them, the origin is the same each time.
        """
        self._origin, self._terms, self._group = origin, terms, group

    def forget(self) -> None:
        """Let go of what is held."""
        self._held.clear()

    def below(self, layer: int) -> LowerPart:
        """The embeddings and the layers below this one."""
        embeddings = self._part("embeddings", self._group.holds_embeddings, self._embeddings)
        return LowerPart(embeddings, self._layers(range(layer)))

    def above(self, layer: int) -> UpperPart:
        """This layer, those above it, and the head."""
        layers = self._layers(range(layer, self._encoder.layers))
        return UpperPart(layers, self._part("head", self._group.holds_pooler, self._classifier))

    def _layers(self, indices: range) -> tuple[Layer, ...]:
        moving = self._group.layers(self._encoder.layers)
        return tuple(
            self._part(index, index in moving, partial(self._layer, index)) for index in indices
        )

    def _part(self, key: int | str, moves: bool, make: Callable[[], Part]) -> Part:
        self._along = self._terms if moves else ()
        if moves:
            return make()
        if key not in self._held:
            self._held[key] = make()
        held: Part = self._held[key]
        return held

    def _embeddings(self) -> Embeddings:
        encoder = self._encoder
        types = encoder.embedding("token_type_embeddings")
        return Embeddings(
            self._tensor(f"{encoder.embedding('word_embeddings')}.weight", self._words),
            self._tensor(f"{encoder.embedding('position_embeddings')}.weight"),
            self._tensor(f"{types}.weight") if encoder.architecture.token_types else None,
            self._norm(encoder.embedding("LayerNorm")),
            self._exact_linear(encoder.projection) if encoder.projected else None,
        )

    def _layer(self, index: int) -> Layer:
        names = self._encoder.architecture.names
        query, key, value = (
            self._encoder.layer(index, name) for name in (names.query, names.key, names.value)
        )
        rest = self._after_attention(index)
        if index == self._encoder.layers - 1:
            return LastLayer(self._linear(key, value), *rest, self._linear(query))
        return Layer(self._linear(query, key, value), *rest)

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
            self._exact_linear(architecture.dense),
            architecture.head_activation,
            self._exact_linear(architecture.output),
        )

    def _norm(self, module: str) -> Norm:
        weight, bias = self._tensor(f"{module}.weight"), self._tensor(f"{module}.bias")
        return Norm(weight, bias, self._encoder.epsilon)

    def _linear(self, *modules: str) -> Linear:
        """One linear layer of the outputs of all modules, end to end."""
        return self._packed(self._method.products, modules)

    def _exact_linear(self, module: str) -> Linear:
        return self._packed(self._method.exact, (module,))

    def _packed(self, products: Products, modules: Sequence[str]) -> Linear:
        weights = [self._tensor(f"{module}.weight") for module in modules]
        biases = [self._tensor(f"{module}.bias") for module in modules]
        tokens = self._method.block_tokens
        return products.pack(torch.cat(weights), torch.cat(biases), tokens)

    def _tensor(self, name: str, rows: torch.Tensor | None = None) -> torch.Tensor:
        """A parameter at the point, or only some rows of it."""
        if name in self._head:
            return self._head[name]
        place = self._places[name]
        values = _part(self._origin, place, rows)
        for number, (direction, factor) in enumerate(self._along):
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
