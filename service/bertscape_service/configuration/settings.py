"""What `bertscape serve` was told: options first, then the environment, then defaults."""

import ipaddress
import os
from argparse import Namespace
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bertscape.spec import Limits
from bertscape.values import (
    DEFAULT_TILE_POINTS,
    TOKEN_VARIABLE,
    InvalidInput,
    ProblemType,
    checked_token,
)

STATE_DIRECTORY_VARIABLE = "BERTSCAPE_STATE_DIR"
ALLOWED_ROOTS_VARIABLE = "BERTSCAPE_ALLOWED_ROOTS"
DEFAULT_STATE_DIRECTORY = Path("~/.local/state/bertscape")
DEFAULT_HOST, DEFAULT_PORT = "127.0.0.1", 8000


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of one service.

    Raises:
        InvalidInput: a value is out of its range, or the service would listen beyond loopback
            without a token.
    """

    state_directory: Path
    allowed_roots: tuple[Path, ...]  # what a job may read
    host: str = DEFAULT_HOST
    port: int = DEFAULT_PORT  # 0: any free one
    tile_points: int = DEFAULT_TILE_POINTS
    limits: Limits = field(default_factory=Limits)
    token: str | None = field(default=None, repr=False)
    allowed_hosts: tuple[str, ...] = ()  # in the Host header, besides loopback and `host`
    ray_address: str | None = None  # None: an embedded Ray
    workers: int | None = None  # None: as many as there are devices and memory
    cpus_per_worker: int = 1
    wait_for_state: float = 0.0  # seconds that another service may still hold the directory

    def __post_init__(self) -> None:
        _check_range("--port", self.port, 0, 65535)
        _check_range("--tile-points", self.tile_points, 1)
        _check_range("--max-points", self.limits.points, 2)
        _check_range("--cpus-per-worker", self.cpus_per_worker, 1)
        _check_range("--wait-for-state", self.wait_for_state, 0)
        if self.workers is not None:
            _check_range("--workers", self.workers, 1)
        if self.token is None and not is_loopback(self.host):
            raise InvalidInput.of(
                ProblemType.INVALID_VALUE,
                "--host",
                self.host,
                f"a loopback address such as {DEFAULT_HOST}, or a token "
                f"(--token-file, {TOKEN_VARIABLE})",
                "is reachable from other machines",
            )

    @classmethod
    def of(cls, options: Namespace, environment: Mapping[str, str]) -> "Settings":
        """Read the options of `serve`, then the environment.

        Raises:
            InvalidInput: see the class; or the token file or an allowed root does not exist.
        """
        return cls(
            state_directory=_state_directory(options.state_dir, environment),
            allowed_roots=_allowed_roots(options.allow_root, environment),
            host=options.host,
            port=options.port,
            tile_points=options.tile_points,
            limits=Limits(points=options.max_points),
            token=_token(options.token_file, environment),
            allowed_hosts=tuple(options.allowed_host or ()),
            ray_address=options.ray_address,
            workers=options.workers,
            cpus_per_worker=options.cpus_per_worker,
            wait_for_state=options.wait_for_state,
        )


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach that address; a name other than localhost may not be."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _check_range(option: str, value: float, low: int, high: int | None = None) -> None:
    if not value >= low or (high is not None and value > high):  # NaN is in no range
        expected = f"at least {low}" if high is None else f"a number from {low} to {high}"
        raise InvalidInput.of(ProblemType.INVALID_VALUE, option, value, expected)


def _state_directory(option: Path | None, environment: Mapping[str, str]) -> Path:
    named = option or environment.get(STATE_DIRECTORY_VARIABLE) or DEFAULT_STATE_DIRECTORY
    return Path(named).expanduser().absolute()


def _allowed_roots(option: list[Path] | None, environment: Mapping[str, str]) -> tuple[Path, ...]:
    key = "--allow-root"
    roots = list(option or ())
    if not roots and environment.get(ALLOWED_ROOTS_VARIABLE):
        key = ALLOWED_ROOTS_VARIABLE
        roots = [Path(root) for root in environment[key].split(os.pathsep) if root]
    found = [root.expanduser() for root in roots or [Path.cwd()]]
    for root in found:
        if not root.is_dir():
            raise InvalidInput.of(ProblemType.PATH_NOT_FOUND, key, str(root), "a folder")
    return tuple(root.resolve() for root in found)


def _token(file: Path | None, environment: Mapping[str, str]) -> str | None:
    if file is None:
        token = environment.get(TOKEN_VARIABLE) or None
        return None if token is None else checked_token(TOKEN_VARIABLE, token)
    try:
        return checked_token("--token-file", file.expanduser().read_text(encoding="utf-8").strip())
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput.of(
            ProblemType.PATH_NOT_FOUND, "--token-file", str(file), "a readable file", f"({error})"
        ) from error
