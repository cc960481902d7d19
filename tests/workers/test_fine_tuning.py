"""Fine-tuning: the output folder as a trajectory, shared starts, and bad input."""

import json
import math
import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.workers.trainings import changed, check, finetune, training_spec
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    BertConfig,
    BertForMaskedLM,
    BertTokenizer,
    DistilBertConfig,
    DistilBertForMaskedLM,
)

from bertscape.spec import Data, FinetuneSpec, Split
from bertscape.values import InvalidInput
from bertscape_workers import training
from bertscape_workers.data import Row
from bertscape_workers.training import FineTuned
from bertscape_workers.training.head_labels import label_names

WORDS = ["good", "fine", "bad", "poor", "film", "book"]
VOCABULARY = {
    token: index
    for index, token in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS])
}


def write_tsv(path: Path, labels: list[str], count: int = 40) -> str:
    rows = ["text\tlabel"]
    for index in range(count):
        label = index % len(labels)
        rows.append(
            f"{WORDS[2 * (label % 2) + index // 2 % 2]} {WORDS[4 + label // 2]}\t{labels[label]}"
        )
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return str(path)


def tiny_bert(folder: Path) -> str:
    """A masked-language model, so a checkpoint without pooler and head."""
    torch.manual_seed(3)
    config = BertConfig(
        vocab_size=len(VOCABULARY),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=16,
        initializer_range=0.3,  # a narrow random model needs large weights to learn in 8 steps
    )
    BertForMaskedLM(config).save_pretrained(folder)
    BertTokenizer(vocab=VOCABULARY).save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def masked_lm(tmp_path_factory: pytest.TempPathFactory) -> str:
    return tiny_bert(tmp_path_factory.mktemp("masked-lm"))


@pytest.fixture(scope="module")
def settings(masked_lm: str, tmp_path_factory: pytest.TempPathFactory) -> FinetuneSpec:
    folder = tmp_path_factory.mktemp("data")
    data = Data(
        train=Split(path=write_tsv(folder / "train.tsv", ["0", "1"])),
        eval=Split(path=write_tsv(folder / "eval.tsv", ["0", "1"], count=12)),
        text=("text",),
        max_length=16,
    )
    return training_spec(masked_lm, data, epochs=2, batch_size=10, learning_rate=1e-2, seed=5)


@pytest.fixture(scope="module")
def run(settings: FinetuneSpec, tmp_path_factory: pytest.TempPathFactory) -> FineTuned:
    return finetune(settings, tmp_path_factory.mktemp("run") / "output")


def backbone(checkpoint: Path) -> dict[str, torch.Tensor]:
    tensors = load_file(checkpoint / "model.safetensors")
    return {name: value for name, value in tensors.items() if not name.startswith("classifier.")}


