"""Data files as people have them: compressed, of other separators and encodings, half broken."""

import bz2
import csv
import gzip
import io
import json
import lzma
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from bertscape.spec import Data, Split
from bertscape.values import InvalidInput, ProblemType
from bertscape_workers.admission.tables import (
    column_names,
    refuse_missing_columns,
    refuse_repeated_columns,
)
from bertscape_workers.data import Row, quoting_warnings, read_rows


def data(path: Path, **columns: Any) -> Data:
    source = Split(path=str(path))
    return Data(train=source, eval=source, **{"text": "text", **columns})


def write(path: Path, content: str | bytes) -> Path:
    content = content.encode() if isinstance(content, str) else content
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def refusal(path: Path, **columns: Any) -> str:
    with pytest.raises(InvalidInput) as caught:
        read_rows(data(path, **columns), "train")
    caught.value.problem.detail.encode()  # it can be sent
    return caught.value.problem.detail


def check_header(path: Path) -> None:
    spec = data(path)
    names = column_names(path, "data.train")
    refuse_missing_columns(names, spec, "data.train", str(path))
    refuse_repeated_columns(names, spec, "data.train", str(path))


def header_refusal(path: Path) -> str:
    """What is said at once, before any row is read."""
    with pytest.raises(InvalidInput) as caught:
        check_header(path)
    caught.value.problem.detail.encode()
    return caught.value.problem.detail


# ----------------------------------------------------------------------------- twice the same


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.tsv", "text\tlabel\tmore\tlabel\na\t0\tx\t1\n"),
        ("a.csv", "text,label,more,label\na,0,x,1\n"),
        ("a.parquet", ""),
    ],
)
def test_two_columns_of_one_name_are_refused(tmp_path: Path, name: str, text: str) -> None:
    path = write(tmp_path / name, text)
    if not text:
        columns = [pa.array(["a"]), pa.array([0]), pa.array(["x"]), pa.array([1])]
        names = ["text", "label", "more", "label"]
        parquet.write_table(pa.Table.from_arrays(columns, names=names), path)
    message = "data.label: 'label' is the name of columns 2 and 4 of data.train"
    assert refusal(path).startswith(message)
    assert header_refusal(path).startswith(message)


def test_columns_that_are_not_read_may_share_a_name(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tsv", "text\tx\tlabel\tx\na\t\t0\t\n")
    assert read_rows(data(path), "train") == [Row("line 2", ("a",), "0")]


def test_a_key_twice_in_a_line_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", '{"text": "a", "label": 0, "label": 1}\n')
    assert "a.jsonl, line 1' has 'label' as its keys 2 and 3; expected each key once" in refusal(
        path
    )


# ------------------------------------------------------------------------------- broken text


@pytest.mark.parametrize(
    ("line", "place"),
    [
        ('{"text": "x\\ud800", "label": 0}', "stands in column text"),
        ('{"text": "x", "label": "\\udfff"}', "stands in column label"),
        ('{"text": "x", "\\ud800": 0}', "'label' is not a column"),
    ],
)
def test_half_of_a_surrogate_pair_is_named_by_its_line(
    tmp_path: Path, line: str, place: str
) -> None:
    path = write(tmp_path / "a.jsonl", '{"text": "fine \\ud83d\\ude00", "label": 0}\n' + line)
    message = refusal(path)
    assert place in message
    assert "line 2" in message


def test_parquet_text_that_is_not_utf_8_is_named(tmp_path: Path) -> None:
    offsets, content = pa.py_buffer(b"\0\0\0\0\2\0\0\0"), pa.py_buffer(b"\xff\xfe")
    text = pa.Array.from_buffers(pa.string(), 1, [None, offsets, content])
    parquet.write_table(pa.table({"text": text, "label": [0]}), tmp_path / "a.parquet")
    assert "expected a whole Parquet file, its text in UTF-8" in refusal(tmp_path / "a.parquet")


def test_nesting_without_end_is_not_an_object(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", '{"text": ' + "[" * 100_000)
    assert "a.jsonl, line 1'; expected one JSON object per line" in refusal(path)


def test_a_field_may_be_long(tmp_path: Path) -> None:
    text = "word " * 100_000
    path = write(tmp_path / "a.csv", f'text,label\n"{text}",1\n')
    assert read_rows(data(path), "train") == [Row("line 2", (text,), "1")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('text,label\na,0\n"b\nc",1\n"d\n\n"",e,0\nf,1\n', "line 5' opens a quote that is not"),
        ('text,label\n"a\nb","c\nd\n', "line 3' opens a quote that is not closed"),
        ('text,label\r\n"a",0\r\n"b,0\r\n', "line 3' opens a quote that is not closed"),
        ('text,label\na,0\n"b" c,0\n', "line 3' (',' expected after '\"'); expected CSV"),
        ('text,label\na,0\n"' + "x" * (2**24 + 1), "line 3' has a field of over 16777216"),
    ],
)
def test_a_quote_is_blamed_on_the_line_where_it_opens(
    tmp_path: Path, text: str, message: str
) -> None:
    assert message in refusal(write(tmp_path / "a.csv", text))


# ------------------------------------------------------------------- separators and encodings


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.csv", "text;label\na;0\n", "columns seem to be separated by semicolons"),
        ("a.tsv", "text,label\na,0\n", "columns seem to be separated by commas"),
        ("a.csv", "text\tlabel\na\t0\n", "columns seem to be separated by tabs"),
        ("a.txt", "text,label\na,0\n", "columns seem to be separated by commas"),
        ("a.csv", "text, label\na, 0\n", "'label' is not a column of data.train"),
        ("a.csv", "text, label\na, 0\n", "which has it with a space beside it"),
        ("a.tsv", "text\tlabel\nà\t0\n".encode("utf-16"), "this seems to be UTF-16"),
        ("a.tsv", "text\tlabel\na\t0\n".encode("utf-16-le"), "which seems to be UTF-16"),
        ("a.csv", "text,label\né,0\n".encode("latin-1"), "this seems to be Latin-1"),
        ("a.csv.gz", "text,label\né,0\n".encode("latin-1"), "this seems to be Latin-1"),
    ],
)
def test_what_a_file_seems_to_be_is_said(
    tmp_path: Path, name: str, text: str | bytes, message: str
) -> None:
    path = write(tmp_path / name, text)
    assert message in refusal(path)
    if "Latin" not in message:
        assert message in header_refusal(path)


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 3\n"


