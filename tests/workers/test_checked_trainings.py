"""A fine-tuning is refused, or warns, for all that a surface of its checkpoints would be."""

import json
import logging
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.workers.tiny_inputs import VOCABULARY, Inputs
from tests.workers.trainings import check, training_spec
from transformers import BertTokenizer

from bertscape.spec import FinetuneSpec, parse_spec
from bertscape.values import InvalidInput
from bertscape_workers.jobs.prepare import prepare
from bertscape_workers.jobs.training_job import prepare_training


def spec(bert: Inputs, pretrained: Path | None = None, **data: Any) -> FinetuneSpec:
    return training_spec(pretrained or bert.pretrained, bert.data(**data), epochs=1)


def with_tokenizer(bert: Inputs, folder: Path, unknown: int) -> FinetuneSpec:
    """A training with a tokenizer that does not know so many of the words, each as frequent."""
    kept = {token: index for token, index in VOCABULARY.items() if index < 17 - unknown}
    BertTokenizer(vocab=kept).save_pretrained(folder)
    value = spec(bert).to_json()
    value["model"]["tokenizer"] = str(folder)
    job: Any = parse_spec(value)
    return job


def copied(bert: Inputs, folder: Path, extra: dict[str, torch.Tensor], **settings: Any) -> Path:
    """θ0 with more tensors, or other ones, and other settings."""
    shutil.copytree(bert.pretrained, folder)
    tensors = {**load_file(folder / "model.safetensors"), **extra}
    save_file(tensors, folder / "model.safetensors")
    config = {**json.loads((folder / "config.json").read_text("utf-8")), **settings}
    (folder / "config.json").write_text(json.dumps(config), "utf-8")
    return folder


