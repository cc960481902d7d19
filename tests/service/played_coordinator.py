"""A coordinator that only listens: a real link and dispatcher, and the messages that come."""

import queue
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import psutil
import pytest

from bertscape.spec import LandscapeSpec, parse_spec
from bertscape_service.ray_cluster import (
    ClusterFound,
    DescribeJob,
    DispatcherLink,
    DispatcherOptions,
    TileResult,
    process_session,
)
from bertscape_service.ray_cluster.dispatcher_link import LOG_NAME
from bertscape_service.scheduling import PrepareJob, RunTile, StartWorker, WorkerReady

OPTIONS = DispatcherOptions(workers=2, worker_class="worker_for_tests:WorkerForTests")
PATIENCE_S = 240.0  # Ray starts in seconds, on a busy machine in a minute
Message = TypeVar("Message")


class PlayedCoordinator:
    """The link's other side: keeps what comes."""

    def __init__(self, state_directory: Path, options: DispatcherOptions = OPTIONS) -> None:
        self.state_directory = state_directory
        self.messages: queue.Queue[object] = queue.Queue()
        self.lost: queue.Queue[str] = queue.Queue()
        self.link = DispatcherLink(options, self.messages.put, self.lost.put, state_directory)

    def start(self) -> ClusterFound:
        self.link.start()
        return self.next(ClusterFound)

    @property
    def session(self) -> int:
        assert self.link.session is not None
        return self.link.session

    def next(self, kind: type[Message]) -> Message:
        """The next message of this kind; those before it are dropped."""
        deadline = time.monotonic() + PATIENCE_S
        seen: list[object] = []
        while True:
            try:
                message = self.messages.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                log = (self.state_directory / LOG_NAME).read_text()
                pytest.fail(f"no {kind.__name__} but {seen}, and the log says\n{log}")
            if isinstance(message, kind):
                return message
            seen.append(message)

    def start_worker(self, worker_id: str) -> WorkerReady:
        self.link.send(StartWorker(worker_id, 0.0))
        return self.next(WorkerReady)

    def prepare(self, name: str, worker_id: str) -> None:
        self.link.send(DescribeJob(name, spec(name), 2, "/outputs"))
        self.link.send(PrepareJob(name, worker_id, 1))

    def run_tile(self, name: str, worker_id: str, tile: int = 0) -> TileResult:
        self.link.send(RunTile(name, tile, worker_id, 1))
        return self.next(TileResult)

    def pid_of(self, name: str, worker_id: str) -> int:
        return int(self.run_tile(name, worker_id).numbers[0, 5])

    def process(self, name: str) -> psutil.Process:
        """A process of the dispatcher's session."""
        return next(one for one in process_session.members(self.session) if one.name() == name)


def spec(name: str) -> LandscapeSpec:
    found = parse_spec(
        {
            "kind": "surface",
            "name": name,
            "model": {"pretrained": "/p", "finetuned": "/f"},
            "y": {"random": {"seed": 0}},
            "grid": {"x": [0, 2, 3], "y": [0, 1, 2]},
            "data": {
                "train": {"path": "/t.tsv"},
                "eval": {"path": "/e.tsv"},
                "text": ["text"],
                "label": "label",
                "max_length": 8,
            },
        }
    )
    assert isinstance(found, LandscapeSpec)
    return found


def eventually(holds: Callable[[], bool], seconds: float = PATIENCE_S) -> bool:
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def is_empty(session: int) -> bool:
    return not list(process_session.members(session))