def zipped() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a.tsv", "text\tlabel\n")
    return file.getvalue()


def tarred() -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("text\tlabel"))
    return file.getvalue()


def columns_as_parquet() -> bytes:
    file = io.BytesIO()
    parquet.write_table(pa.table({"text": ["a"], "label": [0]}), file)
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "told", "advice"),
    [
        (gzip.compress(b"text\tlabel\n"), "is gzip", "as in .tsv.gz"),
        (columns_as_parquet(), "is a Parquet file", ".parquet"),
        (b"\x89HDF\r\n\x1a\n" + bytes(99), "is an HDF5 file", "or Parquet"),
        (zipped(), "is a zip archive", "unpack it"),
        (tarred(), "is a tar archive", "unpack it"),
        (bz2.compress(b"text\tlabel\n"), "is bzip2", "unpack it"),
        (lzma.compress(b"text\tlabel\n"), "is xz", "unpack it"),
        (POINTER, "is a Git LFS pointer", "`git lfs pull` fetches it"),
    ],
    # Not the bytes: some hold the time, and both workers of a run must find the same names.
    ids=["gzip", "parquet", "hdf5", "zip", "tar", "bzip2", "xz", "lfs"],
)
@pytest.mark.parametrize("name", ["a.tsv", "a.csv", "a.jsonl", "a.json", "a.tsv.gz", "a.parquet"])
def test_what_a_file_is_whatever_its_name(
    tmp_path: Path, name: str, content: bytes, told: str, advice: str
) -> None:
    if name == "a.parquet" and "Parquet file" in told:
        return
    path = write(tmp_path / name, content)
    for message in (refusal(path), header_refusal(path)):
        assert told in message
        assert advice in message
        assert "UTF-16" not in message


def test_a_name_that_promises_gzip(tmp_path: Path) -> None:
    (tmp_path / "a.tsv.gz").write_bytes(b"text\tlabel\na\t0\n")
    assert "is not compressed: name it a.tsv" in refusal(tmp_path / "a.tsv.gz")
    (tmp_path / "a.tsv.gz").write_bytes(columns_as_parquet())
    assert "is a Parquet file" in refusal(tmp_path / "a.tsv.gz")


@pytest.mark.parametrize(
    "content", [b"\x80\x04\x95" + bytes(90), b"\0\1\xff\0\0" * 9, b"\xfe\0" + b"a" * 90]
)
def test_other_bytes_are_no_utf_16(tmp_path: Path, content: bytes) -> None:
    message = refusal(write(tmp_path / "a.tsv", content))
    assert "UTF-16" not in message
    assert "zero bytes" in message


