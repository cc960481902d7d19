"""A spec that an earlier version took and this one refuses never breaks what others see."""

import json
import sqlite3
from typing import Any

import pytest

from bertscape.values import ProblemType

pytestmark = pytest.mark.anyio

HALF_A_PAIR = "\ud800"


@pytest.mark.parametrize(
    ("key", "change"),
    [
        ("name", {"name": HALF_A_PAIR}),
        ("model.pretrained", {"model": {"pretrained": HALF_A_PAIR, "finetuned": "/x"}}),
        ("data.label", {"data": {"label": HALF_A_PAIR}}),
        ("data.text", {"data": {"text": ["sentence1", HALF_A_PAIR]}}),
    ],
)
async def test_half_of_a_surrogate_pair_is_refused_by_key(
    run_service: Any, inputs: Any, key: str, change: dict[str, Any]
) -> None:
    spec = inputs.spec()
    for name, value in change.items():
        spec[name] = {**spec[name], **value} if isinstance(value, dict) else value
    async with run_service() as service:
        answer = await service.http.post("/v1/jobs", content=json.dumps(spec))
        assert answer.status_code == 422, answer.text
        assert answer.json()["type"].endswith(ProblemType.INVALID_VALUE.value)
        assert answer.json()["key"] == key
        assert (await service.http.get("/v1/jobs")).json()["jobs"] == []


async def test_half_of_a_surrogate_pair_among_the_labels_of_a_training_is_refused(
    run_service: Any, inputs: Any
) -> None:
    spec = inputs.spec()
    training = {
        "kind": "finetune",
        "model": {"pretrained": spec["model"]["pretrained"]},
        "data": spec["data"],
        "training": {"labels": [HALF_A_PAIR, "1"]},
    }
    async with run_service() as service:
        answer = await service.http.post("/v1/jobs", content=json.dumps(training))
        assert (answer.status_code, answer.json()["key"]) == (422, "training.labels")
        assert (await service.http.get("/v1/jobs")).status_code == 200


@pytest.mark.parametrize("state", ["completed", "running"])
async def test_a_journal_that_holds_such_a_spec_is_served(
    run_service: Any, inputs: Any, state: str
) -> None:
    async with run_service() as service:
        wrong = (await service.http.post("/v1/jobs", json=inputs.spec(name="wrong"))).json()["id"]
        right = (await service.http.post("/v1/jobs", json=inputs.spec(name="right"))).json()["id"]
        await service.http.post(f"/v1/jobs/{right}:cancel")
        journal = service.state.journal
    with sqlite3.connect(journal) as connection:
        connection.execute(
            "UPDATE jobs SET state = ?, spec = replace(spec, '\"wrong\"', '\"\\ud800\"')"
            " WHERE id = ?",
            (state, wrong),
        )
    connection.close()
    async with run_service() as service:
        jobs = (await service.http.get("/v1/jobs")).json()["jobs"]
        assert [(job["id"], job["name"]) for job in jobs] == [(right, "right"), (wrong, "?")]
        shown = await service.ended(wrong)
        if state == "running":  # nobody can go on with it
            assert shown["state"] == "failed"
            assert shown["error"]["key"] == "name"
            assert "an earlier version took this spec" in shown["error"]["detail"]
        else:
            assert shown["state"] == "completed"
        surface = await service.http.get(f"/v1/jobs/{wrong}/surface")
        assert surface.status_code in (404, 409)
