"""Rows of texts and labels from TSV, CSV, JSON and Parquet files, or from a `datasets` id."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bertscape.spec import Data, Split, Until, data_format
from bertscape.values import InvalidInput, ProblemType, brief
from bertscape_workers.admission import (
    json_objects,
    no_examples,
    parquet_class_names,
    parquet_columns,
    refuse_local_dataset,
    refuse_missing_columns,
    refuse_repeated_columns,
    source_name,
    text_lines,
)


@dataclass(frozen=True, slots=True)
class Row:
    """One example, as its file has it."""

    place: str  # "line 3" of a text file, else "row 3", counted from 1
    texts: tuple[str, ...]  # one, or two
    label: object  # usually text or a whole number
    class_names: tuple[str, ...] = ()  # of the numbers 0, 1, … in its column, if the data has them

    @property
    def class_name(self) -> str | None:
        """What the data itself calls the label's number."""
        number = self.label
        if isinstance(number, bool) or not isinstance(number, int):
            return None
        return self.class_names[number] if 0 <= number < len(self.class_names) else None


@dataclass(frozen=True, slots=True)
class _Record:
    place: str
    values: dict[str, Any]
    class_names: tuple[str, ...] = ()  # as in `Row`


def read_rows(data: Data, name: str) -> list[Row]:
    """The rows of one split, or a random sample if the spec asks for one, in file order.

    Args:
        data: the job's data.
        name: "train" or "eval".

    Raises:
        InvalidInput: there is no such file or dataset, a row or a column is wrong, the split is
            empty, or it has fewer rows than the sample needs.
    """
    split, key = _split(data, name), f"data.{name}"
    records: Iterable[_Record] = _records(split, key, data)
    if split.examples is not None:
        records = _sample(list(records), split.examples, split, key)
    source = source_name(split)
    rows = [_row(record, data, key, source) for record in records]
    if not rows:
        raise no_examples(key, source)
    return rows


def further_rows(data: Data) -> list[list[Row]]:
    """The training rows that each round adds to the first, which is the sample; in file order.

    Args:
        data: the job's data, with a sample of the training split.

    Raises:
        InvalidInput: as `read_rows`, of all rows that there are.
    """
    split, key = data.train, "data.train"
    records = list(_records(split, key, data))
    if not records:
        raise no_examples(key, source_name(split))
    first = split.examples or len(records)
    _drawn(len(records), first, split, key)  # refuses a sample that is too large
    order = _drawn(len(records), len(records), split, key)
    source = source_name(split)
    ends = np.cumsum(list(Until.additions(first, len(records))))
    return [
        [_row(records[index], data, key, source) for index in np.sort(some)]
        for some in np.split(order, ends[:-1])[1:]
    ]


def drawn_rows(data: Data, name: str, most: int) -> tuple[list[Row], int]:
    """Some rows of a split, and how many examples it has; never holds more than these rows.

    The file is read twice. The rows are in file order, and all of them if there are no more.

    Args:
        data: the job's data.
        name: "train" or "eval"; a file, not a `datasets` id.
        most: how many rows are wanted; of more, a random sample.

    Raises:
        InvalidInput: as `read_rows`, of what is read.
    """
    split, key = _split(data, name), f"data.{name}"
    source = source_name(split)
    count = sum(1 for _ in _records(split, key, data))
    if not count:
        raise no_examples(key, source)
    examples = count if split.examples is None else split.examples
    drawn = _drawn(count, examples, split, key)[:most]
    wanted = np.zeros(count, dtype=bool)
    wanted[drawn] = True
    records = (one for one, take in zip(_records(split, key, data), wanted, strict=True) if take)
    return [_row(record, data, key, source) for record in records], examples


def _split(data: Data, name: str) -> Split:
    return data.train if name == "train" else data.eval


def _sample(records: list[_Record], examples: int, split: Split, key: str) -> list[_Record]:
    """A random sample in file order."""
    if not records:
        return records
    return [records[index] for index in np.sort(_drawn(len(records), examples, split, key))]


def _drawn(count: int, examples: int, split: Split, key: str) -> NDArray[np.int64]:
    """Which rows a sample takes, in random order, so that a larger sample includes a smaller one.

    Raises:
        InvalidInput: there are fewer rows.
    """
    if examples > count:
        raise InvalidInput.of(
            ProblemType.INVALID_DATA,
            f"{key}.examples",
            examples,
            f"at most {count}, the examples of {source_name(split)}",
        )
    return np.random.default_rng(split.seed).permutation(count)[:examples]


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
    for name in (*data.text, data.label):
        _refuse_half_pair(record.values[name], key, f"column {name} of {source}, {record.place}")
    texts = tuple(record.values[name] for name in data.text)
    return Row(record.place, texts, record.values[data.label], record.class_names)


