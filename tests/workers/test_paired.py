"""Each point against θ1 on the same examples, against sums done by hand."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.workers.tiny_inputs import Inputs, make_inputs
from transformers import MPNetConfig

from bertscape.results import Surface
from bertscape.values import CHANGES, NUMBERS
from bertscape_workers.checkpoints import read_backbone
from bertscape_workers.data import Outcomes
from bertscape_workers.evaluation import EvaluatorInputs, evaluator_for
from bertscape_workers.jobs import TileOrder, TileWatch, runner_of
from bertscape_workers.jobs.prepare import find_checkpoints, prepare
from bertscape_workers.running.local_run import run_job

MPNET = MPNetConfig(  # type: ignore[call-arg]
    vocab_size=19,
    num_labels=3,
    hidden_size=32,
    num_hidden_layers=2,
    num_attention_heads=4,
    intermediate_size=48,
    max_position_embeddings=40,
)


def by_hand(
    before: tuple[Outcomes, Outcomes], after: tuple[Outcomes, Outcomes]
) -> dict[str, float]:
    found = {}
    for split, old, new in zip(("train", "eval"), before, after, strict=True):
        for what, change in (
            ("loss", new.losses - old.losses),
            ("error", new.wrong.astype(float) - old.wrong.astype(float)),
        ):
            found[f"{split}_{what}_change"] = change.mean()
            stderr = np.sqrt(
                ((change - change.mean()) ** 2).sum() / (len(change) - 1) / len(change)
            )
            found[f"{split}_{what}_change_stderr"] = stderr
    return found


def finetuned(inputs: Inputs, prepared: EvaluatorInputs, **changes: Any) -> Any:
    """What θ1's own backbone makes of each example."""
    backbone = prepared.layout.empty()
    checkpoints = find_checkpoints(inputs.spec(**changes))
    read_backbone(checkpoints.plane.finetuned, prepared.layout, backbone)
    return evaluator_for(prepared).outcomes(backbone)


@pytest.fixture(scope="module")
def surface(bert: Inputs) -> Surface:
    found = run_job(bert.spec(paired=True))
    assert isinstance(found, Surface)
    return found


def test_a_paired_job_has_all_numbers_of_another_bit_for_bit(
    bert: Inputs, surface: Surface
) -> None:
    plain = run_job(bert.spec())
    assert surface.names == (*NUMBERS, *CHANGES)
    assert surface.numbers[:8].tobytes() == plain.numbers.tobytes()  # type: ignore[attr-defined]
    assert not list(surface.findings.differences(plain.findings))


def test_the_end_point_does_not_differ_from_itself(surface: Surface) -> None:
    assert (surface.alpha[2], surface.beta[1]) == (1.0, 0.0)
    assert (surface.numbers[8:, 1, 2] == 0).all()


@pytest.mark.parametrize("config", [None, MPNET], ids=["packed", "plain"])
def test_changes_are_those_of_the_examples(tmp_path: Path, config: Any) -> None:
    inputs = make_inputs(tmp_path, config)
    prepared = prepare(inputs.spec(paired=True)).inputs
    before = finetuned(inputs, prepared)
    points = np.array([[-1.0, 0.5], [0.0, 0.0], [0.75, 0.0]])
    numbers, _ = runner_of("surface", prepared).run(TileOrder(points), TileWatch())
    assert numbers.shape == (3, 16)
    evaluator = evaluator_for(prepared)
    for row, point in zip(numbers, points, strict=True):
        found = dict(zip(CHANGES, row[8:], strict=True))
        # θ0 + (θ1 − θ0) in float32 is θ1 up to rounding.
        expected = by_hand(before, evaluator.outcomes_at(*point))
        assert found == pytest.approx(expected, rel=1e-4, abs=1e-6)
        change = row[NUMBERS.index("train_loss")] - before[0].losses.mean()
        assert found["train_loss_change"] == pytest.approx(change, abs=1e-6)


def test_it_goes_together_with_the_end_point(surface: Surface) -> None:
    near = surface["train_loss_change_stderr"][1, 1], surface["train_loss_stderr"][1, 1]
    assert 0 < near[0] < near[1]


@pytest.mark.parametrize(
    "changes",
    [
        {"layers": "high", "origin": "pretrained"},
        {"x": {"random": {"seed": 1}}, "y": {"random": {"seed": 2}}},
    ],
)
def test_an_end_point_off_the_plane_is_still_the_one(bert: Inputs, changes: dict[str, Any]) -> None:
    prepared = prepare(bert.spec(paired=True, **changes))
    assert "finetuned" not in {check.checkpoint for check in prepared.findings.self_checks}
    before = finetuned(bert, prepared.inputs, **changes)
    assert prepared.inputs.finetuned is not None
    for here, there in zip(prepared.inputs.finetuned, before, strict=True):
        assert here.losses.tobytes() == there.losses.tobytes()
        assert here.wrong.tobytes() == there.wrong.tobytes()


def test_what_is_not_finite_stays_so(bert: Inputs) -> None:
    prepared = prepare(bert.spec(paired=True)).inputs
    far = TileOrder(np.array([[1e30, 0.0]]))
    (row,), _ = runner_of("surface", prepared).run(far, TileWatch())
    found = dict(zip(CHANGES, row[8:], strict=True))
    assert np.isnan([found["train_loss_change"], found["eval_loss_change_stderr"]]).all()
    assert prepared.finetuned is not None
    right = 1 - prepared.finetuned[1].wrong.mean()  # all of which are wrong here
    assert found["eval_error_change"] == pytest.approx(right, rel=1e-12)
