"""What a study would take: which jobs are asked about, and what their sums say."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.client.study.played_service import PlayedService
from tests.client.study.test_paper_command import NO_OTHER_PART

from bertscape import InvalidInput
from bertscape.cli import main
from bertscape.spec import parse_study
from bertscape.study import StudyEstimate, estimate_study, plan, run_study
from bertscape.values import JobEstimate, SplitEstimate


@pytest.fixture
def service(content: Any, monkeypatch: pytest.MonkeyPatch) -> PlayedService:
    played = PlayedService(content)
    monkeypatch.setattr("bertscape.http.Client", lambda *_, **__: played.client())
    monkeypatch.setattr("bertscape.study.running.PAUSE_S", 0.0)
    return played


@pytest.fixture
def short(study: Any) -> Any:
    return parse_study({**study(**NO_OTHER_PART), "pretrained": "/models/bert"})


@pytest.fixture
def paper(study: Any, tmp_path: Path) -> Callable[..., int]:
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(study(**NO_OTHER_PART)))
    return lambda *options: main(["paper", str(path), "--url", "http://service", *options])


def test_every_job_is_asked_about_and_none_submitted(
    service: PlayedService, short: Any, tmp_path: Path
) -> None:
    with service.client() as client:
        found = estimate_study(short, tmp_path / "none", client)
    assert list(found.jobs) == [step.key for step in plan(short)]
    assert service.jobs == {}
    stand_ins = dict(service.estimated)
    assert stand_ins.pop("θ0, pre-trained") is None
    assert stand_ins.pop("θ0, from scratch") is None
    assert set(stand_ins.values()) == {"/models/bert"}
    assert not (tmp_path / "none").exists()


def test_what_is_done_counts_nothing(service: PlayedService, short: Any, tmp_path: Path) -> None:
    folder = tmp_path / "study"
    with service.client() as client:
        run_study(short, folder, client, sleep=lambda _: None)
        assert estimate_study(short, folder, client).jobs == {}
        (folder / "results" / "surface-mrpc-scratch.h5").unlink()
        found = estimate_study(short, folder, client)
    assert list(found.jobs) == ["surface/mrpc/scratch"]
    assert len(found.done) == len(plan(short)) - 1


def job(kind: str, **changes: Any) -> JobEstimate:
    known = {"flops": 1e12, "seconds": 60.0, "memory_per_worker": 5, "disk": 7}
    split = SplitEstimate()
    return JobEstimate(
        kind=kind, points=2, train=split, eval=split, workers=2, **{**known, **changes}
    )


def test_trainings_run_side_by_side() -> None:
    trainings = {str(seconds): job("finetune", seconds=seconds) for seconds in (10.0, 20.0, 90.0)}
    found = StudyEstimate({**trainings, "a": job("curve"), "b": job("surface")})
    assert found.seconds == 60 + 60 + 90  # of two workers one has the longest
    assert (found.points, found.flops, found.disk) == (10, 5e12, 35)
    assert found.memory_per_worker == 5
    equal = StudyEstimate({key: job("finetune", seconds=30.0) for key in "abcd"})
    assert equal.seconds == 60


def test_a_sum_is_not_known_if_a_part_is_not() -> None:
    found = StudyEstimate({"a": job("curve"), "b": job("curve", seconds=None, disk=None)})
    assert (found.seconds, found.disk) == (None, None)
    assert found.flops == 2e12


def test_a_study_from_the_hub_is_refused(short: Any, service: PlayedService, study: Any) -> None:
    hub = parse_study({**study(**NO_OTHER_PART), "pretrained": {"hub": "org/bert"}})
    with service.client() as client, pytest.raises(InvalidInput, match=r"pretrained.*a folder"):
        estimate_study(hub, Path("/none"), client)


# --- the command --------------------------------------------------------------------------------


def test_the_command_shows_each_job_and_the_sum(
    service: PlayedService, paper: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert paper("--dry-run") == 0
    out, said = capsys.readouterr()
    lines = out.splitlines()
    assert said == ""
    assert lines[0].split() == ["JOB", "POINTS", "OPERATIONS", "TIME", "MEMORY", "DISK"]
    assert lines[1].split()[:2] == ["start/pretrained", "1"]
    assert lines[-1].startswith("14 jobs")
    assert "14 TFLOP" in lines[-1]
    assert service.jobs == {}
    assert not (tmp_path / "study").exists()


def test_the_command_says_what_is_not_known_once(
    service: PlayedService, paper: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    service.seconds = None
    assert paper("--dry-run") == 0
    out = capsys.readouterr().out
    assert out.endswith("not known: seconds, because no rate is known\n")
    assert out.count("because") == 1


def test_a_script_gets_the_estimates(
    service: PlayedService, paper: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert paper("--dry-run", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["points"] == len(told["jobs"]) == 14
    assert told["jobs"]["start/scratch"]["seconds"] == 60.0
    assert told["done"] == []


def test_a_job_that_would_be_refused_exits_2(
    service: PlayedService, paper: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    service.refuses = {"rte, from scratch"}
    assert paper("--dry-run") == 2
    assert capsys.readouterr() == ("", "bertscape: rte, from scratch: no such column\n")