def test_words_that_other_formats_begin_with_may_be_columns(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tsv", "PAR1\ttext\tlabel\nx\ta\t0\n")
    assert read_rows(data(path), "train") == [Row("line 2", ("a",), "0")]


def test_a_quoted_header_is_called_so(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tsv", '"text"\t"label"\n"a"\t"0"\n')
    assert "which has it in quotes: a TSV has none" in header_refusal(path)


def test_a_separator_inside_quotes_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tsv", 'text\tlabel\n"a\tb"\t0\n')
    message = refusal(path)
    assert "line 2' has 3; expected 2 columns, as in the header; it has a quote at one" in message


# ---------------------------------------------------------------------------- quoted fields


def warnings_of(path: Path) -> list[str]:
    spec = data(path)
    return quoting_warnings(spec, "train", read_rows(spec, "train"))


def test_fields_that_csv_writer_quoted_are_named(tmp_path: Path) -> None:
    texts = ['He said "no"', '"', "plain", '"all of it"']
    with (tmp_path / "a.tsv").open("w", newline="") as file:
        writer = csv.writer(file, delimiter="\t")
        writer.writerows([("text", "label"), *((text, 0) for text in texts)])
    (warning,) = warnings_of(tmp_path / "a.tsv")
    assert warning.startswith("3 fields of column text of data.train look quoted, with '\"\"'")
    (first, *_) = read_rows(data(tmp_path / "a.tsv"), "train")
    assert first.texts == ('"He said ""no"""',)  # what is read stays


@pytest.mark.parametrize(
    "text",
    ['"quoted"', '""', '"a" and "b"', '""a"', '"a""', 'a ""b"" c', '"a "b"', '""twice""', '"'],
)
def test_quotes_that_may_be_text_are_no_sign(tmp_path: Path, text: str) -> None:
    assert warnings_of(write(tmp_path / "a.tsv", f"text\tlabel\n{text}\t0\n")) == []


def test_quotes_of_a_csv_are_quotes(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", 'text,label\n"""He said """"no"""""" ",0\n')
    assert warnings_of(path) == []


# ------------------------------------------------------------------------------ blank lines


@pytest.mark.parametrize("end", ["\n", "\n\n\n", "\r\n\r\n", "\n  \n", "\n\t\n"])
@pytest.mark.parametrize("name", ["a.tsv", "a.tsv.gz", "a.txt", "a.csv"])
def test_blank_lines_at_the_end_are_not_rows(tmp_path: Path, name: str, end: str) -> None:
    between = "," if name == "a.csv" else "\t"
    path = write(tmp_path / name, f"text{between}label\na{between}0\nb{between}1{end}")
    expected = [Row("line 2", ("a",), "0"), Row("line 3", ("b",), "1")]
    assert read_rows(data(path), "train") == expected


def test_a_blank_line_between_rows_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tsv", "text\tlabel\na\t0\n\nb\t1\n")
    assert "a.tsv, line 3' has 1; expected 2 columns" in refusal(path)
    assert refusal(path).endswith("as in the header; the line is blank")


def test_a_file_of_blank_lines_is_empty(tmp_path: Path) -> None:
    assert "is empty" in header_refusal(write(tmp_path / "a.tsv", "\n\n"))


# ----------------------------------------------------------------------------------- formats

VALUES = [{"text": "a ü", "label": 1}, {"text": "b", "label": 0}]
LINES = "\n".join(map(json.dumps, VALUES))


@pytest.mark.parametrize(
    ("name", "text", "unit"),
    [
        ("a.jsonl.gz", LINES, "line"),
        ("a.json", LINES, "line"),
        ("a.json.gz", LINES, "line"),
        ("a.json", json.dumps(VALUES), "item"),
        ("a.JSON", " \n" + json.dumps(VALUES, indent=2, ensure_ascii=False) + "\n", "item"),
        ("a.json.gz", json.dumps(VALUES), "item"),
    ],
)
def test_json_is_taken_by_what_it_holds(tmp_path: Path, name: str, text: str, unit: str) -> None:
    path = write(tmp_path / name, text)
    assert column_names(path, "data.train") == ("text", "label")
    expected = [Row(f"{unit} 1", ("a ü",), 1), Row(f"{unit} 2", ("b",), 0)]
    assert read_rows(data(path), "train") == expected


def test_a_long_array_is_read_in_parts(tmp_path: Path) -> None:
    values = [{"text": f"{n} [,] " * (n % 700), "label": n} for n in range(2000)]
    path = write(tmp_path / "a.json", json.dumps(values))
    rows = read_rows(data(path), "train")
    assert [(row.texts[0], row.label) for row in rows] == [(v["text"], v["label"]) for v in values]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "is empty"),
        ("[1]", "item 1'; expected an array of JSON objects"),
        ('[{"text": "a", "label": 0}, {"text"', "item 2'; expected an array of JSON objects"),
        ('[{"text": "a", "label": 0}] x', "item 2'; expected an array of JSON objects"),
        ('{"text": ["a"],\n "label": [0]}', "line 1'; expected an array of JSON objects"),
        ('[{"text": "a", "text": "b", "label": 0}]', "item 1' has 'text' as its keys 1 and 2"),
    ],
)
def test_other_json_is_refused(tmp_path: Path, text: str, message: str) -> None:
    assert message in refusal(write(tmp_path / "a.json", text))


def test_a_gzip_file_that_is_cut_or_none_is_named(tmp_path: Path) -> None:
    whole = gzip.compress(b"text\tlabel\n" + b"a\t0\n" * 1000)
    for content in (whole[:-20], b"text\tlabel\na\t0\n"):
        (tmp_path / "a.tsv.gz").write_bytes(content)
        with pytest.raises(InvalidInput, match="expected a whole gzip file") as caught:
            read_rows(data(tmp_path / "a.tsv.gz"), "train")
        assert caught.value.problem.type is ProblemType.INVALID_DATA


def test_a_parquet_file_compresses_itself() -> None:
    with pytest.raises(ValueError, match="a file that ends in one of"):
        Split(path="a.parquet.gz")
