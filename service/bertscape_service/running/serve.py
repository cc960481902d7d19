"""`bertscape serve`: the API process, from its lock and its socket to its last second."""

import asyncio
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import uvicorn

from bertscape.values import InvalidInput, ProblemType
from bertscape_service.configuration import (
    PRIVATE_UMASK,
    Settings,
    StateDirectory,
    folder_for_private_ones,
)
from bertscape_service.coordination import Coordinator
from bertscape_service.rest import create_app

_OPEN_REQUESTS_S = 2  # that an ending service gives to what it is answering
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def serve(settings: Settings) -> None:
    """Serve until Ctrl-C or SIGTERM, then end everything within seconds.

    Raises:
        InvalidInput: the state directory or the port is in use or cannot be used; or
            others could change what it makes.
    """
    logging.basicConfig(format="bertscape: %(message)s", level=logging.WARNING)
    os.umask(PRIVATE_UMASK)
    folder_for_private_ones()
    state = StateDirectory.acquire(settings.state_directory, settings.wait_for_state)
    try:
        with bind(settings.host, settings.port) as listener:
            coordinator = Coordinator(settings, state)
            asyncio.run(_run(settings, coordinator, listener, state))
    finally:
        state.release()


def bind(host: str, port: int) -> socket.socket:
    """A listening socket: connections wait in it until the app is there.

    Raises:
        InvalidInput: the port is in use, or the address is not one of this machine's.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise _not_bound("--host", host, "an address of this machine", error) from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(2048)
    except OSError as error:
        listener.close()
        where = f"{host}:{port}"
        raise _not_bound("--port", where, "a free port of this machine", error) from error
    return listener


def _not_bound(key: str, value: str, expected: str, error: OSError) -> InvalidInput:
    reason = f"({error.strerror})"
    return InvalidInput.of(ProblemType.IN_USE, key, value, expected, reason)


class _Server(uvicorn.Server):
    """A server that leaves signals to us, and says when it has started."""

    def __init__(self, config: uvicorn.Config, on_started: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_started = on_started

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave them alone: taken over, they are raised again before everything has ended."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and say so."""
        await super().startup(sockets)
        self._on_started()


async def _run(
    settings: Settings, coordinator: Coordinator, listener: socket.socket, state: StateDirectory
) -> None:
    url = _url(settings.host, listener.getsockname()[1])

    def announce() -> None:
        sys.stdout.write(f"bertscape: serving on {url}, state in {state.path}\n")
        sys.stdout.flush()

    config = uvicorn.Config(
        create_app(coordinator, settings),
        lifespan="on",
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,  # who asks is told by nobody else
        timeout_graceful_shutdown=_OPEN_REQUESTS_S,
    )
    server = _Server(config, announce)

    def end() -> None:
        server.should_exit = True
        coordinator.end_streams()

    loop = asyncio.get_running_loop()
    for name in _SIGNALS:
        loop.add_signal_handler(name, end)
    await server.serve([listener])


def _url(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
