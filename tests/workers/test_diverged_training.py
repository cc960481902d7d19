"""A training whose loss is no longer finite fails: its weights are of no use as θ1."""

import re
from pathlib import Path
from typing import Any

import pytest
from tests.workers.tiny_inputs import Inputs
from tests.workers.trainings import check, finetune, training_spec

from bertscape.spec import FinetuneSpec
from bertscape.values import InvalidInput, LogEntry, ProblemType
from bertscape_workers.training import train
from bertscape_workers.training.kept_checkpoints import trajectory


def spec(bert: Inputs, **settings: Any) -> FinetuneSpec:
    return training_spec(bert.pretrained, bert.data(), batch_size=8, **settings)


def failure(job: FinetuneSpec, folder: Path) -> str:
    with pytest.raises(InvalidInput) as caught:
        finetune(job, folder)
    problem = caught.value.problem
    assert (problem.type, problem.key) == (ProblemType.INVALID_VALUE, "training.learning_rate")
    assert "checkpoints before that step are kept" in problem.detail
    return problem.detail


@pytest.mark.parametrize("batches", ["random", "by_length"])
def test_the_step_is_named_and_the_checkpoints_before_it_stay(
    bert: Inputs, tmp_path: Path, batches: str
) -> None:
    """The rate rises to 1e10: the first step takes no part of it that matters."""
    told = failure(spec(bert, learning_rate=1e10, epochs=3, batches=batches), tmp_path)
    assert "10000000000.0 made the loss of data.train not finite at step 3; expected" in told
    assert [path.name for path in trajectory(tmp_path)] == ["checkpoint-0"]


def test_the_step_is_exact_between_two_entries_of_the_log(bert: Inputs, tmp_path: Path) -> None:
    """Of 500 steps each tenth is logged; with a checkpoint at each step, every one."""
    steps: list[int] = []
    logged: list[LogEntry] = []
    for keep in (1, 500):
        job = spec(bert, learning_rate=1e10, max_steps=500, keep=keep)
        with pytest.raises(InvalidInput) as caught:
            train(check(job), tmp_path / str(keep), logged=logged.append)
        match = re.search(r"not finite at step (\d+); expected", caught.value.problem.detail)
        assert match is not None
        steps.append(int(match[1]))
    # The evaluation after a step meets the weights that the next step begins with.
    assert steps[1] == steps[0] + 1 < logged[-1].step == 10


def test_weights_that_only_the_last_step_spoiled(bert: Inputs, tmp_path: Path) -> None:
    job = spec(bert, learning_rate=1e38, warmup=0.0, max_steps=1)
    assert "the loss of data.eval not finite at step 1" in failure(job, tmp_path)
    assert [path.name for path in trajectory(tmp_path)] == ["checkpoint-0"]
