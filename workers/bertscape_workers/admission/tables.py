"""The columns of TSV, CSV, JSONL and Parquet files, and the lines of those that are text.

What is wrong with a file is said here; `bertscape_workers.data.rows` makes rows of its lines.
"""

import csv
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from bertscape.spec import Data, Split
from bertscape.values import (
    InvalidInput,
    ProblemType,
)

_DATASET_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[\w.-]+)?")

Line = tuple[int, list[str]]  # its number in the file, from 1, and its cells


def source_name(split: Split) -> str:
    """The file or the `datasets` id of a split, for messages and records."""
    if split.path is not None:
        return split.path
    parts = [split.dataset, split.config, split.split, split.revision]
    return " ".join(part for part in parts if part)


def column_names(path: Path, key: str) -> tuple[str, ...]:
    """The columns that a data file's header names; of JSONL, the keys of its first line.

    Raises:
        InvalidInput: the file is not there, is empty, is not text, or is no Parquet file.
    """
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        return parquet_columns(path, key)
    if suffix == ".jsonl":
        _, first = next(json_lines(path, key), (0, {}))
        names = tuple(first)
    else:
        _, cells = next(text_lines(path, key), (0, []))
        names = tuple(cells)
    if not names:
        raise no_examples(key, str(path))
    return names


def no_examples(key: str, source: str) -> InvalidInput:
    """The error of an empty split."""
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
                f"one of its columns: {', '.join(map(str, found)) or 'none'}",
                f"is not a column of {key}, {source}{where}",
            )


# --- files --------------------------------------------------------------------------------------


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


def _tsv_lines(path: Path, key: str) -> Iterator[Line]:
    """A TSV has no quoting: a quote is a character like any other, and a line ends at its end."""
    with _text(path, key, newline="\n") as stream:
        for number, line in enumerate(stream, 1):
            yield number, line.removesuffix("\n").removesuffix("\r").split("\t")


def _csv_lines(path: Path, key: str) -> Iterator[Line]:
    with _text(path, key) as stream:
        reader = csv.reader(stream, strict=True)
        yield from ((reader.line_num, cells) for cells in reader if cells)


_TEXT_LINES = {".tsv": _tsv_lines, ".csv": _csv_lines}


def text_lines(path: Path, key: str) -> Iterator[Line]:
    """The lines of a TSV or a CSV, its header first.

    Raises:
        InvalidInput: the file is not there, or is not text.
    """
    return _TEXT_LINES[path.suffix.lower()](path, key)


def json_lines(path: Path, key: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """The objects of a JSONL file, each with the number of its line; blank lines are left out.

    Raises:
        InvalidInput: the file is not there, is not text, or has a line that is no JSON object.
    """
    with _text(path, key) as stream:
        for number, line in enumerate(stream, 1):
            if line.strip():
                yield number, _json_object(line, path, key, number)


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
            "one JSON object per line",
        )
    return value


# --- Parquet and `datasets` ---------------------------------------------------------------------


def parquet_columns(path: Path, key: str) -> tuple[str, ...]:
    """The columns of a Parquet file.

    Raises:
        InvalidInput: the file is not there, or is no Parquet file.
    """
    from pyarrow import ArrowInvalid, parquet

    try:
        return tuple(parquet.read_schema(path).names)
    except OSError as error:
        raise _not_there(path, key, error) from error
    except ArrowInvalid as error:
        raise InvalidInput.of(
            ProblemType.INVALID_DATA, f"{key}.path", str(path), "a Parquet file", f"({error})"
        ) from error


def parquet_class_names(metadata: Mapping[bytes, bytes] | None, column: str) -> tuple[str, ...]:
    """What a Parquet file that `datasets` wrote calls the numbers 0, 1, … of a column; or ().

    Args:
        metadata: of the file's schema.
        column: that holds the numbers.
    """
    try:
        feature = json.loads((metadata or {})[b"huggingface"])["info"]["features"][column]
        names = feature["names"] if feature["_type"] == "ClassLabel" else ()
    except (KeyError, TypeError, ValueError):
        return ()  # of another writer, or a column without names
    return tuple(names) if all(isinstance(name, str) for name in names) else ()


def refuse_local_dataset(split: Split, key: str) -> str:
    """The `datasets` id; `InvalidInput` where `datasets` would read a local folder for it."""
    name = split.dataset or ""
    if not _DATASET_ID.fullmatch(name) or Path(name).exists():
        raise InvalidInput.of(
            ProblemType.INVALID_VALUE,
            f"{key}.dataset",
            name,
            "a `datasets` id such as nyu-mll/glue (for files use {path: …})",
        )
    return name
