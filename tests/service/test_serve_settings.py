"""What `serve` is told: options, then the environment, then defaults."""

import argparse
from pathlib import Path
from typing import Any

import pytest

from bertscape.values import DEFAULT_TILE_POINTS, InvalidInput
from bertscape_service.configuration import Settings
from bertscape_service.running.commands import SERVE


def read(*arguments: str, **environment: str) -> Settings:
    parser = argparse.ArgumentParser()
    SERVE.add_arguments(parser)
    return Settings.of(parser.parse_args(arguments), environment)


def test_the_defaults(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    settings = read()
    assert (settings.host, settings.port) == ("127.0.0.1", 8000)
    assert settings.allowed_roots == (tmp_path,)
    assert settings.state_directory == Path.home() / ".local/state/bertscape"
    assert settings.tile_points == DEFAULT_TILE_POINTS
    assert settings.limits.points == 100_000
    assert (settings.token, settings.ray_address, settings.workers) == (None, None, None)
    assert settings.cpus_per_worker == 1


def test_options_win_over_the_environment(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    environment = {
        "BERTSCAPE_STATE_DIR": "/from/environment",
        "BERTSCAPE_ALLOWED_ROOTS": f"{tmp_path / 'one'}:{tmp_path / 'two'}",
        "BERTSCAPE_TOKEN": "from-environment",
    }
    from_environment = read(**environment)
    assert from_environment.state_directory == Path("/from/environment")
    assert from_environment.allowed_roots == (tmp_path / "one", tmp_path / "two")
    assert from_environment.token == "from-environment"
    (tmp_path / "token").write_text("from-file\n")
    told = read(
        *("--state-dir", "/from/option", "--token-file", str(tmp_path / "token")),
        *("--allow-root", str(tmp_path / "one")),
        *("--allowed-host", "a.example", "--allowed-host", "b.example"),
        *("--workers", "3", "--cpus-per-worker", "2", "--ray-address", "auto"),
        *("--tile-points", "9", "--max-points", "50", "--host", "0.0.0.0", "--port", "0"),
        **environment,
    )
    assert told.state_directory == Path("/from/option")
    assert told.allowed_roots == (tmp_path / "one",)
    assert told.allowed_hosts == ("a.example", "b.example")
    assert (told.token, told.host, told.port) == ("from-file", "0.0.0.0", 0)
    assert (told.workers, told.cpus_per_worker, told.ray_address) == (3, 2, "auto")
    assert (told.tile_points, told.limits.points) == (9, 50)


def test_a_root_that_is_a_link_is_resolved(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert read("--allow-root", str(tmp_path / "link")).allowed_roots == (tmp_path / "real",)


def test_a_token_is_not_shown(tmp_path: Path) -> None:
    assert "secret-token" not in repr(read(BERTSCAPE_TOKEN="secret-token"))


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "scape.example"])
def test_beyond_loopback_there_must_be_a_token(host: str) -> None:
    with pytest.raises(InvalidInput, match="is reachable from other machines; expected"):
        read("--host", host)
    assert read("--host", host, BERTSCAPE_TOKEN="token").host == host


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_on_loopback_none_is_needed(host: str) -> None:
    assert read("--host", host).token is None


WRONG: list[tuple[Any, str]] = [
    (("--port", "65536"), "--port: 65536; expected a number from 0 to 65535"),
    (("--tile-points", "0"), "--tile-points: 0; expected at least 1"),
    (("--max-points", "1"), "--max-points: 1; expected at least 2"),
    (("--workers", "0"), "--workers: 0; expected at least 1"),
    (("--cpus-per-worker", "0"), "--cpus-per-worker: 0; expected at least 1"),
    (("--allow-root", "/nowhere/at/all"), "--allow-root: '/nowhere/at/all'; expected a folder"),
    (("--token-file", "/nowhere/at/all"), "--token-file: '/nowhere/at/all' .*readable file"),
]


@pytest.mark.parametrize(("arguments", "message"), WRONG, ids=[wrong[0][0] for wrong in WRONG])
def test_a_wrong_value_is_named(arguments: tuple[str, ...], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        read(*arguments)


@pytest.mark.parametrize("content", ["", "two words", "zwölf", "two\nlines", "\x7f"])
def test_a_token_that_is_none_is_refused_and_not_repeated(tmp_path: Path, content: str) -> None:
    (tmp_path / "token").write_text(content)
    with pytest.raises(InvalidInput, match="one line of printable ASCII") as refused:
        read("--token-file", str(tmp_path / "token"))
    assert not content or content not in str(refused.value)
