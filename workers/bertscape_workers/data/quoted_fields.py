"""Fields of a TSV that look as if they were quoted, although a TSV has no quotes."""

import re
from collections.abc import Sequence
from pathlib import Path

from bertscape.spec import Data, data_format
from bertscape_workers.data.rows import Row

_QUOTED = re.compile(r'"(?:[^"]++|"")*+"')  # each quote inside is doubled


def quoting_warnings(data: Data, name: str, rows: Sequence[Row]) -> list[str]:
    """A warning for each text column of a TSV with fields that were surely quoted.

    They are read as they stand: GLUE's files have quotes that are text. So only a field counts
    that begins and ends with a quote and has others inside, each doubled.

    Args:
        data: the job's data.
        name: "train" or "eval".
        rows: of that split.
    """
    split = data.train if name == "train" else data.eval
    if split.path is None or data_format(Path(split.path)) not in (".tsv", ".txt"):
        return []
    counts = (
        (column, sum(_is_quoted(row.texts[place]) for row in rows))
        for place, column in enumerate(data.text)
    )
    return [_told(count, column, f"data.{name}") for column, count in counts if count]


def _is_quoted(field: str) -> bool:
    return '""' in field[1:-1] and _QUOTED.fullmatch(field) is not None


def _told(count: int, column: str, key: str) -> str:
    fields = "1 field" if count == 1 else f"{count} fields"
    looks = "looks" if count == 1 else "look"
    return (
        f"{fields} of column {column} of {key} {looks} quoted, with '\"\"' inside, as csv.writer "
        "and pandas write them: quotes are text in a TSV; write it without quoting, or as a CSV"
    )
