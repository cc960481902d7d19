"""Running a study: what is submitted when, what is kept, and how it goes on after any end."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.client.study.played_service import PlayedService

from bertscape import (
    InvalidInput,
    JobFailed,
    ServiceError,
    ServiceUnreachable,
    StudyResults,
    run_study,
)
from bertscape.spec import parse_study
from bertscape.study import plan

LONGER = {"epochs": [5]}


@pytest.fixture
def service(content: Any) -> PlayedService:
    return PlayedService(content)


@pytest.fixture
def run(study: Any, service: PlayedService, tmp_path: Path) -> Any:
    """Run a study against the service, in one folder however often."""

    def start(folder: str = "out", alone: bool = False, **changes: Any) -> StudyResults:
        spec = parse_study(study(longer=LONGER, **changes))
        quietly: dict[str, Any] = {"progress": False, "sleep": lambda _: None}
        with service.client() as client:
            return run_study(spec, tmp_path / folder, client, alone=alone, **quietly)

    return start


def record(tmp_path: Path) -> dict[str, dict[str, Any]]:
    return json.loads((tmp_path / "out" / "study.json").read_text())["steps"]


def test_a_study_leaves_everything_that_its_plan_names(
    run: Any, service: PlayedService, tmp_path: Path
) -> None:
    results = run()
    assert (results.missing, results.failed) == ((), {})
    assert set(results.runs) == {
        *((task, start) for task in ("mrpc", "rte") for start in ("pretrained", "scratch")),
        ("mrpc", "longer-5"),
    }
    assert set(results.surfaces) == set(results.runs)
    assert set(results.curves) == set(results.runs) - {("mrpc", "longer-5")}
    assert set(results.layers) == {
        (task, group) for task in ("mrpc", "rte") for group in ("low", "middle", "high")
    }
    assert set(results.rollbacks) == {"mrpc", "rte"}
    run_of_rte = results.runs["rte", "scratch"]
    assert (run_of_rte.accuracy, run_of_rte.eval_error_stderr) == (0.75, 0.02)
    assert [one.step for one in run_of_rte.output.checkpoints] == [0, 8]
    assert record(tmp_path)["surface/rte/scratch"]["file"] == "results/surface-rte-scratch.h5"
    assert StudyResults.load(tmp_path / "out").spec == results.spec


def test_a_step_names_the_jobs_that_it_needs(run: Any, service: PlayedService) -> None:
    run()
    (start,) = service.named("θ0, from scratch")
    (mrpc,) = service.named("mrpc, from scratch")
    (rte,) = service.named("rte, from scratch")
    (surface,) = service.named("mrpc, from scratch, surface")
    assert mrpc["spec"]["model"]["pretrained"] == {"job": start["id"]}
    assert surface["spec"]["model"]["finetuned"] == {"job": mrpc["id"]}
    assert surface["spec"]["y"]["toward"] == {"job": rte["id"]}
    assert surface["spec"]["trajectory"] == [{"job": mrpc["id"]}]


def test_a_second_call_finds_every_job_and_downloads_nothing(
    run: Any, service: PlayedService
) -> None:
    run()
    jobs, downloads = len(service.jobs), len(service.downloads)
    results = run(name="another title")
    assert (len(service.jobs), len(service.downloads)) == (jobs, downloads)
    assert (results.missing, results.spec.name) == ((), "another title")


def test_only_what_a_change_reaches_is_done_again(run: Any, service: PlayedService) -> None:
    run()
    before = set(service.jobs)
    run(mrpc={"scratch": {"epochs": 9}})
    new = [service.jobs[job]["name"] for job in service.jobs if job not in before]
    assert sorted(new) == [
        "mrpc, from scratch",
        "mrpc, from scratch, curve",
        "mrpc, from scratch, surface",
        "rte, from scratch, surface",  # its y axis
    ]


def test_what_a_change_makes_useless_is_stopped_on_a_service_of_ones_own(
    run: Any, service: PlayedService, tmp_path: Path
) -> None:
    service.stops_after = 50  # most jobs are under way then, and one is not known to the service
    with pytest.raises(ServiceUnreachable):
        run()
    service.stops_after = None
    begun = {key: step for key, step in record(tmp_path).items() if "job" in step}
    gone = next(key for key, step in begun.items() if step["state"] == "queued")
    del service.jobs[begun[gone]["job"]]
    run(evaluate={"train": 8}, alone=True)
    ends = {key: service.jobs[step["job"]]["state"] for key, step in begun.items() if key != gone}
    useless = {key for key in ends if not key.startswith(("start", "finetune"))}
    assert "cancelled" in {ends[key] for key in useless}
    assert {ends[key] for key in useless} <= {"cancelled", "completed"}  # as far as they were
    assert {ends[key] for key in ends.keys() - useless} == {"completed"}


def test_on_a_shared_service_what_another_study_may_want_goes_on(
    run: Any, service: PlayedService
) -> None:
    service.stops_after = 50  # most jobs are under way then
    with pytest.raises(ServiceUnreachable):
        run("one")
    service.stops_after = None
    run("one", evaluate={"train": 8})
    assert "cancelled" not in {job["state"] for job in service.jobs.values()}
    assert run("other").missing == ()  # with the jobs that the first call began
    names = [job["name"] for job in service.jobs.values()]
    assert {names.count(name) for name in names} == {1, 2}  # the trainings, and all else


def test_another_content_of_a_data_file_is_another_job(
    run: Any, service: PlayedService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rte").mkdir()
    (tmp_path / "rte" / "dev.tsv").write_text("one")
    run()
    before = set(service.jobs)
    (tmp_path / "rte" / "dev.tsv").write_text("two")
    run()
    new = {service.jobs[job]["name"] for job in service.jobs if job not in before}
    assert "rte, pre-trained" in new
    assert "mrpc, pre-trained" not in new


@pytest.mark.parametrize("answers", [0, 1, 2, 7, 20, 50])
def test_it_goes_on_where_it_was_cut_off(
    run: Any, service: PlayedService, tmp_path: Path, answers: int
) -> None:
    service.stops_after = answers
    with pytest.raises(ServiceUnreachable):
        run()
    so_far = StudyResults.load(tmp_path / "out")
    assert so_far.missing
    service.stops_after = None
    results = run()
    assert results.missing == ()
    assert len(service.jobs) == len(plan(results.spec))  # no job twice


def test_a_failed_step_stops_only_those_that_need_it(
    run: Any, service: PlayedService, tmp_path: Path
) -> None:
    service.fails = {"rte, from scratch"}
    with pytest.raises(JobFailed, match=r"finetune/rte/scratch: job .* failed: the disk is on"):
        run()
    results = StudyResults.load(tmp_path / "out")
    lost = {"finetune/rte/scratch", "curve/rte/scratch"} | {
        f"surface/{task}/scratch" for task in ("mrpc", "rte")
    }
    assert set(results.missing) == set(results.failed) == lost
    assert results.failed["surface/mrpc/scratch"] == "it needs finetune/rte/scratch"
    assert "the disk is on fire" in results.failed["finetune/rte/scratch"]


def test_a_further_call_tries_what_failed_again(run: Any, service: PlayedService) -> None:
    service.fails = {"rte, from scratch"}
    for _ in range(2):
        with pytest.raises(JobFailed):
            run()
    service.fails = set()
    assert run().missing == ()
    assert len(service.named("rte, from scratch")) == 3
    assert len(service.named("mrpc, from scratch")) == 1


@pytest.mark.parametrize("slow", ["rte, pre-trained, rollback", "mrpc, pre-trained, rollback"])
def test_several_failures_are_told_together_in_the_plans_order(
    run: Any, service: PlayedService, slow: str
) -> None:
    service.fails = {"rte, pre-trained, rollback", "mrpc, pre-trained, rollback"}
    service.slow = {slow}
    with pytest.raises(JobFailed, match="2 steps failed; the first: rollback/mrpc") as caught:
        run()
    assert len(caught.value.problem.errors) == 2


def test_a_refused_step_is_wrong_use(run: Any, service: PlayedService, tmp_path: Path) -> None:
    service.refuses = {"rte, pre-trained"}
    with pytest.raises(ServiceError, match="no such column") as caught:
        run()
    assert caught.value.status == 422
    results = StudyResults.load(tmp_path / "out")
    assert "no such column" in results.failed["finetune/rte/pretrained"]
    assert ("mrpc", "scratch") in results.surfaces


def test_a_lost_result_is_downloaded_again(
    run: Any, service: PlayedService, tmp_path: Path
) -> None:
    run()
    (tmp_path / "out" / "results" / "rollback-rte.h5").unlink()
    downloads = len(service.downloads)
    assert "rte" in run().rollbacks
    assert len(service.downloads) == downloads + 1


@pytest.mark.parametrize("content", [None, "", "{", "[]", '{"format": "bertscape-study"}'])
def test_a_folder_without_a_study_is_said_to_be_none(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "study.json").write_text(content)
    with pytest.raises(InvalidInput, match=r"study\.json.*; expected a file of a study's folder"):
        StudyResults.load(tmp_path)
