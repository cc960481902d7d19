"""The columns of data files and `datasets` ids, and what is wrong with them.

`bertscape_workers.data.rows` makes rows of what stands under them.
"""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from bertscape.spec import Data, Split, data_format
from bertscape.values import InvalidInput, ProblemType
from bertscape_workers.admission.text_files import json_objects, not_there, text_lines

_DATASET_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[\w.-]+)?")
_SEPARATORS = {";": "semicolons", "\t": "tabs", ",": "commas", "|": "vertical bars"}


def source_name(split: Split) -> str:
    """The file or the `datasets` id of a split, for messages and records."""
    if split.path is not None:
        return split.path
    parts = [split.dataset, split.config, split.split, split.revision]
    return " ".join(part for part in parts if part)


def column_names(path: Path, key: str) -> tuple[str, ...]:
    """The columns that a data file's header names; of JSON, the keys of its first object.

    Raises:
        InvalidInput: the file is not there, is empty, is not text, or is no Parquet file.
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
    """Raise `InvalidInput`, naming the columns there are, where text or label is not among them."""
    wanted = [("data.text", name) for name in data.text] + [("data.label", data.label)]
    for column_key, name in wanted:
        if name not in found:
            where = f" on {place}" if place else ""
            raise InvalidInput.of(
                ProblemType.INVALID_DATA,
                column_key,
                name,
                f"one of its columns: {', '.join(map(_shown, found)) or 'none'}",
                f"is not a column of {key}, {source}{where}{_seemingly(found, name)}",
            )


def _shown(name: object) -> str:
    """Half of a surrogate pair, which JSON can spell, has no place in a message."""
    return str(name).encode(errors="backslashreplace").decode()


def _seemingly(found: Sequence[str], name: str) -> str:
    """Why it is missing, as far as the header tells."""
    if any("\0" in other for other in found):
        return ", which seems to be UTF-16 (iconv -f UTF-16 -t UTF-8 converts it)"
    if any(other.strip() == name for other in found):
        return ", which has it with a blank beside it"
    if len(found) == 1:
        for separator, these in _SEPARATORS.items():
            if separator in found[0]:
                between = f"separated by {these} (a TSV has tabs, a CSV has commas)"
                return f", whose columns seem to be {between}"
    return ""


def refuse_repeated_columns(found: Sequence[str], data: Data, key: str, source: str) -> None:
    """Raise `InvalidInput` if the header has two columns of a name that the job reads."""
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
        InvalidInput: the file is not there, or is no Parquet file.
    """
    from pyarrow import ArrowInvalid, parquet

    try:
        return tuple(parquet.read_schema(path).names)
    except OSError as error:
        raise not_there(path, key, error) from error
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
