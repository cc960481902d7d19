"""Rows from every format, and what is wrong with a file, by its line."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from bertscape.spec import Data, Split
from bertscape.values import InvalidInput
from bertscape_workers.admission.tables import column_names
from bertscape_workers.data import Row, read_rows


def data(path: Path, **split: Any) -> Data:
    source = Split(path=str(path), **split)
    return Data(train=source, eval=source, text=("text",))


def write(path: Path, text: str) -> Path:
    path.write_bytes(text.encode())
    return path


def test_a_tsv_has_no_quoting(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.tsv",
        'text\tlabel\nhe called " it \t1\n"whole"\t0\n"\t1\nit\'s "a\u2028b"\t0\n',
    )
    assert read_rows(data(path), "train") == [
        Row("line 2", ('he called " it ',), "1"),
        Row("line 3", ('"whole"',), "0"),
        Row("line 4", ('"',), "1"),
        Row("line 5", ('it\'s "a\u2028b"',), "0"),
    ]


def test_byte_order_mark_and_carriage_returns(tmp_path: Path) -> None:
    for name, separator in (("a.tsv", "\t"), ("a.csv", ",")):
        path = write(tmp_path / name, f"\ufefftext{separator}label\r\none{separator}1\r\n")
        assert column_names(path, "data.train") == ("text", "label")
        assert read_rows(data(path), "train") == [Row("line 2", ("one",), "1")]


def test_a_csv_has_quoting(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", 'label,text\n0,"a, ""b""\nc"\n1,d\n')
    rows = read_rows(data(path), "train")
    assert [(row.texts, row.label) for row in rows] == [(('a, "b"\nc',), "0"), (("d",), "1")]
    assert rows[1].place == "line 4"


def test_jsonl_and_parquet_keep_types(tmp_path: Path) -> None:
    values = [{"label": 1, "text": "x\ty", "more": None}, {"label": 0, "text": "z", "more": 2.0}]
    lines = write(tmp_path / "a.jsonl", "\n".join(json.dumps(value) for value in values))
    parquet.write_table(pa.Table.from_pylist(values), tmp_path / "a.parquet")
    for path, unit in ((lines, "line"), (tmp_path / "a.parquet", "row")):
        assert set(column_names(path, "data.train")) == {"label", "text", "more"}
        assert read_rows(data(path), "train") == [
            Row(f"{unit} 1", ("x\ty",), 1),
            Row(f"{unit} 2", ("z",), 0),
        ]


def test_parquet_rows_are_numbered_across_its_groups(tmp_path: Path) -> None:
    values = [{"text": str(number), "label": number} for number in range(7)]
    path = tmp_path / "a.parquet"
    parquet.write_table(pa.Table.from_pylist(values), path, row_group_size=3)
    expected = [Row(f"row {n + 1}", (str(n),), n) for n in range(7)]
    assert read_rows(data(path), "train") == expected
    drawn = read_rows(data(path, examples=4), "train")
    assert [one for one in expected if one in drawn] == drawn
    assert len(drawn) == 4


def test_a_sample_of_nothing_is_empty(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tsv", "text\tlabel\n")
    with pytest.raises(InvalidInput, match=r"a\.tsv' is empty; expected at least one"):
        read_rows(data(path, examples=1), "train")


def test_a_sample_is_seeded_and_keeps_the_files_order(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tsv", "text\tlabel\n" + "".join(f"{n}\t0\n" for n in range(100)))
    drawn = [int(row.texts[0]) for row in read_rows(data(path, examples=20, seed=1), "train")]
    assert drawn == sorted(set(drawn))
    assert len(drawn) == 20
    again = [int(row.texts[0]) for row in read_rows(data(path, examples=20, seed=1), "train")]
    other = [int(row.texts[0]) for row in read_rows(data(path, examples=20, seed=2), "train")]
    assert drawn == again != other
    fewer = [int(row.texts[0]) for row in read_rows(data(path, examples=5, seed=1), "train")]
    assert set(fewer) < set(drawn)
    with pytest.raises(InvalidInput, match=r"data\.train\.examples: 101; expected at most 100"):
        read_rows(data(path, examples=101), "train")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.tsv", "text\tlabel\na\t0\nb\n", r"a\.tsv, line 3' has 1; expected 2 columns"),
        ("a.tsv", "text\tlabel\na\tb\t0\n", r"a\.tsv, line 2' has 3; expected 2 columns"),
        ("a.csv", 'text,label\n"a\n"\n', r"a\.csv, line 3' has 1; expected 2 columns"),
        ("a.csv", 'text,label\n"a,0\n', r"a\.csv, line 2' opens a quote that is not closed"),
        ("a.tsv", "text\tlabel\n", r"data\.train: .*a\.tsv' is empty; expected at least one"),
        ("a.tsv", "", r"data\.train: .*a\.tsv' is empty; expected at least one"),
        ("a.jsonl", "", r"data\.train: .*a\.jsonl' is empty; expected at least one"),
        (
            "a.jsonl",
            '{"text": "a"}\n',
            r"data\.label: 'label' is not a column of data\.train.*: text",
        ),
        ("a.jsonl", "{\n", r"a\.jsonl, line 1'; expected one JSON object per line"),
        ("a.jsonl", '{"text": 3, "label": 0}', r"data\.train: 3 stands in column text.*line 1"),
        (
            "a.tsv",
            "sentence\tlabel\na\t0\n",
            r"data\.text: 'text' is not a column.*: sentence, label",
        ),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, name: str, text: str, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        read_rows(data(write(tmp_path / name, text)), "train")


def test_files_that_are_no_text(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_bytes(b"text\tlabel\n\xff\t0\n")
    with pytest.raises(InvalidInput, match=r"a\.tsv' \(.*can't decode.*expected UTF-8 text"):
        read_rows(data(tmp_path / "a.tsv"), "train")
    write(tmp_path / "a.parquet", "not parquet")
    with pytest.raises(InvalidInput, match="expected a Parquet file"):
        read_rows(data(tmp_path / "a.parquet"), "train")
    with pytest.raises(InvalidInput, match=r"data\.train\.path: .*none\.tsv.* a readable file"):
        read_rows(data(tmp_path / "none.tsv"), "train")


def test_a_parquet_file_without_the_column_names_those_it_has(tmp_path: Path) -> None:
    parquet.write_table(pa.Table.from_pylist([{"words": "a", "label": 0}]), tmp_path / "a.parquet")
    with pytest.raises(InvalidInput, match=r"data\.text: 'text'.*columns: words, label"):
        read_rows(data(tmp_path / "a.parquet"), "train")


def test_a_local_folder_is_no_datasets_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine").mkdir()
    monkeypatch.chdir(tmp_path)
    for name in (str(tmp_path), "mine", "../x", "hf://datasets/a"):
        source = Split(dataset=name, split="train")
        with pytest.raises(InvalidInput, match=r"data\.train\.dataset: .*expected a `datasets` id"):
            read_rows(Data(train=source, eval=source, text=("text",)), "train")
