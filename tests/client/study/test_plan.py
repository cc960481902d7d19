"""Planning a study: which jobs, in which order, on what they depend, and what makes them equal."""

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from bertscape.spec import FinetuneSpec, JobOutput, LandscapeSpec, parse_study
from bertscape.study import plan
from bertscape.study.plan import Step

THIRDS = ("low", "middle", "high")


def steps(values: dict[str, Any]) -> dict[str, Step]:
    return {step.key: step for step in plan(parse_study(values))}


def identities(values: dict[str, Any], content: dict[str, str] | None = None) -> dict[str, str]:
    found: dict[str, str] = {}
    for key, step in steps(values).items():
        found[key] = step.identity(found, content or {})
    return found


def test_the_steps_of_two_tasks(study: Any) -> None:
    starts, tasks = ("pretrained", "scratch"), ("mrpc", "rte")
    longer = ("longer-5", "longer-10")
    assert set(steps(study(longer={"epochs": [5, 10]}))) == {
        *(f"start/{start}" for start in starts),
        *(f"{part}/{task}/{start}" for part in ("finetune", "curve", "surface") for task in tasks
          for start in starts),
        *(f"{part}/mrpc/{start}" for part in ("finetune", "surface") for start in longer),
        *(f"layers/{task}/{group}" for task in tasks for group in THIRDS),
        *(f"rollback/{task}" for task in tasks),
    }  # fmt: skip


def test_a_part_without_tasks_or_groups_is_left_out(study: Any) -> None:
    layers = {"tasks": "rte", "groups": [[0, 4]]}
    keys = steps(study(longer={"tasks": []}, layers=layers, rollback={"groups": []}))
    assert [key for key in keys if key.startswith(("layers", "rollback"))] == ["layers/rte/0-4"]
    assert not any("longer" in key for key in keys)


def test_every_step_comes_after_those_that_it_needs(study: Any) -> None:
    done: set[str] = set()
    for key, step in steps(study()).items():
        assert set(step.needs) <= done
        done.add(key)


@pytest.mark.parametrize(
    ("key", "needs"),
    [
        ("start/scratch", []),
        ("finetune/rte/scratch", ["start/scratch"]),
        ("finetune/mrpc/longer-5", ["start/pretrained"]),
        ("curve/mrpc/scratch", ["start/scratch", "finetune/mrpc/scratch"]),
        (
            "surface/rte/scratch",
            ["start/scratch", "finetune/rte/scratch", "finetune/mrpc/scratch"],
        ),
        (
            "surface/mrpc/longer-5",
            ["start/pretrained", "finetune/mrpc/longer-5", "finetune/rte/pretrained"],
        ),
        (
            "layers/mrpc/low",
            ["start/pretrained", "finetune/mrpc/pretrained", "finetune/rte/pretrained"],
        ),
        ("rollback/rte", ["start/pretrained", "finetune/rte/pretrained"]),
    ],
)
def test_what_a_step_needs(study: Any, key: str, needs: list[str]) -> None:
    assert sorted(steps(study())[key].needs) == sorted(needs)


def test_all_runs_of_a_start_share_their_theta0(study: Any) -> None:
    planned: dict[str, Any] = {**steps(study(training={"epochs": 4, "max_steps": 7}))}
    assert planned["start/scratch"].spec.training.start == "scratch"
    for start in ("pretrained", "scratch"):
        first = planned[f"start/{start}"].spec
        assert (first.training.epochs, first.training.max_steps) == (0, None)
        assert first.model.pretrained == "bert"
        for task in ("mrpc", "rte"):
            run = planned[f"finetune/{task}/{start}"].spec
            assert run.model.pretrained == JobOutput(job=f"start/{start}")
            assert run.training.start == "pretrained"  # what that folder holds, random or not
            assert planned[f"surface/{task}/{start}"].spec.model.pretrained == run.model.pretrained


def test_the_training_of_each_run(study: Any) -> None:
    planned = steps(
        study(
            mrpc={"training": {"batch_size": 8}, "scratch": {"epochs": 9}},
            training={"epochs": 4, "learning_rate": 1e-4},
            scratch={"epochs": 16, "learning_rate": 1e-3},
            longer={"epochs": [5]},
        )
    )

    def settings(key: str) -> tuple[int, int, float]:
        spec = planned[key].spec
        assert isinstance(spec, FinetuneSpec)
        return spec.training.epochs, spec.training.batch_size, spec.training.learning_rate

    assert settings("finetune/mrpc/pretrained") == (4, 8, 1e-4)
    assert settings("finetune/mrpc/scratch") == (9, 8, 1e-3)
    assert settings("finetune/rte/scratch") == (16, 32, 1e-3)
    assert settings("finetune/mrpc/longer-5") == (5, 8, 1e-4)


