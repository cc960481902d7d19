"""A service for one study, on this machine, for as long as the study runs."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bertscape.http import Client, Retries, local_service
from bertscape.spec import StudySpec, with_paths
from bertscape.values import InvalidInput, ProblemType

STATE, LOG = "service", "service.log"  # in the study's folder
_PATIENCE = Retries(tries=10**6, seconds=60.0)  # with a busy machine; nobody restarts this one


@contextmanager
def own_service(study: StudySpec, folder: Path) -> Iterator[Client]:
    """A client of a service that ends with the block; its state stays in the study's folder.

    Raises:
        InvalidInput: a path of the study does not exist.
        BertscapeError: the service did not start.
    """
    roots = readable_roots(study)
    folder.mkdir(parents=True, exist_ok=True)
    with (
        local_service(folder / STATE, roots, folder / LOG) as service,
        Client(service.url, service.token, retries=_PATIENCE) as client,
    ):
        yield client


def readable_roots(study: StudySpec) -> tuple[Path, ...]:
    """The folders that hold what the study names, where its links lead included.

    Raises:
        InvalidInput: a path does not exist.
    """
    roots: set[Path] = set()

    def note(key: str, text: str) -> str:
        path = Path(text)
        if not path.exists():
            raise InvalidInput.of(ProblemType.PATH_NOT_FOUND, key, text, "a path that exists")
        files = path.iterdir() if path.is_dir() else [path]
        roots.update(file.resolve().parent for file in files)  # a hub's cache is full of links
        roots.add(path.resolve() if path.is_dir() else path.resolve().parent)
        return text

    with_paths(study, note)
    return tuple(sorted(roots))
