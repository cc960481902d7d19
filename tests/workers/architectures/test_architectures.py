"""Some model types through a whole job. `make test-architectures` has all of them."""

from pathlib import Path
from typing import Any

import pytest
from tests.workers.architectures.sweep import Finding, sweep
from tests.workers.architectures.tiny_models import (
    MODEL_TYPES,
    OVERRIDES,
    save_checkpoints,
    tiny_config,
)
from tests.workers.architectures.tiny_text import MAX_LENGTH, save_tokenizer, write_split
from tests.workers.trainings import finetune, training_spec

from bertscape.spec import FinetuneSpec, parse_spec
from bertscape.values import InvalidInput

SPELLED = ("[SEP]", "[PAD]", "[CLS]", "[MASK]", "[UNK]")


def test_the_table_holds_no_family_that_transformers_lacks() -> None:
    assert set(OVERRIDES) <= set(MODEL_TYPES)


@pytest.mark.parametrize(
    ("model_type", "arguments"),
    [
        ("bert", {"spelled": SPELLED}),  # packed
        ("roberta", {"spelled": SPELLED}),  # counts positions without padding tokens
        ("gpt2", {"like_bert": True}),  # takes token types without a count of them in its config
        ("fnet", {}),  # sees padding
        ("big_bird", {"examples": 8}),  # is changed by a short example
        ("esm", {"examples": 8}),  # has a buffer that no checkpoint stores
    ],
)
def test_every_number_is_right(model_type: str, arguments: dict[str, Any], tmp_path: Path) -> None:
    found = sweep(model_type, tmp_path, **arguments)
    assert found.outcome == ("packed" if "spelled" in arguments else "reference"), found
    assert found.right, found
    assert found.checks == (3, 3)


@pytest.mark.parametrize(
    ("model_type", "arguments", "reason"),
    [
        ("mixtral", {}, "is a mixtral model: transformers converts its tensors while loading"),
        ("nomic_bert", {}, "is a nomic_bert model: transformers converts its tensors while"),
        ("tapas", {}, "also takes seven types of each token, from a table"),
        ("layoutlmv2", {}, "also takes the picture of a page"),
        ("nystromformer", {}, "nystromformer model that cannot take an example of 47 tokens"),
        ("reformer", {}, "is a reformer model: an example of data.train"),
        ("canine", {"columns": 1}, "cannot take an example of 3 tokens alone, data.train number"),
        (
            "funnel",
            {"padding_moves": True},
            "transformers changes 32 of 3200 values of funnel.embeddings.word_embeddings.weight",
        ),
    ],
)
def test_a_family_is_refused_by_its_reason(
    model_type: str, arguments: dict[str, Any], reason: str, tmp_path: Path
) -> None:
    found = sweep(model_type, tmp_path, **arguments)
    assert found.outcome == "refused", found
    assert reason in found.message


def test_an_example_that_a_model_cannot_take_is_named_in_bf16_too(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # As on a GPU, where rounding is measured before the self-checks.
    monkeypatch.setattr("bertscape_workers.jobs.prepare.resolve", lambda asked, device: "bf16")
    found = sweep("canine", tmp_path, 1)
    assert found.outcome == "refused", found
    assert "cannot take examples of 3 tokens in fp32, as data.train number" in found.message


def tiny_training(model_type: str, folder: Path, *spelled: str) -> FinetuneSpec:
    folders = (folder / "0", folder / "1", folder / "2")
    save_checkpoints(tiny_config(model_type), folders)
    save_tokenizer(folder / "tokenizer", model_type)
    path = write_split(folder / "train.tsv", 8, 1, spelled=spelled)
    data = {"train": {"path": str(path)}, "eval": {"path": str(path)}, "text": ["first", "second"]}
    spec = training_spec(folders[0], {**data, "max_length": MAX_LENGTH}, epochs=1)
    value = spec.to_json()
    value["model"]["tokenizer"] = str(folder / "tokenizer")
    job: Any = parse_spec(value)
    return job


def test_a_training_that_its_model_cannot_do_is_refused_by_its_reason(tmp_path: Path) -> None:
    spec = tiny_training("bart", tmp_path, "[SEP]")
    with pytest.raises(InvalidInput, match="is a bart model that cannot take a batch of 8 example"):
        finetune(spec, tmp_path / "run")


# The second gives its cache too, and its `forward` does not name the labels.
@pytest.mark.parametrize("model_type", ["bart", "qwen3_5"])
def test_a_training_measures_a_model_that_gives_more_than_logits(
    model_type: str, tmp_path: Path
) -> None:
    trained = finetune(tiny_training(model_type, tmp_path), tmp_path / "run")
    assert 0 <= trained.eval_accuracy <= 1
    assert 0 < trained.eval_loss < 10


def test_a_finding_is_read_as_it_was_written(tmp_path: Path) -> None:
    found = Finding("bert", 2, "packed", loss=1e-8, lengths=0.0, checks=(3, 3), rates=16)
    found.save(tmp_path / "bert.json")
    again = Finding.load(tmp_path / "bert.json")
    assert (again.model_type, again.checks, again.loss) == ("bert", (3, 3), 1e-8)
    assert again.right
