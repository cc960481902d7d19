"""The rows of TSV, CSV and JSON files, plain or compressed, and what is wrong with such a file."""

import csv
import gzip
import json
import re
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from gzip import GzipFile
from io import BufferedReader, TextIOWrapper
from pathlib import Path
from typing import Any, TextIO

from bertscape.spec import data_format
from bertscape.values import InvalidInput, ProblemType

Line = tuple[int, list[str]]  # its number in the file, from 1, and its cells

MOST_OF_A_FIELD = 2**24  # characters of one field of a CSV; Python's own limit is 131,072
_CHUNK = 2**16  # characters of a JSON array, read at a time
_LOOKED_AT = 4096  # bytes, to guess an encoding

_WHOLE_FIELD = re.compile(r'(?:"(?:[^"]++|"")*+"|(?!")[^,\r\n]*)(?:,|\r\n|\r|\n)')
_LINE_END = re.compile(r"\r\n|\r|\n")


# --- what a file is, whatever its name ----------------------------------------------------------

_NAMED_SO = "give it the ending of what it is"
# By its first bytes: what it is, and what to do.
_KINDS = (
    (b"version https://git-lfs", "a Git LFS pointer, not the file", "`git lfs pull` fetches it"),
    (b"\x1f\x8b\x08", "gzip", f"{_NAMED_SO}, as in .tsv.gz"),
    (b"PAR1", "a Parquet file", f"{_NAMED_SO}, .parquet"),
    (b"\x89HDF\r\n", "an HDF5 file", "write its rows as TSV, CSV, JSON or Parquet"),
    (b"PK\x03\x04", "a zip archive", "unpack it; if it is an .xlsx, save the sheet as a CSV"),
    (b"ARROW1\0\0", "an Arrow file", "write it as Parquet"),
    (b"SQLite format 3\0", "an SQLite database", "write its rows as TSV, CSV, JSON or Parquet"),
    (b"BZh91AY&SY", "bzip2", "unpack it, or pack it by gzip"),
    (b"\xfd7zXZ\0", "xz", "unpack it, or pack it by gzip"),
    (b"\x28\xb5\x2f\xfd", "zstd", "unpack it, or pack it by gzip"),
    (b"%PDF-", "a PDF", "write its rows as TSV, CSV, JSON or Parquet"),
)
_OF_A_HEADER = (b"\t", b"\n", b"\r", b",", b" ")  # after a column that is called PAR1
_TAR = slice(257, 262)  # where a tar archive says what it is
_LONGEST_MARK = _TAR.stop


@dataclass(frozen=True, slots=True)
class FileKind:
    """What a file is that is not what its name says."""

    told: str  # as in "a Parquet file"
    advice: str


def kind_of(start: bytes) -> FileKind | None:
    """What a file is by its first bytes; None if they say nothing, as those of text."""
    if start[_TAR] == b"ustar":
        return FileKind("a tar archive", "unpack it")
    for mark, told, advice in _KINDS:
        # The marks of text are whole words; behind PAR1 follows a byte that no header has.
        if start.startswith(mark) and not (mark == b"PAR1" and start[4:5] in _OF_A_HEADER):
            return FileKind(told, advice)
    return None


def file_kind(path: Path) -> FileKind | None:
    """`kind_of` a file; None also if it cannot be read."""
    try:
        with path.open("rb") as stream:
            return kind_of(stream.read(_LONGEST_MARK))
    except OSError:
        return None


def looks_like_utf_16(start: bytes) -> bool:
    """By its mark; or by the zeros of Latin letters, at odd places alone or at even ones."""
    zeros = start[::2].count(0), start[1::2].count(0)
    one_sided = 10 * min(zeros) < max(zeros) and len(start) < 8 * max(zeros)
    return one_sided or start.startswith((b"\xff\xfe", b"\xfe\xff"))


# --- opening ------------------------------------------------------------------------------------