def refused(job: FinetuneSpec, key: str, *parts: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        check(job)
    problem = caught.value.problem
    assert problem.key == key, problem.detail
    for part in parts:
        assert part in problem.detail


# --- the text -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("texts", "short"), [(["first", "second"], 3), (["first"], 2)])
def test_no_room_for_text(bert: Inputs, texts: list[str], short: int) -> None:
    for length in range(2, short + 1):
        refused(
            spec(bert, text=texts, max_length=length),
            "data.max_length",
            f"{length}; expected at least {short + 1}",
        )
    check(spec(bert, text=texts, max_length=short + 1))


def test_mostly_unknown_text(bert: Inputs, tmp_path: Path) -> None:
    job = with_tokenizer(bert, tmp_path / "tokenizer", unknown=11)
    refused(job, "model.tokenizer", "% of the tokens of data.train", "do_lower_case")


def test_some_unknown_text(bert: Inputs, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        found = prepare_training(with_tokenizer(bert, tmp_path / "tokenizer", unknown=2)).findings
    (train, evaluation) = found.warnings
    assert "of data.train are unknown" in train
    assert "of data.eval are unknown" in evaluation
    assert train in caplog.text
    assert found.to_json()["warnings"] == [train, evaluation]


def test_a_sound_training_says_nothing(bert: Inputs) -> None:
    found = prepare_training(spec(bert)).findings
    assert found.warnings == ()
    assert "warnings" not in found.to_json()


def test_quoted_fields_of_a_tsv(bert: Inputs, tmp_path: Path) -> None:
    """Of a training and of a surface."""
    lines = ["first\tsecond\tlabel", *(f'"a ""good"" film"\tgood\t{label}' for label in range(3))]
    (tmp_path / "quoted.tsv").write_text("\n".join(lines), "utf-8")
    data = {"train": {"path": str(tmp_path / "quoted.tsv")}}
    for found in (
        prepare_training(spec(bert, **data)).findings,
        prepare(bert.spec(data=bert.data(**data))).findings,
    ):
        (warning,) = found.warnings
        assert "3 fields of column first of data.train look quoted" in warning


@pytest.mark.parametrize(("token", "found"), [(None, "has none"), ("[MORE]", "has 19 for it")])
def test_a_tokenizer_that_cannot_pad(
    bert: Inputs, tmp_path: Path, token: str | None, found: str
) -> None:
    """The Trainer pads its batches: seen here, not at the first step."""
    folder = tmp_path / "unpadded"
    tokenizer = BertTokenizer(vocab=VOCABULARY)
    if token is None:
        tokenizer.pad_token = None
    else:
        tokenizer.add_special_tokens({"pad_token": token})
    tokenizer.save_pretrained(folder)
    value = spec(bert).to_json()
    value["model"]["tokenizer"] = str(folder)
    job: Any = parse_spec(value)
    refused(job, "model.tokenizer", "padding token", found)


# --- the checkpoint -----------------------------------------------------------------------------
# `admit` refuses most of these in a folder; of a hub id nothing is known before this.


def test_a_quantized_start(bert: Inputs, tmp_path: Path) -> None:
    quantized = {"quant_method": "bitsandbytes", "load_in_8bit": True}
    folder = copied(bert, tmp_path / "start", {}, quantization_config=quantized)
    refused(spec(bert, folder), "model.pretrained", "bitsandbytes", "quantization_config")


@pytest.mark.parametrize("settings", [{"id2label": ["a"]}, {"label2id": None}])
def test_tables_of_names_that_are_none(
    bert: Inputs, tmp_path: Path, settings: dict[str, Any]
) -> None:
    folder = copied(bert, tmp_path / "start", {}, **settings)
    refused(spec(bert, folder), "model.pretrained", *settings)


def test_an_adapter_that_is_not_merged(bert: Inputs, tmp_path: Path) -> None:
    name = "bert.encoder.layer.0.attention.self.query.lora_A.default.weight"
    folder = copied(bert, tmp_path / "start", {name: torch.zeros(2, 36)})
    refused(spec(bert, folder), "model.pretrained", name, "merge_and_unload")


def test_more_layers_than_the_config_has(bert: Inputs, tmp_path: Path) -> None:
    third = {
        name.replace("layer.1.", "layer.2."): value.clone()
        for name, value in load_file(bert.pretrained / "model.safetensors").items()
        if "layer.1." in name
    }
    folder = copied(bert, tmp_path / "start", third)
    refused(spec(bert, folder), "model.pretrained", "layer.2.", "num_hidden_layers 2")


def test_a_tensor_that_the_architecture_has_not(bert: Inputs, tmp_path: Path) -> None:
    name = "bert.embeddings.extra.weight"
    folder = copied(bert, tmp_path / "start", {name: torch.ones(2, 2)})
    refused(spec(bert, folder), "model.pretrained", name, "would not be read")


def test_heads_of_others_and_buffers_may_be_there(bert: Inputs, tmp_path: Path) -> None:
    extra = {
        "cls.predictions.bias": torch.zeros(19),
        "my_own_head.weight": torch.ones(2, 2),
        "bert.embeddings.position_ids": torch.arange(40)[None],
    }
    check(spec(bert, copied(bert, tmp_path / "start", extra)))


def test_weights_that_are_not_finite(bert: Inputs, tmp_path: Path) -> None:
    name = "bert.encoder.layer.1.output.dense.bias"
    folder = copied(bert, tmp_path / "start", {name: torch.full((36,), float("nan"))})
    refused(spec(bert, folder), "model.pretrained", name, "NaN or infinity")


def test_a_head_that_is_not_finite_is_not_used(bert: Inputs, tmp_path: Path) -> None:
    folder = copied(bert, tmp_path / "start", {"classifier.bias": torch.full((3,), float("nan"))})
    check(spec(bert, folder))


def test_shards_beside_the_weights_are_named(bert: Inputs, tmp_path: Path) -> None:
    folder = copied(bert, tmp_path / "start", {})
    shutil.copy(folder / "model.safetensors", folder / "model-00001-of-00002.safetensors")
    (warning,) = check(spec(bert, folder)).warnings
    assert "model-00001-of-00002.safetensors: not read" in warning


def test_from_scratch_the_config_counts_alone(bert: Inputs, tmp_path: Path) -> None:
    name = "bert.encoder.layer.1.output.dense.bias"
    folder = copied(bert, tmp_path / "start", {name: torch.full((36,), float("nan"))})
    scratch = training_spec(folder, bert.data(), epochs=1, start="scratch")
    assert check(scratch).warnings == ()
    quantized = copied(bert, tmp_path / "quantized", {}, quantization_config={"quant_method": "q"})
    refused(
        training_spec(quantized, bert.data(), epochs=1, start="scratch"),
        "model.pretrained",
        "quantization_config",
    )
