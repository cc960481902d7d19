"""Fixtures: small inputs for a session, and services that end with their test."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from tests.integration.live_service import LiveService, SmallInputs


@pytest.fixture(scope="session")
def small_inputs(tmp_path_factory: pytest.TempPathFactory) -> SmallInputs:
    import torch
    from transformers import BertConfig, BertForSequenceClassification, BertTokenizer
    from transformers.utils import logging

    logging.disable_progress_bar()

    folder = tmp_path_factory.mktemp("small")
    words = [f"w{index}" for index in range(60)]
    (folder / "vocab.txt").write_text(
        "\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words]) + "\n"
    )
    tokenizer = BertTokenizer(str(folder / "vocab.txt"))
    torch.manual_seed(0)
    config = BertConfig(  # type: ignore[call-arg]
        vocab_size=65,
        hidden_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=96,
        max_position_embeddings=64,
        num_labels=2,
    )
    model = BertForSequenceClassification(config)
    for name, seed in (
        ("start/checkpoint-0", None),
        ("first/checkpoint-8", 1),
        ("second/checkpoint-8", 2),
    ):
        copy = BertForSequenceClassification(config)
        copy.load_state_dict(model.state_dict())
        if seed is not None:
            noise = torch.Generator().manual_seed(seed)
            with torch.no_grad():
                for parameter in copy.parameters():
                    parameter += 0.05 * torch.randn(parameter.shape, generator=noise)
        copy.save_pretrained(folder / name)
        tokenizer.save_pretrained(folder / name)
    chance = np.random.default_rng(0)
    for split, examples in (("train", 96), ("eval", 64)):
        rows = [
            f"{' '.join(chance.choice(words, size=chance.integers(3, 20)))}\t{chance.integers(2)}"
            for _ in range(examples)
        ]
        (folder / f"{split}.tsv").write_text("sentence\tlabel\n" + "\n".join(rows) + "\n")
    return SmallInputs(folder)


@pytest.fixture
def serve(tmp_path: Path, small_inputs: SmallInputs) -> Iterator[Callable[..., LiveService]]:
    """Start services; each ends with the test."""
    started: list[LiveService] = []

    def start(name: str = "state", **settings: object) -> LiveService:
        service = LiveService(tmp_path / name, small_inputs.folder, **settings)
        started.append(service)
        return service.start()

    yield start
    for service in started:
        if service.process is not None and service.process.poll() is None:
            service.stop()