@contextmanager
def _text(path: Path, key: str, newline: str = "") -> Iterator[TextIO]:
    """The open file. An error while it is opened or read becomes `InvalidInput`."""
    try:
        # utf-8-sig drops the byte-order mark that spreadsheets write.
        with _opened(path) as raw, TextIOWrapper(raw, "utf-8-sig", newline=newline) as stream:
            _refuse_other_kind(raw.peek(_LONGEST_MARK), path, key)
            yield stream
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise InvalidInput.of(
            ProblemType.INVALID_DATA,
            f"{key}.path",
            str(path),
            "a whole gzip file",
            _no_gzip(path) or f"({error})",
        ) from error
    except OSError as error:
        raise not_there(path, key, error) from error
    except UnicodeDecodeError as error:
        expected = f"UTF-8 text; this seems to be {_encoding(path)}"
        raise InvalidInput.of(
            ProblemType.INVALID_DATA, f"{key}.path", str(path), expected, f"({error})"
        ) from error


def _opened(path: Path) -> GzipFile | BufferedReader:
    return gzip.open(path) if path.suffix.lower() == ".gz" else path.open("rb")


def _refuse_other_kind(start: bytes, path: Path, key: str) -> None:
    kind = kind_of(start)
    if kind is not None:
        unpacked = " when unpacked" if path.suffix.lower() == ".gz" else ""
        raise InvalidInput.of(
            ProblemType.INVALID_DATA,
            f"{key}.path",
            str(path),
            f"the text of a {data_format(path)} file: {kind.advice}",
            f"is {kind.told}{unpacked}",
        )


def _no_gzip(path: Path) -> str:
    """What a file is instead, although its name says gzip; empty if it is gzip."""
    kind = file_kind(path)
    if kind is not None:
        return "" if kind.told == "gzip" else f"is {kind.told}: {kind.advice}"
    return f"is not compressed: name it {path.stem}"


def not_there(path: Path, key: str, error: OSError) -> InvalidInput:
    """The error of a file that cannot be read."""
    return InvalidInput.of(
        ProblemType.PATH_NOT_FOUND, f"{key}.path", str(path), "a readable file", f"({error})"
    )


def _encoding(path: Path) -> str:
    """The encoding that the text seems to have, and how to convert it."""
    with _opened(path) as stream:
        start = stream.read(_LOOKED_AT)
    if looks_like_utf_16(start):
        return "UTF-16 (iconv -f UTF-16 -t UTF-8 converts it)"
    if b"\0" in start:
        return "no text at all: it holds zero bytes"
    return "Latin-1 or Windows-1252 (iconv -f WINDOWS-1252 -t UTF-8 converts it)"


# --- TSV and CSV --------------------------------------------------------------------------------


def text_lines(path: Path, key: str) -> Iterator[Line]:
    """The lines of a TSV or a CSV, header first, without blank lines at the end.

    Raises:
        InvalidInput: the file is missing, or is not text of its format.
    """
    lines = _csv_lines if data_format(path) == ".csv" else _tsv_lines
    return _without_blank_end(lines(path, key))


def _without_blank_end(lines: Iterator[Line]) -> Iterator[Line]:
    held: list[Line] = []
    for line in lines:
        held.append(line)
        if any(cell.strip() for cell in line[1]):
            yield from held
            held.clear()


def _tsv_lines(path: Path, key: str) -> Iterator[Line]:
    """A TSV has no quoting: a quote is text, and every line break ends a row."""
    with _text(path, key, newline="\n") as stream:
        for number, line in enumerate(stream, 1):
            yield number, line.removesuffix("\n").removesuffix("\r").split("\t")


def _csv_lines(path: Path, key: str) -> Iterator[Line]:
    csv.field_size_limit(MOST_OF_A_FIELD)
    with _text(path, key) as stream:
        record: list[str] = []  # its lines so far, to find the line on which a quote opened
        reader = csv.reader(_noted(stream, record), strict=True)
        try:
            for cells in reader:
                if cells:
                    yield reader.line_num, cells
                record.clear()
        except csv.Error as error:
            raise _no_csv(f"{path}, line", key, reader.line_num, record, error) from error


def _noted(lines: Iterator[str], into: list[str]) -> Iterator[str]:
    for line in lines:
        into.append(line)
        yield line