def _refuse_half_pair(value: object, key: str, place: str) -> None:
    """JSON can spell half of a surrogate pair. It is no character, and no tokenizer takes it."""
    try:
        if isinstance(value, str):
            value.encode()
    except UnicodeEncodeError as error:
        raise InvalidInput.of(
            ProblemType.INVALID_DATA,
            key,
            value,
            "text of whole characters",
            f"stands in {place}, with half of a surrogate pair",
        ) from error


def _refuse_half_names(names: Iterable[str], key: str, source: str) -> None:
    for name in names:
        _refuse_half_pair(name, key, f"the class names of {source}")


# --- files and `datasets` ids --------------------------------------------------------------------


def _records(split: Split, key: str, data: Data) -> Iterator[_Record]:
    if split.path is None:
        return _dataset_records(split, key, data)
    path = Path(split.path)
    match data_format(path):
        case ".parquet":
            return _parquet_records(path, key, data)
        case ".jsonl" | ".json":
            return _json_records(path, key)
        case _:
            return _table_records(path, key, data)


def _table_records(path: Path, key: str, data: Data) -> Iterator[_Record]:
    lines = text_lines(path, key)
    _, header = next(lines, (0, []))
    refuse_repeated_columns(header, data, key, str(path))
    for number, cells in lines:
        if len(cells) != len(header):
            raise InvalidInput.of(
                ProblemType.INVALID_DATA,
                f"{key}.path",
                f"{path}, line {number}",
                f"{len(header)} columns, as in the header{_why(cells)}",
                f"has {len(cells)}",
            )
        yield _Record(f"line {number}", dict(zip(header, cells, strict=True)))


def _why(cells: list[str]) -> str:
    """Why a line has another number of cells, if it shows."""
    if not any(cell.strip() for cell in cells):
        return "; the line is blank"
    if any(cell.startswith('"') != cell.endswith('"') for cell in cells):
        return "; it has a quote at one end of a field, and in a TSV quotes are text"
    return ""


def _json_records(path: Path, key: str) -> Iterator[_Record]:
    for place, values in json_objects(path, key):
        yield _Record(place, values)


def _parquet_records(path: Path, key: str, data: Data) -> Iterator[_Record]:
    from pyarrow import ArrowException, parquet

    columns = (*data.text, data.label)
    found = parquet_columns(path, key)
    refuse_repeated_columns(found, data, key, str(path))
    present = [name for name in dict.fromkeys(columns) if name in found]
    # If a column is missing, the message names all columns.
    others = [] if len(present) == len(set(columns)) else list(found)
    with parquet.ParquetFile(path) as file:
        names = parquet_class_names(file.schema_arrow.metadata, data.label)
        _refuse_half_names(names, key, str(path))
        batches = file.iter_batches(columns=present)
        every_row = (values for batch in batches for values in batch.to_pylist())
        try:
            for number, values in enumerate(every_row, 1):
                yield _Record(f"row {number}", {**dict.fromkeys(others), **values}, names)
        except (OSError, ArrowException, UnicodeDecodeError) as error:  # in a page, not the header
            raise InvalidInput.of(
                ProblemType.INVALID_DATA,
                f"{key}.path",
                str(path),
                "a whole Parquet file, its text in UTF-8",
                f"({brief(error)})",
            ) from error


def _dataset_records(split: Split, key: str, data: Data) -> Iterator[_Record]:
    from datasets import ClassLabel, load_dataset

    name = refuse_local_dataset(split, key)
    try:
        with _quiet_datasets():
            table = load_dataset(name, split.config, split=split.split, revision=split.revision)
    except Exception as error:  # a builder may raise anything
        raise InvalidInput.of(
            ProblemType.INVALID_DATA,
            f"{key}.dataset",
            source_name(split),
            "a dataset on the hub or in the local cache, with that config, split and revision",
            f"({brief(error)})",
        ) from error
    columns = (*data.text, data.label)
    present = [column for column in dict.fromkeys(columns) if column in table.column_names]
    wanted = table.select_columns(present) if len(present) == len(set(columns)) else table
    feature = table.features.get(data.label)
    names = tuple(feature.names) if isinstance(feature, ClassLabel) else ()
    _refuse_half_names(names, key, source_name(split))
    for number, values in enumerate(wanted, 1):
        yield _Record(f"row {number}", values, names)


@contextmanager
def _quiet_datasets() -> Iterator[None]:
    """Silence the library's bars and its notes about the cache: a sha256 pins the split."""
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
