"""docs/service.md names everything that a user can set, call or be told."""

import argparse
import re
from pathlib import Path
from typing import Any

import pytest

from bertscape.values import JobStatus, ProblemType
from bertscape_service.configuration import settings as settings_module
from bertscape_service.running.commands import SERVE

DOCUMENT = (Path(__file__).parents[2] / "docs" / "service.md").read_text(encoding="utf-8")
NAMED = set(re.findall(r"`([^`]+)`", DOCUMENT))


def test_every_option_and_its_default_is_named() -> None:
    parser = argparse.ArgumentParser(add_help=False)
    SERVE.add_arguments(parser)
    options = set(re.findall(r"--[a-z][a-z-]*", parser.format_usage()))
    assert options
    assert {name for name in NAMED if name.startswith("--")} == options
    defaults = {str(value) for value in vars(parser.parse_args([])).values() if value is not None}
    assert defaults
    assert defaults <= NAMED


def test_every_variable_is_named() -> None:
    variables = {
        value
        for name, value in vars(settings_module).items()
        if name.endswith("_VARIABLE") and isinstance(value, str)
    }
    assert {name for name in NAMED if name.startswith("BERTSCAPE_")} == variables


@pytest.mark.anyio
async def test_every_route_and_member_is_named(run_service: Any, inputs: Any) -> None:
    async with run_service() as service:
        paths = (await service.http.get("/openapi.json")).json()["paths"]
        job = await service.submit(inputs.spec())
    routes = {f"{method.upper()} {path}" for path, methods in paths.items() for method in methods}
    named = {name for name in NAMED if re.match(r"(GET|POST) /", name)}
    assert named == routes | {"GET /openapi.json"}
    assert set(job) <= NAMED


def test_the_table_of_the_job_object_is_the_model() -> None:
    section = DOCUMENT.partition("## The job object")[2].partition("\n## ")[0]
    rows = [row.split("|")[1:3] for row in section.splitlines() if row.startswith("| `")]
    stated = {name.strip(" `"): kind.strip() for name, kind in rows}
    properties = JobStatus.model_json_schema()["properties"]
    assert list(stated.items()) == [(name, kind_of(schema)) for name, schema in properties.items()]


def kind_of(schema: dict[str, Any]) -> str:
    """The JSON type of a schema, in words; a reference is to an object."""
    if "anyOf" in schema:
        return " or ".join(kind_of(one) for one in schema["anyOf"])
    return str(schema.get("type", "object"))


def test_every_problem_is_named_with_its_status() -> None:
    rows = [row.split("|")[1:3] for row in DOCUMENT.splitlines() if row.startswith("| `")]
    stated: dict[str, str] = {}
    for names, statuses in rows:
        kinds = [name for name in re.findall(r"`([^`]+)`", names) if name in set(ProblemType)]
        numbers = re.findall(r"\d{3}", statuses) or [""]
        for place, kind in enumerate(kinds):
            stated[kind] = numbers[min(place, len(numbers) - 1)]
    assert set(stated) == set(ProblemType)
    assert {kind: status for kind, status in stated.items() if status} == {
        kind.value: str(kind.status) for kind in ProblemType if stated[kind]
    }