def _no_csv(
    place: str, key: str, last: int, record: Sequence[str], error: csv.Error
) -> InvalidInput:
    """The error of a record; `last` is the number of its last line."""
    reason, number = f"({error})", last
    expected = 'CSV, with quotes inside a quoted field doubled, as in "a ""b"" c"'
    if "unexpected end" in reason or "field larger" in reason:
        number += _opening_line("".join(record)) - len(record)
        expected = "the quote that opens a field to be closed"
        reason = "opens a quote that is not closed"
        if "field larger" in str(error):
            reason = f"has a field of over {MOST_OF_A_FIELD} characters"
    return InvalidInput.of(
        ProblemType.INVALID_DATA, f"{key}.path", f"{place} {number}", expected, reason
    )


def _opening_line(record: str) -> int:
    """The line, from 1, on which the unclosed field begins."""
    at = 0
    while field := _WHOLE_FIELD.match(record, at):
        at = field.end()
    return len(_LINE_END.findall(record, 0, at)) + 1


# --- JSON ---------------------------------------------------------------------------------------


def json_objects(path: Path, key: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The objects of JSON lines, or of a JSON array, each with its place.

    A place is "line 3", or "item 3" of an array. Blank lines are skipped.

    Raises:
        InvalidInput: the file is missing, is not text, or holds anything but objects.
    """
    if data_format(path) == ".json":
        with _text(path, key) as stream:
            start = stream.read(_CHUNK).lstrip()
            if start.startswith("["):
                yield from _array(stream, start, path, key)
                return
    with _text(path, key) as stream:
        for number, line in enumerate(stream, 1):
            if line.strip():
                yield f"line {number}", _line_object(line, path, key, number)


def _array(stream: TextIO, text: str, path: Path, key: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Items are parsed one by one: a check of the header must not read a large file whole."""
    decoder = json.JSONDecoder(object_pairs_hook=_once)
    at, number, ended = 1, 1, False
    while not ended:
        place = f"item {number}"
        at = _after(_BLANK if number == 1 else _NEXT, text, at)
        try:
            value, end = decoder.raw_decode(text, at)
            yield place, _object(value, path, key, place, _ITEMS)
            at, number = end, number + 1
        except _Twice as error:
            raise error.refusal(path, key, place) from None
        except (ValueError, RecursionError) as error:
            more = stream.read(max(_CHUNK, len(text)))
            if not more:
                ended = text[at:].strip() == "]"
                if not ended:
                    raise _no_json(path, key, place, _ITEMS) from error
            text, at = text[at:] + more, 0


_BLANK = re.compile(r"\s*")
_NEXT = re.compile(r"\s*(,\s*)?")
_ITEMS = "an array of JSON objects, or one JSON object per line"
_LINES = "one JSON object per line"


def _after(pattern: re.Pattern[str], text: str, at: int) -> int:
    found = pattern.match(text, at)
    return found.end() if found else at


def _expected(path: Path) -> str:
    return _ITEMS if data_format(path) == ".json" else _LINES


def _line_object(line: str, path: Path, key: str, number: int) -> dict[str, Any]:
    place = f"line {number}"
    try:
        value = json.loads(line, object_pairs_hook=_once)
    except _Twice as error:
        raise error.refusal(path, key, place) from None
    except (ValueError, RecursionError) as error:
        raise _no_json(path, key, place, _expected(path)) from error
    return _object(value, path, key, place, _expected(path))


def _object(value: object, path: Path, key: str, place: str, expected: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _no_json(path, key, place, expected)
    return value


def _no_json(path: Path, key: str, place: str, expected: str) -> InvalidInput:
    return InvalidInput.of(ProblemType.INVALID_DATA, f"{key}.path", f"{path}, {place}", expected)


class _Twice(Exception):
    """An object has a key twice. Without this error the last value would win in silence."""

    def __init__(self, name: str, places: Sequence[int]) -> None:
        super().__init__(name)
        self.name, self.places = name, places

    def refusal(self, path: Path, key: str, place: str) -> InvalidInput:
        first, second = self.places[:2]
        return InvalidInput.of(
            ProblemType.INVALID_DATA,
            f"{key}.path",
            f"{path}, {place}",
            "each key once",
            f"has {self.name!r} as its keys {first} and {second}",
        )


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        names = [name for name, _ in pairs]
        name = next(name for name in names if names.count(name) > 1)
        raise _Twice(name, [at for at, other in enumerate(names, 1) if other == name])
    return values