def equal(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> bool:
    return left.keys() == right.keys() and all(
        torch.equal(left[name], right[name]) for name in left
    )


def test_output_is_a_trajectory_of_complete_checkpoints(run: FineTuned) -> None:
    assert [path.name for path in run.checkpoints] == [
        "checkpoint-0",
        "checkpoint-4",
        "checkpoint-8",
    ]
    for checkpoint in run.checkpoints:
        _, found = AutoModelForSequenceClassification.from_pretrained(
            checkpoint, output_loading_info=True
        )
        assert not any(found.values())
        assert AutoTokenizer.from_pretrained(checkpoint)("good film")["input_ids"] == [2, 5, 9, 3]


def test_run_learns_what_it_can_learn(settings: FinetuneSpec, tmp_path: Path) -> None:
    run = finetune(changed(settings, epochs=12), tmp_path)
    assert run.eval_accuracy == 1.0
    assert run.eval_loss < 0.2
    assert not equal(backbone(run.initial), backbone(run.final))


def test_step_zero_holds_the_pretrained_backbone_and_a_pooler(
    run: FineTuned, masked_lm: str
) -> None:
    before, after = load_file(Path(masked_lm) / "model.safetensors"), backbone(run.initial)
    shared = {name for name in after if name in before}
    assert {name for name in after if name not in shared} == {
        "bert.pooler.dense.weight",
        "bert.pooler.dense.bias",
    }
    assert all(torch.equal(before[name], after[name]) for name in shared)


def test_equal_seeds_give_equal_checkpoints(
    run: FineTuned, settings: FinetuneSpec, tmp_path: Path
) -> None:
    torch.rand(7)  # what was drawn before must not matter
    again = finetune(settings, tmp_path)
    for first, second in zip(run.checkpoints, again.checkpoints, strict=True):
        assert (first / "model.safetensors").read_bytes() == (
            second / "model.safetensors"
        ).read_bytes()
    other = finetune(changed(settings, seed=6, max_steps=1), tmp_path / "other")
    assert not equal(backbone(run.initial), backbone(other.initial))  # another pooler


@pytest.mark.parametrize("start", ["pretrained", "scratch"])
def test_second_run_shares_the_stored_start(
    settings: FinetuneSpec, tmp_path: Path, start: str
) -> None:
    first = finetune(changed(settings, start=start, max_steps=1), tmp_path / "first")
    three = Split(path=write_tsv(tmp_path / "three.tsv", ["x", "y", "z"]))
    second = finetune(
        changed(
            settings,
            pretrained=str(first.initial),
            data=settings.data.model_copy(update={"train": three, "eval": three}),
            max_steps=1,
            seed=9,
        ),
        tmp_path / "second",
    )
    assert equal(backbone(first.initial), backbone(second.initial))
    head = load_file(second.initial / "model.safetensors")["classifier.weight"]
    assert head.shape[0] == 3
    config = json.loads((second.initial / "config.json").read_text())
    assert config["label2id"] == {"x": 0, "y": 1, "z": 2}
    assert second.labels == ("x", "y", "z")


def test_head_of_the_start_is_never_used(
    run: FineTuned, settings: FinetuneSpec, tmp_path: Path
) -> None:
    second = finetune(changed(settings, pretrained=str(run.final), max_steps=1), tmp_path)
    heads = [
        load_file(path / "model.safetensors")["classifier.weight"]
        for path in (run.initial, run.final, second.initial)
    ]
    assert torch.equal(heads[2], heads[0])  # drawn from the same seed
    assert not torch.equal(heads[2], heads[1])


def test_random_start_differs_from_the_pretrained_one(
    run: FineTuned, settings: FinetuneSpec, tmp_path: Path
) -> None:
    scratch = finetune(changed(settings, start="scratch", max_steps=1), tmp_path)
    pretrained, random = backbone(run.initial), backbone(scratch.initial)
    name = "bert.encoder.layer.0.attention.self.query.weight"
    assert not torch.equal(pretrained[name], random[name])
    assert scratch.checkpoints[-1].name == "checkpoint-1"


def test_backbone_without_pooler_is_fine_tuned_too(settings: FinetuneSpec, tmp_path: Path) -> None:
    torch.manual_seed(0)
    config = DistilBertConfig(
        vocab_size=len(VOCABULARY),
        dim=16,
        n_layers=2,
        n_heads=2,
        hidden_dim=32,
        max_position_embeddings=16,
    )
    folder = tmp_path / "distilbert"
    DistilBertForMaskedLM(config).save_pretrained(folder)
    BertTokenizer(vocab=VOCABULARY).save_pretrained(folder)
    run = finetune(
        changed(settings, pretrained=folder, schedule="constant", max_steps=1),
        tmp_path / "run",
    )
    assert len(run.checkpoints) == 2


def test_progress_counts_the_steps_and_nothing_is_printed(
    settings: FinetuneSpec, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    calls: list[tuple[str, int, int]] = []
    finetune(changed(settings, max_steps=2), tmp_path, lambda *call: calls.append(call))
    assert calls == [("fine-tuning", done, 2) for done in range(3)]
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("start", "random"), ("schedule", "none"),
        ("epochs", -1), ("max_steps", 0), ("batch_size", 0), ("learning_rate", float("nan")),
        ("learning_rate", 0.0), ("warmup", 1.0), ("weight_decay", -1.0), ("seed", -1),
        ("keep", 0), ("keep", "step"), ("precision", "fp16"),
        ("labels", ["one", "one"]), ("labels", ["one"]),
    ],
)  # fmt: skip
def test_impossible_settings_are_named(settings: FinetuneSpec, key: str, value: object) -> None:
    with pytest.raises(InvalidInput) as caught:
        changed(settings, **{key: value})
    assert caught.value.problem.key == (key if key == "precision" else f"training.{key}")
    assert str(value) in str(caught.value)


