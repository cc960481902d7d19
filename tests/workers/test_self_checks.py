"""The self-checks pass on a sound plane, and see each planted fault."""

import dataclasses
import math
import weakref
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from tests.workers.tiny_inputs import Inputs

from bertscape.values import InvalidInput, SelfCheck
from bertscape_workers.data import Outcomes
from bertscape_workers.evaluation import (
    EvaluatorInputs,
    compare,
    expected_numbers,
    plain_model,
    with_sample,
)
from bertscape_workers.evaluation.plain import self_checks
from bertscape_workers.evaluation.plain.evaluator import ReferenceEvaluator
from bertscape_workers.evaluation.plain.self_checks import Expected
from bertscape_workers.jobs import prepare as preparing
from bertscape_workers.jobs.prepare import Place, find_checkpoints, prepare


@pytest.fixture(scope="module")
def inputs(bert: Inputs) -> EvaluatorInputs:
    return prepare(bert.spec()).inputs


@pytest.fixture(scope="module")
def expected(bert: Inputs, inputs: EvaluatorInputs) -> Expected:
    """θ2's backbone with θ1's head."""
    plane = find_checkpoints(bert.spec()).plane
    files = plane.axes[1].toward
    assert files is not None
    return expected_numbers(plain_model(files, plane.finetuned), inputs.train, inputs.eval)


def check(bert: Inputs, inputs: EvaluatorInputs, expected: Expected) -> SelfCheck:
    at = next(c for c in prepare(bert.spec()).findings.self_checks if c.checkpoint == "toward")
    found = ReferenceEvaluator(inputs).evaluate(at.alpha, at.beta)
    return compare("toward", (at.alpha, at.beta), expected, found, "fp32")


@pytest.mark.parametrize("origin", ["pretrained", "finetuned"])
def test_all_pass_on_a_sound_plane(bert: Inputs, origin: str) -> None:
    checks = prepare(bert.spec(origin=origin)).findings.self_checks
    assert [one.checkpoint for one in checks].count("toward") == 1
    assert len(checks) == 3
    assert all(one.passed for one in checks)
    # The three are different models, so that agreement says something.
    losses = sorted(one.expected[0] for one in checks)
    assert losses[0] + 0.01 < losses[1] < losses[2] - 0.01


def test_a_rescaled_direction_is_seen(
    bert: Inputs, inputs: EvaluatorInputs, expected: Expected
) -> None:
    assert check(bert, inputs, expected).passed
    assert inputs.y is not None
    faulty = dataclasses.replace(inputs, y=inputs.y * np.float32(1.01))
    assert check(bert, faulty, expected).passed is False


def test_another_head_is_seen(bert: Inputs, inputs: EvaluatorInputs, expected: Expected) -> None:
    bias = inputs.head["classifier.bias"] + np.array([0.01, 0, 0], dtype=np.float32)
    head = {**inputs.head, "classifier.bias": bias}
    assert check(bert, dataclasses.replace(inputs, head=head), expected).passed is False


def test_a_tensor_left_at_theta0_is_seen(
    bert: Inputs, inputs: EvaluatorInputs, expected: Expected
) -> None:
    assert inputs.y is not None
    y = inputs.y.copy()
    tensor = next(t for t in inputs.layout.tensors if "layer.1.output.dense.weight" in t.names[0])
    tensor.view(y)[...] = 0
    assert check(bert, dataclasses.replace(inputs, y=y), expected).passed is False


