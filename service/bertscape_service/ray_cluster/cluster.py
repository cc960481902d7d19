"""The Ray cluster: joined or started, how many workers it holds, and whether it still answers."""

import logging
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psutil

from bertscape_service.configuration import SAFE_PATH
from bertscape_service.ray_cluster.dispatcher_link import DispatcherOptions
from bertscape_service.ray_cluster.process_session import is_alive
from bertscape_workers.admission import ENVIRONMENT, forget_numeric_settings

__all__ = [
    "MEMORY_PER_WORKER",
    "Capacity",
    "Cluster",
    "capacity_of",
    "prepare_environment",
    "worker_environment",
]

MEMORY_PER_WORKER = 1 << 30
"""Bytes: a node gets no second worker unless its memory holds this much for each.

A worker that holds no job takes 0.6 GiB for torch and transformers alone.
"""

POLL_S = 2.0  # between two looks at the cluster's nodes
WATCH_S = 0.25  # between two looks at the head's processes
SILENCE_S = 10.0  # a head that gives no answer for so long is lost
PROBE_S = 2.0  # for a node to accept a connection
HEAD_PROCESSES = frozenset({"gcs_server", "raylet"})
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")

logger = logging.getLogger(__name__)

Node = Mapping[str, Any]  # as `ray.nodes()` gives it


@dataclass(frozen=True, slots=True)
class Capacity:
    """What a cluster holds."""

    workers: int  # how many there should be
    memory_per_worker: int  # bytes of its node that each may use
    object_store: int  # bytes: the smallest of the nodes that hold workers
    gpus: bool  # whether each worker has a GPU


