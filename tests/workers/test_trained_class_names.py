"""A head that is trained on data with named classes has those names, in the data's order."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from datasets import ClassLabel, Dataset, Features, Value
from tests.workers.tiny_inputs import Inputs
from tests.workers.trainings import check, finetune, training_spec

from bertscape.values import InvalidInput, ProblemType
from bertscape_workers.data import Row
from bertscape_workers.jobs.prepare import prepare
from bertscape_workers.jobs.training_job import prepare_training
from bertscape_workers.training.head_labels import label_names

MNLI = ("entailment", "neutral", "contradiction")
TEXTS = ("a good film", "it was fine", "a poor book")


def parquet(path: Path, names: Sequence[str], numbers: Sequence[int]) -> str:
    features = Features({"text": Value("string"), "label": ClassLabel(names=list(names))})
    texts = [TEXTS[number % 3] for number in range(len(numbers))]
    columns = {"text": texts, "label": list(numbers)}
    Dataset.from_dict(columns, features=features).to_parquet(path)
    return str(path)


def data(folder: Path, names: Sequence[str], train: Sequence[int], **more: Any) -> dict[str, Any]:
    file = parquet(folder / "train.parquet", names, train)
    return {
        "train": {"path": file},
        "eval": {"path": file},
        "text": ["text"],
        "max_length": 32,
        **more,
    }


def config_of(folder: Path) -> dict[str, Any]:
    config: dict[str, Any] = json.loads((folder / "config.json").read_text("utf-8"))
    return config


def test_the_names_are_the_heads(bert: Inputs, tmp_path: Path) -> None:
    split = data(tmp_path, MNLI, [0, 1, 2, 2, 0, 1])
    run = finetune(training_spec(bert.pretrained, split, batch_size=3), tmp_path / "run")
    assert run.labels == MNLI
    for folder in run.checkpoints:
        config = config_of(folder)
        assert config["id2label"] == {str(at): name for at, name in enumerate(MNLI)}
        assert config["label2id"] == {name: at for at, name in enumerate(MNLI)}
    # A surface of it matches the same data by name, and the same names in another order.
    (tmp_path / "swapped").mkdir()
    swapped = data(tmp_path / "swapped", MNLI[::-1], [2, 1, 0, 0, 2, 1])
    model = {"pretrained": str(run.initial), "finetuned": str(run.final)}
    found = [
        prepare(bert.spec(kind="curve", model=model, y=None, grid={"x": [0, 1, 2]}, data=one))
        for one in (split, swapped)
    ]
    sums = [{name: one.sha256 for name, one in job.findings.splits.items()} for job in found]
    assert sums[0] == sums[1]


def test_a_class_that_the_sample_lacks_is_still_one(bert: Inputs, tmp_path: Path) -> None:
    split = data(tmp_path, MNLI, [2, 0, 2, 0])
    found = prepare_training(training_spec(bert.pretrained, split)).findings
    assert found.labels == MNLI
    assert found.classes == 3
    assert found.splits["train"].class_by_name == {name: at for at, name in enumerate(MNLI)}


def test_the_other_split_may_have_another_order(bert: Inputs, tmp_path: Path) -> None:
    split = data(tmp_path, MNLI, [0, 1, 2])
    split["eval"] = {"path": parquet(tmp_path / "eval.parquet", MNLI[::-1], [0, 1, 2])}
    inputs = check(training_spec(bert.pretrained, split))
    assert inputs.train.labels.tolist() == [0, 1, 2]
    assert inputs.eval.labels.tolist() == [2, 1, 0]


def test_a_split_without_names_keeps_its_numbers(bert: Inputs, tmp_path: Path) -> None:
    split = data(tmp_path, MNLI, [0, 1, 2])
    tsv = tmp_path / "eval.tsv"
    tsv.write_text("text\tlabel\na film\t2\na book\tneutral\n", "utf-8")
    split["eval"] = {"path": str(tsv)}
    assert check(training_spec(bert.pretrained, split)).eval.labels.tolist() == [2, 1]


def test_labels_of_the_spec_come_first(bert: Inputs, tmp_path: Path) -> None:
    split = data(tmp_path, MNLI, [0, 1, 2])
    labels = [*MNLI[::-1], "other"]
    inputs = check(training_spec(bert.pretrained, split, labels=labels))
    assert inputs.labels == tuple(labels)
    assert inputs.train.labels.tolist() == [2, 1, 0]


def test_a_row_without_a_label_is_refused(bert: Inputs, tmp_path: Path) -> None:
    split = data(tmp_path, MNLI, [0, 1, -1, 2])
    with pytest.raises(InvalidInput, match="row 3: label: -1 means that the row has no label"):
        check(training_spec(bert.pretrained, split))


def rows(names: Sequence[str], *labels: object) -> list[Row]:
    return [Row(f"row {at}", ("good",), label, tuple(names)) for at, label in enumerate(labels, 1)]


@pytest.mark.parametrize("names", [("0", "1", "2"), ("LABEL_0", "LABEL_1", "LABEL_2")])
def test_names_that_say_their_place_alone_are_none(names: Sequence[str]) -> None:
    assert label_names(rows(names, 0, 2, 1)) == ("0", "1", "2")


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("yes",), "two or more different"),
        (("yes", "yes"), "two or more different"),
        (("yes", "no", " "), "text in the name of each class"),
        (tuple(f"name {number}" for number in range(1001)), "at most 1000"),
    ],
)
def test_names_that_no_head_can_have(names: Sequence[str], message: str) -> None:
    with pytest.raises(InvalidInput, match=message) as caught:
        label_names(rows(names, 0))
    problem = caught.value.problem
    assert (problem.type, problem.key) == (ProblemType.INVALID_DATA, "data.label")