def test_a_token_that_is_hidden_from_the_others_is_seen(
    bert: Inputs, inputs: EvaluatorInputs, expected: Expected, monkeypatch: pytest.MonkeyPatch
) -> None:
    forward = ReferenceEvaluator._logits

    def blind(self: ReferenceEvaluator, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        mask = batch["attention_mask"].clone()
        mask[:, -1] = 0
        return forward(self, {**batch, "attention_mask": mask})

    monkeypatch.setattr(ReferenceEvaluator, "_logits", blind)
    at = (0.0, 0.9949)
    found = ReferenceEvaluator(inputs).evaluate(*at)
    assert compare("toward", at, expected, found, "fp32").passed is False


# --- the job's device -----------------------------------------------------------------------------


class ElsewhereModel:
    """A model on a device that keeps no values: it sees that its batches lie there too."""

    device = torch.device("meta")
    config = SimpleNamespace(get_text_config=lambda: SimpleNamespace(pad_token_id=0), num_labels=3)

    def __init__(self) -> None:
        self.given: list[weakref.ref[torch.Tensor]] = []  # as float64, which is not copied

    def __call__(self, **batch: torch.Tensor) -> SimpleNamespace:
        assert {values.device for values in batch.values()} == {self.device}
        assert sum(logits() is not None for logits in self.given) <= 1  # the last one's
        logits = torch.zeros((len(batch["input_ids"]), 3), dtype=torch.float64)
        self.given.append(weakref.ref(logits))
        return SimpleNamespace(logits=logits)


def test_the_plain_model_and_its_batches_lie_on_the_device_asked_for(
    bert: Inputs, inputs: EvaluatorInputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    plane = find_checkpoints(bert.spec()).plane
    model = plain_model(plane.pretrained, plane.finetuned, "meta")
    assert {tensor.device.type for tensor in model.state_dict().values()} == {"meta"}
    monkeypatch.setattr(self_checks, "BATCH", 4)
    elsewhere: Any = ElsewhereModel()
    found = expected_numbers(elsewhere, inputs.train, inputs.eval)
    groups = [
        np.unique(split.lengths, return_counts=True)[1] for split in (inputs.train, inputs.eval)
    ]
    assert len(elsewhere.given) == sum(-(-int(count) // 4) for one in groups for count in one)
    assert found.numbers[0] == pytest.approx(math.log(3))


def test_each_model_is_on_the_jobs_device_and_gone_before_the_next_work_there(
    bert: Inputs, inputs: EvaluatorInputs, expected: Expected, monkeypatch: pytest.MonkeyPatch
) -> None:
    models: list[Any] = []

    def load(*where: Any) -> Any:
        model = plain_model(*where[:2])
        models.append((where[2], weakref.ref(model)))
        return model

    def evaluate() -> Any:
        assert models[-1][1]() is None
        return evaluator.outcomes_at(1.0, 0.0)

    monkeypatch.setattr(preparing, "plain_model", load)
    evaluator = ReferenceEvaluator(inputs)
    plane = find_checkpoints(bert.spec()).plane
    place = Place("finetuned", plane.finetuned, (1.0, 0.0), evaluate)
    splits = {"train": inputs.train, "eval": inputs.eval}
    preparing.self_checks([place] * 2, plane.finetuned, splits, "bf16", "cuda:1", lambda *_: None)
    assert [where for where, _ in models] == ["cuda:1"] * 2


def verdict(changes: dict[int, float], ties: int = 0, **options: Any) -> bool | None:
    numbers = [1.0, 0.25, 2.0, 0.5, 0.1, 0.1, 0.1, 0.1]
    before = tuple(numbers)
    for index, value in changes.items():
        numbers[index] = value
    expected = Expected(tuple(numbers) if options.get("both") else before, (ties, 0), (8, 8))
    precision = options.get("precision", "fp32")
    return compare("finetuned", (1.0, 0.0), expected, np.array(numbers), precision).passed


def test_the_tolerance() -> None:
    assert verdict({})
    assert verdict({0: 1.0 + 1.0e-5, 2: 2.0 - 2.0e-5})
    assert verdict({0: 1.0 + 1.02e-5}) is False
    assert verdict({2: 2.0 - 2.02e-5}) is False
    assert verdict({0: math.nan}) is False
    assert verdict({0: math.nan}, both=True) is False  # equal, and no measure of anything
    assert verdict({2: math.inf}, both=True) is False
    assert verdict({1: 0.375}) is False  # one prediction of 8
    assert verdict({1: 0.375}, ties=1)  # which nearly tied
    assert verdict({0: 5.0}, precision="bf16") is None  # the difference alone is reported


# --- examples alone -------------------------------------------------------------------------------


def test_examples_alone_are_the_shortest_the_longest_and_some_between(
    inputs: EvaluatorInputs,
) -> None:
    sample = inputs.train.sample
    lengths = [len(one.columns["input_ids"]) for one in sample]
    assert lengths == sorted(lengths, reverse=True)
    assert (lengths[0], lengths[-1]) == (inputs.train.lengths.max(), inputs.train.lengths.min())
    assert [one.label for one in sample] == [inputs.train.labels[one.place] for one in sample]


def judged(inputs: EvaluatorInputs, changes: int, plain: Any = None) -> bool | None:
    """Whether a check passes whose examples alone differ in so many losses."""
    sample = inputs.train.sample
    losses = np.ones(len(inputs.train))
    losses[[one.place for one in sample[:changes]]] = 1.001
    found = {"train": Outcomes(losses, np.zeros(len(losses), dtype=np.bool_))}
    numbers = (1.0, 0.25, 2.0, 0.5, 0.1, 0.1, 0.1, 0.1)
    expected = Expected(numbers, (0, 0), (8, 8))
    check = compare("finetuned", (1, 0), expected, np.array(numbers), "fp32")
    alone = {"train": {one.place: 1.0 for one in sample}}
    return with_sample(check, alone, found, plain).passed


def test_a_loss_that_depends_on_other_examples_is_no_pass(inputs: EvaluatorInputs) -> None:
    assert [judged(inputs, changes) for changes in (0, 1, 2)] == [True, False, False]


def test_a_plain_model_whose_losses_depend_on_other_examples_is_refused(
    bert: Inputs, inputs: EvaluatorInputs
) -> None:
    plain = (find_checkpoints(bert.spec()).plane.finetuned, "odd")
    assert [judged(inputs, changes, plain) for changes in (0, 1)] == [True, False]
    with pytest.raises(InvalidInput, match=r"is a odd model: an example of data\.train"):
        judged(inputs, 2, plain)
