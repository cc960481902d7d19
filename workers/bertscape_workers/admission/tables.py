"""Rows of text and label from TSV, CSV, JSONL and Parquet files, or from a `datasets` id."""

import csv
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from bertscape.spec import Data, Split
from bertscape.values import (
    InvalidInput,
    ProblemType,
)

_DATASET_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[\w.-]+)?")

_Line = tuple[int, list[str]]  # its number in the file, from 1, and its cells


@dataclass(frozen=True, slots=True)
class Row:
    """One example as it stands in its file."""

    place: str  # "line 3" of a text file, else "row 3", counted from 1
    texts: tuple[str, ...]  # one, or two
    label: object  # text, a whole number, or whatever else stands there


@dataclass(frozen=True, slots=True)
class _Record:
    place: str
    values: dict[str, Any]


def source_name(split: Split) -> str:
    """The file or the `datasets` id of a split, for messages and records."""
    if split.path is not None:
        return split.path
    parts = [split.dataset, split.config, split.split, split.revision]
    return " ".join(part for part in parts if part)


def read_rows(data: Data, name: str) -> list[Row]:
    """The rows of one split, in file order; where the spec asks for it, a random sample of them.

    Args:
        data: the job's data.
        name: "train" or "eval".

    Raises:
        InvalidInput: no such file or dataset, a row or a column that is not as it should be, an
            empty split, or fewer rows than the sample asks for.
    """
    split, key = _split(data, name), f"data.{name}"
    columns = (*data.text, data.label)
    records: Iterable[_Record] = _records(split, key, columns)
    if split.examples is not None:
        records = _sample(list(records), split.examples, split, key)
    source = source_name(split)
    rows = [_row(record, data, key, source) for record in records]
    if not rows:
        raise _empty(key, source)
    return rows


def column_names(path: Path, key: str) -> tuple[str, ...]:
    """The columns that a data file's header names; of JSONL, the keys of its first line.

    Raises:
        InvalidInput: the file is not there, is empty, is not text, or is no Parquet file.
    """
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        return _parquet_columns(path, key)
    if suffix == ".jsonl":
        first = next(_jsonl_records(path, key), None)
        names = () if first is None else tuple(first.values)
    else:
        _, cells = next(_TEXT_LINES[suffix](path, key), (0, []))
        names = tuple(cells)
    if not names:
        raise _empty(key, str(path))
    return names


def _empty(key: str, source: str) -> InvalidInput:
    return InvalidInput.of(
        ProblemType.INVALID_DATA, key, source, "at least one example", "is empty"
    )


def refuse_missing_columns(
    found: Sequence[str], data: Data, key: str, source: str, place: str = ""
) -> None:
    """Raise `InvalidInput`, naming the columns there are, where text or label is not among them."""
    wanted = [("data.text", name) for name in data.text] + [("data.label", data.label)]
    for column_key, name in wanted:
        if name not in found:
            where = f" on {place}" if place else ""
            raise InvalidInput.of(
                ProblemType.INVALID_DATA,
                column_key,
                name,
                f"one of its columns: {', '.join(map(str, found)) or 'it has none'}",
                f"is no column of {key}, {source}{where}",
            )


def _split(data: Data, name: str) -> Split:
    return data.train if name == "train" else data.eval


def _sample(records: list[_Record], examples: int, split: Split, key: str) -> list[_Record]:
    """Some of them, in file order; with equal seeds a smaller sample is part of a larger one."""
    count = len(records)
    if not count:
        return records
    if examples > count:
        raise InvalidInput.of(
            ProblemType.INVALID_DATA,
            f"{key}.examples",
            examples,
            f"at most {count}, the examples of {source_name(split)}",
        )
    drawn = np.random.default_rng(split.seed).permutation(count)[:examples]
    return [records[index] for index in np.sort(drawn)]


def _row(record: _Record, data: Data, key: str, source: str) -> Row:
    refuse_missing_columns(tuple(record.values), data, key, source, record.place)
    for name in data.text:
        if not isinstance(record.values[name], str):
            raise InvalidInput.of(
                ProblemType.INVALID_DATA,
                key,
                record.values[name],
                "text",
                f"stands in column {name} of {source}, {record.place}",
            )
    texts = tuple(record.values[name] for name in data.text)
    return Row(record.place, texts, record.values[data.label])


# --- files --------------------------------------------------------------------------------------


def _records(split: Split, key: str, columns: Sequence[str]) -> Iterator[_Record]:
    if split.path is None:
        return _dataset_records(split, key, columns)
    path = Path(split.path)
    match path.suffix.lower():
        case ".parquet":
            return _parquet_records(path, key, columns)
        case ".jsonl":
            return _jsonl_records(path, key)
        case suffix:
            return _table(path, key, _TEXT_LINES[suffix](path, key))


