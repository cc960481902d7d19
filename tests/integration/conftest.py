"""Fixtures: small inputs for a session, and services that end with their test."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.integration.live_service import LiveService, SmallInputs, write_small_inputs


@pytest.fixture(scope="session")
def small_inputs(tmp_path_factory: pytest.TempPathFactory) -> SmallInputs:
    return write_small_inputs(tmp_path_factory.mktemp("small"))


@pytest.fixture
def serve(tmp_path: Path, small_inputs: SmallInputs) -> Iterator[Callable[..., LiveService]]:
    """Start services; each ends with the test."""
    started: list[LiveService] = []

    def start(name: str = "state", **settings: object) -> LiveService:
        service = LiveService(tmp_path / name, small_inputs.folder, **settings)
        started.append(service)
        return service.start()

    yield start
    for service in started:
        if service.process is not None and service.process.poll() is None:
            service.stop()
