"""Folders that nobody else can enter: what this user runs and what it wrote lies below them.

Whoever can write where a process looks for modules runs code as its user. Ray opens its own folder
to everybody, and its processes start there: so that folder lies inside one of ours.
"""

import os
import stat
import tempfile
from collections.abc import Sequence
from pathlib import Path

from bertscape.values import InvalidInput, ProblemType

PRIVATE = 0o700  # the mode of a folder
PRIVATE_UMASK = 0o077  # of every process: what it makes is its user's alone
SAFE_PATH = {"PYTHONSAFEPATH": "1"}  # Python imports nothing from where it happens to run

_OTHERS = 0o077  # the mode's bits of everybody else
_OTHERS_WRITE = 0o022
# Of what Ray makes below it, "/bertscape-abcdefgh/ray/session_…/sockets/plasma_store" is the
# longest name of a socket; the system takes names of 107 bytes.
_ROOM = 107 - 87
_MANY_USERS = 1 << 31  # a map of users that is shorter knows only some of them


def is_private(path: Path) -> bool:
    """Whether a folder is this user's, and nobody else may enter, read or write it."""
    found = path.stat()
    return found.st_uid == os.geteuid() and not found.st_mode & _OTHERS


def new_private_folder(places: Sequence[Path] | None = None) -> Path:
    """A new folder in the first of the places that will do, with a name short enough for Ray.

    Args:
        places: folders; by default the system's for temporary files.

    Raises:
        InvalidInput: none of them will do; the message says why.
    """
    parent = folder_for_private_ones(places)
    folder = Path(tempfile.mkdtemp(prefix="bertscape-", dir=parent))
    if not is_private(folder):
        folder.rmdir()
        raise _refused([(parent, "does not keep owners and modes of files")])
    return folder


def folder_for_private_ones(places: Sequence[Path] | None = None) -> Path:
    """The first of the places where a folder of ours stays ours.

    Args:
        places: folders; by default the system's for temporary files.

    Raises:
        InvalidInput: none of them will do; the message says why.
    """
    faults = []
    for place in _usual() if places is None else places:
        if (fault := _fault(place)) is None:
            return place
        faults.append((place, fault))
    raise _refused(faults)


def _usual() -> list[Path]:
    named = os.environ.get("TMPDIR")
    return list(map(Path, dict.fromkeys(["/tmp", *([named] if named else []), "/var/tmp"])))  # noqa: S108  made by mkdtemp


def _fault(place: Path) -> str | None:
    """Why a private folder cannot be made in a place; None: it can."""
    if not (place.is_dir() and os.access(place, os.W_OK | os.X_OK)):
        return "is not a writable folder"
    if len(os.fsencode(place)) > _ROOM:
        return f"has a path longer than {_ROOM} bytes, too long for Ray's sockets"
    resolved = place.resolve()
    for folder in (resolved, *resolved.parents):
        found = folder.stat()
        if found.st_uid not in _trusted():
            return f"lies in {folder}, which belongs to user {found.st_uid}"
        if found.st_mode & _OTHERS_WRITE and not found.st_mode & stat.S_ISVTX:
            return f"lies in {folder}, where others can replace folders (no sticky bit)"
    return None


def _trusted() -> set[int]:
    """The users who may own what lies above a private folder: root and this one.

    In a container whose map of users is short, root's folders of the host belong to nobody.
    """
    trusted = {0, os.geteuid()}
    try:
        known = sum(int(line.split()[2]) for line in _lines("/proc/self/uid_map"))
        if known < _MANY_USERS:
            trusted.add(int(_lines("/proc/sys/kernel/overflowuid")[0]))
    except (OSError, ValueError, IndexError):
        pass  # no Linux
    return trusted


def _lines(path: str) -> list[str]:
    return Path(path).read_text(encoding="ascii").splitlines()


def _refused(faults: Sequence[tuple[Path, str]]) -> InvalidInput:
    return InvalidInput.of(
        ProblemType.INVALID_VALUE,
        "TMPDIR",
        os.environ.get("TMPDIR"),
        f"your own folder, or one with the sticky bit, with a path of at most {_ROOM} bytes",
        "; ".join(f"{place} {fault}" for place, fault in faults),
    )
