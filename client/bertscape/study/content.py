"""What the files that a job reads now hold, as far as it can be told from here."""

import hashlib
from pathlib import Path

from bertscape.spec import JobSpec, sources

_PIECE = 1 << 20  # bytes


class Content:
    """A word for the content of each file and folder; each is looked at once."""

    def __init__(self) -> None:
        self._known: dict[str, str | None] = {}

    def of(self, spec: JobSpec) -> dict[str, str]:
        """By path, for those of the spec's files and folders that are on this machine."""
        checkpoints, files = sources(spec)
        paths = {path for path in (*checkpoints.values(), *files.values()) if isinstance(path, str)}
        found = {path: self._word(path) for path in sorted(paths)}
        return {path: word for path, word in found.items() if word is not None}

    def _word(self, path: str) -> str | None:
        if path not in self._known:
            self._known[path] = _word_of(Path(path))
        return self._known[path]


def _word_of(path: Path) -> str | None:
    """The sha256 of a file; of a checkpoint's folder the names, sizes and times of its files.

    A folder's tensors are too large to be read each time, and a Trainer never writes them twice.
    """
    try:
        if path.is_dir():
            files = sorted(file for file in path.iterdir() if file.is_file())
            stats = [(file.name, file.stat()) for file in files]
            text = "\n".join(f"{name} {stat.st_size} {stat.st_mtime_ns}" for name, stat in stats)
            return hashlib.sha256(text.encode()).hexdigest()
        digest = hashlib.sha256()
        with path.open("rb") as file:
            while piece := file.read(_PIECE):
                digest.update(piece)
        return digest.hexdigest()
    except OSError:
        return None
