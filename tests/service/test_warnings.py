"""What preparing warns of is in the job object, for every kind of job."""

from typing import Any

import pytest

pytestmark = pytest.mark.anyio

SENTENCES = ("model.pretrained: 'a' has 'module.' before every name", "7 % are unknown")


@pytest.mark.parametrize("kind", ["surface", "finetune"])
async def test_a_user_of_rest_sees_what_preparing_warned_of(
    run_service: Any, inputs: Any, make_script: Any, kind: str
) -> None:
    script = make_script(changes={"warnings": SENTENCES})
    async with run_service(script) as service:
        spec = inputs.spec() if kind == "surface" else inputs.training()
        submitted = await service.submit(spec)
        assert submitted["warnings"] == []  # nothing is known before a worker has looked
        ended = await service.ended(submitted["id"])
        assert ended["warnings"] == list(SENTENCES)
        (listed,) = (await service.http.get("/v1/jobs")).json()["jobs"]
        assert listed["warnings"] == list(SENTENCES)


async def test_they_outlive_the_service(run_service: Any, inputs: Any, make_script: Any) -> None:
    script = make_script(changes={"warnings": SENTENCES})
    async with run_service(script) as service:
        job = await service.submit(inputs.spec())
        await service.ended(job["id"])
    async with run_service(make_script()) as service:
        assert (await service.job(job["id"]))["warnings"] == list(SENTENCES)


async def test_a_job_without_any_says_so(run_service: Any, inputs: Any) -> None:
    async with run_service() as service:
        job = await service.submit(inputs.spec())
        assert (await service.ended(job["id"]))["warnings"] == []


async def test_openapi_describes_them(run_service: Any) -> None:
    async with run_service() as service:
        schemas = (await service.http.get("/openapi.json")).json()["components"]["schemas"]
    described = schemas["JobStatus"]["properties"]["warnings"]
    assert (described["type"], described["items"]) == ("array", {"type": "string"})
