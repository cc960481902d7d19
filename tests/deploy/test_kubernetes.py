"""The manifests, as kustomize puts them together for each overlay."""

import importlib
import os
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.deploy.validators import DEPLOY, check_serve, lint_yaml, said

from bertscape_service.rest.authorization import OPEN_PATHS

FOLDER = DEPLOY / "kubernetes"
KUBERNETES = ("1.30", "1.37")  # the oldest that is looked at, and the newest
SCHEMAS = "BERTSCAPE_SCHEMAS"  # a folder with kuberay/*.yaml, KubeRay's own definitions
RAY_DRAIN_S = 30

Manifest = dict[str, Any]


@pytest.fixture(scope="module", params=["cpu", "gpu"])
def built(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of all that an overlay applies."""
    path = tmp_path_factory.mktemp("kubernetes") / f"{request.param}.yaml"
    path.write_text(said("kubectl", "kustomize", FOLDER / "overlays" / request.param))
    return path


@pytest.fixture(scope="module")
def manifests(built: Path) -> list[Manifest]:
    return list(yaml.safe_load_all(built.read_text(encoding="utf-8")))


def one(manifests: list[Manifest], kind: str, name: str) -> Manifest:
    found = [each for each in manifests if (each["kind"], each["metadata"]["name"]) == (kind, name)]
    assert len(found) == 1
    return found[0]


def pods(manifests: list[Manifest]) -> dict[str, Manifest]:
    """The templates of pods, with the labels that KubeRay adds to its own."""
    cluster = one(manifests, "RayCluster", "bertscape")["spec"]
    (group,) = cluster["workerGroupSpecs"]
    service = one(manifests, "StatefulSet", "coordinator")["spec"]["template"]
    templates = {"head": cluster["headGroupSpec"]["template"], "worker": group["template"]}
    for node, template in templates.items():
        template["metadata"]["labels"] |= {"ray.io/cluster": "bertscape", "ray.io/node-type": node}
    return {**templates, "coordinator": service}


def containers(template: Manifest) -> Iterator[Manifest]:
    yield from template["spec"].get("initContainers", ())
    yield from template["spec"]["containers"]


def matches(selector: Manifest, labels: Manifest) -> bool:
    if not selector.get("matchLabels", {}).items() <= labels.items():
        return False
    for expression in selector.get("matchExpressions", ()):
        assert expression["operator"] == "NotIn"
        if labels.get(expression["key"]) in expression["values"]:
            return False
    return True


def test_the_files_are_neat() -> None:
    lint_yaml(FOLDER)


@pytest.mark.parametrize("version", KUBERNETES)
def test_kubernetes_knows_every_key(built: Path, version: str) -> None:
    options = ("--strict", "--quiet", "--no-warn", "-k", version)
    said("kubernetes-validate", *options, built, FOLDER / "secret.template.yaml")


def test_kuberay_knows_every_key(manifests: list[Manifest]) -> None:
    if SCHEMAS not in os.environ:
        pytest.skip(f"{SCHEMAS} names no folder with KubeRay's definitions")
    schema = kuberay_schema(Path(os.environ[SCHEMAS], "kuberay", "ray.io_rayclusters.yaml"))
    validator = importlib.import_module("jsonschema").Draft202012Validator(schema)
    cluster = one(manifests, "RayCluster", "bertscape")
    assert [error.message for error in validator.iter_errors(cluster)] == []
    cluster["spec"]["authOptions"]["secret"] = "misspelled"
    assert len(list(validator.iter_errors(cluster))) == 1
    del cluster["spec"]["authOptions"]["secret"]


@cache
def kuberay_schema(path: Path) -> Manifest:
    """The schema of version v1, which lets no unknown key pass."""
    definition = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
    (version,) = [each for each in definition["spec"]["versions"] if each["name"] == "v1"]
    schema: Manifest = version["schema"]["openAPIV3Schema"]
    metadata = schema["properties"].pop("metadata")
    _close(schema)
    schema["properties"]["metadata"] = metadata
    return schema


def _close(schema: object) -> None:
    if isinstance(schema, dict):
        open_ended = "x-kubernetes-preserve-unknown-fields" in schema
        if "properties" in schema and not open_ended:
            schema.setdefault("additionalProperties", False)
        for part in schema.values():
            _close(part)
    elif isinstance(schema, list):
        for part in schema:
            _close(part)


def test_the_service_is_started_with_options_that_it_knows(manifests: list[Manifest]) -> None:
    (container,) = pods(manifests)["coordinator"]["spec"]["containers"]
    cluster = one(manifests, "RayCluster", "bertscape")["metadata"]["name"]
    assert container["command"] == ["coordinator", f"{cluster}-head-svc:6379"]
    check_serve(container["args"])
    hosts = {one.partition("=")[2] for one in container["args"] if "--allowed-host" in one}
    service = one(manifests, "Service", "bertscape")["metadata"]
    assert f"{service['name']}.{service['namespace']}.svc" in hosts


def test_one_process_holds_the_state(manifests: list[Manifest]) -> None:
    assert one(manifests, "StatefulSet", "coordinator")["spec"]["replicas"] == 1


def test_probes_ask_for_routes_without_a_token(manifests: list[Manifest]) -> None:
    (container,) = pods(manifests)["coordinator"]["spec"]["containers"]
    asked = {container[f"{name}Probe"]["httpGet"]["path"] for name in ("startup", "liveness")}
    asked.add(container["readinessProbe"]["httpGet"]["path"])
    assert asked == set(OPEN_PATHS)


def test_the_routes_that_ray_is_probed_by_need_no_token(manifests: list[Manifest]) -> None:
    from ray.dashboard import http_server_agent

    templates = pods(manifests)
    for node in ("head", "worker"):
        (container,) = templates[node]["spec"]["containers"]
        for name in ("startup", "liveness", "readiness"):
            path = container[f"{name}Probe"]["httpGet"]["path"]
            assert path in http_server_agent.PUBLIC_EXACT_PATHS


def test_a_pod_has_longer_to_end_than_ray_takes_to_drain_it(manifests: list[Manifest]) -> None:
    from ray._private import ray_constants

    assert ray_constants.RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S <= RAY_DRAIN_S
    grace = {
        name: pod["spec"]["terminationGracePeriodSeconds"] for name, pod in pods(manifests).items()
    }
    assert min(grace["head"], grace["worker"]) > 2 * RAY_DRAIN_S
    assert grace["coordinator"] > RAY_DRAIN_S


def test_no_pod_runs_as_root(manifests: list[Manifest]) -> None:
    for pod in pods(manifests).values():
        assert pod["spec"]["securityContext"]["runAsNonRoot"] is True
        for container in containers(pod):
            assert container["securityContext"]["allowPrivilegeEscalation"] is False
            assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
            assert {"requests", "limits"} <= container["resources"].keys()


def test_only_the_head_may_speak_with_kubernetes(manifests: list[Manifest]) -> None:
    templates = pods(manifests)
    quiet = [
        name for name, pod in templates.items() if "automountServiceAccountToken" in pod["spec"]
    ]
    assert quiet == ["worker", "coordinator"]
    (way_out,) = [one for one in manifests if one["metadata"]["name"] == "no-way-out"]
    held = [
        name
        for name, pod in templates.items()
        if matches(way_out["spec"]["podSelector"], pod["metadata"]["labels"])
    ]
    assert held == quiet


def test_every_selector_finds_its_pods(manifests: list[Manifest]) -> None:
    labels = {name: pod["metadata"]["labels"] for name, pod in pods(manifests).items()}

    def found(selector: Manifest) -> list[str]:
        return [name for name, own in labels.items() if matches(selector, own)]

    for name in ("head", "coordinator"):
        budget = one(manifests, "PodDisruptionBudget", name)["spec"]
        assert (found(budget["selector"]), budget["minAvailable"]) == ([name], 1)
    assert found(one(manifests, "PodDisruptionBudget", "workers")["spec"]["selector"]) == ["worker"]
    service = one(manifests, "Service", "bertscape")["spec"]
    assert found({"matchLabels": service["selector"]}) == ["coordinator"]
    inside = one(manifests, "NetworkPolicy", "cluster")["spec"]
    assert found(inside["podSelector"]) == ["head", "worker", "coordinator"]
    clients = one(manifests, "NetworkPolicy", "clients")["spec"]
    assert found(clients["podSelector"]) == ["coordinator"]


def test_secrets_are_those_of_the_template(manifests: list[Manifest]) -> None:
    template = (FOLDER / "secret.template.yaml").read_text(encoding="utf-8")
    secrets = {
        each["metadata"]["name"]: each["stringData"] for each in yaml.safe_load_all(template)
    }
    assert {value for secret in secrets.values() for value in secret.values()} == {""}
    cluster = one(manifests, "RayCluster", "bertscape")["spec"]
    assert "auth_token" in secrets[cluster["authOptions"]["secretName"]]
    coordinator = pods(manifests)["coordinator"]["spec"]
    (token,) = [one["secret"] for one in coordinator["volumes"] if "secret" in one]
    assert "token" in secrets[token["secretName"]]
    (container,) = coordinator["containers"]
    (name,) = [one["valueFrom"]["secretKeyRef"] for one in container["env"] if "valueFrom" in one]
    assert name["key"] in secrets[name["name"]]
    assert not [each for each in manifests if each["kind"] == "Secret"]


def test_every_node_sees_the_same_files(manifests: list[Manifest]) -> None:
    templates = pods(manifests)
    mounts = {}
    for name in ("worker", "coordinator"):
        (container,) = templates[name]["spec"]["containers"]
        mounts[name] = {one["name"]: one["mountPath"] for one in container["volumeMounts"]}
    state = next(
        argument.partition("=")[2]
        for argument in templates["coordinator"]["spec"]["containers"][0]["args"]
        if argument.startswith("--state-dir=")
    )
    for node in mounts.values():
        assert (node["data"], node["outputs"]) == ("/data", f"{state}/outputs")
    assert state.startswith(f"{mounts['coordinator']['state']}/")


def test_ray_has_the_version_of_the_image(manifests: list[Manifest]) -> None:
    constraints = (DEPLOY.parent / "constraints.txt").read_text(encoding="utf-8")
    version = one(manifests, "RayCluster", "bertscape")["spec"]["rayVersion"]
    assert re.search(rf"^ray=={re.escape(version)}$", constraints, flags=re.M)


def test_only_the_gpu_overlay_asks_for_gpus(manifests: list[Manifest], built: Path) -> None:
    worker = pods(manifests)["worker"]["spec"]
    (container,) = worker["containers"]
    gpus = container["resources"]["limits"].get("nvidia.com/gpu")
    assert container["image"] == f"bertscape:{built.stem}"
    assert gpus == ("1" if built.stem == "gpu" else None)
    assert ("tolerations" in worker) == (built.stem == "gpu")
