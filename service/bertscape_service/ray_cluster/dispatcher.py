"""The dispatcher: the process that is the only Ray driver.

`dispatcher_link` starts it as `python -m bertscape_service.ray_cluster.dispatcher`, in a process
session of its own. It ends itself, and all of that session, within a second of the pipe's
end, and within seconds of the loss of Ray's head.
"""

import argparse
import asyncio
import importlib
import logging
import os
import shutil
import signal
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from bertscape_service.configuration import PRIVATE_UMASK, is_private
from bertscape_service.ray_cluster import process_session
from bertscape_service.ray_cluster.dispatcher_link import DispatcherOptions
from bertscape_service.ray_cluster.messages import Farewell

if TYPE_CHECKING:
    from bertscape_service.ray_cluster.dispatching import Dispatcher

FAREWELL_S = 1.0  # for the last word, to an API that may not listen any more
START_S = 180.0  # for Ray, on a machine that has much else to do

logger = logging.getLogger(__name__)


class Pipe:
    """This process's end of the pipe."""

    def __init__(self, descriptor: int) -> None:
        os.set_inheritable(descriptor, False)  # else Ray's processes would hold it open
        self._connection = Connection(descriptor)
        self._lock = threading.Lock()

    def send(self, message: object) -> None:
        """Send a message; one that nobody takes any more is dropped, because the end is near."""
        try:
            with self._lock:
                self._connection.send(message)
        except OSError:
            logger.warning("the API process accepts no more messages")

    def listen(self, on_message: Callable[[object], None], on_end: Callable[[], None]) -> None:
        """Hand on each message that comes, and the end; from a thread of its own."""
        threading.Thread(target=self._listen, args=(on_message, on_end), daemon=True).start()

    def _listen(self, on_message: Callable[[object], None], on_end: Callable[[], None]) -> None:
        while True:
            try:
                message = self._connection.recv()
            except (EOFError, OSError):
                on_end()
                return
            on_message(message)


def main() -> None:
    """Run until the pipe, or Ray, ends."""
    os.umask(PRIVATE_UMASK)  # Ray and the workers inherit it
    arguments = _parse()
    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s"
    )
    if os.getsid(0) != os.getpid():
        os.setsid()  # what ends this process ends its whole session: it must be its own
    pipe = Pipe(arguments.pipe_fd)
    end = Ending(pipe, arguments.directory)
    loop = asyncio.new_event_loop()
    inbox: asyncio.Queue[object] = asyncio.Queue()

    def receive(message: object) -> None:
        loop.call_soon_threadsafe(inbox.put_nowait, message)

    # Ray takes seconds to start: the end of the pipe is heard meanwhile, too.
    pipe.listen(receive, end.unheard)
    try:
        _require_private(Path(arguments.directory))
        dispatcher = _start(arguments, pipe, end, loop)
        loop.run_until_complete(_serve(dispatcher, inbox))
    except Exception as error:
        logger.exception("the dispatcher failed")
        end(f"{type(error).__name__}: {error}")


def _require_private(directory: Path) -> None:
    if not is_private(directory):
        raise PermissionError(f"{directory} is not this user's alone")


def _start(
    arguments: argparse.Namespace, pipe: Pipe, end: "Ending", loop: asyncio.AbstractEventLoop
) -> "Dispatcher":
    from bertscape_service.ray_cluster.cluster import Capacity, Cluster, prepare_environment

    options = DispatcherOptions(
        arguments.ray_address, arguments.workers, arguments.cpus_per_worker, arguments.worker_class
    )
    prepare_environment(options)
    # Ray opens its own folder to everybody: it lies in one that nobody else can enter.
    cluster = Cluster(options, str(Path(arguments.directory, "ray")))
    patience = threading.Timer(START_S, end, [f"Ray did not start within {START_S:.0f} seconds"])
    patience.daemon = True
    patience.start()
    import ray  # noqa: F401  whole, before two threads import parts of it

    # The rest is imported while Ray's processes start, which takes about as long.
    with ThreadPoolExecutor(1) as aside:
        parts = aside.submit(_load_parts, options.worker_class)
        cluster.start()
        dispatcher_class, worker_class = parts.result()
    patience.cancel()
    # Ray sets handlers of its own while it starts.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: end("the dispatcher was told to end by a signal"))

    dispatcher = dispatcher_class(cluster, worker_class, pipe.send)

    def resize(found: Capacity) -> None:
        loop.call_soon_threadsafe(dispatcher.resize, found)

    cluster.watch(resize, end)
    return dispatcher


async def _serve(dispatcher: "Dispatcher", inbox: asyncio.Queue[object]) -> None:
    while True:
        dispatcher.handle(await inbox.get())


class Ending:
    """Calling it ends this process and its session; whichever thread calls first gives the reason.

    Args:
        pipe: takes the reason to the API process, if that still listens.
        directory: private, for Ray's temporary files; removed at the end.
    """

    def __init__(self, pipe: Pipe, directory: str) -> None:
        self._pipe = pipe
        self._directory = directory
        self._lock = threading.Lock()

    def __call__(self, reason: str) -> NoReturn:
        """End all, for this reason."""
        with self._lock:
            logger.info("ending: %s", reason)
            farewell = threading.Thread(
                target=self._pipe.send, args=(Farewell(reason),), daemon=True
            )
            farewell.start()
            farewell.join(FAREWELL_S)
            self._end_all(1)

    def unheard(self) -> NoReturn:
        """End all, because the pipe has ended: nobody listens any more."""
        with self._lock:
            logger.info("ending: the pipe to the API process ended")
            self._end_all(0)

    def _end_all(self, status: int) -> NoReturn:
        process_session.kill_session(os.getsid(0), spare=os.getpid())
        shutil.rmtree(self._directory, ignore_errors=True)
        os._exit(status)


def _load_parts(worker_class: str) -> "tuple[type[Dispatcher], type]":
    """What imports Ray: not before its environment is set."""
    from bertscape_service.ray_cluster.dispatching import Dispatcher

    module, _, attribute = worker_class.partition(":")
    return Dispatcher, getattr(importlib.import_module(module), attribute)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bertscape_service.ray_cluster.dispatcher")
    parser.add_argument("--pipe-fd", type=int, required=True)
    parser.add_argument("--directory", required=True, help="private, for Ray's files; removed")
    parser.add_argument("--ray-address")
    parser.add_argument("--workers", type=int)
    parser.add_argument("--cpus-per-worker", type=int, default=1)
    parser.add_argument("--worker-class", required=True, help="module:class of the Ray actor")
    return parser.parse_args()


if __name__ == "__main__":
    main()
