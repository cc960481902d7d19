"""Weights saved from inside torch.compile or DistributedDataParallel: read without the prefix."""

import json
import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.workers.tiny_inputs import Inputs, make_inputs
from tests.workers.trainings import check, finetune, training_spec

from bertscape.values import InvalidInput
from bertscape_workers.admission import admit
from bertscape_workers.checkpoints import locate, tensor_names
from bertscape_workers.jobs.prepare import prepare
from bertscape_workers.jobs.prepare_rollback import prepare_rollback
from bertscape_workers.jobs.training_job import prepare_training
from bertscape_workers.running.local_run import run_job
from bertscape_workers.training import TrainingInputs

PREFIXES = ("_orig_mod.", "module._orig_mod.")
SMALL = {"x": [0, 1, 2], "y": [0, 1, 2]}


def rename(folder: Path, prefix: str) -> Path:
    """Put a prefix before every name of a checkpoint, as those wrappers do."""
    file = folder / "model.safetensors"
    save_file({f"{prefix}{name}": value for name, value in load_file(file).items()}, file)
    return folder


@pytest.fixture
def own(tmp_path: Path) -> Inputs:
    """Checkpoints that the test may write to."""
    return make_inputs(tmp_path)


def of_prefix(warnings: tuple[str, ...], prefix: str) -> list[str]:
    return [warning for warning in warnings if repr(prefix) in warning]


@pytest.mark.parametrize("prefix", PREFIXES)
def test_a_surface_is_that_of_the_bare_names(
    own: Inputs, prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    bare: Any = run_job(own.spec(grid=SMALL))
    for folder in (own.pretrained, own.finetuned, own.toward):
        rename(folder, prefix)
    spec = own.spec(grid=SMALL)
    admit(spec)
    with caplog.at_level(logging.WARNING):
        wrapped: Any = run_job(spec)
    assert wrapped.numbers.tobytes() == bare.numbers.tobytes()
    assert all(one.passed for one in wrapped.self_checks)
    told = of_prefix(wrapped.findings.warnings, prefix)
    assert [one.partition(":")[0] for one in told] == [
        "model.pretrained",
        "model.finetuned",
        "y.toward",
    ]
    assert told == [one.getMessage() for one in caplog.records if repr(prefix) in one.getMessage()]


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.module.", "module.module._orig_mod."])
def test_wrappers_may_lie_in_one_another(own: Inputs, prefix: str) -> None:
    files = locate(str(own.finetuned), "model.finetuned")
    bare = sorted(tensor_names(files))
    rename(own.finetuned, prefix)
    assert sorted(tensor_names(files)) == bare


def test_one_checkpoint_may_have_it_and_the_others_not(own: Inputs) -> None:
    rename(own.pretrained, "module.")
    found = prepare(own.spec()).findings
    assert [one.partition(":")[0] for one in found.warnings] == ["model.pretrained"]
    changes = {"kind": "rollback", "groups": ["all"], "grid": None, "y": None}
    rollback = prepare_rollback(own.spec(**changes)).findings
    assert rollback.warnings == found.warnings
    assert all(check.passed for check in (*found.self_checks, *rollback.self_checks))


def test_in_shards_all_names_of_all_shards_share_it(own: Inputs) -> None:
    folder = rename(own.finetuned, "_orig_mod.")
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    names = sorted(tensors)
    parts = {"model-00001-of-00002.safetensors": names[:9]}
    parts["model-00002-of-00002.safetensors"] = names[9:]
    for file, some in parts.items():
        save_file({name: tensors[name] for name in some}, folder / file, {"format": "pt"})
    places = {name: file for file, some in parts.items() for name in some}
    index = json.dumps({"metadata": {}, "weight_map": places})
    (folder / "model.safetensors.index.json").write_text(index, "utf-8")
    found = prepare(own.spec()).findings
    assert len(of_prefix(found.warnings, "_orig_mod.")) == 1
    assert all(check.passed for check in found.self_checks)


def test_a_prefix_that_some_names_lack_stays(own: Inputs) -> None:
    file = rename(own.finetuned, "module.") / "model.safetensors"
    tensors = {
        name.replace("module.classifier", "classifier"): one
        for name, one in load_file(file).items()
    }
    save_file(tensors, file)
    with pytest.raises(InvalidInput):
        prepare(own.spec())
    names = list(tensor_names(locate(str(own.finetuned), "model.finetuned")))
    assert sorted(names) == sorted(tensors)


def test_old_names_inside_it_are_known_too(own: Inputs) -> None:
    file = own.finetuned / "model.safetensors"
    tensors = {
        "module." + name.replace("LayerNorm.weight", "LayerNorm.gamma"): one
        for name, one in load_file(file).items()
    }
    save_file(tensors, file)
    found = prepare(own.spec()).findings
    assert all(check.passed for check in found.self_checks)


def data(inputs: Inputs) -> dict[str, Any]:
    return inputs.data()


def prepared(inputs: Inputs) -> tuple[TrainingInputs, tuple[str, ...]]:
    spec = admit(training_spec(inputs.pretrained, data(inputs), epochs=1))
    found = prepare_training(spec)
    return found.inputs, found.findings.warnings


@pytest.mark.parametrize("prefix", PREFIXES)
def test_a_fine_tuning_starts_from_the_same_backbone(
    own: Inputs, tmp_path: Path, prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    spec = training_spec(own.pretrained, data(own), epochs=0)
    bare = load_file(finetune(spec, tmp_path / "bare").initial / "model.safetensors")
    rename(own.pretrained, prefix)
    with caplog.at_level(logging.WARNING):
        wrapped = load_file(finetune(spec, tmp_path / "wrapped").initial / "model.safetensors")
    assert sorted(wrapped) == sorted(bare)
    assert all(torch.equal(bare[name], value) for name, value in wrapped.items())
    assert repr(prefix) in caplog.text
    _, warnings = prepared(own)
    assert len(of_prefix(warnings, prefix)) == 1


def test_a_fine_tuning_from_scratch_reads_no_weights_and_warns_of_none(own: Inputs) -> None:
    rename(own.pretrained, "module.")
    spec = training_spec(own.pretrained, data(own), epochs=0, start="scratch")
    assert check(spec).warnings == ()
