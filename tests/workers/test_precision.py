"""Precisions: which a job gets, what torch may round meanwhile, and how far the numbers move."""

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from tests.workers import plain_attention
from tests.workers.tiny_inputs import Inputs

from bertscape.results import Surface
from bertscape.spec import parse_spec
from bertscape.values import Axis, Grid, InvalidInput, ProblemType
from bertscape_workers.checkpoints import Format, arithmetic, precision, resolve
from bertscape_workers.evaluation import evaluator_for, evaluators, sample_points
from bertscape_workers.evaluation.packed import attention_varlen, evaluator as packed_evaluator
from bertscape_workers.evaluation.packed.evaluator import PackedEvaluator
from bertscape_workers.evaluation.packed.method import Method, cuda_method
from bertscape_workers.evaluation.plain.evaluator import ReferenceEvaluator
from bertscape_workers.evaluation.rounding import largest_difference
from bertscape_workers.jobs import prepare_job
from bertscape_workers.jobs.prepare import prepare
from bertscape_workers.running.local_run import run_job

PRODUCTS: Any = torch.backends.cuda.matmul


# --- which precision ------------------------------------------------------------------------------


@pytest.mark.parametrize("device", ["cpu", "cuda"])
@pytest.mark.parametrize("asked", ["auto", "fp32"])
def test_auto_is_fp32_on_every_device(asked: Literal["auto", "fp32"], device: str) -> None:
    assert resolve(asked, device) == "fp32"


@pytest.mark.parametrize("asked", ["tf32", "bf16"])
def test_a_gpu_gives_what_it_has(
    asked: Literal["tf32", "bf16"], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "an old GPU")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (9, 0))
    assert resolve(asked, "cuda") == asked
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (7, 5))
    with pytest.raises(InvalidInput, match="an old GPU"):
        resolve(asked, "cuda")


@pytest.mark.parametrize("asked", ["tf32", "bf16"])
@pytest.mark.parametrize("kind", ["surface", "rollback"])
def test_a_cpu_refuses_before_it_reads_anything(bert: Inputs, asked: str, kind: str) -> None:
    value = bert.spec(precision=asked).to_json()
    if kind == "rollback":
        value = {key: value[key] for key in ("model", "data", "precision")}
    seen: list[str] = []
    spec = parse_spec({**value, "kind": kind})
    with pytest.raises(InvalidInput) as refused:
        prepare_job(spec, device="cpu", progress=lambda stage, *_: seen.append(stage))
    problem = refused.value.problem
    assert (problem.type, problem.key) == (ProblemType.INVALID_VALUE, "precision")
    assert f"precision: '{asked}' is not to be had on the worker's device" in problem.detail
    assert "expected auto or fp32" in problem.detail
    assert seen == []


# --- what torch may round -------------------------------------------------------------------------


def settings() -> tuple[str, bool, bool]:
    return (
        PRODUCTS.fp32_precision,
        PRODUCTS.allow_bf16_reduced_precision_reduction,
        PRODUCTS.allow_bf16_reduced_precision_reduction_split_k,
    )


@pytest.fixture(params=["none", "ieee", "tf32"])
def outside(request: pytest.FixtureRequest) -> Iterator[tuple[str, bool, bool]]:
    """What was set before."""
    before = PRODUCTS.fp32_precision
    PRODUCTS.fp32_precision = request.param
    yield settings()
    PRODUCTS.fp32_precision = before


@pytest.mark.parametrize(
    ("precision", "inside"), [("fp32", "ieee"), ("tf32", "tf32"), ("bf16", "ieee")]
)
def test_settings_hold_for_a_point_and_are_put_back(
    precision: Format, inside: str, outside: tuple[str, bool, bool]
) -> None:
    def fail_inside() -> None:
        with arithmetic(precision):
            assert settings()[:2] == (inside, False)
            raise KeyError

    with pytest.raises(KeyError):
        fail_inside()
    assert settings() == outside


@pytest.mark.parametrize("precision", ["fp32", "tf32", "bf16"])
def test_a_gpus_products_are_in_use_with_these_settings(precision: Format) -> None:
    with cuda_method(precision).products.in_use():
        assert PRODUCTS.fp32_precision == ("tf32" if precision == "tf32" else "ieee")


# --- the reference evaluator ----------------------------------------------------------------------


def test_the_reference_rounds_to_bfloat16(bert: Inputs) -> None:
    inputs = prepare(bert.spec()).inputs
    exact = ReferenceEvaluator(inputs, "cpu").evaluate(0.5, -0.25)
    evaluator = ReferenceEvaluator(replace(inputs, precision="bf16"), "cpu")
    found = evaluator.evaluate(0.5, -0.25)
    assert found[[0, 2]] == pytest.approx(exact[[0, 2]], rel=2e-2)
    assert abs(found[0] - exact[0]) > 1e-5
    assert evaluator.evaluate(0.5, -0.25).tobytes() == found.tobytes()
    assert not torch.is_autocast_enabled("cpu")


def test_heads_that_the_kernel_does_not_take_go_through_the_reference(
    bert: Inputs, caplog: pytest.LogCaptureFixture
) -> None:
    inputs = replace(prepare(bert.spec()).inputs, precision="bf16")  # heads of size 9
    evaluators.say_once.cache_clear()
    assert isinstance(evaluator_for(inputs, "cpu"), ReferenceEvaluator)
    (record,) = caplog.records
    assert record.getMessage().endswith("no attention kernel takes heads of size 9 in bf16")


