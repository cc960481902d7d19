"""A further kind of job goes all the way of a job: no line of the service names a kind."""

import io
from typing import Any

import numpy as np
import pytest
from tests import toy_kind
from tests.toy_kind import Toy

from bertscape.results import read_result

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    toy_kind.add_to_the_client(monkeypatch)


async def test_it_is_submitted_done_and_fetched(run_service: Any, inputs: Any) -> None:
    value = {**inputs.spec(), "kind": "toy", "longest": 4}
    value = {key: value[key] for key in ("kind", "model", "data", "longest")}
    async with run_service() as service:
        job = await service.submit(value)
        ended = await service.ended(job["id"])
        assert (ended["state"], ended["kind"], ended["points_done"]) == ("completed", "toy", 5)
        response = await service.http.get(f"/v1/jobs/{job['id']}/surface")
    assert response.status_code == 200
    found = read_result(io.BytesIO(response.content))
    assert isinstance(found, Toy)
    assert found.complete
    expected = np.arange(5.0)
    expected[3] = np.nan  # as the played workers have it
    assert np.array_equal(found.share, expected, equal_nan=True)


async def test_too_much_of_it_is_refused(run_service: Any, inputs: Any) -> None:
    value = {key: inputs.spec()[key] for key in ("model", "data")}
    async with run_service() as service:
        response = await service.http.post(
            "/v1/jobs", json={**value, "kind": "toy", "longest": 100_000}
        )
    assert response.status_code == 422
    assert response.json()["key"] == "longest"
