"""How long a study will still take, and what its line of progress says."""

from typing import Any

import pytest

from bertscape.spec import parse_study
from bertscape.study import plan
from bertscape.study.outlook import Outlook, units
from bertscape.study.plan import Step
from bertscape.study.progress import now
from bertscape.values import JobStatus

AXES = {"curve": [-1, 2, 10], "surface": {"x": [-1, 2, 10], "y": [-1, 2, 10]}}


@pytest.fixture
def steps(study: Any) -> dict[str, Step]:
    values = study(training={"epochs": 4}, **AXES)
    return {step.key: step for step in plan(parse_study(values))}


def job(done: int = 0, total: int = 1, state: str = "running", **more: Any) -> JobStatus:
    return JobStatus(id="j", state=state, points_done=done, points_total=total, **more)


def test_the_work_of_a_step(steps: dict[str, Step]) -> None:
    keys = ("start/scratch", "finetune/rte/scratch", "curve/rte/scratch", "surface/rte/scratch")
    assert [units(steps[key]) for key in keys] == [0, 4, 10, 100]


def test_nothing_is_foretold_before_anything_was_seen(steps: dict[str, Step]) -> None:
    outlook = Outlook()
    waiting = [(steps["curve/rte/scratch"], None)]
    assert outlook.eta(waiting) is None
    outlook.note(1.0, [(steps["curve/rte/scratch"], job(0, 10))])
    assert outlook.eta(waiting) is None
    assert outlook.eta([]) == 0.0


def test_the_pace_is_that_of_all_jobs_together(steps: dict[str, Step]) -> None:
    outlook = Outlook()
    curve, surface = steps["curve/rte/scratch"], steps["surface/rte/scratch"]
    # What was done before it was first looked at says nothing about the pace.
    outlook.note(5.0, [(curve, job(5, 10)), (surface, job(50, 100))])
    outlook.note(5.0, [(curve, job(10, 10)), (surface, job(65, 100))])
    assert outlook.eta([(surface, job(80, 100))]) == pytest.approx(20 * 10 / 20)
    assert outlook.eta([(surface, job(80, 100)), (curve, None)]) == pytest.approx(30 * 10 / 20)


def test_trainings_have_a_pace_of_their_own(steps: dict[str, Step]) -> None:
    outlook = Outlook()
    run, curve = steps["finetune/rte/scratch"], steps["curve/rte/scratch"]
    half = job(0, 1, progress={"stage": "fine-tuning", "done": 50, "total": 100})
    outlook.note(1.0, [(run, job(0, 1))])
    outlook.note(9.0, [(run, half)])
    assert outlook.eta([(run, half)]) == pytest.approx(10.0)
    assert outlook.eta([(run, half), (curve, None)]) is None


def test_the_line_says_what_runs(steps: dict[str, Step]) -> None:
    curve, surface = steps["curve/rte/scratch"], steps["surface/rte/scratch"]
    queued = (curve, job(0, 10, "queued"))
    assert now([]) == []
    assert now([queued]) == ["waiting for a worker"]
    assert now([queued, (surface, job(7, 100))]) == ["surface/rte/scratch 7/100", "1 more"]
    preparing = job(0, 10, "preparing", progress={"stage": "tokenizing", "done": 1, "total": 2})
    assert now([(curve, preparing)]) == ["curve/rte/scratch 0/10 tokenizing 1/2"]
