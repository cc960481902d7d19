"""Which files of a checkpoint's folder are read, and what is said of the others."""

import json
import logging
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.workers.tiny_inputs import Inputs, bert_config, moved, random_model, save_tokenizer
from tests.workers.trainings import training_spec
from transformers import AutoConfig, AutoModelForSequenceClassification

from bertscape.values import InvalidInput, ProblemType
from bertscape_workers.admission import admit
from bertscape_workers.admission.unused_tensors import Family
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


@pytest.mark.parametrize("call", [admit, find_checkpoints])
@pytest.mark.parametrize("name", ["pytorch_model.bin", "pytorch_model-00001-of-00002.bin"])
def test_how_pickled_weights_become_safetensors(
    bert: Inputs, tmp_path: Path, call: Callable[[Any], object], name: str
) -> None:
    folder = tmp_path / "old"
    shutil.copytree(bert.finetuned, folder)
    (folder / "model.safetensors").rename(folder / name)
    parts = (f"it holds {name}; load it with from_pretrained()", "save_pretrained()")
    refused(lambda: call(spec(bert, folder)), *parts)


@pytest.mark.parametrize("call", [admit, find_checkpoints])
def test_the_folder_of_a_run_names_its_checkpoints(
    bert: Inputs, tmp_path: Path, call: Callable[[Any], object]
) -> None:
    for step in (12, 0, 6):
        shutil.copytree(bert.finetuned, tmp_path / f"checkpoint-{step}")
    parts = ("holds checkpoint-0, checkpoint-6, checkpoint-12; expected one of them",)
    refused(lambda: call(spec(bert, tmp_path)), *parts)
    for step in range(20, 29):
        shutil.copytree(bert.finetuned, tmp_path / f"checkpoint-{step}")
    parts = ("holds checkpoint-0, checkpoint-6, checkpoint-12, …, checkpoint-28; expected",)
    refused(lambda: call(spec(bert, tmp_path)), *parts)
    scratch = training_spec(tmp_path, bert.data(), start="scratch")
    with pytest.raises(InvalidInput, match=r"has no config\.json, but checkpoint-0, checkpoint-6"):
        admit(scratch)


@pytest.mark.parametrize("call", [admit, find_checkpoints])
def test_a_file_in_place_of_its_folder(
    bert: Inputs, tmp_path: Path, call: Callable[[Any], object]
) -> None:
    file = bert.finetuned / "model.safetensors"
    told = f"is a file; expected a checkpoint folder, as the file's own, '{file.parent}'"
    with pytest.raises(InvalidInput, match=re.escape(told)):
        call(spec(bert, file))
    model = {"pretrained": str(bert.pretrained), "finetuned": str(bert.finetuned)}
    named = bert.spec(model={**model, "tokenizer": str(bert.finetuned / "tokenizer.json")})
    with pytest.raises(InvalidInput, match="is a file; expected a"):
        call(named)
    scratch = training_spec(bert.pretrained / "config.json", bert.data(), start="scratch")
    with pytest.raises(InvalidInput, match="is a file; expected a checkpoint folder"):
        admit(scratch)


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 3\n"


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_a_git_lfs_pointer_is_called_so(bert: Inputs, tmp_path: Path, name: str) -> None:
    folder = tmp_path / "cloned"
    shutil.copytree(bert.finetuned, folder)
    (folder / name).write_bytes(POINTER)
    for call in (admit, prepare):
        parts = (name, "is a Git LFS pointer, not the file: `git lfs pull` fetches it")
        refused(lambda call=call: call(spec(bert, folder)), *parts)


def test_a_tokenizer_that_is_a_pointer(bert: Inputs, tmp_path: Path) -> None:
    folder = tmp_path / "cloned"
    shutil.copytree(bert.finetuned, folder)
    (folder / "tokenizer.json").write_bytes(POINTER)
    for call in (admit, prepare):
        with pytest.raises(InvalidInput, match=r"tokenizer\.json' is a Git LFS pointer") as caught:
            call(spec(bert, folder))
        assert caught.value.problem.key == "model.tokenizer"


def test_pickled_weights_under_the_name_of_safetensors(bert: Inputs, tmp_path: Path) -> None:
    folder = tmp_path / "renamed"
    shutil.copytree(bert.finetuned, folder)
    torch.save(load_file(bert.finetuned / "model.safetensors"), folder / "model.safetensors")
    refused(lambda: admit(spec(bert, folder)), "is a zip archive")


def test_the_config_of_an_adapter_beside_whole_weights(bert: Inputs, tmp_path: Path) -> None:
    folder = tmp_path / "merged"
    shutil.copytree(bert.finetuned, folder)
    (folder / "adapter_config.json").write_text("{}", "utf-8")
    (warning,) = prepare(spec(bert, folder)).findings.warnings
    assert "also holds adapter_config.json: not read" in warning


@pytest.mark.parametrize("call", [admit, prepare])
def test_a_tensor_too_many_of_theta1_is_not_blamed_on_theta0(
    bert: Inputs, tmp_path: Path, call: Callable[[Any], object]
) -> None:
    folder = tmp_path / "more"
    shutil.copytree(bert.finetuned, folder)
    extra = {"bert.encoder.layer.0.foo.weight": torch.ones(2)}
    save_file(load_file(bert.finetuned / "model.safetensors") | extra, folder / "model.safetensors")
    parts = ("encoder.layer.0.foo.weight", "holds tensors that would not be read")
    refused(lambda: call(spec(bert, folder)), *parts)


@pytest.mark.parametrize(
    "kind", ["bert", "camembert", "distilbert", "electra", "roberta", "xlm-roberta"]
)
def test_the_names_of_a_familys_tensors_are_known(kind: str) -> None:
    """All that a classifier's backbone has, as transformers builds it, is told from what is not."""
    sizes = {"num_hidden_layers": 2, "n_layers": 2, "vocab_size": 30}
    config = AutoConfig.for_model(kind, embedding_size=12, **sizes)
    with torch.device("meta"):
        model: Any = AutoModelForSequenceClassification.from_config(config)
    family = Family.of(config.to_dict())
    names = [name for name, _ in model.base_model.named_parameters()]
    family.refuse_foreign(names, "model.finetuned", kind)
    assert all(map(family.counts, names))
    assert family.pooler == any(name.startswith("pooler.") for name in names)


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
