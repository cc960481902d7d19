"""Which files of a checkpoint's folder are read, and what is said of the others."""

import logging
import shutil
from pathlib import Path
from typing import Any

import pytest
from tests.workers.tiny_inputs import Inputs, bert_config, moved, random_model, save_tokenizer

from bertscape_workers.jobs.prepare import prepare


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