@contextmanager
def _text(path: Path, key: str, newline: str = "") -> Iterator[TextIO]:
    """The open file; what is wrong with it, or found wrong while it is read, is named."""
    try:
        # utf-8-sig takes away the byte-order mark that spreadsheets put first.
        with path.open(encoding="utf-8-sig", newline=newline) as stream:
            yield stream
    except OSError as error:
        raise _not_there(path, key, error) from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise InvalidInput.of(
            ProblemType.INVALID_DATA, f"{key}.path", str(path), "UTF-8 text", f"({error})"
        ) from error


def _not_there(path: Path, key: str, error: OSError) -> InvalidInput:
    return InvalidInput.of(
        ProblemType.PATH_NOT_FOUND, f"{key}.path", str(path), "a readable file", f"({error})"
    )


def _tsv_lines(path: Path, key: str) -> Iterator[_Line]:
    """A TSV has no quoting: a quote is a character like any other, and a line ends at its end."""
    with _text(path, key, newline="\n") as stream:
        for number, line in enumerate(stream, 1):
            yield number, line.removesuffix("\n").removesuffix("\r").split("\t")


def _csv_lines(path: Path, key: str) -> Iterator[_Line]:
    with _text(path, key) as stream:
        reader = csv.reader(stream, strict=True)
        yield from ((reader.line_num, cells) for cells in reader if cells)


_TEXT_LINES = {".tsv": _tsv_lines, ".csv": _csv_lines}


def _table(path: Path, key: str, lines: Iterator[_Line]) -> Iterator[_Record]:
    _, header = next(lines, (0, []))
    for number, cells in lines:
        if len(cells) != len(header):
            raise InvalidInput.of(
                ProblemType.INVALID_DATA,
                f"{key}.path",
                f"{path}, line {number}",
                f"{len(header)} columns, as in the header",
                f"has {len(cells)}",
            )
        yield _Record(f"line {number}", dict(zip(header, cells, strict=True)))


def _jsonl_records(path: Path, key: str) -> Iterator[_Record]:
    with _text(path, key) as stream:
        for number, line in enumerate(stream, 1):
            if line.strip():
                yield _Record(f"line {number}", _json_object(line, path, key, number))


def _json_object(line: str, path: Path, key: str, number: int) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise InvalidInput.of(
            ProblemType.INVALID_DATA,
            f"{key}.path",
            f"{path}, line {number}",
            "one JSON object a line",
        )
    return value


# --- Parquet and `datasets` ---------------------------------------------------------------------


def _parquet_columns(path: Path, key: str) -> tuple[str, ...]:
    from pyarrow import ArrowInvalid, parquet

    try:
        return tuple(parquet.read_schema(path).names)
    except OSError as error:
        raise _not_there(path, key, error) from error
    except ArrowInvalid as error:
        raise InvalidInput.of(
            ProblemType.INVALID_DATA, f"{key}.path", str(path), "a Parquet file", f"({error})"
        ) from error


def _parquet_records(path: Path, key: str, columns: Sequence[str]) -> Iterator[_Record]:
    from pyarrow import parquet

    found = _parquet_columns(path, key)
    present = [name for name in dict.fromkeys(columns) if name in found]
    # Where a column is missing, the message gives the names of all that there are.
    others = [] if len(present) == len(set(columns)) else list(found)
    with parquet.ParquetFile(path) as file:
        batches = file.iter_batches(columns=present)
        every_row = (values for batch in batches for values in batch.to_pylist())
        for number, values in enumerate(every_row, 1):
            yield _Record(f"row {number}", {**dict.fromkeys(others), **values})


def _dataset_records(split: Split, key: str, columns: Sequence[str]) -> Iterator[_Record]:
    from datasets import load_dataset

    name = refuse_local_dataset(split, key)
    try:
        with _quiet_datasets():
            table = load_dataset(name, split.config, split=split.split, revision=split.revision)
    except Exception as error:  # whatever a builder raises, the id is what is wrong
        raise InvalidInput.of(
            ProblemType.INVALID_DATA,
            f"{key}.dataset",
            source_name(split),
            "a dataset on the hub or in the local cache, with that config, split and revision",
            f"({' '.join(str(error).split())[:200]})",
        ) from error
    present = [column for column in dict.fromkeys(columns) if column in table.column_names]
    wanted = table.select_columns(present) if len(present) == len(set(columns)) else table
    for number, values in enumerate(wanted, 1):
        yield _Record(f"row {number}", values)


@contextmanager
def _quiet_datasets() -> Iterator[None]:
    """Silence the library's bars and its notes about the cache; the split's sha256 pins it."""
    import datasets
    from datasets.utils import logging

    verbosity, bars = logging.get_verbosity(), datasets.is_progress_bar_enabled()
    logging.set_verbosity_error()
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            datasets.enable_progress_bars()


def refuse_local_dataset(split: Split, key: str) -> str:
    """The `datasets` id; `InvalidInput` where `datasets` would read a local folder for it."""
    name = split.dataset or ""
    if not _DATASET_ID.fullmatch(name) or Path(name).exists():
        raise InvalidInput.of(
            ProblemType.INVALID_VALUE,
            f"{key}.dataset",
            name,
            "a `datasets` id, as in nyu-mll/glue; files are given by {path: …}",
        )
    return name
