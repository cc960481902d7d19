"""What a job's files tell before anything is computed; each bad input by its key."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.numpy import load_file, save_file
from tests.workers.tiny_inputs import Inputs, bert_config, random_model, save_tokenizer
from transformers import (
    BertForMaskedLM,
    DistilBertConfig,
    ElectraConfig,
    PreTrainedConfig,
    RobertaConfig,
)

from bertscape.spec import FinetuneSpec, Limits, parse_spec
from bertscape.values import InvalidInput, ProblemType
from bertscape_workers.admission import MemoryLimits, admit, memory_for, memory_need
from bertscape_workers.admission.memory import BLOCK, GPU_BLOCK, PROCESS, SCORES
from bertscape_workers.evaluation.packed import attention as packed_attention
from bertscape_workers.evaluation.packed.method import BLOCK_TOKENS
from bertscape_workers.jobs.prepare import find_checkpoints, prepare


def refused(call: Callable[[], object], kind: ProblemType, key: str, *parts: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        call()
    problem = caught.value.problem
    assert (problem.type, problem.key) == (kind, key), problem.detail
    for part in parts:
        assert part in problem.detail


def with_model(bert: Inputs, **changes: Any) -> Any:
    model = {"pretrained": str(bert.pretrained), "finetuned": str(bert.finetuned)}
    return bert.spec(model={**model, **{key: str(path) for key, path in changes.items()}})


def training(bert: Inputs, **changes: Any) -> FinetuneSpec:
    model = {"pretrained": str(bert.pretrained)}
    spec = parse_spec({"kind": "finetune", "model": model, "data": bert.data(), **changes})
    assert isinstance(spec, FinetuneSpec)
    return spec


def saved(folder: Path, config: PreTrainedConfig) -> Path:
    random_model(config, seed=1).save_pretrained(folder)
    return folder


def test_a_sound_job_is_admitted(bert: Inputs) -> None:
    spec = bert.spec(trajectory=[str(bert.pretrained), str(bert.finetuned)])
    assert admit(spec) == spec
    root = bert.pretrained.parent
    assert admit(spec, Limits(), [root / "elsewhere", root]) == spec


def test_it_needs_neither_torch_nor_transformers() -> None:
    code = (
        "import sys, bertscape_workers.admission.admission as a\n"
        "heavy = {'torch', 'transformers', 'datasets', 'ray', 'pyarrow'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


# --- paths --------------------------------------------------------------------------------------


def test_a_path_outside_the_roots(bert: Inputs, tmp_path: Path) -> None:
    root = bert.pretrained.parent
    expected = (
        ProblemType.PATH_NOT_ALLOWED,
        "model.pretrained",
        "expected a path under",
        str(root),
    )
    outside = tmp_path / "model"
    shutil.copytree(bert.pretrained, outside)
    refused(lambda: admit(with_model(bert, pretrained=outside), roots=[root]), *expected)
    upwards = root / ".." / outside.parent.name / "model"
    refused(lambda: admit(with_model(bert, pretrained=upwards), roots=[root]), *expected)
    # Whether something is there is not told.
    nothing = tmp_path / "nothing"
    refused(lambda: admit(with_model(bert, pretrained=nothing), roots=[root]), *expected)
    # A root's name as the beginning of another's is not below it.
    beside = Path(f"{root}-beside")
    refused(lambda: admit(with_model(bert, pretrained=beside), roots=[root]), *expected)


def test_symbolic_links_are_resolved_before_the_roots(bert: Inputs, tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    root.mkdir()
    for name in ("pretrained", "finetuned", "toward"):
        shutil.copytree(getattr(bert, name), root / name)
    for name in ("train", "eval"):
        shutil.copy(getattr(bert, name), root / f"{name}.tsv")
    shutil.copytree(bert.pretrained, outside)
    here = Inputs(
        *(root / n for n in ("pretrained", "finetuned", "toward", "train.tsv", "eval.tsv"))
    )
    assert admit(here.spec(), roots=[root]) == here.spec()

    (root / "link").symlink_to(outside)
    spec = with_model(here, pretrained=root / "link")
    refused(lambda: admit(spec, roots=[root]), ProblemType.PATH_NOT_ALLOWED, "model.pretrained")
    (root / "inside").symlink_to(root / "pretrained")
    inside = admit(with_model(here, pretrained=root / "inside"), roots=[root])
    assert inside.model.pretrained == str(root / "pretrained")

    weights = root / "pretrained" / "model.safetensors"
    weights.unlink()
    weights.symlink_to(outside / "model.safetensors")
    refused(
        lambda: admit(here.spec(), roots=[root]), ProblemType.PATH_NOT_ALLOWED, "model.pretrained"
    )

    (root / "train.tsv").unlink()
    (root / "train.tsv").symlink_to(bert.train)
    refused(
        lambda: admit(here.spec(), roots=[root]), ProblemType.PATH_NOT_ALLOWED, "data.train.path"
    )


@pytest.mark.parametrize(
    ("key", "file"),
    [
        ("model.pretrained", "config.json"),
        ("model.pretrained", "model.safetensors"),
        ("model.tokenizer", "tokenizer.json"),
        ("model.tokenizer", "additional_chat_templates/other.jinja"),
    ],
)
@pytest.mark.parametrize("start", ["pretrained", "scratch"])
def test_no_file_of_any_folder_is_a_link_out_of_the_roots(
    bert: Inputs, tmp_path: Path, start: str, key: str, file: str
) -> None:
    root, secret = tmp_path / "root", tmp_path / "secret"
    secret.write_text("not for everyone")
    folders = {"model.pretrained": root / "start", "model.tokenizer": root / "tokenizer"}
    for folder in folders.values():
        shutil.copytree(bert.pretrained, folder)
    spec = training(
        bert,
        model={name.removeprefix("model."): str(folder) for name, folder in folders.items()},
        training={"start": start},
    )
    roots = [root, bert.train.parent]
    assert admit(spec, roots=roots) == spec
    link = folders[key] / file
    link.parent.mkdir(exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to(secret)
    # Before it is opened: what it holds is no part of a checkpoint either.
    refused(
        lambda: admit(spec, roots=roots),
        ProblemType.PATH_NOT_ALLOWED,
        key,
        "leads outside the allowed roots",
    )


def test_links_in_a_circle(bert: Inputs, tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    for roots in (None, [tmp_path]):
        refused(
            lambda roots=roots: admit(with_model(bert, pretrained=tmp_path / "a"), roots=roots),
            ProblemType.PATH_NOT_FOUND,
            "model.pretrained",
        )


def test_files_that_are_not_there(bert: Inputs, tmp_path: Path) -> None:
    nothing = tmp_path / "nothing"
    kind = ProblemType.PATH_NOT_FOUND
    refused(
        lambda: admit(with_model(bert, pretrained=nothing)),
        kind,
        "model.pretrained",
        str(nothing),
        "expected a checkpoint folder",
    )
    refused(lambda: admit(with_model(bert, tokenizer=nothing)), kind, "model.tokenizer")
    refused(lambda: admit(bert.spec(y={"toward": str(nothing)})), kind, "y.toward")
    refused(lambda: admit(bert.spec(trajectory=[str(nothing)])), kind, "trajectory[0]")
    data = bert.data(train={"path": str(tmp_path / "nothing.tsv")})
    refused(lambda: admit(bert.spec(data=data)), kind, "data.train.path", "nothing.tsv")


# --- checkpoints --------------------------------------------------------------------------------


def test_a_folder_without_safetensors_or_config(bert: Inputs, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(bert.pretrained, folder)
    (folder / "config.json").unlink()
    kind = ProblemType.INVALID_CHECKPOINT
    for call in (admit, find_checkpoints):
        refused(
            lambda call=call: call(with_model(bert, pretrained=folder)),
            kind,
            "model.pretrained",
            str(folder),
            "has no config.json",
        )
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    for call in (admit, find_checkpoints):
        refused(
            lambda call=call: call(with_model(bert, pretrained=folder)),
            kind,
            "model.pretrained",
            "has no safetensors file; expected model.safetensors",
        )


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", "does not begin with a safetensors header"),
        (b"\xff" * 200, "does not begin with a safetensors header"),
        (b"\x10\0\0\0\0\0\0\0not json at all.", "does not begin with a safetensors header"),
    ],
)
def test_a_file_that_is_no_safetensors(
    bert: Inputs, tmp_path: Path, content: bytes, found: str
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(bert.pretrained, folder)
    (folder / "model.safetensors").write_bytes(content)
    spec = with_model(bert, pretrained=folder)
    refused(lambda: admit(spec), ProblemType.INVALID_CHECKPOINT, "model.pretrained", found)


def test_a_file_cut_short(bert: Inputs, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(bert.pretrained, folder)
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(whole[:-4])
    spec = with_model(bert, pretrained=folder)
    refused(lambda: admit(spec), ProblemType.INVALID_CHECKPOINT, "model.pretrained", "is truncated")


def test_an_index_that_leads_out_of_the_folder(bert: Inputs, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    shutil.copy(bert.pretrained / "config.json", folder)
    index = {"weight_map": {"bert.x": "../model.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    shutil.copy(bert.pretrained / "model.safetensors", tmp_path)
    spec = with_model(bert, pretrained=folder)
    refused(
        lambda: admit(spec),
        ProblemType.INVALID_CHECKPOINT,
        "model.pretrained",
        "names '../model.safetensors', which is not in the folder",
    )


@pytest.mark.parametrize(
    ("config", "found", "expected"),
    [
        (bert_config(vocab_size=25), "has vocab_size 25", "the vocab_size of model.finetuned ("),
        (bert_config(num_hidden_layers=3), "has num_hidden_layers 3", ", 2"),
        (bert_config(num_attention_heads=2), "has num_attention_heads 2", ", 4"),
        (DistilBertConfig(vocab_size=19, dim=36), "has model_type 'distilbert'", "'bert'"),
    ],
)
def test_theta0_and_theta1_of_different_architecture(
    bert: Inputs, tmp_path: Path, config: PreTrainedConfig, found: str, expected: str
) -> None:
    folder = saved(tmp_path / "other", config)
    parts = (str(folder), str(bert.finetuned), found, expected)
    kind = ProblemType.CHECKPOINT_MISMATCH
    for call in (admit, prepare):
        spec = with_model(bert, pretrained=folder)
        refused(lambda call=call, spec=spec: call(spec), kind, "model.pretrained", *parts)
    spec = bert.spec(y={"toward": str(folder)})
    refused(lambda: admit(spec), kind, "y.toward", *parts)
    spec = bert.spec(trajectory=[str(bert.pretrained), str(folder)])
    for call in (admit, prepare):
        refused(lambda call=call, spec=spec: call(spec), kind, "trajectory[1]", *parts)


def test_headers_are_believed_more_than_configs(bert: Inputs, tmp_path: Path) -> None:
    folder = saved(tmp_path / "other", bert_config(vocab_size=25))
    shutil.copy(bert.pretrained / "config.json", folder)
    for call in (admit, prepare):
        refused(
            lambda call=call: call(with_model(bert, pretrained=folder)),
            ProblemType.CHECKPOINT_MISMATCH,
            "model.pretrained",
            "word_embeddings.weight of shape [25, 36]",
            "[19, 36]",
        )


def test_a_tensor_that_is_missing(bert: Inputs, tmp_path: Path) -> None:
    BertForMaskedLM(bert_config()).save_pretrained(tmp_path)
    refused(
        lambda: admit(with_model(bert, pretrained=tmp_path)),
        ProblemType.INVALID_CHECKPOINT,
        "model.pretrained",
        "lacks pooler.dense",
        "use the run's step-0 checkpoint",
    )


def test_a_head_of_another_label_count_and_a_bare_backbone_are_fine(
    bert: Inputs, tmp_path: Path
) -> None:
    folder = saved(tmp_path / "seven", bert_config(num_labels=7))
    tensors = load_file(folder / "model.safetensors")
    bare = tmp_path / "bare"
    shutil.copytree(folder, bare)
    save_file(
        {name.removeprefix("bert."): value for name, value in tensors.items() if "bert." in name},
        bare / "model.safetensors",
    )
    admit(with_model(bert, pretrained=bare))
    spec = bert.spec(y={"toward": str(folder)})
    admit(spec)
    checks = prepare(spec).findings.self_checks
    assert [(one.checkpoint, one.passed) for one in checks] == [
        ("pretrained", True),
        ("finetuned", True),
        ("toward", True),
    ]


@pytest.mark.parametrize(
    ("settings", "found"),
    [
        ({"num_labels": 1}, "1 label(s)"),
        ({"problem_type": "regression"}, "'regression'"),
        ({"problem_type": "multi_label_classification"}, "'multi_label_classification'"),
    ],
)
def test_regression_and_multi_label_heads(
    bert: Inputs, tmp_path: Path, settings: dict[str, Any], found: str
) -> None:
    folder = saved(tmp_path / "head", bert_config(**settings))
    for call in (admit, prepare):
        refused(
            lambda call=call: call(with_model(bert, finetuned=folder)),
            ProblemType.INVALID_CHECKPOINT,
            "model.finetuned",
            found,
            "a single-label classification head",
        )


def test_theta1_must_be_a_classifier(bert: Inputs, tmp_path: Path) -> None:
    BertForMaskedLM(bert_config()).save_pretrained(tmp_path)
    refused(
        lambda: admit(with_model(bert, finetuned=tmp_path)),
        ProblemType.INVALID_CHECKPOINT,
        "model.finetuned",
        "is a BertForMaskedLM; expected a fine-tuned …ForSequenceClassification model",
    )


def test_a_token_limit_above_the_models_positions(bert: Inputs, tmp_path: Path) -> None:
    spec = bert.spec(data=bert.data(max_length=41))
    parts = (ProblemType.INVALID_VALUE, "data.max_length", "41; expected at most 40")
    refused(lambda: admit(spec), *parts)
    refused(lambda: prepare(spec), *parts)
    admit(bert.spec(data=bert.data(max_length=40)))


def test_roberta_positions_begin_after_the_padding(bert: Inputs, tmp_path: Path) -> None:
    config = RobertaConfig(
        vocab_size=19,
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=4,
        intermediate_size=48,
        max_position_embeddings=40,
        pad_token_id=1,
    )
    folder = saved(tmp_path / "roberta", config)
    save_tokenizer(folder)
    model = {"pretrained": str(folder), "finetuned": str(folder)}
    admit(bert.spec(model=model, y={"random": {"seed": 0}}, data=bert.data(max_length=38)))
    spec = bert.spec(model=model, y={"random": {"seed": 0}}, data=bert.data(max_length=39))
    refused(lambda: admit(spec), ProblemType.INVALID_VALUE, "data.max_length", "at most 38")


# --- data and limits ----------------------------------------------------------------------------


def test_a_missing_column_names_those_there_are(bert: Inputs) -> None:
    data = bert.data(text=["first", "third"])
    for call in (admit, prepare):
        refused(
            lambda call=call: call(bert.spec(data=data)),
            ProblemType.INVALID_DATA,
            "data.text",
            "'third' is not a column of data.train",
            "one of its columns: first, second, label",
        )
    spec = bert.spec(data=bert.data(label="gold"))
    refused(lambda: admit(spec), ProblemType.INVALID_DATA, "data.label", "'gold' is not a column")


def test_an_empty_file(bert: Inputs, tmp_path: Path) -> None:
    (tmp_path / "none.tsv").touch()
    data = bert.data(eval={"path": str(tmp_path / "none.tsv")})
    refused(lambda: admit(bert.spec(data=data)), ProblemType.INVALID_DATA, "data.eval", "is empty")


def test_limits(bert: Inputs) -> None:
    kind = ProblemType.LIMIT_EXCEEDED
    refused(lambda: admit(bert.spec(), Limits(points=8)), kind, "grid", "9 points", "at most 8")


def test_memory_need_counts_vectors(bert: Inputs) -> None:
    need = memory_need(bert.spec())
    model = random_model(bert_config(), seed=0)
    parameters = sum(parameter.numel() for parameter in model.base_model.parameters())
    assert need.object_store == 3 * 4 * parameters
    assert need.worker > PROCESS + 5 * 4 * parameters
    curve = memory_need(bert.spec(kind="curve", y=None, grid={"x": [0, 1, 2]}))
    assert curve.object_store == 2 * 4 * parameters


def test_memory_of_a_training_is_that_of_weights_gradients_and_two_moments(bert: Inputs) -> None:
    parameters = random_model(bert_config(), seed=0).num_parameters()
    assert memory_need(training(bert)).worker == PROCESS + 4 * 4 * parameters


@pytest.mark.parametrize(
    "config",
    [
        bert_config(num_hidden_layers=12),
        DistilBertConfig(vocab_size=500, dim=36, hidden_dim=48, n_layers=12, n_heads=4),
        ElectraConfig(
            vocab_size=500,
            embedding_size=12,
            hidden_size=36,
            intermediate_size=48,
            num_hidden_layers=12,
            num_attention_heads=4,
        ),
        RobertaConfig(
            vocab_size=500,
            hidden_size=36,
            intermediate_size=48,
            num_hidden_layers=12,
            num_attention_heads=4,
            max_position_embeddings=40,
        ),
    ],
    ids=lambda config: config.model_type,
)
def test_memory_of_a_random_start_is_counted_from_its_config_alone(
    bert: Inputs, tmp_path: Path, config: PreTrainedConfig
) -> None:
    config.save_pretrained(tmp_path)
    model = {"pretrained": str(tmp_path), "tokenizer": str(bert.pretrained)}
    need = memory_need(training(bert, model=model, training={"start": "scratch"}))
    counted = (need.worker - PROCESS) / 16
    # Never more than it is, for a job is refused by this.
    assert 0.75 < counted / random_model(config, seed=0).num_parameters() <= 1


def test_a_random_start_of_an_unknown_architecture_is_for_its_worker_to_count(
    bert: Inputs, tmp_path: Path
) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "mobilebert", "hidden_size": 512}')
    spec = training(bert, model={"pretrained": str(tmp_path)}, training={"start": "scratch"})
    assert memory_need(spec).worker == PROCESS


def test_stated_memory_grows_with_the_model_and_its_inputs() -> None:
    small = {"hidden_size": 384, "intermediate_size": 1536, "num_attention_heads": 12}
    large = {"hidden_size": 1024, "intermediate_size": 4096, "num_attention_heads": 16}
    need = memory_for(10_000_000, 2, small, 128).worker
    assert memory_for(10_000_001, 2, small, 128).worker == need + 5 * 4
    assert memory_for(10_000_000, 1, small, 128).worker == need - 4 * 10_000_000
    assert memory_for(10_000_000, 2, large, 128).worker > need
    assert memory_for(10_000_000, 2, small, 512).worker > need


def test_short_inputs_still_fill_a_block() -> None:
    config = {"hidden_size": 384, "intermediate_size": 1536, "num_attention_heads": 12}
    need = memory_for(0, 2, config, 8).worker - PROCESS
    assert need > 4 * BLOCK_TOKENS["cpu"] * (3 * 384 + 2 * 1536)
    # Stated without torch, so written down twice.
    assert (BLOCK_TOKENS["cpu"], packed_attention.SCORES) == (BLOCK, SCORES)
    assert BLOCK_TOKENS["cuda"] == GPU_BLOCK


def test_a_gpus_block_is_larger() -> None:
    large = {"hidden_size": 1024, "intermediate_size": 4096, "num_attention_heads": 16}
    need = memory_for(0, 2, large, 128, gpu=True).worker - PROCESS
    # One layer's projections, and its widest states before and after their activation.
    assert need > 4 * BLOCK_TOKENS["cuda"] * (3 * 1024 + 2 * 4096)


def test_what_does_not_fit_is_refused_with_the_sizes(bert: Inputs) -> None:
    plenty = 1 << 40
    limits = MemoryLimits(worker=1 << 29, object_store=plenty)
    parts = (ProblemType.DOES_NOT_FIT, "model")
    refused(lambda: limits.check(memory_need(bert.spec())), *parts, "0.5 GiB, the memory of a")
    refused(lambda: prepare(bert.spec(), limits=limits), *parts, "0.5 GiB, the memory of a worker")
    limits = MemoryLimits(worker=plenty, object_store=1000)
    refused(lambda: prepare(bert.spec(), limits=limits), *parts, "object store of a node")
    prepare(bert.spec(), limits=MemoryLimits(plenty, plenty))
