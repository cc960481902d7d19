"""The image and the compose files."""

import json
import re
import tomllib
from typing import Any

import pytest
from tests.deploy.validators import DEPLOY, REPOSITORY, check_serve, lint_yaml, said

from bertscape_service.rest.authorization import OPEN_PATHS

FOLDER = DEPLOY / "docker"
DOCKERFILE = (FOLDER / "Dockerfile").read_text(encoding="utf-8")


def test_the_dockerfile_has_no_fault_that_hadolint_knows() -> None:
    said("hadolint", FOLDER / "Dockerfile")


def test_every_stage_starts_from_a_base_that_must_be_named() -> None:
    assert set(re.findall(r"^FROM (\S+)", DOCKERFILE, flags=re.M)) == {"${BASE}"}
    assert re.search(r"^ARG BASE$", DOCKERFILE, flags=re.M)  # without a default
    assert "*@sha256:*)" in DOCKERFILE


def test_the_image_holds_what_the_package_is_built_from() -> None:
    with (REPOSITORY / "pyproject.toml").open("rb") as file:
        project = tomllib.load(file)
    packages = project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    files = [project["project"]["readme"], *project["project"]["license-files"]]
    needed = {"pyproject.toml", "constraints.txt", *files, *(one.split("/")[0] for one in packages)}
    copied = re.findall(r"^COPY (?!--)(.*) \S+$", DOCKERFILE, flags=re.M)
    assert needed == {name for line in copied for name in line.split()}
    context = (FOLDER / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    assert {f"!{name}" for name in needed} <= set(context)


def test_it_does_not_run_as_root_and_says_how_it_is() -> None:
    last_stage = DOCKERFILE.rpartition("\nFROM ")[2]
    assert re.search(r"^USER 1000:1000$", last_stage, flags=re.M)
    (route,) = re.findall(r"http://127\.0\.0\.1:8000(/\w+)", last_stage)
    assert route in OPEN_PATHS
    (command,) = re.findall(r"^CMD (\[.*\])$", last_stage, flags=re.M)
    program, name, *options = json.loads(command)
    assert (program, name) == ("bertscape", "serve")
    check_serve(options)


def test_the_coordinator_has_no_fault_that_shellcheck_knows() -> None:
    said("shellcheck", FOLDER / "coordinator")
    assert (FOLDER / "coordinator").stat().st_mode & 0o111


@pytest.fixture(params=[(), ("compose.gpu.yaml",)], ids=["cpu", "gpu"])
def services(request: pytest.FixtureRequest) -> dict[str, Any]:
    """The services as docker compose understands them."""
    files = ["compose.yaml", *request.param]
    lint_yaml(*(FOLDER / name for name in files))
    named = [argument for name in files for argument in ("-f", str(FOLDER / name))]
    written = said("docker-compose", *named, "config", "--format", "json", BERTSCAPE_DATA="/data")
    found: dict[str, Any] = json.loads(written)["services"]
    return found


def test_compose_understands_its_files(services: dict[str, Any]) -> None:
    assert set(services) == {"head", "worker", "service"}
    for service in services.values():
        assert service["environment"]["RAY_AUTH_MODE"] == "token"
        assert service["environment"]["RAY_AUTH_TOKEN_PATH"] == "/run/secrets/ray"
    program, head, *options = services["service"]["command"]
    assert (program, head) == ("coordinator", "head:6379")
    check_serve(options)
    (port,) = services["service"]["ports"]
    assert port["host_ip"] == "127.0.0.1"  # Ray's ports are not published at all
    assert [name for name in services if "ports" in services[name]] == ["service"]


def test_compose_demands_a_folder_of_data() -> None:
    written = (FOLDER / "compose.yaml").read_text(encoding="utf-8")
    assert "${BERTSCAPE_DATA:?" in written
