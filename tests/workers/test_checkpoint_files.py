"""Which files of a checkpoint's folder are read, and what is said of the others."""

import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file
from tests.workers.tiny_inputs import Inputs, bert_config, moved, random_model, save_tokenizer

from bertscape.values import InvalidInput, ProblemType
from bertscape_workers.admission import admit
from bertscape_workers.jobs.prepare import find_checkpoints, prepare


def spec(bert: Inputs, folder: Path, **changes: Any) -> Any:
    model = {"pretrained": str(bert.pretrained), "finetuned": str(folder)}
    return bert.spec(model=model, **changes)


def sharded(folder: Path, seed: int) -> Path:
    model = moved(random_model(bert_config(), seed=0), seed)
    model.save_pretrained(folder, max_shard_size="20KB")
    save_tokenizer(folder)
    assert len(list(folder.glob("model-*.safetensors"))) > 1
    return folder


def test_a_single_file_beside_the_shards_of_an_older_run(
    bert: Inputs, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = sharded(tmp_path / "both", seed=5)
    shutil.copy(bert.finetuned / "model.safetensors", folder)
    with caplog.at_level(logging.WARNING):
        found = prepare(spec(bert, folder)).findings
    (warning,) = found.warnings
    assert warning.startswith("model.finetuned: ")
    assert "model-00001-of-" in warning
    assert "not read" in warning
    assert warning in caplog.messages
    # The rule is that of from_pretrained, which the self-checks load by.
    assert [check.passed for check in found.self_checks] == [True] * 3
    assert found.delta1_norm == prepare(bert.spec()).findings.delta1_norm


def test_shards_that_the_index_does_not_name(bert: Inputs, tmp_path: Path) -> None:
    folder = sharded(tmp_path / "stale", seed=1)
    assert prepare(spec(bert, folder)).findings.warnings == ()
    shutil.copy(bert.toward / "model.safetensors", folder / "model-00009-of-00009.safetensors")
    shutil.copy(bert.toward / "model.safetensors", folder / "adapter_model.safetensors")
    found = prepare(spec(bert, folder)).findings
    (warning,) = found.warnings
    assert "adapter_model.safetensors, model-00009-of-00009.safetensors" in warning
    assert [check.passed for check in found.self_checks] == [True] * 3


def refused(call: Callable[[], object], *parts: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        call()
    problem = caught.value.problem
    assert (problem.type, problem.key) == (ProblemType.INVALID_CHECKPOINT, "model.finetuned")
    for part in parts:
        assert part in problem.detail


@pytest.mark.parametrize("call", [admit, find_checkpoints])
def test_the_folder_of_an_adapter(
    bert: Inputs, tmp_path: Path, call: Callable[[Any], object]
) -> None:
    config = {"peft_type": "LORA", "base_model_name_or_path": "google-bert/bert-base-cased"}
    (tmp_path / "adapter_config.json").write_text(json.dumps(config), "utf-8")
    shutil.copy(bert.finetuned / "model.safetensors", tmp_path / "adapter_model.safetensors")
    parts = ("is an adapter of google-bert/bert-base-cased", "merge_and_unload()")
    refused(lambda: call(spec(bert, tmp_path)), *parts)


@pytest.mark.parametrize("call", [admit, find_checkpoints])
@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("model.fp16.safetensors", "a variant alone, model.fp16.safetensors"),
        ("model.fp16-00001-of-00002.safetensors", "a variant alone"),
        ("weights.safetensors", "of another name, weights.safetensors"),
        ("pytorch_model.bin", "has no safetensors file"),
    ],
)
def test_weights_of_another_name(
    bert: Inputs, tmp_path: Path, call: Callable[[Any], object], name: str, found: str
) -> None:
    folder = tmp_path / "variant"
    shutil.copytree(bert.finetuned, folder)
    (folder / "model.safetensors").rename(folder / name)
    refused(lambda: call(spec(bert, folder)), found, "expected model.safetensors or")


@pytest.mark.parametrize("call", [admit, prepare])
def test_an_encoder_without_its_prefix_beside_a_head(
    bert: Inputs, tmp_path: Path, call: Callable[[Any], object]
) -> None:
    folder = tmp_path / "bare"
    shutil.copytree(bert.finetuned, folder)
    tensors = load_file(bert.finetuned / "model.safetensors")
    bare = {name.removeprefix("bert."): value for name, value in tensors.items()}
    save_file(bare, folder / "model.safetensors")
    refused(lambda: call(spec(bert, folder)), "embeddings.", "without the prefix")