def test_no_threads_are_refused(settings: FinetuneSpec) -> None:
    with pytest.raises(InvalidInput, match="threads: 0; expected at least 1"):
        training.check(settings, threads=0)


def test_output_with_checkpoints_is_refused(run: FineTuned, settings: FinetuneSpec) -> None:
    with pytest.raises(InvalidInput, match="checkpoint-0"):
        finetune(settings, run.folder)


def test_label_that_training_never_showed_is_named(settings: FinetuneSpec, tmp_path: Path) -> None:
    unseen = Split(path=write_tsv(tmp_path / "eval.tsv", ["0", "7"]))
    data = settings.data.model_copy(update={"eval": unseen})
    with pytest.raises(InvalidInput, match=r"data\.eval, line 3: label: '7'.*0, 1"):
        finetune(changed(settings, data=data), tmp_path / "run")


def test_one_class_is_refused(settings: FinetuneSpec, tmp_path: Path) -> None:
    one = Split(path=write_tsv(tmp_path / "train.tsv", ["good"]))
    data = settings.data.model_copy(update={"train": one})
    with pytest.raises(InvalidInput, match=r"data\.label"):
        finetune(changed(settings, data=data), tmp_path / "run")


def rows(*labels: object) -> list[Row]:
    return [Row(f"row {number}", ("good",), label) for number, label in enumerate(labels, 1)]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (("0.0", "3.8", "5.000"), r"data\.label: \['3\.8'\]; expected .*not a regression's values"),
        ((0.25, 1.0), r"data\.label: \['0\.25'\]; expected .*training\.labels"),
        (("good", "0.5"), r"data\.label: \['0\.5'\]"),
        (
            tuple(f"title {number}" for number in range(1001)),
            r"data\.label: 1001 different labels are in the data; expected at most 1000 ",
        ),
        (tuple(range(1001)), r"data\.label: 1001 different labels"),
    ],
)
def test_a_column_without_classes_is_refused(labels: tuple[object, ...], message: str) -> None:
    with pytest.raises(InvalidInput, match=message) as refused:
        label_names(rows(*labels))
    assert refused.value.problem.key == "data.label"


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        (tuple(f"{number}.0" for number in (10, *range(10))), tuple(map(str, range(11)))),
        ((0.0, "1", 2, "3.00"), ("0", "1", "2", "3")),
        (("+", "-"), ("+", "-")),
        (("v", "nan", "inf", "3e5"), ("3e5", "inf", "nan", "v")),
        (("v1.5", "v2"), ("v1.5", "v2")),
        (tuple(range(1000)), tuple(map(str, range(1000)))),
    ],
)
def test_numbers_that_may_be_classes(labels: tuple[object, ...], names: tuple[str, ...]) -> None:
    assert label_names(rows(*labels)) == names


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (("-1", -1, "-1.0"), "data.train, row 1: label: '-1' stands in every row: this split has"),
        (("0", "1", -1.0), "data.train, row 3: label: -1.0 means that the row has no label"),
        (("yes", "no", " "), "data.train, row 3: label: ' ' is empty; expected the label of"),
        (("yes", None), "data.train, row 2: label: None means that the row has no label"),
        ((0.0, math.nan, 1.0), "data.train, row 2: label: nan means that the row has no label"),
        (("neutral", "-"), "data.train, row 2: label: '-' means in SNLI"),
        (("-2", "0", "1"), "data.label: [-2, 0, 1]; expected whole numbers from 0 without a gap"),
        (("1", "yes", "0", "no"), "data.label: '1' on row 1 is a number, and 'yes' on row 2 is no"),
        (("0", "1.0", "nan"), "data.label: '0' on row 1 is a number, and 'nan' on row 3 is none"),
        (("1.", "0."), "data.label: ['0.', '1.']; expected whole numbers written as 0, 1, 2"),
    ],
)
def test_labels_that_are_no_classes(labels: tuple[object, ...], message: str) -> None:
    with pytest.raises(InvalidInput, match=re.escape(message)) as refused:
        label_names(rows(*labels))
    assert "training.labels" in refused.value.problem.detail


