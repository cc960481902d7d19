"""The architectures that the packed forward pass knows, by the names of their tensors.

All of them are one encoder: embeddings, layers with the normalization after each residual, and a
head of two dense layers on the first token. They differ in names, in how positions are numbered,
and in the head's activation.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional
from transformers import AutoConfig

from bertscape_workers.checkpoints import Config, Layout

Activation = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True, slots=True)
class LayerNames:
    """One encoder layer's modules, below `Architecture.layer`."""

    query: str = "attention.self.query"
    key: str = "attention.self.key"
    value: str = "attention.self.value"
    attention_output: str = "attention.output.dense"
    attention_norm: str = "attention.output.LayerNorm"
    expand: str = "intermediate.dense"
    contract: str = "output.dense"
    output_norm: str = "output.LayerNorm"

    @property
    def all(self) -> tuple[str, ...]:
        """Every module of the layer."""
        return (
            *(self.query, self.key, self.value, self.attention_output, self.attention_norm),
            *(self.expand, self.contract, self.output_norm),
        )


@dataclass(frozen=True, slots=True)
class Architecture:
    """Where a family of classifiers keeps its tensors, and what it does besides."""

    prefix: str  # the backbone's, as in "bert"
    dense: str  # the head's hidden layer; BERT's is the pooler, and moves
    head_activation: Activation  # after it
    output: str  # the head's last layer
    layer: str = "encoder.layer"  # below the prefix
    names: LayerNames = LayerNames()
    token_types: bool = True
    positions_follow_padding: bool = False  # numbered from the padding's id + 1
    activation_key: str = "hidden_act"  # of the config


ARCHITECTURES = {
    "bert": Architecture("bert", "bert.pooler.dense", torch.tanh, "classifier"),
    "roberta": Architecture(
        "roberta",
        "classifier.dense",
        torch.tanh,
        "classifier.out_proj",
        positions_follow_padding=True,
    ),
    "electra": Architecture("electra", "classifier.dense", functional.gelu, "classifier.out_proj"),
    "distilbert": Architecture(
        "distilbert",
        "pre_classifier",
        torch.relu,
        "classifier",
        layer="transformer.layer",
        names=LayerNames(
            "attention.q_lin",
            "attention.k_lin",
            "attention.v_lin",
            "attention.out_lin",
            "sa_layer_norm",
            "ffn.lin1",
            "ffn.lin2",
            "output_layer_norm",
        ),
        token_types=False,
        activation_key="activation",
    ),
}


@dataclass(frozen=True, slots=True)
class Encoder:
    """One model of a known architecture: its sizes, and the full names of its modules."""

    architecture: Architecture
    layers: int
    width: int  # of a hidden state
    heads: int
    activation: str  # between the feed-forward products, as transformers names it
    epsilon: float  # of every normalization
    projected: bool  # whether the embeddings are brought to the layers' width
    padding: int | None  # the id that positions follow; None if they count from 0

    def embedding(self, name: str) -> str:
        """The full name of a module of the embeddings."""
        return f"{self.architecture.prefix}.embeddings.{name}"

    @property
    def projection(self) -> str:
        """The full name of the module that widens the embeddings."""
        return f"{self.architecture.prefix}.embeddings_project"

    def layer(self, index: int, name: str) -> str:
        """The full name of a module of an encoder layer."""
        return f"{self.architecture.prefix}.{self.architecture.layer}.{index}.{name}"

    def tensors(self) -> Iterator[str]:
        """Every tensor that the model has: none more, none less."""
        tables = ["word_embeddings", "position_embeddings"]
        if self.architecture.token_types:
            tables.append("token_type_embeddings")
        yield from (f"{self.embedding(name)}.weight" for name in tables)
        modules = [self.embedding("LayerNorm"), self.architecture.dense, self.architecture.output]
        if self.projected:
            modules.append(self.projection)
        for index in range(self.layers):
            modules.extend(self.layer(index, name) for name in self.architecture.names.all)
        for module in modules:
            yield f"{module}.weight"
            yield f"{module}.bias"


def find_encoder(config: Config, layout: Layout, head: set[str]) -> Encoder | None:
    """The model as the packed forward pass sees it; None if it cannot compute it.

    Args:
        config: of the classification model.
        layout: of its backbone.
        head: the names of all that its state dict holds besides.
    """
    architecture = ARCHITECTURES.get(config.get("model_type", ""))
    if architecture is None:
        return None
    settings: Any = AutoConfig.for_model(**config)
    encoder = Encoder(
        architecture,
        layers=settings.num_hidden_layers,
        width=settings.hidden_size,
        heads=settings.num_attention_heads,
        activation=getattr(settings, architecture.activation_key),
        epsilon=getattr(settings, "layer_norm_eps", 1e-12),  # DistilBERT's is not in its config
        projected=getattr(settings, "embedding_size", settings.hidden_size) != settings.hidden_size,
        padding=settings.pad_token_id if architecture.positions_follow_padding else None,
    )
    names = {name for tensor in layout.tensors for name in tensor.names} | head
    plain = not (getattr(settings, "is_decoder", False) or encoder.layers == 0)
    return encoder if plain and names == set(encoder.tensors()) else None
