"""What the steps evaluate: small checkpoints of each architecture, and large random models."""

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tests.workers.tiny_inputs import VOCABULARY, Inputs, bert_config, make_inputs
from transformers import (
    BertConfig,
    BertForMaskedLM,
    DistilBertConfig,
    ElectraConfig,
    PreTrainedConfig,
    RobertaConfig,
)

from bertscape_workers.checkpoints import Config, Layout, Vector, layout_of, pick_device, skeleton
from bertscape_workers.data import TokenizedSplit
from bertscape_workers.evaluation import EvaluatorInputs
from bertscape_workers.generated_language import train_tokenizer
from gpu_steps.lengths import different_ids, lengths

# Width, layers, heads.
SHAPES = {
    "tiny": (32, 2, 2),
    "minilm": (384, 6, 12),
    "base": (768, 12, 12),
    "large": (1024, 24, 16),
}
FEW = 12  # examples of each split in the small form


# --- small checkpoints ----------------------------------------------------------------------------

_SIZES: dict[str, Any] = {
    "vocab_size": len(VOCABULARY),
    "num_labels": 3,
    "initializer_range": 0.15,
    "num_attention_heads": 2,
    "num_hidden_layers": 2,
    "hidden_size": 128,  # heads of 64, as in BERT
    "intermediate_size": 192,
    "max_position_embeddings": 40,
}
_SMALL_HEADS = {"hidden_size": 32, "num_attention_heads": 4, "initializer_range": 0.3}  # of 8


def architectures(small: bool) -> dict[str, PreTrainedConfig]:
    """A config for each architecture of the packed evaluator and kind of head; two if small."""
    distilbert = DistilBertConfig(  # type: ignore[call-arg]
        vocab_size=len(VOCABULARY),
        num_labels=3,
        initializer_range=0.15,
        dim=128,
        n_layers=2,
        n_heads=2,
        hidden_dim=192,
        max_position_embeddings=40,
    )
    if small:
        return {"bert": bert_config(**_SIZES), "distilbert": distilbert}
    return {
        "bert": bert_config(**_SIZES),
        "roberta": RobertaConfig(type_vocab_size=2, pad_token_id=0, **_SIZES),
        "electra": ElectraConfig(embedding_size=48, **_SIZES),
        "distilbert": distilbert,
        "bert, heads of 8": bert_config(**_SMALL_HEADS),
        "bert, heads of 32": bert_config(**{**_SIZES, "num_attention_heads": 4}),
        "bert of one layer, ReLU": bert_config(
            **{**_SIZES, "num_hidden_layers": 1, "hidden_act": "relu"}
        ),
        "electra, not projected": ElectraConfig(embedding_size=128, **_SIZES),
    }


def checkpoints(folder: Path, config: PreTrainedConfig) -> Inputs:
    """θ0, θ1 and θ2, and two splits, in a folder that it makes."""
    folder.mkdir(parents=True, exist_ok=True)
    return make_inputs(folder, config)


# --- large models without checkpoints -------------------------------------------------------------


def random_inputs(
    shape: str, data: str, train: str = "train", few: int | None = None
) -> EvaluatorInputs:
    """A BERT of that shape with random weights, on a plane of small random directions.

    Args:
        shape: a key of `SHAPES`.
        data: whose lengths the examples have.
        train: "train" is 512 examples of it, "whole train" is all.
        few: examples of each split, in place of all.
    """
    config, layout, (origin, x, y), head = _plane(shape)
    first, second = (_split(data, name, config["vocab_size"], few) for name in (train, "eval"))
    return EvaluatorInputs(config, layout, origin, x, y, head, first, second)


@cache
def _plane(shape: str) -> tuple[Config, Layout, list[Vector], dict[str, Any]]:
    """The config, its layout, origin and directions, and the head."""
    width, layers, heads = SHAPES[shape]
    settings = BertConfig(
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=4 * width,
    )
    settings.num_labels = 2
    config = settings.to_dict()
    model = skeleton(config)
    layout = layout_of(model)
    vectors = [_random(layout.size, size, seed) for seed, size in enumerate((0.02, 4e-4, 4e-4))]
    for tensor in layout.tensors:
        if "LayerNorm.weight" in tensor.names[0]:
            tensor.view(vectors[0])[...] += 1.0
    head = {
        name: _random(one.numel(), 0.02, seed=3).reshape(tuple(one.shape))
        for name, one in model.state_dict().items()
        if name.startswith("classifier")
    }
    return config, layout, vectors, head


def _random(size: int, spread: float, seed: int) -> Vector:
    # By the GPU if there is one: a CPU takes seconds for each vector of a large model.
    device = pick_device()
    generator = torch.Generator(device).manual_seed(seed)
    return (spread * torch.randn(size, generator=generator, device=device)).cpu().numpy()


def _split(data: str, split: str, vocabulary: int, few: int | None) -> TokenizedSplit:
    """Examples of those lengths, of random tokens that are as different as the real ones."""
    found = lengths(data, split, few)
    random = np.random.default_rng(1)
    ids = random.choice(vocabulary, different_ids(data, split), replace=False)
    total = int(found.sum())
    return TokenizedSplit(
        tokens=random.choice(ids, total).astype(np.int32),
        token_types=np.zeros(total, dtype=np.int32),
        lengths=found,
        labels=random.integers(0, 2, len(found)),
    )


def fresh_language_model(folder: Path, texts: list[str]) -> Path:
    """A BERT of random weights, and a tokenizer that knows each of these words; their folder."""
    tokenizer = train_tokenizer(texts)
    width, layers = 64, 2  # as the demo's, which learns within seconds
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=width // 32,
        intermediate_size=4 * width,
        max_position_embeddings=32,
        pad_token_id=tokenizer.pad_token_id,
    )
    torch.manual_seed(0)
    BertForMaskedLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
