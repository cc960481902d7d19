"""What a job would take, before it is submitted, and how far off that was."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.service.conftest import find_for_training
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from bertscape.spec import FinetuneSpec, parse_spec
from bertscape.values import JobEstimate, ProblemType
from bertscape_service.estimation import note_rates
from bertscape_service.estimation.rates import predicted_seconds
from bertscape_service.journal import (
    AttemptRow,
    EstimatedWork,
    Journal,
    MeasuredRate,
    NewJob,
    Outcome,
    RateKey,
    RunFacts,
    TileRow,
)
from bertscape_service.scheduling import JobState

ROWS = 6
WORDS = 3  # of each row; [CLS] and [SEP] are two tokens more
KEY = RateKey("a CPU", 1, "fp32", "bert 4 × 8")


@pytest.fixture
def rows(inputs: Any) -> Any:
    """The inputs, with a tokenizer and a few rows."""
    vocabulary = {"[UNK]": 0, "[CLS]": 1, "[SEP]": 2, "some": 3}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    for name in ("start", "end"):
        tokenizer.save(str(inputs.folder / name / "tokenizer.json"))
    for split in ("train", "eval"):
        text = "sentence\tlabel\n" + ROWS * "some more words\t1\n"
        (inputs.folder / f"{split}.tsv").write_text(text)
    return inputs


async def estimate(service: Any, spec: Any, **parameters: str) -> JobEstimate:
    await service.settled()
    answer = await service.http.post("/v1/jobs:estimate", json=spec, params=parameters)
    assert answer.status_code == 200, answer.text
    found = JobEstimate.model_validate(answer.json())
    assert found.to_json() == answer.json()
    return found


async def both(service: Any, content: bytes) -> tuple[Any, Any]:
    """What a submission and an estimate of the same body are answered with."""
    await service.settled()
    answers = [await service.http.post(path, content=content) for path in PATHS]
    return answers[0], answers[1]


PATHS = ("/v1/jobs", "/v1/jobs:estimate")


@pytest.mark.anyio
async def test_what_a_job_would_take(run_service: Any, rows: Any) -> None:
    async with run_service() as service:
        found = await estimate(service, rows.spec())
        assert (found.kind, found.points, found.workers, found.device) == (
            *("surface", 12, 2),
            "a CPU",
        )
        for split in (found.train, found.eval):
            assert (split.examples, split.measured_examples) == (ROWS, ROWS)
            assert split.tokens == ROWS * (WORDS + 2)
        assert found.flops is not None
        assert found.flops > 0
        assert found.memory_per_worker is not None
        assert found.object_store is not None
        assert found.disk is not None
        assert set(found.unknown) == {"seconds"}
        assert found.unknown["seconds"] == (
            "no surface, curve or rollback was measured yet of bert 4 × 8 in precision fp32 on a "
            "CPU with 1 thread for each worker; one that is completed here makes it known"
        )
        assert found.seconds is None
        assert (await service.http.get("/v1/jobs")).json()["jobs"] == []


@pytest.mark.anyio
async def test_seconds_are_known_once_a_job_was_measured(run_service: Any, rows: Any) -> None:
    async with run_service() as service:
        first = await service.submit(rows.spec())
        assert (await service.ended(first["id"]))["state"] == "completed"
        (rate,) = service.coordinator.journal.rates(KEY, "points", 10)
        assert (rate.count, rate.seconds) == (12, 6 * 0.25)  # as the workers are played
        found = await estimate(service, rows.spec())
        assert found.preparing_seconds is not None
        assert found.seconds is not None
        # Two workers have three tiles each.
        assert found.seconds - found.preparing_seconds == pytest.approx(3 * 0.25)
        assert found.unknown == {}
        half = await estimate(service, rows.spec(grid={"x": [-1, 2, 2], "y": [-1, 2, 3]}))
        assert half.seconds is not None
        assert half.seconds < found.seconds


@pytest.mark.anyio
async def test_a_job_shows_how_far_off_its_estimate_was(
    run_service: Any, rows: Any, script: Any
) -> None:
    async with run_service(script) as service:
        first = await service.ended((await service.submit(rows.spec()))["id"])
        assert first["estimate"]["seconds"] is None
        assert first["estimate"]["taken"] > 0
        expected = (await estimate(service, rows.spec())).seconds
        script.tiles_to_run = 0
        job = await service.submit(rows.spec())
        await service.until(lambda job: job["estimate"], job["id"])
        shown = (await service.job(job["id"]))["estimate"]
        assert shown == {"seconds": expected, "taken": None}
        service.link.release()
        ended = (await service.ended(job["id"]))["estimate"]
        assert ended["seconds"] == expected
        assert ended["taken"] > 0


@pytest.mark.anyio
async def test_a_restart_keeps_both(run_service: Any, rows: Any) -> None:
    async with run_service() as service:
        job = await service.ended((await service.submit(rows.spec()))["id"])
        known = await estimate(service, rows.spec())
    async with run_service() as service:
        assert (await service.job(job["id"]))["estimate"] == job["estimate"]
        assert await estimate(service, rows.spec()) == known


@pytest.mark.anyio
async def test_trainings_have_rates_of_their_own(run_service: Any, rows: Any) -> None:
    async with run_service() as service:
        await service.ended((await service.submit(rows.spec()))["id"])
        before = await estimate(service, rows.training())
        assert (
            "no training was measured yet of bert 4 × 8 in precision auto"
            in before.unknown["seconds"]
        )
        assert before.disk is not None
        await service.ended((await service.submit(rows.training()))["id"])
        after = await estimate(service, rows.training())
        assert after.seconds == pytest.approx((after.preparing_seconds or 0) + 0.25)


@pytest.mark.anyio
async def test_without_a_worker_no_seconds_are_told(
    run_service: Any, rows: Any, script: Any
) -> None:
    script.starts = False
    async with run_service(script) as service:
        found = await estimate(service, rows.spec())
        assert (found.workers, found.device, found.seconds) == (0, None, None)
        assert found.unknown == {"seconds": "no worker is connected"}


@pytest.mark.anyio
async def test_what_no_tokenizer_tells_has_a_reason(run_service: Any, inputs: Any) -> None:
    async with run_service() as service:
        found = await estimate(service, inputs.spec())
    assert (found.train.tokens, found.flops, found.seconds) == (None, None, None)
    assert {"tokens", "flops", "seconds"} == set(found.unknown)
    assert found.memory_per_worker is not None


@pytest.mark.anyio
async def test_rounds_are_not_foretold(run_service: Any, rows: Any) -> None:
    spec = rows.spec(until={"stderr": 0.02})
    spec["data"]["train"]["examples"] = 3
    async with run_service() as service:
        await service.ended((await service.submit(rows.spec()))["id"])
        found = await estimate(service, spec)
        assert found.seconds is None
        assert "`until` decides" in found.unknown["seconds"]
        assert (found.train.examples, found.points) == (3, 12)


WRONG: dict[str, Any] = {
    "an unknown key": {"grids": {}},
    "a wrong value": {"precision": "fp8"},
    "too many points": {"grid": {"x": [-1, 2, 1000], "y": [-1, 2, 1000]}},
    "a path that is not there": {"y": {"toward": "/nowhere"}},
    "a job that is not there": {"y": {"toward": {"job": "nothing"}}},
    "a relative path": {"y": {"toward": "other"}},
    "a column that is not there": {"text": "sentences"},
}


@pytest.mark.anyio
@pytest.mark.parametrize("what", WRONG)
async def test_a_spec_that_would_be_refused_gets_the_same_problem(
    run_service: Any, rows: Any, what: str
) -> None:
    spec = rows.spec()
    if what == "a column that is not there":
        spec["data"] |= WRONG[what]
    else:
        spec |= WRONG[what]
    async with run_service() as service:
        submitted, estimated = await both(service, json.dumps(spec).encode())
    assert 400 <= submitted.status_code < 500
    assert estimated.status_code == submitted.status_code
    assert estimated.json() == submitted.json()


@pytest.mark.anyio
@pytest.mark.parametrize("content", [b"{", b"[]", b'{"kind": "curve", "kind": "curve"}'])
async def test_a_body_that_is_no_spec_gets_the_same_problem(
    run_service: Any, content: bytes
) -> None:
    async with run_service() as service:
        submitted, estimated = await both(service, content)
    assert submitted.status_code in (400, 422)
    assert estimated.json() == submitted.json()


@pytest.mark.anyio
async def test_a_job_that_does_not_fit_gets_the_same_problem(
    run_service: Any, rows: Any, script: Any
) -> None:
    script.memory = 1 << 20
    async with run_service(script) as service:
        submitted, estimated = await both(service, json.dumps(rows.spec()).encode())
    assert submitted.json()["type"] == ProblemType.DOES_NOT_FIT.uri
    assert estimated.json() == submitted.json()


@pytest.mark.anyio
async def test_a_wrong_row_is_said_before_the_job_fails_by_it(run_service: Any, rows: Any) -> None:
    with (rows.folder / "train.tsv").open("a") as file:
        file.write("too\tmany\tcells\n")
    async with run_service() as service:
        submitted, estimated = await both(service, json.dumps(rows.spec()).encode())
        await service.ended(submitted.json()["id"])
    assert submitted.status_code == 202
    assert estimated.json()["type"] == ProblemType.INVALID_DATA.uri
    assert "line 8" in estimated.json()["detail"]


# --- jobs that build on others ------------------------------------------------------------------


@pytest.mark.anyio
async def test_a_checkpoint_stands_in_for_those_to_come(run_service: Any, rows: Any) -> None:
    outputs = {"pretrained": {"job": "start"}, "finetuned": {"job": "finetune/mrpc"}}
    spec = rows.spec(model=outputs, trajectory=[{"job": "finetune/mrpc"}])
    async with run_service() as service:
        submitted, _ = await both(service, json.dumps(spec).encode())
        assert submitted.status_code == 422
        found = await estimate(service, spec, stand_in=str(rows.folder / "start"))
        plain = await estimate(service, rows.spec())
    assert (found.points, found.train, found.disk) == (plain.points, plain.train, plain.disk)
    assert found.flops is not None
    assert plain.flops is not None
    assert found.flops > plain.flops  # the trajectory


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("stand_in", "kind"),
    [
        ("start", ProblemType.INVALID_VALUE),
        ("/", ProblemType.PATH_NOT_ALLOWED),
        ("/nowhere", ProblemType.PATH_NOT_ALLOWED),
    ],
)
async def test_what_stands_in_is_checked(
    run_service: Any, rows: Any, stand_in: str, kind: ProblemType
) -> None:
    async with run_service() as service:
        answer = await service.http.post(
            "/v1/jobs:estimate", json=rows.spec(), params={"stand_in": stand_in}
        )
    assert answer.json()["type"] == kind.uri


@pytest.mark.anyio
async def test_what_stands_in_does_not_open_other_doors(
    run_service: Any, rows: Any, tmp_path: Path
) -> None:
    outside = tmp_path / "outside.tsv"
    outside.write_text("sentence\tlabel\nsecret words\t1\n")
    spec = rows.spec()
    spec["data"]["train"] = {"path": str(outside)}
    async with run_service() as service:
        answer = await service.http.post(
            "/v1/jobs:estimate", json=spec, params={"stand_in": str(rows.folder / "start")}
        )
    assert answer.json()["type"] == ProblemType.PATH_NOT_ALLOWED.uri


# --- what is written down of a job that is done -------------------------------------------------

WORK = EstimatedWork(9.0, KEY.model, 100.0, 10.0, 2.0, 12)


def attempt(tile: int | None, worker: str, began: float, seconds: float) -> AttemptRow:
    return AttemptRow(tile, 1, worker, KEY.device, Outcome.DONE, began, seconds)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    opened = Journal(tmp_path / "journal.sqlite3")
    yield opened
    opened.close()


def test_rates_count_work_alone(journal: Journal, inputs: Any, find: Any) -> None:
    spec = parse_spec(inputs.spec())
    journal.add_job(NewJob("a", spec, 6, "sha"))
    journal.keep_estimate("a", WORK)
    journal.add_attempt("a", attempt(None, "w-1", 10.0, 5.0))
    journal.pin("a", find(spec, evaluator="packed"), RunFacts(2, 1, {}))
    numbers = np.zeros((6, len(spec.number_names)))
    journal.add_tile("a", TileRow(0, numbers), attempt(0, "w-1", 20.0, 3.0))
    # The service was away for a while, and so another worker has the second tile.
    journal.add_tile("a", TileRow(1, numbers), attempt(1, "w-2", 1000.0, 4.0)).result()
    note_rates(journal, "a")
    journal.settled().result()
    assert journal.rates(KEY, "preparing", 9) == (
        MeasuredRate("preparing", 100.0, 1, 5.0, "packed"),
    )
    once_for_each = 2 * 10.0 + 12 * 2.0
    assert journal.rates(KEY, "points", 9) == (
        MeasuredRate("points", once_for_each, 12, 7.0, "packed"),
    )
    row = journal.job("a")
    assert row is not None
    assert row.taken == 1004.0 - 10.0


def test_a_training_that_was_begun_twice_measures_no_rate(journal: Journal, inputs: Any) -> None:
    spec = parse_spec(inputs.training())
    assert isinstance(spec, FinetuneSpec)
    journal.add_job(NewJob("a", spec, 1, "sha"))
    journal.keep_estimate("a", WORK)
    journal.add_attempt("a", attempt(None, "w-1", 10.0, 5.0))
    journal.pin("a", find_for_training(spec), RunFacts(1, 1, {}))
    journal.add_attempt("a", replace(attempt(0, "w-1", 20.0, 3.0), outcome=Outcome.LOST))
    journal.add_tile("a", TileRow(0, np.zeros((1, 4))), attempt(0, "w-2", 30.0, 4.0)).result()
    note_rates(journal, "a")
    journal.settled().result()
    auto = replace(KEY, precision="auto")
    assert journal.rates(auto, "steps", 9) == ()
    assert len(journal.rates(auto, "preparing", 9)) == 1


def test_an_ended_job_is_not_estimated_any_more(journal: Journal, inputs: Any) -> None:
    journal.add_job(NewJob("a", parse_spec(inputs.spec()), 6, "sha"))
    journal.end_job("a", JobState.CANCELLED)
    journal.keep_estimate("a", WORK).result()
    note_rates(journal, "a")
    journal.settled().result()
    row = journal.job("a")
    assert row is not None
    assert (row.estimate, row.taken) == (None, None)


# --- rates --------------------------------------------------------------------------------------


def rate(flops: float, seconds: float, count: int = 1) -> MeasuredRate:
    return MeasuredRate("points", flops, count, seconds, "packed")


def test_seconds_come_from_the_rates_alone() -> None:
    assert predicted_seconds([], 10.0, 10.0) is None
    assert predicted_seconds([rate(20.0, 4.0)], 10.0, 10.0) == 2.0


def test_the_measurements_of_points_of_that_size_count() -> None:
    small = [rate(1.0, 1.0)] * 5  # much beside the products
    large = [rate(1e3, 100.0)] * 5
    assert predicted_seconds([*small, *large], 2e3, 900.0) == pytest.approx(200.0)
    assert predicted_seconds([*large, *small], 10.0, 1.1) == pytest.approx(10.0)


def test_of_equally_near_ones_the_latest_count() -> None:
    old, new = [rate(1.0, 9.0)] * 3, [rate(1.0, 1.0)] * 3
    assert predicted_seconds([*new, *old], 4.0, 1.0) == 4.0


def test_where_operations_are_not_what_takes_the_time() -> None:
    assert predicted_seconds([rate(0.0, 3.0), rate(0.0, 5.0)], 0.0, 0.0) == 4.0
