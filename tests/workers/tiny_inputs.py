"""Tiny random checkpoints, a WordPiece tokenizer and small files of text, made on the spot."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import (
    AutoModelForSequenceClassification,
    BertConfig,
    BertTokenizer,
    PreTrainedConfig,
    PreTrainedModel,
)

from bertscape.spec import parse_spec

WORDS = ("a", "good", "fine", "bad", "poor", "film", "book", "it", "was", "not", "very", "and")
VOCABULARY = {
    token: index
    for index, token in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS, '"', "'"])
}


def bert_config(**settings: Any) -> BertConfig:
    return BertConfig(
        **{
            "vocab_size": len(VOCABULARY),
            "hidden_size": 36,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "intermediate_size": 48,
            "max_position_embeddings": 40,
            "num_labels": 3,
            "initializer_range": 0.3,
            **settings,
        }
    )


def random_model(config: PreTrainedConfig, seed: int) -> PreTrainedModel:
    torch.manual_seed(seed)
    model = AutoModelForSequenceClassification.from_config(config)
    return model.eval()


def moved(model: PreTrainedModel, seed: int, by: float = 0.05) -> PreTrainedModel:
    """Every parameter a small random step away, as fine-tuning would leave it."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(by * torch.randn(parameter.shape, generator=generator))
    return model


def save_tokenizer(folder: Path) -> None:
    BertTokenizer(vocab=VOCABULARY).save_pretrained(folder)


def write_tsv(path: Path, count: int, seed: int, labels: Sequence[str] = ("0", "1", "2")) -> Path:
    generator = np.random.default_rng(seed)
    lines = ["first\tsecond\tlabel"]
    for index in range(count):
        first, second = (
            " ".join(generator.choice(WORDS, size=generator.integers(1, 9))) for _ in range(2)
        )
        lines.append(f"{first}\t{second}\t{labels[index % len(labels)]}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@dataclass(frozen=True)
class Inputs:
    """θ0, θ1, θ2 of one architecture, and two splits."""

    pretrained: Path
    finetuned: Path
    toward: Path
    train: Path
    eval: Path

    def spec(self, **changes: Any) -> Any:
        """A 3 × 3 surface; `changes` replace top-level keys, None takes one away."""
        value: dict[str, Any] = {
            "kind": "surface",
            "model": {"pretrained": str(self.pretrained), "finetuned": str(self.finetuned)},
            "y": {"toward": str(self.toward)},
            "grid": {"x": [-1, 1, 3], "y": [-1, 1, 3]},
            "data": self.data(),
            **changes,
        }
        return parse_spec({key: item for key, item in value.items() if item is not None})

    def data(self, **changes: Any) -> dict[str, Any]:
        return {
            "train": {"path": str(self.train)},
            "eval": {"path": str(self.eval)},
            "text": ["first", "second"],
            "max_length": 32,
            **changes,
        }


def make_inputs(root: Path, config: PreTrainedConfig | None = None) -> Inputs:
    """θ0 is random, θ1 and θ2 lie a small random step from it; each has a tokenizer beside it."""
    config = bert_config() if config is None else config
    folders = (root / "checkpoint-0", root / "checkpoint-12", root / "other")
    for seed, folder in enumerate(folders):
        model = random_model(config, seed=0)
        (moved(model, seed) if seed else model).save_pretrained(folder)
        save_tokenizer(folder)
    train = write_tsv(root / "train.tsv", 37, seed=1)
    return Inputs(*folders, train, write_tsv(root / "dev.tsv", 21, seed=2))
