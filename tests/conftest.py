"""What all tests share: only those marked `ray` start Ray, and they share one where they can."""

import importlib.util
import signal
import tempfile
from collections.abc import Iterator

import pytest
from hypothesis import settings

RAY_IS_INSTALLED = importlib.util.find_spec("ray") is not None

if RAY_IS_INSTALLED:  # the client's tests run without it
    from bertscape_service.ray_cluster import DispatcherOptions
    from bertscape_service.ray_cluster.cluster import prepare_environment

    prepare_environment(DispatcherOptions())  # Ray reads it when it is first imported

# A shell lets its background jobs ignore Ctrl-C, and what they start inherits that. Tests send it.
signal.signal(signal.SIGINT, signal.default_int_handler)

# An example that takes long on a busy machine is no fault.
settings.register_profile("bertscape", deadline=None)
settings.load_profile("bertscape")


def _refuse(*_: object, **__: object) -> None:
    raise AssertionError("this test starts Ray; mark it with @pytest.mark.ray, or do without")


@pytest.fixture(autouse=True)
def no_ray_unless_marked(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray takes seconds to start, and a unit test that needs it is none."""
    if request.node.get_closest_marker("ray") or not RAY_IS_INSTALLED:
        return
    monkeypatch.setattr("ray.init", _refuse)  # also what Ray calls by itself at first use
    monkeypatch.setattr(
        "bertscape_service.ray_cluster.dispatcher_link.DispatcherLink.start", _refuse
    )


@pytest.fixture(scope="session")
def local_ray(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The one Ray of this process; tests that use it are marked `ray`."""
    import ray

    with tempfile.TemporaryDirectory(prefix="bt-", dir="/tmp", ignore_cleanup_errors=True) as short:
        ray.init(
            address="local",
            num_cpus=2,
            include_dashboard=False,
            log_to_driver=False,
            object_store_memory=200 << 20,
            _temp_dir=short,  # sockets below it have at most 107 bytes
        )
        yield
        ray.shutdown()
