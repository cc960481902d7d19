"""The columns of data files and `datasets` ids, and what is wrong with them.

`bertscape_workers.data.rows` reads the rows.
"""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from bertscape.spec import Data, Split, data_format
from bertscape.values import InvalidInput, ProblemType, brief
from bertscape_workers.admission.text_files import (
    file_kind,
    json_objects,
    looks_like_utf_16,
    not_there,
    text_lines,
)

_DATASET_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[\w.-]+)?")
_SEPARATORS = {";": "semicolons", "\t": "tabs", ",": "commas", "|": "vertical bars"}


def source_name(split: Split) -> str:
    """The file or the `datasets` id of a split, for messages and records."""
    if split.path is not None:
        return split.path
    parts = [split.dataset, split.config, split.split, split.revision]
    return " ".join(part for part in parts if part)


def column_names(path: Path, key: str) -> tuple[str, ...]:
    """The columns in a data file's header. For JSON, the keys of its first object.

    Raises:
        InvalidInput: the file is missing, is empty, is not text, or is no Parquet file.
    """
    match data_format(path):
        case ".parquet":
            return parquet_columns(path, key)
        case ".jsonl" | ".json":
            _, first = next(json_objects(path, key), ("", {}))
            names = tuple(first)
        case _:
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
    """Raise `InvalidInput` if a text or label column is missing; it names the columns there are."""
    wanted = [("data.text", name) for name in data.text] + [("data.label", data.label)]
    for column_key, name in wanted:
        if name not in found:
            on = f" on {place}" if place else ""
            raise InvalidInput.of(
                ProblemType.INVALID_DATA,
                column_key,
                name,
                f"one of its columns: {', '.join(map(_shown, found)) or 'none'}",
                f"is not a column of {key}, {source}{on}{_seemingly(found, name)}",
            )


def _shown(name: object) -> str:
    """JSON can spell half of a surrogate pair; a message cannot hold it."""
    return str(name).encode(errors="backslashreplace").decode()


def _seemingly(found: Sequence[str], name: str) -> str:
    """Why it seems to be missing, judged by the header."""
    header = "\t".join(found).encode(errors="replace")
    if looks_like_utf_16(header):
        return ", which seems to be UTF-16 (iconv -f UTF-16 -t UTF-8 converts it)"
    if b"\0" in header:
        return ", which is no text: it holds zero bytes"
    if any(other == f'"{name}"' for other in found):
        return ", which has it in quotes: a TSV has none, a CSV may"
    if any(other.strip() == name for other in found):
        return ", which has it with a space beside it"
    if len(found) == 1:
        for separator, these in _SEPARATORS.items():
            if separator in found[0]:
                between = f"separated by {these} (a TSV has tabs, a CSV has commas)"
                return f", whose columns seem to be {between}"
    return ""


def refuse_repeated_columns(found: Sequence[str], data: Data, key: str, source: str) -> None:
    """Raise `InvalidInput` if two columns have a name that the job reads."""
    wanted = [("data.text", name) for name in data.text] + [("data.label", data.label)]
    for column_key, name in wanted:
        places = [str(at) for at, other in enumerate(found, 1) if other == name]
        if len(places) > 1:
            raise InvalidInput.of(
                ProblemType.INVALID_DATA,
                column_key,
                name,
                "one column of this name",
                f"is the name of columns {' and '.join(places)} of {key}, {source}",
            )


# --- Parquet and `datasets` ---------------------------------------------------------------------


def parquet_columns(path: Path, key: str) -> tuple[str, ...]:
    """The columns of a Parquet file.

    Raises:
        InvalidInput: the file is missing, or is no Parquet file.
    """
    from pyarrow import ArrowInvalid, parquet

    try:
        return tuple(parquet.read_schema(path).names)
    except OSError as error:
        raise not_there(path, key, error) from error
    except ArrowInvalid as error:
        kind = file_kind(path)
        told = f"is {kind.told}: {kind.advice}" if kind else f"({brief(error)})"
        raise InvalidInput.of(
            ProblemType.INVALID_DATA, f"{key}.path", str(path), "a Parquet file", told
        ) from error


def parquet_class_names(metadata: Mapping[bytes, bytes] | None, column: str) -> tuple[str, ...]:
    """The names of a column's numbers 0, 1, … in a Parquet file that `datasets` wrote; or ().

    Args:
        metadata: of the file's schema.
        column: the one with the numbers.
    """
    try:
        feature = json.loads((metadata or {})[b"huggingface"])["info"]["features"][column]
        names = feature["names"] if feature["_type"] == "ClassLabel" else ()
    except (KeyError, TypeError, ValueError):
        return ()  # another program wrote the file, or the column has no names
    return tuple(names) if all(isinstance(name, str) for name in names) else ()


def refuse_local_dataset(split: Split, key: str) -> str:
    """The `datasets` id; `InvalidInput` if `datasets` would read a local folder instead."""
    name = split.dataset or ""
    if not _DATASET_ID.fullmatch(name) or Path(name).exists():
        raise InvalidInput.of(
            ProblemType.INVALID_VALUE,
            f"{key}.dataset",
            name,
            "a `datasets` id such as nyu-mll/glue (for files use {path: …})",
        )
    return name
