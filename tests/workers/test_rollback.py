"""Rollback: θ1 with a group put back to θ0, against plain models and sums done by hand."""

import dataclasses
import math
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.workers.tiny_inputs import Inputs, bert_config, make_inputs
from transformers import (
    AlbertConfig,
    AutoModelForSequenceClassification,
    BertForSequenceClassification,
    DistilBertConfig,
    PreTrainedConfig,
)

from bertscape.results import Rollback
from bertscape.spec import Limits, RollbackSpec, parse_spec
from bertscape.values import InvalidInput, ProblemType
from bertscape_workers.admission import MemoryLimits, admit
from bertscape_workers.data import Outcomes, TokenizedSplit, point_changes
from bertscape_workers.evaluation import EvaluatorInputs, RollbackEvaluator, RollbackInputs
from bertscape_workers.evaluation.packed.evaluator import PackedEvaluator
from bertscape_workers.evaluation.plain.evaluator import ReferenceEvaluator
from bertscape_workers.jobs import prepare_job
from bertscape_workers.jobs.prepare import Prepared
from bertscape_workers.running.local_run import run_job

GROUPS: list[Any] = ["low", "middle", "high", "embeddings", "pooler", [0, 2], "all"]
DISTILBERT = DistilBertConfig(  # type: ignore[call-arg]
    vocab_size=19,
    dim=32,
    n_layers=3,
    n_heads=4,
    hidden_dim=48,
    max_position_embeddings=40,
    num_labels=3,
)


def rollback_spec(inputs: Inputs, **changes: Any) -> RollbackSpec:
    spec = inputs.spec(kind="rollback", y=None, grid=None, **changes)
    assert isinstance(spec, RollbackSpec)
    return spec


