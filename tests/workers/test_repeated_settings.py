"""A key given twice in a checkpoint's own files: the last one would win in silence."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file
from tests.workers.tiny_inputs import Inputs
from tests.workers.trainings import check, training_spec

from bertscape.values import InvalidInput, ProblemType
from bertscape_workers.admission import admit
from bertscape_workers.jobs.prepare import prepare

CALLS = [admit, prepare]


def spec(bert: Inputs, **model: Path) -> Any:
    there = {"pretrained": bert.pretrained, "finetuned": bert.finetuned, **model}
    return bert.spec(model={name: str(folder) for name, folder in there.items()})


def twice(path: Path, key: str, value: object) -> None:
    """Give a key once more, on a line of its own at the end."""
    settings = json.loads(path.read_text("utf-8"))
    assert key in settings
    lines = json.dumps(settings, indent=2).splitlines()
    path.write_text("\n".join([*lines[:-1], f"  , {json.dumps(key)}: {json.dumps(value)}", "}"]))


def refused(call: Callable[[], object], key: str, *parts: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        call()
    problem = caught.value.problem
    assert (problem.type, problem.key) == (ProblemType.INVALID_CHECKPOINT, key), problem.detail
    for part in (*parts, "each key once"):
        assert part in problem.detail


@pytest.fixture
def folder(bert: Inputs, tmp_path: Path) -> Path:
    """A copy of θ1."""
    return shutil.copytree(bert.finetuned, tmp_path / "finetuned")


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("name", ["finetuned", "pretrained"])
def test_in_a_config(bert: Inputs, folder: Path, name: str, call: Callable[[Any], object]) -> None:
    twice(folder / "config.json", "layer_norm_eps", 1e-5)
    text = (folder / "config.json").read_text("utf-8").splitlines()
    first = next(at for at, line in enumerate(text, 1) if "layer_norm_eps" in line)
    job = spec(bert, **{name: folder})
    places = f"'layer_norm_eps' on line {first}, column 3 and again on line {len(text) - 1}"
    refused(lambda: call(job), f"model.{name}", "config.json", places)


def test_deep_inside_it(bert: Inputs, folder: Path) -> None:
    path = folder / "config.json"
    settings = json.dumps({**json.loads(path.read_text("utf-8")), "id2label": "HERE"})
    table = '{"0": "a", "1": "b", "2": "c", "1": "d"}'
    path.write_text(settings.replace('"HERE"', table))
    refused(lambda: admit(spec(bert, finetuned=folder)), "model.finetuned", "'1' on line 1")


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("named", [True, False])
def test_in_the_settings_of_the_tokenizer(
    bert: Inputs, folder: Path, named: bool, call: Callable[[Any], object]
) -> None:
    twice(folder / "tokenizer_config.json", "mask_token", "[OTHER]")
    job = spec(bert, **({"tokenizer": folder} if named else {"finetuned": folder}))
    refused(lambda: call(job), "model.tokenizer", "tokenizer_config.json", "'mask_token' on line")


def test_a_tokenizer_that_is_not_used_is_not_read(bert: Inputs, folder: Path) -> None:
    twice(folder / "tokenizer_config.json", "mask_token", "[OTHER]")
    admit(spec(bert, pretrained=folder))  # θ1's comes first
    admit(spec(bert, finetuned=folder, tokenizer=bert.pretrained))


def test_of_a_fine_tuning(bert: Inputs, folder: Path) -> None:
    twice(folder / "tokenizer_config.json", "mask_token", "[OTHER]")
    job = training_spec(folder, bert.data(), epochs=1)
    for call in (admit, check):
        refused(lambda call=call: call(job), "model.tokenizer", "'mask_token' on line")
    twice(folder / "config.json", "hidden_act", "relu")
    for call in (admit, check):
        refused(lambda call=call: call(job), "model.pretrained", "'hidden_act' on line")


def test_in_an_index_of_shards(bert: Inputs, folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").rename(folder / "model-00001-of-00002.safetensors")
    save_file(tensors, folder / "model-00002-of-00002.safetensors")
    places = [
        f"{json.dumps(name)}: {json.dumps(f'model-0000{shard}-of-00002.safetensors')}"
        for shard in (1, 2)
        for name in tensors
    ]
    index = f'{{"metadata": {{}}, "weight_map": {{{", ".join(places)}}}}}'
    (folder / "model.safetensors.index.json").write_text(index, "utf-8")
    name = next(iter(tensors))
    for call in CALLS:
        refused(
            lambda call=call: call(spec(bert, finetuned=folder)),
            "model.finetuned",
            "model.safetensors.index.json",
            f"{name!r} on line 1",
        )


def test_a_tensor_in_a_header(bert: Inputs, folder: Path) -> None:
    file = folder / "model.safetensors"
    whole = file.read_bytes()
    length = int.from_bytes(whole[:8], "little")
    header = whole[8 : 8 + length].decode().rstrip()
    name, entry = next(
        (name, entry) for name, entry in json.loads(header).items() if name != "__metadata__"
    )
    header = f"{header[:-1]}, {json.dumps(name)}: {json.dumps(entry)}}}"
    file.write_bytes(len(header).to_bytes(8, "little") + header.encode() + whole[8 + length :])
    refused(lambda: admit(spec(bert, finetuned=folder)), "model.finetuned", f"{name!r} on line 1")
