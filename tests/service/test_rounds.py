"""A surface that sharpens, in the service: round after round, through snapshots and restarts."""

import io
from collections import Counter
from typing import Any

import numpy as np
import pytest

from bertscape.results import Surface, read_surface
from bertscape.values import SplitFound
from bertscape_service.scheduling import RunTile

pytestmark = pytest.mark.anyio

SIZES = {"train": 8, "train[1]": 8, "train[2]": 16, "train[3]": 2}


def numbers(points: tuple[int, ...], number: int) -> np.ndarray:
    """A loss of 2 and its standard error of 1; later rounds have other means."""
    values = np.ones((len(points), 16)) + number
    values[:, 0] += 1
    values[:, [1, 3]] = 0.5
    values[:, 4] = 1.0
    values[np.array(points) == 3, 0] = np.nan  # no further example makes it a number
    if number:
        values[:, [2, 3, 6, 7, 10, 11, 14, 15]] = np.nan
    return values


def sharpening(inputs: Any, stderr: float) -> dict[str, Any]:
    spec = inputs.spec()
    spec["data"]["train"] = {**spec["data"]["train"], "examples": 8}
    return {**spec, "until": {"stderr": stderr}}


@pytest.fixture
def rounds(make_script: Any) -> Any:
    """A script of workers that find four rounds."""
    splits = {
        name: SplitFound(source="/data", sha256="5" * 8, examples=count, tokens=4)
        for name, count in ({**SIZES, "eval": 1}).items()
    }

    def make(**settings: Any) -> Any:
        return make_script(changes={"splits": splits}, numbers=numbers, **settings)

    return make


async def surface_of(service: Any, job_id: str) -> Surface:
    response = await service.http.get(f"/v1/jobs/{job_id}/surface")
    assert response.status_code == 200
    return read_surface(io.BytesIO(response.content))


async def test_rounds_follow_until_all_points_are_sharp(
    run_service: Any, inputs: Any, rounds: Any
) -> None:
    async with run_service(rounds()) as service:
        for stderr, expected in ((0.6, 1), (0.3, 2), (0.01, 4)):
            job = await service.submit(sharpening(inputs, stderr))
            assert job["spec"]["paired"] is True
            ended = await service.ended(job["id"])
            assert ended["state"] == "completed"
            assert (ended["tiles_total"], ended["points_total"]) == (6 * expected, 12 * expected)
            assert (ended["tiles_done"], ended["points_done"]) == (6 * expected, 12 * expected)
            found = await surface_of(service, job["id"])
            assert found.rounds == expected
            assert found.examples["train"] == sum([*SIZES.values()][:expected])
            assert found.complete
            relative = found["train_loss_stderr"] / found.train_loss
            sharp = relative[np.isfinite(relative)]
            assert len(sharp) == 11
            assert (sharp <= stderr).all() == (expected < 4)


async def test_a_snapshot_shows_the_latest_whole_round(
    run_service: Any, inputs: Any, rounds: Any
) -> None:
    script = rounds(tiles_to_run=2)
    async with run_service(script) as service:
        job = await service.submit(sharpening(inputs, 0.01))
        await service.until(lambda job: job["tiles_done"] == 2, job["id"])
        first = await surface_of(service, job["id"])
        assert (first.rounds, int(first.evaluated.sum())) == (1, 4)
        script.tiles_to_run = 7  # the rest of the first round, and half of the second
        held, service.link.held = service.link.held, []
        for instruction in held:
            service.link._run(instruction)
        await service.until(lambda job: job["tiles_done"] == 9, job["id"])
        assert (await service.job(job["id"]))["points_total"] == 24
        second = await surface_of(service, job["id"])
        assert (second.rounds, second.complete, second.examples["train"]) == (1, True, 8)
        assert (second["train_loss_stderr"] == 1.0).all()
        service.link.release()
        await service.ended(job["id"])
        assert (await surface_of(service, job["id"])).rounds == 4


@pytest.mark.parametrize("done", [3, 6, 8, 17])
async def test_a_restart_loses_no_round(
    run_service: Any, inputs: Any, rounds: Any, done: int
) -> None:
    async with run_service(rounds()) as service:
        undisturbed = await service.submit(sharpening(inputs, 0.01))
        await service.ended(undisturbed["id"])
        expected = await surface_of(service, undisturbed["id"])
    async with run_service(rounds(tiles_to_run=done)) as service:
        job = await service.submit(sharpening(inputs, 0.01))
        await service.until(lambda job: job["tiles_done"] == done, job["id"])
    async with run_service(rounds()) as service:
        ended = await service.ended(job["id"])
        assert (ended["state"], ended["tiles_done"], ended["tiles_total"]) == ("completed", 24, 24)
        told = Counter(message.tile for message in service.link.told(RunTile))
        assert told == dict.fromkeys(sorted(told), 1)
        assert len(told) == 24 - done
        found = await surface_of(service, job["id"])
    assert found.numbers.tobytes() == expected.numbers.tobytes()
    assert found.evaluated.tobytes() == expected.evaluated.tobytes()


async def test_a_service_that_ends_between_two_rounds_goes_on_with_the_next(
    run_service: Any, inputs: Any, rounds: Any
) -> None:
    async with run_service(rounds(tiles_to_run=6)) as service:
        job = await service.submit(sharpening(inputs, 0.3))
        await service.until(lambda job: job["tiles_done"] == 6, job["id"])
        await service.settled()
        # As if the commit of the last tile had been the last thing.
        back = "UPDATE jobs SET tiles_total = 6, points_total = 12"
        service.writer.submit(lambda connection: connection.execute(back), lasting=False).result()
    async with run_service(rounds()) as service:
        ended = await service.ended(job["id"])
        assert (ended["tiles_done"], ended["tiles_total"], ended["points_total"]) == (12, 12, 24)
        assert (await surface_of(service, job["id"])).rounds == 2


async def test_what_cannot_sharpen_is_refused_by_its_key(run_service: Any, inputs: Any) -> None:
    async with run_service() as service:
        for spec, key in (
            (sharpening(inputs, 0.0), "until.stderr"),
            ({**inputs.spec(), "until": {"stderr": 0.1}}, "until"),
        ):
            response = await service.http.post("/v1/jobs", json=spec)
            assert response.status_code == 422
            assert response.json()["key"] == key