@pytest.fixture(scope="module")
def three_layers(tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    return make_inputs(tmp_path_factory.mktemp("three"), bert_config(num_hidden_layers=3))


@pytest.fixture(scope="module")
def prepared(three_layers: Inputs) -> Prepared[Any, RollbackInputs]:
    return prepare_job(rollback_spec(three_layers, groups=GROUPS))


@pytest.fixture(scope="module")
def rollback(three_layers: Inputs) -> Rollback:
    result = run_job(rollback_spec(three_layers, groups=GROUPS))
    assert isinstance(result, Rollback)
    return result


# --- against plain models -----------------------------------------------------------------------


def modules_of(model: BertForSequenceClassification, group: str) -> Sequence[torch.nn.Module]:
    base = model.bert
    layers = base.encoder.layer
    found: dict[str, Any] = {
        "none": [],
        "low": layers[:1],
        "middle": layers[1:2],
        "high": layers[2:],
        "embeddings": [base.embeddings],
        "pooler": [base.pooler],
        "[0, 2]": layers[:2],
        "all": [base],
    }
    return found[group]


def put_back(inputs: Inputs, group: str) -> BertForSequenceClassification:
    """The plain model: θ1's, and in the group's modules θ0's parameters."""
    load = AutoModelForSequenceClassification.from_pretrained
    model, start = load(inputs.finetuned).eval(), load(inputs.pretrained).eval()
    pairs = zip(modules_of(model, group), modules_of(start, group), strict=True)
    for moved, before in pairs:
        moved.load_state_dict(before.state_dict())
    return model


def plain_outcomes(model: BertForSequenceClassification, split: TokenizedSplit) -> Outcomes:
    """One unpadded example at a time."""
    losses, wrong = [], []
    for example, start in enumerate(split.starts):
        inside = slice(start, start + split.lengths[example])
        tokens = {"input_ids": torch.tensor(split.tokens[inside])[None].long()}
        if split.token_types is not None:
            tokens["token_type_ids"] = torch.tensor(split.token_types[inside])[None].long()
        with torch.inference_mode():
            logits = model(**tokens).logits[0].double()
        label = int(split.labels[example])
        losses.append(float(-torch.log_softmax(logits, dim=0)[label]))
        wrong.append(int(logits.argmax()) != label)
    return Outcomes(np.array(losses), np.array(wrong))


@pytest.mark.parametrize("group", ["none", *(str(group) for group in GROUPS)])
def test_each_group_is_what_the_plain_model_gives_with_that_group_put_back(
    three_layers: Inputs,
    rollback: Rollback,
    prepared: Prepared[Any, RollbackInputs],
    group: str,
) -> None:
    place = rollback.groups.index(group)
    for name in ("train", "eval"):
        split = getattr(prepared.inputs.finetuned, name)
        there = plain_outcomes(put_back(three_layers, group), split)
        before = plain_outcomes(put_back(three_layers, "none"), split)
        differences = there.losses - before.losses
        errors = there.wrong.astype(float) - before.wrong.astype(float)
        expected = {
            "loss": (there.losses.mean(), there.losses.std(ddof=1) / math.sqrt(len(split))),
            "loss_change": (differences.mean(), differences.std(ddof=1) / math.sqrt(len(split))),
            "error_change": (errors.mean(), errors.std(ddof=1) / math.sqrt(len(split))),
        }
        for what, (mean, error) in expected.items():
            assert rollback[f"{name}_{what}"][place] == pytest.approx(mean, rel=1e-5, abs=1e-6)
            found = rollback[f"{name}_{what}_stderr"][place]
            assert found == pytest.approx(error, rel=1e-4, abs=1e-6)
        assert rollback[f"{name}_error"][place] == there.wrong.mean()


def test_everything_put_back_is_the_backbone_of_theta0_with_the_head_of_theta1(
    three_layers: Inputs, rollback: Rollback, prepared: Prepared[Any, RollbackInputs]
) -> None:
    inputs = prepared.inputs
    for groups in ([GROUPS.index("all")], [0, 1, 2, 3, 4]):  # at once, and part by part
        backbone = inputs.finetuned.origin
        for group in groups:
            some = dataclasses.replace(
                inputs, finetuned=dataclasses.replace(inputs.finetuned, origin=backbone)
            )
            backbone = some.rolled_back(group)
        assert backbone.tobytes() == inputs.pretrained.tobytes()
    # The evaluator's own check of this point is that of a fresh plain model.
    check = rollback.self_checks[1]
    assert (check.checkpoint, check.passed, check.alpha) == ("pretrained", True, -1.0)
    numbers = [rollback[name][-1] for name in ("train_loss", "train_error", "eval_loss")]
    assert numbers == list(check.found[:3])


@pytest.mark.parametrize("group", range(len(GROUPS)))
def test_a_group_has_the_very_values_of_theta0_and_all_else_those_of_theta1(
    prepared: Prepared[Any, RollbackInputs], group: int
) -> None:
    inputs = prepared.inputs
    backbone = inputs.rolled_back(group)
    for tensor, moves in zip(inputs.finetuned.layout.tensors, inputs.moving[group], strict=True):
        source = inputs.pretrained if moves else inputs.finetuned.origin
        assert tensor.view(backbone).tobytes() == tensor.view(source).tobytes()
    assert any(inputs.moving[group])


def test_theta1_itself_is_the_first_point_and_changes_by_nothing(rollback: Rollback) -> None:
    (check, _) = rollback.self_checks
    assert (check.checkpoint, check.alpha, check.beta, check.passed) == ("finetuned", 0, 0, True)
    assert rollback.groups[0] == "none"
    assert rollback["train_loss"][0] == check.found[0]
    for name in ("train_loss", "train_error", "eval_loss", "eval_error"):
        assert rollback[f"{name}_change"][0] == 0
        assert rollback[f"{name}_change_stderr"][0] == 0


def test_a_change_is_the_difference_of_two_numbers_but_its_error_is_paired(
    rollback: Rollback,
) -> None:
    for name in ("train_loss", "train_error", "eval_loss", "eval_error"):
        difference = rollback[name] - rollback[name][0]
        np.testing.assert_allclose(rollback[f"{name}_change"], difference, rtol=0, atol=1e-12)
    np.testing.assert_allclose(rollback.accuracy_change, -rollback["eval_error_change"])
    np.testing.assert_allclose(rollback.accuracy, 1 - rollback["eval_error"])
    unpaired = np.hypot(rollback["train_loss_stderr"], rollback["train_loss_stderr"][0])
    assert (rollback["train_loss_change_stderr"] != unpaired).all()


def test_how_far_each_group_is_put_back(rollback: Rollback, three_layers: Inputs) -> None:
    here, there = (
        load_file(folder / "model.safetensors")
        for folder in (three_layers.finetuned, three_layers.pretrained)
    )
    squares = {
        name: float((here[name].double() - there[name].double()).square().sum())
        for name in here
        if name.startswith("bert.")
    }
    total = sum(squares.values())
    middle = sum(value for name, value in squares.items() if ".layer.1." in name)
    assert rollback.findings.delta1_norm == pytest.approx(math.sqrt(total), rel=1e-6)
    at = dict(zip(rollback.groups, rollback.distance, strict=True))
    assert at["none"] == 0
    assert at["all"] == pytest.approx(1, rel=1e-12)
    assert at["middle"] == pytest.approx(math.sqrt(middle / total), rel=1e-6)
    parts = [at[name] for name in ("low", "middle", "high", "embeddings", "pooler")]
    assert math.hypot(*parts) == pytest.approx(1, rel=1e-12)
    found = rollback.findings.groups
    assert found is not None
    assert [group.layers for group in found] == [(0, 1), (1, 2), (2, 3), None, None, (0, 2), None]


# --- statistics ---------------------------------------------------------------------------------


def outcomes(losses: list[float], wrong: list[bool]) -> Outcomes:
    return Outcomes(np.array(losses), np.array(wrong))


def test_paired_changes_by_hand() -> None:
    before = outcomes([1.0, 2.0, 3.0, 4.0], [False, True, True, False])
    after = outcomes([1.5, 2.0, 3.5, 6.0], [True, True, False, True])
    numbers = point_changes((before, before), (after, before))
    # Differences of losses 0.5, 0, 0.5, 2: mean 0.75, sum of squares about it 2.25.
    # Differences of errors 1, 0, −1, 1: mean 0.25, sum of squares about it 2.75.
    assert numbers.tolist()[:4] == [0.75, 0.25, 0.0, 0.0]
    expected = [math.sqrt(2.25 / 3) / 2, math.sqrt(2.75 / 3) / 2, 0.0, 0.0]
    np.testing.assert_allclose(numbers[4:], expected, rtol=1e-15)


def test_a_loss_that_is_not_finite_stays_so_in_its_change() -> None:
    before = outcomes([1.0, math.inf], [False, False])
    after = outcomes([math.inf, math.inf], [False, True])
    numbers = point_changes((before, before), (after, after))
    assert math.isnan(numbers[0])
    assert numbers[1] == 0.5


def test_one_example_has_no_standard_error() -> None:
    one, two = outcomes([1.0], [False]), outcomes([1.5], [True])
    assert np.isnan(point_changes((one, one), (two, two))[4:]).all()


@pytest.mark.parametrize("evaluator", [PackedEvaluator, ReferenceEvaluator])
def test_an_evaluator_tells_each_example_of_any_backbone(
    prepared: Prepared[Any, RollbackInputs], three_layers: Inputs, evaluator: Any
) -> None:
    inputs: EvaluatorInputs = prepared.inputs.finetuned
    found = evaluator(inputs).outcomes(prepared.inputs.rolled_back(1))
    model = put_back(three_layers, "middle")
    for one, split in zip(found, (inputs.train, inputs.eval), strict=True):
        expected = plain_outcomes(model, split)
        np.testing.assert_allclose(one.losses, expected.losses, rtol=1e-5, atol=1e-6)
        assert one.losses.dtype == np.float64
        assert one.wrong.tolist() == expected.wrong.tolist()


# --- the same however it is cut -----------------------------------------------------------------


def test_a_points_value_depends_on_the_point_alone(
    prepared: Prepared[Any, RollbackInputs], rollback: Rollback
) -> None:
    backwards = RollbackEvaluator(prepared.inputs)
    rows = [backwards.evaluate(float(point), 0.0) for point in reversed(range(len(GROUPS) + 1))]
    assert np.stack(rows[::-1]).T.tobytes() == rollback.numbers.tobytes()
    alone = RollbackEvaluator(prepared.inputs).evaluate(3.0, 0.0)
    assert alone.tobytes() == rollback.numbers[:, 3].tobytes()


def test_inputs_that_may_not_be_written_to_do(prepared: Prepared[Any, RollbackInputs]) -> None:
    inputs = prepared.inputs
    for vector in (inputs.finetuned.origin, inputs.pretrained):
        vector.flags.writeable = False
    try:
        assert np.isfinite(RollbackEvaluator(inputs).evaluate(1.0, 0.0)).all()
    finally:
        for vector in (inputs.finetuned.origin, inputs.pretrained):
            vector.flags.writeable = True


def test_preparing_again_finds_the_same(
    prepared: Prepared[Any, RollbackInputs], three_layers: Inputs
) -> None:
    again = prepare_job(rollback_spec(three_layers, groups=GROUPS))
    assert list(prepared.findings.differences(again.findings)) == []


# --- other models, and what is refused ----------------------------------------------------------


def test_thirds_are_what_is_put_back_unless_told_otherwise(three_layers: Inputs) -> None:
    result = run_job(rollback_spec(three_layers))
    assert isinstance(result, Rollback)
    assert result.groups == ("none", "low", "middle", "high")
    assert [check.checkpoint for check in result.self_checks] == ["finetuned"]


def test_a_model_without_a_pooler(tmp_path: Path) -> None:
    inputs = make_inputs(
        tmp_path, DISTILBERT.__class__(**{**DISTILBERT.to_dict(), "num_labels": 3})
    )
    result = run_job(rollback_spec(inputs, groups=["embeddings", "low", "all"]))
    assert all(check.passed for check in result.self_checks)
    refused(
        lambda: admit(rollback_spec(inputs, groups=["low", "pooler"])), "groups[1]", "no pooler"
    )


def test_a_group_that_fine_tuning_left_alone_changes_nothing(
    three_layers: Inputs, tmp_path: Path
) -> None:
    """Frozen embeddings are a fact about the run, not a mistake of the spec."""
    frozen = tmp_path / "checkpoint-12"
    shutil.copytree(three_layers.finetuned, frozen)
    weights, start = (
        load_file(folder / "model.safetensors") for folder in (frozen, three_layers.pretrained)
    )
    weights |= {name: value for name, value in start.items() if ".embeddings." in name}
    save_file(weights, frozen / "model.safetensors", {"format": "pt"})
    inputs = dataclasses.replace(three_layers, finetuned=frozen)
    result = run_job(rollback_spec(inputs, groups=["embeddings"]))
    assert isinstance(result, Rollback)
    assert result.distance.tolist() == [0, 0]
    assert result["train_loss_change"].tolist() == [0, 0]


def refused(call: Callable[[], object], key: str, *parts: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        call()
    assert caught.value.problem.key == key, caught.value.problem.detail
    for part in parts:
        assert part in caught.value.problem.detail


@pytest.mark.parametrize("check", [admit, prepare_job])
def test_layers_that_the_model_has_not(
    three_layers: Inputs, check: Callable[[RollbackSpec], object]
) -> None:
    spec = rollback_spec(three_layers, groups=["low", [2, 4]])
    refused(lambda: check(spec), "groups[1]", "[2, 4]", "within the 3 encoder layers")


@pytest.mark.parametrize("check", [admit, prepare_job])
def test_a_third_that_is_empty(bert: Inputs, check: Callable[[RollbackSpec], object]) -> None:
    refused(lambda: check(rollback_spec(bert)), "groups[0]", "'low'", "2 encoder layer(s)")


def shared_layers() -> PreTrainedConfig:
    return AlbertConfig(  # type: ignore[call-arg]
        vocab_size=19,
        embedding_size=16,
        hidden_size=32,
        num_hidden_layers=3,
        num_attention_heads=4,
        intermediate_size=48,
        max_position_embeddings=40,
        num_labels=3,
    )


@pytest.mark.parametrize("check", [admit, prepare_job])
def test_layers_that_share_their_tensors(
    tmp_path: Path, check: Callable[[RollbackSpec], object]
) -> None:
    inputs = make_inputs(tmp_path, shared_layers())
    refused(lambda: check(rollback_spec(inputs)), "groups[0]", "expected all")


def test_shared_layers_are_put_back_all_at_once(tmp_path: Path) -> None:
    result = run_job(rollback_spec(make_inputs(tmp_path, shared_layers()), groups=["all"]))
    assert [check.passed for check in result.self_checks] == [True, True]


def test_a_checkpoint_that_was_never_trained(three_layers: Inputs) -> None:
    inputs = dataclasses.replace(three_layers, pretrained=three_layers.finetuned)
    refused(lambda: prepare_job(rollback_spec(inputs)), "model.finetuned", "differs")


def test_a_job_that_does_not_fit_is_refused_before_anything_is_loaded(
    three_layers: Inputs,
) -> None:
    limits = MemoryLimits(worker=1 << 20, object_store=1 << 40)
    with pytest.raises(InvalidInput) as caught:
        prepare_job(rollback_spec(three_layers), limits=limits)
    assert caught.value.problem.type is ProblemType.DOES_NOT_FIT


def test_more_groups_than_a_job_may_have(three_layers: Inputs) -> None:
    refused(lambda: admit(rollback_spec(three_layers), Limits(points=3)), "groups", "at most 3")


@pytest.mark.parametrize(
    ("groups", "expected"),
    [([], "one layer group or more"), (["low", "low"], "none twice"), ("low", "list")],
)
def test_groups_that_are_no_list_of_different_groups(
    three_layers: Inputs, groups: Any, expected: str
) -> None:
    refused(lambda: rollback_spec(three_layers, groups=groups), "groups", expected)


def test_keys_of_a_plane_are_unknown_to_a_rollback(three_layers: Inputs) -> None:
    value = {**rollback_spec(three_layers).to_json(), "grid": {"x": [-1, 1, 3]}}
    refused(lambda: parse_spec(value), "grid", "no such key")