def test_a_point_is_evaluated_on_a_sample_of_what_was_trained_on(study: Any) -> None:
    values = study(evaluate={"train": 256, "eval": 64})
    values["tasks"]["mrpc"]["data"]["train"] |= {"examples": 1000, "seed": 3}
    values["tasks"]["rte"]["data"]["train"] |= {"examples": 100}
    values["tasks"]["rte"]["evaluate"] = {"train": 200}
    planned = steps(values)
    assert planned["finetune/mrpc/pretrained"].spec.data.train.examples == 1000
    seen = planned["curve/mrpc/pretrained"].spec.data
    assert (seen.train.examples, seen.train.seed, seen.eval.examples) == (256, 3, 64)
    seen = planned["curve/rte/pretrained"].spec.data
    assert (seen.train.examples, seen.eval.examples) == (100, None)


def test_a_single_task_has_a_random_direction(study: Any) -> None:
    values = study()
    del values["tasks"]["rte"]
    spec = steps(values)["surface/mrpc/scratch"].spec
    assert isinstance(spec, LandscapeSpec)
    assert spec.to_json()["y"] == {"random": {"seed": 0}}


def test_a_layer_group_moves_from_theta1_over_its_own_grid(study: Any) -> None:
    planned = steps(study(surface={"x": [-1, 2, 5]}, layers={"grid": {"x": [-1, 1, 3]}}))
    spec = planned["layers/mrpc/high"].spec.to_json()
    assert (spec["layers"], spec["origin"], spec["grid"]["x"]) == ("high", "finetuned", [-1, 1, 3])
    assert planned["surface/mrpc/scratch"].spec.to_json()["grid"]["x"] == [-1, 2, 5]


# ------------------------------------------------------------------------------------ equal steps


def test_jobs_stand_where_their_keys_stood(study: Any) -> None:
    step = steps(study())["surface/mrpc/pretrained"]
    spec = step.resolved({key: f"job of {key}" for key in step.needs}).to_json()
    assert spec["model"]["finetuned"] == {"job": "job of finetune/mrpc/pretrained"}
    assert spec["trajectory"] == [{"job": "job of finetune/mrpc/pretrained"}]
    assert spec["y"] == {"toward": {"job": "job of finetune/rte/pretrained"}}


def test_equal_studies_have_equal_steps_whatever_they_are_called(study: Any) -> None:
    assert identities(study()) == identities(study(name="another name"))
    assert len(set(identities(study()).values())) == len(identities(study()))


def test_equal_steps_have_equal_hashes_in_every_process(study: Any) -> None:
    code = (
        "import json, sys\n"
        "from bertscape.spec import parse_study\n"
        "from bertscape.study import plan\n"
        "found = {}\n"
        "for step in plan(parse_study(json.load(sys.stdin))):\n"
        "    found[step.key] = step.identity(found, {})\n"
        "print(json.dumps(found))"
    )
    for seed in ("1", "2"):
        result = subprocess.run(
            [sys.executable, "-c", code],
            input=json.dumps(study()),
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        )
        assert json.loads(result.stdout) == identities(study())


def test_a_change_reaches_all_that_depends_on_it(study: Any) -> None:
    before, after = identities(study()), identities(study(mrpc={"training": {"epochs": 4}}))
    changed = {key for key in before if before[key] != after[key]}
    assert "finetune/mrpc/pretrained" in changed
    assert {f"{part}/mrpc/pretrained" for part in ("curve", "surface")} <= changed
    assert "surface/rte/pretrained" in changed  # its y axis
    assert "finetune/rte/pretrained" not in changed
    assert "curve/rte/scratch" not in changed
    assert "rollback/rte" not in changed


def test_another_content_of_a_file_is_another_step(study: Any) -> None:
    before, after = identities(study()), identities(study(), {"rte/train.tsv": "0123"})
    assert all(before[key] != after[key] for key in before)  # as told; the runner tells its own
