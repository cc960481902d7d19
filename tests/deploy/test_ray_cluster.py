"""The cluster configurations, by the code of `ray up` that reads them."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.deploy.test_docker import DOCKERFILE
from tests.deploy.validators import DEPLOY, REPOSITORY, check_script, lint_yaml

FOLDER = DEPLOY / "ray-cluster"
CLOUDS = ("aws", "gcp")


@pytest.fixture(params=CLOUDS)
def path(request: pytest.FixtureRequest) -> Path:
    return FOLDER / f"{request.param}.yaml"


@pytest.fixture
def config(path: Path) -> dict[str, Any]:
    from ray.autoscaler._private.util import prepare_config

    found: dict[str, Any] = prepare_config(yaml.safe_load(path.read_text(encoding="utf-8")))
    return found


def test_there_is_one_for_each_cloud() -> None:
    assert {path.stem for path in FOLDER.iterdir()} == set(CLOUDS)


def test_it_is_neat(path: Path) -> None:
    lint_yaml(path)


def test_ray_accepts_it(config: dict[str, Any]) -> None:
    from ray.autoscaler._private.util import validate_config

    validate_config(config)
    config["max_worker"] = 2
    with pytest.raises(Exception, match="max_worker"):
        validate_config(config)


def test_only_workers_work_and_there_are_always_some(config: dict[str, Any]) -> None:
    head = config["available_node_types"][config["head_node_type"]]
    worker = config["available_node_types"]["worker"]
    assert head["resources"] == {"CPU": 0, "GPU": 0}
    assert worker["resources"]["GPU"] == 1
    assert 0 < worker["min_workers"] == worker["max_workers"] == config["max_workers"]


def test_workers_are_spot_machines(config: dict[str, Any]) -> None:
    node = config["available_node_types"]["worker"]["node_config"]
    if config["provider"]["type"] == "aws":
        assert node["InstanceMarketOptions"] == {"MarketType": "spot"}
    else:
        assert node["scheduling"][0]["provisioningModel"] == "SPOT"


def test_every_node_asks_for_the_token(config: dict[str, Any]) -> None:
    commands = config["head_start_ray_commands"] + config["worker_start_ray_commands"]
    starts = [command for command in commands if "ray start" in command]
    assert len(starts) == 2
    assert all("RAY_AUTH_MODE=token" in command for command in starts)
    assert "~/.ray/auth_token" in config["file_mounts"]  # where Ray looks for it


def test_nodes_are_given_what_the_package_is_built_from(config: dict[str, Any]) -> None:
    sources = set(config["file_mounts"].values()) - {"~/.ray/auth_token", "data"}
    copied = re.findall(r"^COPY (?!--)(.*) \S+$", DOCKERFILE, flags=re.M)
    assert sources == {name for line in copied for name in line.split()}
    assert all((REPOSITORY / name).exists() for name in sources)


def test_its_commands_are_sound(config: dict[str, Any]) -> None:
    for stage in ("setup", "head_setup", "head_start_ray", "worker_start_ray"):
        check_script("\n".join(config[f"{stage}_commands"]))
