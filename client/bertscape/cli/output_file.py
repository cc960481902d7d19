"""The file that a command is to write, looked at before any work."""

from collections.abc import Mapping
from pathlib import Path

from bertscape.values import InvalidInput, ProblemType

Kind = Mapping[str, tuple[bytes, ...]]

RESULT: Kind = {"an HDF5 file": (b"\x89HDF\r\n\x1a\n",)}
PICTURE: Kind = {"a picture": (b"\x89PNG\r\n", b"%PDF-", b"<?xml", b"<svg")}
PAGE: Kind = {"an HTML page": (b"<!doctype html", b"<!DOCTYPE html")}
NUMBERS: Kind = {"JSON": (b"{",)}


def refuse_unwritable(path: Path, kind: Kind) -> None:
    """Raise `InvalidInput` if the file could not be written, or would replace something else.

    A file is replaced only by one of its own kind. So a spec, a data file or a device that is
    named by mistake stays.

    Args:
        path: the file.
        kind: how files of that kind begin, by the words for one.
    """
    if path.is_dir() or not path.absolute().parent.is_dir():
        raise _refusal(path, "a file name in an existing folder")
    if not path.exists():
        return
    if not path.is_file():
        raise _refusal(path, "the name of a file", "is no regular file")
    ((words, beginnings),) = kind.items()
    if not _begins(path, beginnings):
        raise _refusal(path, f"a new name, or {words} to replace", "is a file of another kind")


def _begins(path: Path, beginnings: tuple[bytes, ...]) -> bool:
    try:
        with path.open("rb") as file:
            found = file.read(max(map(len, beginnings)))
    except OSError:  # it may be replaced all the same: that is up to its folder
        return True
    return not found or found.startswith(beginnings)


def _refusal(path: Path, expected: str, found: str = "") -> InvalidInput:
    return InvalidInput.of(ProblemType.INVALID_VALUE, "-o", str(path), expected, found)
