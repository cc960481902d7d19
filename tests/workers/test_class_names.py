"""Class names that a data file or a `datasets` id has for its numbers, beside those of the head."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import datasets
import pytest
from datasets import ClassLabel, Dataset, Features, Value
from pyarrow import parquet as parquet_files
from tests.workers.tiny_inputs import VOCABULARY, bert_config, make_inputs
from transformers import BertTokenizer

from bertscape.results import read_surface, write_result
from bertscape.spec import Data, Split
from bertscape.values import InvalidInput, SplitFound
from bertscape_workers.data import TokenizedSplit, Vocabulary, build_split, read_rows
from bertscape_workers.running.local_run import run_job

MNLI = ("entailment", "neutral", "contradiction")


def table(names: Sequence[str], numbers: Sequence[int]) -> Dataset:
    features = Features({"text": Value("string"), "label": ClassLabel(names=list(names))})
    columns = {"text": ["a film"] * len(numbers), "label": list(numbers)}
    return Dataset.from_dict(columns, features=features)


def parquet(folder: Path, names: Sequence[str], numbers: Sequence[int]) -> Data:
    path = folder / "named.parquet"
    table(names, numbers).to_parquet(path)
    split = Split(path=str(path))
    return Data(train=split, eval=split, text=("text",))


def build(data: Data, head: Sequence[str]) -> TokenizedSplit:
    index = {name: number for number, name in enumerate(head)}
    tokenizer = BertTokenizer(vocab=VOCABULARY)
    vocabulary = Vocabulary(len(VOCABULARY), 2)
    rows = read_rows(data, "train")
    return build_split("data.train", rows, tokenizer, 8, vocabulary, index, len(head))


@pytest.mark.parametrize(
    ("names", "head", "expected"),
    [
        (MNLI, ("contradiction", "entailment", "neutral"), [1, 2, 0]),
        (MNLI, ("CONTRADICTION", "NEUTRAL", "ENTAILMENT"), [2, 1, 0]),
        (("not_a", "a"), ("A", "Not a"), [1, 0]),
        (("b", "a"), ("a", "b", "c"), [1, 0]),  # the head may have more
        (("1", "2", "3"), ("3", "2", "1"), [2, 1, 0]),
        # Names on one side alone leave the numbers.
        (MNLI, ("LABEL_0", "LABEL_1", "LABEL_2"), [0, 1, 2]),
        (MNLI, ("0", "1", "2"), [0, 1, 2]),
        (("1", "0"), ("0", "1"), [0, 1]),
        (MNLI, (), [0, 1]),
        (("0", "1"), ("no", "yes"), [0, 1]),
        (("LABEL_0", "LABEL_1"), ("no", "yes"), [0, 1]),
    ],
)
def test_numbers_with_names_are_matched_by_name(
    tmp_path: Path, names: Sequence[str], head: Sequence[str], expected: list[int]
) -> None:
    numbers = range(len(expected))
    if not head:
        rows = read_rows(parquet(tmp_path, names, numbers), "train")
        vocabulary = Vocabulary(len(VOCABULARY), 2)
        tokenizer = BertTokenizer(vocab=VOCABULARY)
        found = build_split("data.train", rows, tokenizer, 8, vocabulary, {}, 2)
    else:
        found = build(parquet(tmp_path, names, numbers), head)
    assert found.labels.tolist() == expected


def test_a_datasets_id_is_matched_by_name_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets, "load_dataset", lambda *_, **__: table(MNLI, [0, 1, 2]))
    split = Split(dataset="nyu-mll/glue", config="mnli", split="train")
    data = Data(train=split, eval=split, text=("text",))
    assert build(data, ("neutral", "contradiction", "entailment")).labels.tolist() == [2, 0, 1]


@pytest.mark.parametrize(
    ("names", "number"), [(("not_equivalent", "equivalent"), 0), (("yes", "never"), 1)]
)
def test_names_that_do_not_match_are_refused(
    tmp_path: Path, names: Sequence[str], number: int
) -> None:
    message = (
        rf"data\.train, row 1: label: {number} means '{names[number]}' in the data; "
        r"expected a name in the head's label2id \(no, yes\)"
    )
    with pytest.raises(InvalidInput, match=message):
        build(parquet(tmp_path, names, [number]), ("no", "yes"))


def test_the_file_records_which_class_each_name_of_the_data_is(tmp_path: Path) -> None:
    names = {0: "contradiction", 1: "neutral", 2: "entailment"}
    config = bert_config(id2label=names, label2id={name: index for index, name in names.items()})
    inputs = make_inputs(tmp_path, config)
    parquet(tmp_path, MNLI, [0, 1, 2, 0])
    split = {"path": str(tmp_path / "named.parquet")}
    spec = inputs.spec(
        data={"train": split, "eval": split, "text": "text", "max_length": 8},
        grid={"x": [0, 1, 2], "y": [0, 1, 2]},
    )
    write_result(run_job(spec), tmp_path / "out.h5")
    found = read_surface(tmp_path / "out.h5").findings.splits["train"]
    assert found.class_by_name == {"entailment": 2, "neutral": 1, "contradiction": 0}
    assert list(found.class_by_name) == list(MNLI)  # in the order of the data's numbers


def test_half_a_surrogate_pair_in_a_name_is_refused(tmp_path: Path) -> None:
    data = parquet(tmp_path, ("no", "yes"), [0, 1])
    path = tmp_path / "named.parquet"
    whole = parquet_files.read_table(path)
    metadata = {
        key: value.replace(b'"yes"', b'"\\ud800"') for key, value in whole.schema.metadata.items()
    }
    parquet_files.write_table(whole.replace_schema_metadata(metadata), path)
    with pytest.raises(InvalidInput, match="half of a surrogate pair") as caught:
        read_rows(data, "train")
    assert caught.value.problem.key == "data.train"
    caught.value.problem.detail.encode()


def test_a_split_without_names_is_recorded_as_before() -> None:
    found: dict[str, Any] = {"source": "a.tsv", "sha256": "0", "examples": 1, "tokens": 2}
    assert SplitFound(**found).to_json() == found
    assert json.loads(SplitFound(**found).model_dump_json()) == found
