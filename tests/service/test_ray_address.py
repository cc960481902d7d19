"""`--ray-address`: a cluster of two nodes that somebody else started, and what its losses mean."""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from tests.service.played_coordinator import (
    OPTIONS,
    PATIENCE_S,
    PlayedCoordinator,
    eventually,
    is_empty,
)

from bertscape_service.ray_cluster import ClusterFound, PrepareDone, process_session
from bertscape_service.scheduling import ArraysLost, RunTile, WorkerDied

pytestmark = pytest.mark.ray


class Node:
    """`ray start` in a session of its own."""

    def __init__(self, directory: str, *arguments: str) -> None:
        with Path(directory, "ray-start.log").open("ab") as log:
            self.process = subprocess.Popen(
                [
                    str(Path(sys.executable).with_name("ray")),
                    "start",
                    "--block",
                    "--num-cpus=1",
                    f"--object-store-memory={100 << 20}",
                    *arguments,
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def lists(self, name: str) -> list[psutil.Process]:
        return [one for one in process_session.members(self.process.pid) if one.name() == name]

    def end(self) -> None:
        process_session.kill_session(self.process.pid)
        self.process.wait()


class Cluster:
    """A head without room for workers beside one, and whatever joins it."""

    def __init__(self, directory: str) -> None:
        self.directory = directory
        self.nodes = [
            Node(
                directory,
                "--head",
                "--port=0",  # Ray takes a free one; one that we looked for might be taken by then
                f"--temp-dir={directory}",
                "--include-dashboard=false",
                "--node-ip-address=127.0.0.1",
            )
        ]
        assert eventually(self._answers), self.log

    @property
    def head(self) -> Node:
        return self.nodes[0]

    @property
    def log(self) -> str:
        return Path(self.directory, "ray-start.log").read_text()

    def join(self) -> Node:
        self.nodes.append(
            Node(self.directory, f"--address={self.address}", "--node-ip-address=127.0.0.1")
        )
        return self.nodes[-1]

    @property
    def address(self) -> str:
        """Empty until the head has started."""
        file = Path(self.directory, "ray_current_cluster")  # Ray's own, which it writes last
        return file.read_text() if file.exists() else ""

    def _answers(self) -> bool:
        return bool(self.address and self.head.lists("raylet"))


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    # A short name: sockets below it have at most 107 bytes.
    with tempfile.TemporaryDirectory(prefix="bt-", dir="/tmp", ignore_cleanup_errors=True) as short:
        cluster = Cluster(short)
        try:
            yield cluster
        finally:
            for node in reversed(cluster.nodes):
                node.end()


def test_a_cluster_that_grows_loses_a_node_and_then_its_head(
    cluster: Cluster, tmp_path: Path
) -> None:
    options = replace(OPTIONS, workers=None, ray_address=cluster.address)
    coordinator = PlayedCoordinator(tmp_path, options)
    try:
        _play(coordinator, cluster)
    finally:
        coordinator.link.stop()
    assert not is_empty(cluster.nodes[0].process.pid)  # only its GCS was killed, by this test


def _play(coordinator: PlayedCoordinator, cluster: Cluster) -> None:
    assert coordinator.start().workers == 1
    coordinator.start_worker("on the head")
    second = cluster.join()
    assert coordinator.next(ClusterFound).workers == 2
    coordinator.start_worker("on the second node")

    # Arrays that lie on a node are gone with it, and so are its workers: nothing of it counts.
    coordinator.prepare("plain", "on the second node")
    coordinator.next(PrepareDone)
    second.end()
    died = coordinator.next(WorkerDied)
    assert (died.worker_id, died.counts) == ("on the second node", False)
    coordinator.link.send(RunTile("plain", 0, "on the head", 1))
    assert coordinator.next(ArraysLost) == ArraysLost("plain", "on the head")

    # The same job, prepared again where a node is left.
    coordinator.prepare("plain", "on the head")
    coordinator.next(PrepareDone)
    assert coordinator.run_tile("plain", "on the head").numbers[0, 2] == 2_000_000.0

    (server,) = cluster.head.lists("gcs_server")
    server.kill()
    assert "head" in coordinator.lost.get(timeout=PATIENCE_S)
    assert is_empty(coordinator.session)
