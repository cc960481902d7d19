"""Checkpoints that contradict themselves or each other: refused by key, never half used."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.workers.tiny_inputs import Inputs, bert_config, make_inputs
from transformers import RobertaConfig

from bertscape.values import InvalidInput, ProblemType
from bertscape_workers.admission import admit, architecture
from bertscape_workers.jobs.prepare import prepare
from bertscape_workers.running.local_run import run_job

Tensors = dict[str, torch.Tensor]
FOLDERS = {"model.pretrained": "pretrained", "model.finetuned": "finetuned", "y.toward": "toward"}
CALLS: list[Callable[[Any], object]] = [admit, prepare]


def copied(source: Path, folder: Path, **settings: Any) -> Path:
    """A copy of a checkpoint with other settings in its config.json; None takes one away."""
    shutil.copytree(source, folder)
    config = {**json.loads((source / "config.json").read_text("utf-8")), **settings}
    kept = {name: value for name, value in config.items() if value is not _ABSENT}
    (folder / "config.json").write_text(json.dumps(kept), "utf-8")
    return folder


_ABSENT = object()


def with_tensors(source: Path, folder: Path, extra: Tensors) -> Path:
    shutil.copytree(source, folder)
    tensors = {**load_file(source / "model.safetensors"), **extra}
    save_file(tensors, folder / "model.safetensors")
    return folder


def spec(bert: Inputs, key: str, folder: Path) -> Any:
    """A surface with another folder under one key."""
    there = {name: str(getattr(bert, field)) for name, field in FOLDERS.items()} | {
        key: str(folder)
    }
    return bert.spec(
        model={"pretrained": there["model.pretrained"], "finetuned": there["model.finetuned"]},
        y={"toward": there["y.toward"]},
    )


def refused(call: Callable[[], object], key: str, *parts: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        call()
    problem = caught.value.problem
    assert problem.key == key, problem.detail
    kinds = (ProblemType.INVALID_CHECKPOINT, ProblemType.CHECKPOINT_MISMATCH)
    assert problem.type in kinds, problem.detail
    for part in parts:
        assert part in problem.detail


# --- tensors that nothing would read ------------------------------------------------------------


@pytest.mark.parametrize("key", FOLDERS)
@pytest.mark.parametrize("call", CALLS)
def test_adapters_that_are_not_merged(
    bert: Inputs, tmp_path: Path, call: Callable[[Any], object], key: str
) -> None:
    inside = "bert.encoder.layer.0.attention.self.query"
    extra = {
        f"{inside}.lora_A.default.weight": torch.zeros(2, 36),
        f"{inside}.lora_B.default.weight": torch.zeros(36, 2),
    }
    folder = with_tensors(getattr(bert, FOLDERS[key]), tmp_path / "lora", extra)
    parts = ("lora_A.default.weight", "merge_and_unload")
    refused(lambda: call(spec(bert, key, folder)), key, *parts)


def test_an_adapter_around_the_base_layer(bert: Inputs, tmp_path: Path) -> None:
    folder = tmp_path / "wrapped"
    shutil.copytree(bert.pretrained, folder)
    tensors = load_file(bert.pretrained / "model.safetensors")
    wrapped = {name.replace("query.", "query.base_layer."): one for name, one in tensors.items()}
    save_file(wrapped, folder / "model.safetensors")
    for call in CALLS:
        refused(
            lambda call=call: call(spec(bert, "model.pretrained", folder)),
            "model.pretrained",
            "query.base_layer.",
            "merge_and_unload",
        )


@pytest.mark.parametrize("key", FOLDERS)
@pytest.mark.parametrize("call", CALLS)
def test_more_layers_in_the_weights_than_in_the_config(
    bert: Inputs, tmp_path: Path, call: Callable[[Any], object], key: str
) -> None:
    source = getattr(bert, FOLDERS[key])
    third = {
        name.replace("layer.1.", "layer.2."): value.clone()
        for name, value in load_file(source / "model.safetensors").items()
        if "layer.1." in name
    }
    folder = with_tensors(source, tmp_path / "deeper", third)
    parts = ("bert.encoder.layer.2.", "num_hidden_layers 2")
    refused(lambda: call(spec(bert, key, folder)), key, *parts)


@pytest.mark.parametrize("key", FOLDERS)
@pytest.mark.parametrize(
    "name",
    [
        "bert.encoder.layer.0.adapters.task.down.weight",
        "bert.encoder.layer.0.attention.self.distance_embedding.weight",
        "bert.embeddings.extra.weight",
    ],
)
def test_a_tensor_of_the_backbone_that_the_architecture_has_not(
    bert: Inputs, tmp_path: Path, key: str, name: str
) -> None:
    source = getattr(bert, FOLDERS[key])
    folder = with_tensors(source, tmp_path / "extra", {name: torch.ones(2, 2)})
    refused(lambda: prepare(spec(bert, key, folder)), key, name, "would not be read")


@pytest.mark.parametrize(
    "name", ["classifier.adapter.weight", "gate.weight", "dense_before.weight"]
)
def test_a_part_of_theta1s_head_that_the_architecture_has_not(
    bert: Inputs, tmp_path: Path, name: str
) -> None:
    folder = with_tensors(bert.finetuned, tmp_path / "extra", {name: torch.ones(2, 2)})
    refused(lambda: prepare(spec(bert, "model.finetuned", folder)), "model.finetuned", name)


def test_buffers_and_heads_of_others_are_no_contradiction(bert: Inputs, tmp_path: Path) -> None:
    extra = {
        "bert.embeddings.position_ids": torch.arange(40)[None],
        "bert.embeddings.token_type_ids": torch.zeros(1, 40, dtype=torch.long),
        "cls.predictions.bias": torch.zeros(19),
        "qa_outputs.bias": torch.zeros(2),
    }
    for key, field in FOLDERS.items():
        folder = with_tensors(getattr(bert, field), tmp_path / field, extra)
        admit(spec(bert, key, folder))
        prepare(spec(bert, key, folder))
    mine = {"my_own_head.weight": torch.ones(2, 2)}  # of θ0's own task, which is never used
    folder = with_tensors(bert.pretrained, tmp_path / "own", mine)
    prepare(spec(bert, "model.pretrained", folder))


def test_a_pooler_that_the_classifier_leaves_out_is_no_contradiction(tmp_path: Path) -> None:
    settings: dict[str, Any] = {
        "vocab_size": 19,
        "hidden_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 4,
        "intermediate_size": 48,
        "max_position_embeddings": 40,
        "pad_token_id": 0,
        "type_vocab_size": 2,
        "num_labels": 3,
    }
    config = RobertaConfig(**settings)
    inputs = make_inputs(tmp_path, config)
    extra = {"roberta.pooler.dense.weight": torch.ones(32, 32), "lm_head.bias": torch.ones(19)}
    folder = with_tensors(inputs.pretrained, tmp_path / "pooled", extra)
    prepare(spec(inputs, "model.pretrained", folder))
    tuned = with_tensors(inputs.finetuned, tmp_path / "tuned", extra)
    for call in CALLS:  # nor does θ0 lack what θ1 does not use
        call(spec(inputs, "model.finetuned", tuned))


# --- one function for all -----------------------------------------------------------------------


@pytest.mark.parametrize("key", ["model.pretrained", "y.toward"])
@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    ("name", "value"),
    [("layer_norm_eps", 1e-5), ("hidden_act", "relu"), ("is_decoder", True)],
)
def test_another_function_of_the_same_tensors(
    bert: Inputs,
    tmp_path: Path,
    name: str,
    value: object,
    call: Callable[[Any], object],
    key: str,
) -> None:
    folder = copied(getattr(bert, FOLDERS[key]), tmp_path / "other", **{name: value})
    parts = (f"has {name} {value!r}", "model.finetuned")
    refused(lambda: call(spec(bert, key, folder)), key, *parts)


def test_a_setting_that_one_config_leaves_out_has_its_default(bert: Inputs, tmp_path: Path) -> None:
    first = copied(bert.pretrained, tmp_path / "silent", layer_norm_eps=_ABSENT)
    prepare(spec(bert, "model.pretrained", first))  # 1e-12, as θ1 has it
    other = copied(bert.finetuned, tmp_path / "finetuned", layer_norm_eps=1e-5)
    toward = copied(bert.toward, tmp_path / "toward", layer_norm_eps=1e-5)
    model = {"pretrained": str(first), "finetuned": str(other)}
    job = bert.spec(model=model, y={"toward": str(toward)})
    refused(lambda: prepare(job), "model.pretrained", "has layer_norm_eps 1e-12", "1e-05")


def test_dropout_and_token_names_are_no_part_of_the_function(bert: Inputs, tmp_path: Path) -> None:
    settings = {"hidden_dropout_prob": 0.3, "initializer_range": 1.0, "use_cache": False}
    folder = copied(bert.pretrained, tmp_path / "other", **settings)
    admit(spec(bert, "model.pretrained", folder))
    prepare(spec(bert, "model.pretrained", folder))


# --- the names of the classes -------------------------------------------------------------------

NAMES = {"0": "no", "1": "maybe", "2": "yes"}
NUMBERS = {"no": 0, "maybe": 1, "yes": 2}
PLACEHOLDERS = {"LABEL_0": 0, "LABEL_1": 1, "LABEL_2": 2}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    ("settings", "parts"),
    [
        ({"id2label": NAMES, "label2id": {"no": 0, "maybe": 2, "yes": 1}}, ["'maybe'", "label2id"]),
        ({"id2label": NAMES, "label2id": {"no": 0, "yes": 2}}, ["label2id", "0 to 2"]),
        ({"id2label": NAMES, "label2id": {**NUMBERS, "never": 3}}, ["label2id", "never"]),
        ({"id2label": {**NAMES, "2": "no"}, "label2id": _ABSENT}, ["id2label", "'no' twice"]),
        ({"id2label": {"1": "a", "2": "b", "3": "c"}}, ["id2label", "0 to 2"]),
        ({"id2label": {"x": "a", "y": "b", "z": "c"}}, ["id2label", "whole number"]),
        ({"id2label": ["no", "maybe", "yes"]}, ["id2label", "table"]),
        ({"id2label": _ABSENT, "num_labels": 3, "label2id": {"no": "a"}}, ["label2id"]),
        ({"label2id": None}, ["label2id", "no table"]),
        ({"label2id": ["no", "maybe", "yes"]}, ["label2id", "table"]),
        ({"id2label": NAMES, "label2id": NUMBERS, "num_labels": 2}, ["num_labels", "id2label"]),
    ],
)
def test_names_of_classes_that_contradict_each_other(
    bert: Inputs,
    tmp_path: Path,
    call: Callable[[Any], object],
    settings: dict[str, Any],
    parts: list[str],
) -> None:
    folder = copied(bert.finetuned, tmp_path / "names", **settings)
    refused(lambda: call(spec(bert, "model.finetuned", folder)), "model.finetuned", *parts)


@pytest.mark.parametrize(
    "config",
    [
        {"id2label": NAMES, "label2id": NUMBERS},
        {"id2label": NAMES},
        {"label2id": NUMBERS, "num_labels": 3},
        {"id2label": NAMES, "label2id": PLACEHOLDERS},  # as config.id2label = … leaves it
        {"id2label": NAMES, "label2id": {"LABEL_0": 0, "LABEL_1": 1}},
        {"id2label": {"0": "LABEL_0", "1": "LABEL_1", "2": "LABEL_2"}, "label2id": NUMBERS},
    ],
)
def test_names_that_one_side_alone_gives_are_those_of_the_head(config: dict[str, Any]) -> None:
    architecture.refuse_other_labels(config, "model.finetuned", "a folder")
    assert architecture.label_index(config) == NUMBERS


def test_without_names_the_placeholders_are_the_names() -> None:
    config = {"id2label": {"0": "LABEL_0", "1": "LABEL_1", "2": "LABEL_2"}}
    assert architecture.label_index({**config, "label2id": PLACEHOLDERS}) == PLACEHOLDERS


def test_labels_by_name_where_label2id_is_stale(bert: Inputs, tmp_path: Path) -> None:
    folder = copied(bert.finetuned, tmp_path / "stale", id2label=NAMES)
    files = {}
    for name in ("train", "eval"):
        lines = getattr(bert, name).read_text("utf-8").splitlines()
        rows = [line.rsplit("\t", 1) for line in lines[1:]]
        text = "\n".join([lines[0], *(f"{text}\t{NAMES[label]}" for text, label in rows)])
        (tmp_path / f"{name}.tsv").write_text(f"{text}\n", "utf-8")
        files[name] = {"path": str(tmp_path / f"{name}.tsv")}
    model = {"pretrained": str(bert.pretrained), "finetuned": str(folder)}
    grid = {"x": [0, 1, 2], "y": [0, 1, 2]}
    by_name: Any = run_job(bert.spec(model=model, grid=grid, data=bert.data(**files)))
    by_number: Any = run_job(bert.spec(grid=grid))
    assert by_name.numbers.tobytes() == by_number.numbers.tobytes()


def test_the_heads_of_others_may_name_their_classes_as_they_like(
    bert: Inputs, tmp_path: Path
) -> None:
    settings = {"id2label": {"0": "a", "1": "b"}, "label2id": {"b": 0, "c": 1}}
    folder = copied(bert.pretrained, tmp_path / "names", **settings)
    admit(spec(bert, "model.pretrained", folder))
    prepare(spec(bert, "model.pretrained", folder))


# --- what transformers cannot read --------------------------------------------------------------


@pytest.mark.parametrize("key", FOLDERS)
@pytest.mark.parametrize("call", CALLS)
def test_quantized_weights(
    bert: Inputs, tmp_path: Path, call: Callable[[Any], object], key: str
) -> None:
    settings = {"quantization_config": {"quant_method": "bitsandbytes", "load_in_8bit": True}}
    folder = copied(getattr(bert, FOLDERS[key]), tmp_path / "quantized", **settings)
    refused(lambda: call(spec(bert, key, folder)), key, "quantization_config", "bitsandbytes")


@pytest.mark.parametrize("settings", [{"id2label": ["a"]}, {"label2id": "a"}])
def test_tables_of_names_that_are_none_in_any_checkpoint(
    bert: Inputs, tmp_path: Path, settings: dict[str, Any]
) -> None:
    folder = copied(bert.pretrained, tmp_path / "list", **settings)
    for call in CALLS:
        refused(
            lambda call=call: call(spec(bert, "model.pretrained", folder)),
            "model.pretrained",
            *settings,
        )


def test_a_config_of_other_sizes_than_its_own_family_allows(bert: Inputs, tmp_path: Path) -> None:
    assert bert_config().hidden_size == 36
    folder = copied(bert.finetuned, tmp_path / "odd", num_attention_heads=5)
    refused(
        lambda: prepare(
            bert.spec(
                model={"pretrained": str(folder), "finetuned": str(folder)},
                y={"random": {"seed": 0}},
            )
        ),
        "model.finetuned",
    )