def capacity_of(nodes: Sequence[Node], options: DispatcherOptions) -> Capacity:
    """How many workers there should be: one per GPU if there are GPUs, else one per core.

    A cluster with GPUs has workers on these alone, because a job admits one kind of device. Every
    worker gets `cpus_per_worker` cores and, if it is not alone, `MEMORY_PER_WORKER` or more;
    `options.workers` overrides what memory allows, and is cut to what the cores or GPUs allow.
    """
    resources = [node["Resources"] for node in nodes if node["Alive"]]
    gpus = any(resource.get("GPU", 0) >= 1 for resource in resources)
    slots = [
        int(resource.get("GPU", 0) if gpus else resource.get("CPU", 0) // options.cpus_per_worker)
        for resource in resources
    ]
    memory = [int(resource.get("memory", 0)) for resource in resources]
    if options.workers is None:
        holds = [max(1, room // MEMORY_PER_WORKER) for room in memory]
        slots = [min(pair) for pair in zip(slots, holds, strict=True)]
        workers = sum(slots)
    else:
        workers = min(options.workers, sum(slots))
    used = [place for place, slot in enumerate(slots) if slot]
    if not used:
        return Capacity(0, 0, 0, gpus)
    return Capacity(
        workers,
        min(memory[place] // min(slots[place], workers) for place in used),
        min(int(resources[place].get("object_store_memory", 0)) for place in used),
        gpus,
    )


def prepare_environment(options: DispatcherOptions) -> None:
    """Set what Ray reads from the environment; to be called before it is imported."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    # Under `uv run` Ray would build each worker an environment of its own.
    os.environ["RAY_ENABLE_UV_RUN_RUNTIME_ENV"] = "0"
    os.environ.pop("RAY_ADDRESS", None)  # --ray-address alone decides
    if options.ray_address is None:
        # Nobody else may run code on it, and no token is left in the home folder.
        os.environ["RAY_AUTH_MODE"] = "token"
        os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)


def worker_environment(options: DispatcherOptions) -> dict[str, str]:
    """What each worker must be started with.

    The threads are set before torch is imported there: results depend on them. Ray calls the
    methods on threads of its own, which without the rest keep no freed memory.
    """
    threads = dict.fromkeys(THREAD_VARIABLES, str(options.cpus_per_worker))
    return {**threads, **ENVIRONMENT, **SAFE_PATH}


@contextmanager
def _workers_alone() -> Iterator[None]:
    """Let Ray start only what workers need, in half of the time.

    It has no options for the rest. It starts the dashboard's process even with
    `include_dashboard=False` and waits for it; a monitor that starts more nodes; one that shows
    logs; and in each node's agent the dashboard's part, unless that is not installed.
    """
    from ray._private import utils
    from ray._private.node import Node

    def start_nothing(*_: object, **__: object) -> None:
        """Instead of a method that starts a process."""

    unneeded = ("start_api_server", "start_monitor", "start_log_monitor")
    replaced: list[tuple[Any, str, Callable[..., object]]] = [
        *((Node, name, start_nothing) for name in unneeded),
        (utils, "get_dashboard_dependency_error", lambda: ImportError("it is not wanted")),
    ]
    known = [getattr(owner, name) for owner, name, _ in replaced]
    try:
        for owner, name, other in replaced:
            setattr(owner, name, other)
        yield
    finally:
        for (owner, name, _), before in zip(replaced, known, strict=True):
            setattr(owner, name, before)


class Cluster:
    """A Ray cluster that this process is the driver of: its own, or one that it has joined.

    Args:
        options: how to come by it.
        directory: of Ray's temporary files, for one of its own.
    """

    def __init__(self, options: DispatcherOptions, directory: str) -> None:
        self.options = options
        self._directory = directory
        self._head: list[psutil.Process] = []  # of an embedded Ray
        self._answered = time.monotonic()
        self.dashboard: str | None = None

    def start(self) -> None:
        """Start or join; from the main thread, because Ray's processes end with that thread."""
        import ray

        quiet: dict[str, Any] = {
            "include_dashboard": False,
            "log_to_driver": False,
            "logging_level": "WARNING",
        }
        if self.options.ray_address is None:
            # The workers that Ray starts ahead inherit it; with one of its own, an actor waits.
            os.environ.update(worker_environment(self.options))
            forget_numeric_settings()
            with _workers_alone():
                ray.init(
                    address="local", num_cpus=self._cores(), _temp_dir=self._directory, **quiet
                )
            children = psutil.Process().children()
            self._head = [child for child in children if child.name() in HEAD_PROCESSES]
        else:
            _reach(self.options.ray_address)
            context = ray.init(address=self.options.ray_address, **quiet)
            self.dashboard = context.dashboard_url or None

    def _cores(self) -> int | None:
        """How many cores to tell Ray of: all, or more if more workers are asked for."""
        if self.options.workers is None:
            return None
        return max(os.cpu_count() or 1, self.options.workers * self.options.cpus_per_worker)

    def capacity(self) -> Capacity:
        """What the cluster holds now. It may take as long as the head is silent."""
        return capacity_of(self._nodes(), self.options)

    def node_lives(self, node_id: str) -> bool:
        """Whether a node is there: known as alive, and its raylet accepts a connection.

        A node that has just died is known as alive until some health checks were missed.
        """
        node = next((node for node in self._nodes() if node["NodeID"] == node_id), None)
        if node is None or not node["Alive"]:
            return False
        address = (node["NodeManagerAddress"], node["NodeManagerPort"])
        try:
            with socket.create_connection(address, timeout=PROBE_S):
                return True
        except OSError:
            return False

    def watch(self, on_change: Callable[[Capacity], None], on_lost: Callable[[str], None]) -> None:
        """Tell of each capacity that is new, and once of the loss; from threads of its own."""
        self._answered = time.monotonic()
        threading.Thread(target=self._poll, args=(on_change,), daemon=True).start()
        threading.Thread(target=self._guard, args=(on_lost,), daemon=True).start()

    def _nodes(self) -> list[Node]:
        import ray

        nodes: list[Node] = ray.nodes()  # type: ignore[no-untyped-call]  # Ray's own
        self._answered = time.monotonic()
        return nodes

    def _poll(self, on_change: Callable[[Capacity], None]) -> None:
        known: Capacity | None = None
        while True:
            try:
                capacity = self.capacity()
            except Exception:
                logger.exception("the cluster's nodes could not be listed")
            else:
                if capacity != known:
                    known = capacity
                    on_change(capacity)
            time.sleep(POLL_S)

    def _guard(self, on_lost: Callable[[str], None]) -> None:
        while (reason := self._loss()) is None:
            time.sleep(WATCH_S)
        on_lost(reason)

    def _loss(self) -> str | None:
        dead = next((process for process in self._head if not is_alive(process)), None)
        if dead is not None:
            return f"Ray's head process {dead.pid} ended"
        if time.monotonic() - self._answered > SILENCE_S:
            return f"Ray's head has not answered for {SILENCE_S:.0f} seconds"
        return None


def _reach(address: str) -> None:
    """Raise at once if nobody listens: Ray itself would keep trying for minutes."""
    host, _, port = address.rpartition(":")
    if not port.isdecimal():
        return  # "auto"
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=PROBE_S).close()
    except OSError as error:
        raise ConnectionError(f"no Ray cluster answers at {address}: {error}") from error
