"""The job object that the service writes and the client reads, and what both ends agree on."""

import json
import math
from typing import Any

import pytest
from hypothesis import given, strategies as st

from bertscape import InvalidInput, JobStatus, LogEntry, Problem, ProblemType
from bertscape.values import JobStage, JsonModel, ProblemDocument, backoff, checked_token, plain


@given(failures=st.integers(-5, 10_000), first=st.floats(1e-3, 10), longest=st.floats(10, 1e6))
def test_pauses_double_up_to_the_longest(failures: int, first: float, longest: float) -> None:
    pause = backoff(failures, first, longest)
    if failures < 1:
        assert pause == 0
    else:
        assert first <= pause <= longest
        assert backoff(failures + 1, first, longest) == min(2 * pause, longest)


@pytest.mark.parametrize("token", ["t", "a-b.c~d+e/f=", "x" * 5000])
def test_a_token_is_printable_ascii(token: str) -> None:
    assert checked_token("token", token) == token


@pytest.mark.parametrize("token", ["", "a b", "é", "tab\t", "line\n", "\x7f"])
def test_what_no_header_carries_is_no_token(token: str) -> None:
    with pytest.raises(InvalidInput, match=r"token-file: '…'; expected one line") as caught:
        checked_token("token-file", token)
    assert not token or token not in str(caught.value)


class Sample(JsonModel):
    numbers: tuple[float, ...]


def test_numbers_that_are_not_finite_are_strings_in_json() -> None:
    sample = Sample(numbers=(1 / 3, math.inf, -math.inf, math.nan))
    members = sample.to_json()
    assert members == {"numbers": [1 / 3, "Infinity", "-Infinity", "NaN"]}
    assert members == json.loads(sample.model_dump_json()) == plain({"numbers": sample.numbers})
    assert repr(Sample.model_validate(members)) == repr(sample)


# ------------------------------------------------------------------------------- the job object


def job(**changes: Any) -> JobStatus:
    error = Problem(ProblemType.INVALID_DATA, "line 3", key="data.train.path")
    latest = LogEntry(40, 0.5, loss=math.inf)
    values: dict[str, Any] = {
        "id": "j1",
        "state": "running",
        "eta_seconds": math.nan,
        "progress": JobStage(stage="fine-tuning", done=40, total=100, latest=latest),
        "error": Problem(ProblemType.INTERNAL, "two", errors=(error, error)),
        "self_checks": ({"checkpoint": "finetuned", "passed": True},),
    }
    return JobStatus(**{**values, **changes})


def test_a_job_object_survives_json() -> None:
    members = job().to_json()
    assert json.loads(job().model_dump_json()) == members
    assert members["eta_seconds"] == "NaN"
    assert members["progress"]["latest"] == {"step": 40, "epoch": 0.5, "loss": "Infinity"}
    again = JobStatus.from_json(json.loads(json.dumps(members, allow_nan=False)))
    assert repr(again) == repr(job())
    assert (again.stage, again.steps) == ("fine-tuning 40/100", (40, 100))


def test_members_of_a_newer_service_are_kept() -> None:
    more = {"priority": 3, "progress": {"stage": "tokenizing", "since": "then"}}
    kept = JobStatus.from_json({"id": "j1", "state": "thinking", **more}).to_json()
    assert kept["priority"] == 3
    assert kept["progress"]["since"] == "then"
    assert kept["state"] == "thinking"


def test_a_problem_is_documented_as_it_is_written() -> None:
    written = job().error.to_json()
    assert ProblemDocument.model_validate(written).model_dump(exclude_none=True) == written
    schema = JobStatus.model_json_schema(mode="serialization")
    assert schema["properties"]["error"]["anyOf"][0] == {"$ref": "#/$defs/ProblemDocument"}
    assert set(schema["$defs"]["ProblemDocument"]["required"]) <= set(written)
