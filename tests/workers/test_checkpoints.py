"""What can be loaded as θ0, θ1 and θ2, and what is refused by name."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.workers.tiny_inputs import Inputs, bert_config, random_model, save_tokenizer
from transformers import AlbertConfig, BertForMaskedLM

from bertscape.spec import Hub
from bertscape.values import InvalidInput, ProblemType
from bertscape_workers.checkpoints import (
    layout_of,
    load_config,
    locate,
    read_backbone,
    read_head,
    skeleton,
    steps,
)
from bertscape_workers.jobs.prepare import prepare

KEY = "model.pretrained"


def backbone(folder: Path, config: Path) -> np.ndarray:
    layout = layout_of(skeleton(load_config(locate(str(config), "model.finetuned"))))
    vector = layout.empty()
    read_backbone(locate(str(folder), KEY), layout, vector)
    return vector


Change = Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]


def rewritten(source: Path, folder: Path, change: Change) -> Path:
    """A copy of a checkpoint with other tensors."""
    shutil.copytree(source, folder)
    save_file(change(load_file(source / "model.safetensors")), folder / "model.safetensors")
    return folder


def without_prefix(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {
        name.removeprefix("bert."): value
        for name, value in tensors.items()
        if name.startswith("bert.")
    }


def with_old_names(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace(
            "LayerNorm.bias", "LayerNorm.beta"
        ): value
        for name, value in tensors.items()
    }


def with_extras(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    extra = {
        "bert.embeddings.position_ids": torch.arange(40)[None],
        "cls.predictions.bias": torch.zeros(19),
        "classifier.weight": torch.zeros(7, 36),  # a head of another label count
    }
    return {**tensors, **extra}


@pytest.mark.parametrize("change", [without_prefix, with_old_names, with_extras])
def test_the_backbone_is_found_under_all_its_names(
    bert: Inputs, tmp_path: Path, change: Change
) -> None:
    folder = rewritten(bert.pretrained, tmp_path / "changed", change)
    expected = backbone(bert.pretrained, bert.finetuned)
    assert np.linalg.norm(expected) > 1
    np.testing.assert_array_equal(backbone(folder, bert.finetuned), expected)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_whatever_the_file_holds_is_read_as_float32(
    bert: Inputs, tmp_path: Path, dtype: torch.dtype
) -> None:
    folder = rewritten(
        bert.pretrained,
        tmp_path / "half",
        lambda tensors: {name: value.to(dtype) for name, value in tensors.items()},
    )
    found = backbone(folder, bert.finetuned)
    assert found.dtype == np.float32
    expected = torch.from_numpy(backbone(bert.pretrained, bert.finetuned)).to(dtype).float()
    np.testing.assert_array_equal(found, expected.numpy())


def test_shards_are_joined(bert: Inputs, tmp_path: Path) -> None:
    random_model(bert_config(), seed=0).save_pretrained(tmp_path, max_shard_size="20KB")
    assert len(list(tmp_path.glob("model-*.safetensors"))) > 1
    np.testing.assert_array_equal(
        backbone(tmp_path, bert.finetuned), backbone(bert.pretrained, bert.finetuned)
    )


def test_shared_parameters_are_laid_out_once() -> None:
    config = AlbertConfig(
        vocab_size=19,
        embedding_size=16,
        hidden_size=32,
        num_hidden_layers=4,  # all of them the same one
        num_attention_heads=4,
        intermediate_size=48,
    )
    model = random_model(config, seed=0)
    layout = layout_of(model)
    assert layout.parameters == sum(
        parameter.numel() for parameter in model.base_model.parameters()
    )


def test_the_head_is_read_whole_and_apart(bert: Inputs) -> None:
    files = locate(str(bert.finetuned), "model.finetuned")
    head = read_head(files, skeleton(load_config(files)))
    stored = load_file(bert.finetuned / "model.safetensors")
    assert set(head) == {"classifier.weight", "classifier.bias"}
    for name, values in head.items():
        np.testing.assert_array_equal(values, stored[name].numpy())


def test_a_masked_language_model_without_pooler_is_refused_with_the_hint(
    bert: Inputs, tmp_path: Path
) -> None:
    BertForMaskedLM(bert_config()).save_pretrained(tmp_path)
    with pytest.raises(InvalidInput) as caught:
        backbone(tmp_path, bert.finetuned)
    message = str(caught.value)
    assert caught.value.problem.key == KEY
    assert str(tmp_path) in message
    assert "lacks bert.pooler.dense.weight, bert.pooler.dense.bias" in message
    assert "checkpoint-0" in message


def test_weights_that_are_not_finite_are_refused(bert: Inputs, tmp_path: Path) -> None:
    def spoilt(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        tensors["bert.pooler.dense.bias"][3] = torch.nan
        return tensors

    folder = rewritten(bert.pretrained, tmp_path / "spoilt", spoilt)
    with pytest.raises(InvalidInput, match=r"NaN or infinity in bert\.pooler\.dense\.bias"):
        backbone(folder, bert.finetuned)


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
@pytest.mark.parametrize("name", ["classifier.weight", "classifier.bias"])
def test_a_head_that_is_not_finite_is_refused(
    bert: Inputs, tmp_path: Path, name: str, value: float
) -> None:
    def spoilt(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        tensors[name][1] = value
        return tensors

    folder = rewritten(bert.finetuned, tmp_path / "spoilt", spoilt)
    spec = bert.spec(model={"pretrained": str(bert.pretrained), "finetuned": str(folder)})
    with pytest.raises(InvalidInput, match=rf"model\.finetuned: .*NaN or infinity in {name}"):
        prepare(spec)
    # The heads of others are never used, whatever is in them.
    prepare(bert.spec(y={"toward": str(rewritten(bert.toward, tmp_path / "other", spoilt))}))


def test_whole_numbers_are_no_weights(bert: Inputs, tmp_path: Path) -> None:
    def quantized(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        name = "bert.pooler.dense.weight"
        return {**tensors, name: tensors[name].to(torch.int8)}

    folder = rewritten(bert.pretrained, tmp_path / "quantized", quantized)
    with pytest.raises(InvalidInput, match=r"bert\.pooler\.dense\.weight as I8"):
        backbone(folder, bert.finetuned)


def test_theta1_needs_its_head(bert: Inputs, tmp_path: Path) -> None:
    folder = rewritten(
        bert.finetuned,
        tmp_path / "headless",
        lambda tensors: {n: v for n, v in tensors.items() if n.startswith("bert.")},
    )
    spec = bert.spec(model={"pretrained": str(bert.pretrained), "finetuned": str(folder)})
    with pytest.raises(InvalidInput, match=r"lacks classifier\.weight.*with its head"):
        prepare(spec)


def test_the_fingerprint_pins_weights_and_config(bert: Inputs, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(bert.pretrained, folder)
    here = locate(str(bert.pretrained), KEY).found().sha256
    there = locate(str(folder), KEY)
    assert there.found().sha256 == here
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "layer_norm_eps": 1e-5}))
    assert there.found().sha256 != here
    shutil.copy(bert.pretrained / "config.json", folder)
    weights = bytearray((folder / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (folder / "model.safetensors").write_bytes(weights)
    assert there.found().sha256 != here


def test_steps_are_the_folders_suffixes() -> None:
    assert steps(["runs/checkpoint-0", "/x/checkpoint-124/"]) == (0, 124)
    assert steps([Hub(hub="a/b", revision="step_20"), "checkpoint-30"]) == (20, 30)
    # One without a number: all are numbered by their place.
    assert steps(["runs/start", "checkpoint-124"]) == (0, 1)


def test_a_tokenizer_is_needed(bert: Inputs, tmp_path: Path) -> None:
    folders = {}
    for name in ("pretrained", "finetuned"):
        folders[name] = tmp_path / name
        shutil.copytree(
            getattr(bert, name),
            folders[name],
            ignore=shutil.ignore_patterns("tokenizer*", "vocab*"),
        )
    model = {name: str(folder) for name, folder in folders.items()}
    with pytest.raises(InvalidInput) as caught:
        prepare(bert.spec(model=model))
    assert caught.value.problem.key == "model.tokenizer"
    assert caught.value.problem.type is ProblemType.INVALID_CHECKPOINT
    (tmp_path / "tokenizer").mkdir()
    save_tokenizer(tmp_path / "tokenizer")
    found = prepare(bert.spec(model={**model, "tokenizer": str(tmp_path / "tokenizer")}))
    assert found.findings.splits == prepare(bert.spec()).findings.splits