# --- the difference that a precision makes --------------------------------------------------------


def test_the_sample_follows_from_the_grid() -> None:
    axis = Axis(-4.0, 4.0, 9)
    middles = ((0.0, 0.0), (-2.0, -2.0), (2.0, -2.0), (-2.0, 2.0), (2.0, 2.0))
    assert sample_points(Grid(axis, axis)) == middles
    line = tuple(alpha for alpha, _ in sample_points(Grid(Axis(-4.0, 4.0, 11))))
    assert line == pytest.approx((-3.2, -1.6, 0.0, 1.6, 3.2))
    assert len(sample_points(Grid(Axis(-4.0, 4.0, 40), Axis(-4.0, 4.0, 40)))) == 5
    assert len(sample_points(Grid(Axis(0.0, 1.0, 2), Axis(0.0, 1.0, 2)))) in range(1, 5)
    assert len(sample_points(Grid(Axis(0.0, 1.0, 2)))) == 2


def rows(*losses: float) -> list[NDArray[np.float64]]:
    return [np.array([loss, 0.25, 1.0, 0.5, 9.0, 9.0, 9.0, 9.0]) for loss in losses]


def test_the_largest_difference() -> None:
    points = ((0.0, 0.0), (1.0, 0.0))
    found = largest_difference(points, rows(1.0, 2.0), rows(1.5, 1.25))
    assert found.at == points
    assert (found.train_loss, found.train_error, found.eval_loss) == (0.75, 0.0, 0.0)


def test_values_that_are_not_finite_differ_where_they_are_others() -> None:
    points = ((0.0, 0.0), (1.0, 0.0))
    same = rows(math.nan, math.inf)
    assert largest_difference(points, same, rows(math.nan, math.inf)).train_loss == 0.0
    assert largest_difference(points, same, rows(math.nan, 1.0)).train_loss == math.inf
    assert math.isnan(largest_difference(points, same, rows(1.0, math.inf)).train_loss)


# --- a whole job in bf16, with a CPU in the GPU's place -------------------------------------------


def as_a_gpu_would(device: torch.device, precision: Format) -> Method:
    return cuda_method(precision, plain_attention.attend)


@pytest.fixture
def as_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """The CPU computes as a GPU does, but for the attention kernel."""
    monkeypatch.setattr(precision, "rounds_products", lambda _: True)
    monkeypatch.setattr(packed_evaluator, "method_for", as_a_gpu_would)
    monkeypatch.setattr(attention_varlen, "fits", lambda *_: True)


@pytest.mark.usefixtures("as_gpu")
def test_a_job_in_bf16_says_how_far_it_is_from_fp32(bert: Inputs, tmp_path: Path) -> None:
    spec = bert.spec(precision="bf16", trajectory=[str(bert.finetuned)])
    surface = run_job(spec, device="cpu")
    exact = run_job(bert.spec(trajectory=[str(bert.finetuned)]), device="cpu")
    assert isinstance(surface, Surface)
    assert isinstance(exact, Surface)
    findings = surface.findings
    assert (findings.precision, findings.evaluator) == ("bf16", "packed")
    assert all(check.passed is None for check in findings.self_checks)
    assert all(check.found[0] != check.expected[0] for check in findings.self_checks)
    assert (exact.findings.precision, exact.findings.rounding) == ("fp32", None)
    # A 3 × 3 grid: its quarters' middles are its corners.
    rounding = findings.rounding
    assert rounding is not None
    assert rounding.at == ((0.0, 0.0), (-1.0, -1.0), (1.0, -1.0), (-1.0, 1.0), (1.0, 1.0))
    corners = np.abs(surface["train_loss"] - exact["train_loss"])[[1, 0, 0, 2, 2], [1, 0, 2, 0, 2]]
    assert rounding.train_loss == corners.max() > 1e-5
    assert rounding.eval_loss < 0.02
    assert findings.trajectory is not None
    assert findings.trajectory.numbers[0][0] == findings.self_checks[1].found[0]
    surface.save(tmp_path / "a.h5")
    assert Surface.load(tmp_path / "a.h5").findings == findings


@pytest.mark.usefixtures("as_gpu")
def test_preparing_again_finds_the_same(bert: Inputs) -> None:
    first, second = (prepare(bert.spec(precision="bf16"), device="cpu") for _ in range(2))
    assert list(first.findings.differences(second.findings)) == []
    assert first.inputs.precision == "bf16"
    assert isinstance(evaluator_for(second.inputs, "cpu"), PackedEvaluator)


@pytest.mark.usefixtures("as_gpu")
def test_a_rollback_in_bf16_is_measured_at_theta1(bert: Inputs) -> None:
    value = bert.spec(precision="bf16").to_json()
    value = {key: value[key] for key in ("model", "data", "precision")}
    groups = ["high", "all"]
    rollback = run_job(parse_spec({**value, "kind": "rollback", "groups": groups}), device="cpu")
    findings = rollback.findings
    assert (findings.precision, findings.evaluator) == ("bf16", "packed")
    assert findings.rounding is not None
    assert findings.rounding.at == ((0.0, 0.0),)
    theta1 = findings.self_checks[0]
    assert abs(theta1.found[0] - theta1.expected[0]) == pytest.approx(
        findings.rounding.train_loss, abs=1e-5
    )
    assert rollback.evaluated.all()