def test_a_split_without_labels_trains_nothing(settings: FinetuneSpec, tmp_path: Path) -> None:
    unlabelled = Split(path=write_tsv(tmp_path / "train.tsv", ["0", "1", "-1"]))
    data = settings.data.model_copy(update={"train": unlabelled, "eval": unlabelled})
    with pytest.raises(InvalidInput, match="line 4: label: '-1' means that the row has no label"):
        finetune(changed(settings, data=data), tmp_path / "run")
    finetune(changed(settings, data=data, labels=("-1", "0", "1"), max_steps=1), tmp_path / "named")


def test_floats_of_one_split_are_the_numbers_of_the_other(
    settings: FinetuneSpec, tmp_path: Path
) -> None:
    splits = {}
    for name, end in (("train", ".0"), ("eval", "")):
        lines = [f"good film\t{number}{end}" for number in range(11)]
        (tmp_path / f"{name}.tsv").write_text("\n".join(["text\tlabel", *lines]), "utf-8")
        splits[name] = Split(path=str(tmp_path / f"{name}.tsv"))
    inputs = check(changed(settings, data=settings.data.model_copy(update=splits)))
    assert inputs.labels == tuple(map(str, range(11)))
    assert inputs.train.labels.tolist() == inputs.eval.labels.tolist()


def test_checkpoints_that_cannot_start_a_run_are_named(
    settings: FinetuneSpec, masked_lm: str, tmp_path: Path
) -> None:
    with pytest.raises(InvalidInput, match="nowhere"):
        finetune(changed(settings, pretrained=str(tmp_path / "nowhere")), tmp_path / "run")
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(InvalidInput, match="empty"):
        finetune(changed(settings, pretrained=empty), tmp_path / "run")


def test_token_limit_above_the_positions_is_named(settings: FinetuneSpec, tmp_path: Path) -> None:
    data = settings.data.model_copy(update={"max_length": 17})
    with pytest.raises(InvalidInput, match=r"data\.max_length: 17.*16"):
        finetune(changed(settings, data=data), tmp_path / "run")


def test_whole_numbers_with_a_gap_are_refused_unless_named(
    settings: FinetuneSpec, tmp_path: Path
) -> None:
    gap = Split(path=write_tsv(tmp_path / "train.tsv", ["0", "2"]))
    data = settings.data.model_copy(update={"train": gap, "eval": gap})
    with pytest.raises(InvalidInput, match=r"data\.label: \[0, 2\]"):
        finetune(changed(settings, data=data), tmp_path / "run")
    named = changed(settings, data=data, labels=("no", "maybe", "yes"), max_steps=1)
    assert finetune(named, tmp_path / "run").labels == ("no", "maybe", "yes")


def test_missing_backbone_tensor_is_named(settings: FinetuneSpec, tmp_path: Path) -> None:
    folder = Path(tiny_bert(tmp_path / "holed"))
    tensors = load_file(folder / "model.safetensors")
    name = "bert.encoder.layer.1.output.dense.weight"
    del tensors[name]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InvalidInput, match=name):
        finetune(changed(settings, pretrained=folder), tmp_path / "run")
