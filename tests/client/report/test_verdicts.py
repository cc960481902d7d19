"""Each verdict in each of its outcomes, on bowls, logs and runs of known shape."""

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
from tests.client.report.bowl_study import (
    a_layer_surface,
    a_rollback,
    a_run,
    a_surface,
    bowl,
    build,
)

from bertscape.report.findings.error_rates import error_rate, rate_difference
from bertscape.report.findings.findings import STATEMENTS, judge
from bertscape.report.findings.judgement import Judgement, Outcome
from bertscape.report.findings.verdicts import (
    easier_optimization,
    flatter_optimum,
    generalizes_better,
    lower_layers_cost_less,
    lower_layers_flatter,
    robust_to_overfitting,
    surfaces_agree,
    wider_optimum,
)
from bertscape.spec import parse_study
from bertscape.study import StudyResults, TrainingRun
from bertscape.values import LogEntry

HOLDS, CONTRADICTED, UNDECIDED = Outcome.HOLDS, Outcome.CONTRADICTED, Outcome.UNDECIDED


def value_of(judgement: Judgement, name: str) -> float:
    (found,) = (fact.value.value for fact in judgement.facts if fact.name == name)
    return found


# -------------------------------------------------------------------------------- the optimum


@pytest.mark.parametrize(
    ("here", "there", "outcome"),
    [(0.25, 2.0, HOLDS), (2.0, 0.25, CONTRADICTED), (0.5, 0.51, UNDECIDED)],
)
@pytest.mark.parametrize("kind", ["surface", "curve"])
def test_the_wider_bowl_is_the_less_steep(
    make_surface: Any, here: float, there: float, outcome: Outcome, kind: str
) -> None:
    pair = [a_surface(make_surface, bowl(steepness), kind=kind) for steepness in (here, there)]
    for compare in (wider_optimum, flatter_optimum):
        judged = compare(*pair)
        assert judged.outcome is outcome
        assert len(judged.facts) >= 2


def test_the_width_is_that_of_the_ellipse(make_surface: Any) -> None:
    grid = {"x": [-1, 3, 61], "y": [-2, 2, 61]}
    pair = [a_surface(make_surface, bowl(k), grid=grid) for k in (0.7, 2.0)]
    area = math.pi * 0.5 / (0.7 * math.sqrt(1.3))
    assert value_of(
        wider_optimum(*pair), "area below J(θ1) + 0.5 nat, pre-trained"
    ) == pytest.approx(area, rel=0.02)


def test_the_same_bowls_with_larger_errors_are_undecided(make_surface: Any) -> None:
    pair = [a_surface(make_surface, bowl(k), stderr=0.2) for k in (0.25, 0.5)]
    assert wider_optimum(*pair).outcome is UNDECIDED
    assert flatter_optimum(*pair).outcome is UNDECIDED


def test_a_region_that_touches_the_border_is_only_at_least_so_wide(make_surface: Any) -> None:
    huge, wide, narrow = (a_surface(make_surface, bowl(k)) for k in (0.01, 0.3, 3.0))
    assert wider_optimum(huge, narrow).outcome is HOLDS
    assert wider_optimum(narrow, huge).outcome is CONTRADICTED
    assert wider_optimum(wide, huge).outcome is CONTRADICTED
    judged = wider_optimum(huge, dataclasses.replace(huge))
    assert judged.outcome is UNDECIDED
    assert "a larger grid might decide" in judged.reason
    assert all(fact.at_least and math.isinf(fact.value.high) for fact in judged.facts)


def test_where_both_regions_are_cut_a_lower_level_is_compared(make_surface: Any) -> None:
    huge, cut = a_surface(make_surface, bowl(0.01)), a_surface(make_surface, bowl(0.04))
    judged = wider_optimum(huge, cut)
    assert judged.facts[0].name == "area below J(θ1) + 0.25 nat, pre-trained"
    assert judged.outcome is HOLDS
    assert wider_optimum(cut, huge).outcome is CONTRADICTED


def test_the_order_in_parameter_space_is_told_where_it_is_another(make_surface: Any) -> None:
    wide, narrow = a_surface(make_surface, bowl(0.25)), a_surface(make_surface, bowl(2.0))
    assert "parameter space" not in wider_optimum(wide, narrow).reason
    longer = narrow.findings.model_copy(update={"delta1_norm": 100.0})
    judged = wider_optimum(wide, dataclasses.replace(narrow, findings=longer))
    assert judged.outcome is HOLDS
    assert judged.reason.endswith("; in parameter space the order is the other way round")
    radius = value_of(judged, "radius in parameter space, pre-trained")
    area = value_of(judged, "area below J(θ1) + 0.5 nat, pre-trained")
    factor = 7.25**2 * math.sqrt(1 - wide.findings.cosine**2)
    assert math.pi * radius**2 == pytest.approx(area * factor, rel=1e-9)


def test_a_training_that_reached_no_optimum_decides_nothing(make_surface: Any) -> None:
    wide = a_surface(make_surface, bowl(0.25))
    plateau = a_surface(make_surface, bowl(0.001, low=0.6))
    for compare in (wider_optimum, flatter_optimum):
        judged = compare(wide, plateau)
        assert judged.outcome is UNDECIDED
        assert "from scratch, training ended in no optimum: its training loss is 0.6" in (
            judged.reason
        )
        assert judged.facts
    lost = a_surface(make_surface, bowl(1.0, low=math.nan))
    assert "its training loss is not finite" in wider_optimum(wide, lost).reason


def test_of_a_random_direction_no_size_in_parameter_space_is_told(make_surface: Any) -> None:
    random = {"y": {"random": {"seed": 0}}}
    wide, narrow = (a_surface(make_surface, bowl(k), **random) for k in (0.25, 2.0))
    longer = narrow.findings.model_copy(update={"delta1_norm": 100.0})
    judged = wider_optimum(wide, dataclasses.replace(narrow, findings=longer))
    assert judged.outcome is HOLDS
    assert judged.reason == "wider: the intervals do not meet"
    assert [fact.unit for fact in judged.facts] == ["‖δ1‖·‖δ2‖"] * 2
    flatter = flatter_optimum(wide, narrow)
    assert flatter.facts[0].name == "mean rise at 0.5 axis units, pre-trained"


def test_an_end_point_off_the_grid_decides_nothing(make_surface: Any) -> None:
    wide = a_surface(make_surface, bowl(0.25))
    elsewhere = a_surface(make_surface, bowl(0.25), grid={"x": [-2, 0, 9], "y": [-1, 1, 9]})
    assert wider_optimum(wide, elsewhere).reason == "a grid does not hold θ1"
    assert flatter_optimum(wide, elsewhere).outcome is UNDECIDED


def test_a_smaller_circle_serves_where_the_larger_one_is_cut(make_surface: Any) -> None:
    grid = {"x": [0, 1.3, 27], "y": [-1, 1, 41]}
    pair = [a_surface(make_surface, bowl(k), grid=grid) for k in (0.5, 4.0)]
    judged = flatter_optimum(*pair)
    assert judged.outcome is HOLDS
    assert judged.facts[0].name == "mean rise at 0.25 ‖δ1‖, pre-trained"
    holes = tuple(range(27 * 41 - 27))
    cut = [pair[0], a_surface(make_surface, bowl(4.0), grid=grid, holes=holes)]
    assert "no circle of 0.25" in flatter_optimum(*cut).reason


# ------------------------------------------------------------------------------- the training


@pytest.mark.parametrize(
    ("here", "there", "noise", "outcome"),
    [(10, 40, 0.01, HOLDS), (40, 10, 0.01, CONTRADICTED), (20, 21, 0.2, UNDECIDED)],
)
def test_easier_is_what_falls_faster(
    here: float, there: float, noise: float, outcome: Outcome
) -> None:
    logs = [a_run(fall, noise=noise).output.log for fall in (here, there)]
    assert easier_optimization(*logs, classes=2).outcome is outcome


def test_easier_optimization_counts_equal_steps_and_says_when_a_level_is_reached() -> None:
    here, there = a_run(10, noise=0).output.log, a_run(1000, noise=0, epochs=9).output.log
    judged = easier_optimization(here, there, 2)
    name = "training loss from scratch above pre-trained, mean of steps 2 to 98"
    steps = np.arange(3, 100, 3)
    above = math.log(2) * (np.exp(-steps / 1000) - np.exp(-steps / 10)).mean()
    assert value_of(judged, name) == pytest.approx(above, rel=1e-9)
    first = "first step with a loss below 0.347 nat"
    # ln 2·exp(−9/10) < ½ ln 2 is logged at step 9, and is the mean of steps 7 to 9.
    assert value_of(judged, f"{first}, pre-trained") == 8
    assert value_of(judged, f"{first}, from scratch") == math.inf


def a_log(losses: np.ndarray, window: int) -> tuple[LogEntry, ...]:
    """As of a training that logs the mean loss of so many steps."""
    ends = range(window, len(losses) + 1, window)
    return tuple(LogEntry(end, end / 33, losses[end - window : end].mean()) for end in ends)


@pytest.mark.parametrize("fall", [30.0, 100.0])
def test_how_often_a_training_logs_decides_nothing(fall: float) -> None:
    losses = math.log(2) * np.exp(-np.arange(1, 241) / fall)
    for windows in ((1, 5), (5, 1), (2, 8)):
        judged = easier_optimization(*(a_log(losses, window) for window in windows), classes=2)
        assert judged.outcome is UNDECIDED
        # With each mean at the end of its steps it would be 0.005 and more.
        assert abs(judged.facts[0].value.value) < 0.001


def test_two_equal_noisy_trainings_of_unlike_windows_seldom_decide() -> None:
    generator = np.random.default_rng(0)
    falling = math.log(2) * np.exp(-np.arange(1, 241) / 100)
    decided = 0
    for _ in range(100):
        logs = [a_log(falling + 0.05 * generator.standard_normal(240), window) for window in (2, 5)]
        decided += easier_optimization(*logs, classes=2).outcome is not UNDECIDED
    assert decided <= 15  # of 100, where 5 are meant to be


def test_a_log_that_is_too_short_decides_nothing() -> None:
    log = a_run().output.log
    assert easier_optimization(log, log[:3], 2).outcome is UNDECIDED
    assert "holds no training loss" in easier_optimization(log, (), 2).reason
    lost = tuple(dataclasses.replace(entry, loss=math.nan) for entry in log)
    assert easier_optimization(lost, log, 2).outcome is UNDECIDED


@pytest.mark.parametrize(
    ("error", "stderr", "outcome"),
    [
        (0.15, 0.005, HOLDS),
        (0.10, 0.005, HOLDS),
        (0.20, 0.005, CONTRADICTED),
        (0.165, 0.001, CONTRADICTED),  # within the margin, but sure
        (0.15, 0.02, UNDECIDED),  # no rise, but one of 2 points is not excluded
        (0.15, math.nan, UNDECIDED),
    ],
)
def test_robust_is_what_does_not_rise(error: float, stderr: float, outcome: Outcome) -> None:
    runs = {
        20.0: a_run(error=error, stderr=stderr, loss=0.9),
        10.0: a_run(error=0.4, stderr=stderr),  # neither the shortest nor the longest
        5.0: a_run(error=0.15, stderr=stderr, loss=0.3),
    }
    judged = robust_to_overfitting(runs)
    assert judged.outcome is outcome
    loss = value_of(judged, "rise of the evaluation loss from 5 to 20 epochs")
    assert loss == pytest.approx(0.6)


def with_error(run: TrainingRun, error: float) -> TrainingRun:
    """With that final error, on as many examples; the training began at one half."""
    count = run.eval_error * (1 - run.eval_error) / run.eval_error_stderr**2
    began = LogEntry(0, 0.0, None, None, 0.7, 0.5, 0.02, math.sqrt(0.25 / count))
    return dataclasses.replace(
        run,
        output=dataclasses.replace(run.output, log=(began,)),
        eval_error=error,
        eval_error_stderr=math.sqrt(error * (1 - error) / count),
    )


def test_an_error_of_0_is_no_certainty() -> None:
    few, many = (a_run(error=0.15, stderr=stderr) for stderr in (0.05, 0.003))  # 51, 14167 examples
    for run, outcome in ((few, UNDECIDED), (many, HOLDS)):
        runs = {5.0: with_error(run, 0.0), 20.0: with_error(run, 0.0)}
        judged = robust_to_overfitting(runs)
        assert judged.outcome is outcome
        rise = judged.facts[0].value
        assert (rise.value, rise.stderr) == (0.0, 0.0)
        assert rise.low == pytest.approx(-rise.high, rel=1e-12)
    judged = generalizes_better(with_error(few, 0.0), with_error(few, 0.02))
    assert judged.outcome is UNDECIDED
    assert generalizes_better(with_error(few, 0.0), with_error(few, 0.5)).outcome is HOLDS
    assert generalizes_better(with_error(few, 1.0), with_error(few, 0.5)).outcome is CONTRADICTED


def test_an_error_of_0_on_an_unknown_number_of_examples_decides_nothing() -> None:
    run = a_run(error=0.15, stderr=0.003)
    blind = dataclasses.replace(run.output, log=())
    certain = dataclasses.replace(run, output=blind, eval_error=0.0, eval_error_stderr=0.0)
    assert generalizes_better(certain, run).reason == "an interval is not known"
    assert robust_to_overfitting({5.0: run, 20.0: certain}).reason == "an interval is not known"


@pytest.mark.parametrize(
    ("one", "other", "low", "high"),
    [  # of Newcombe 1998, table II, method 10
        ((56, 70), (48, 80), 0.0524, 0.3339),
        ((9, 10), (3, 10), 0.1705, 0.8090),
        ((10, 10), (0, 20), 0.6791, 1.0),
    ],
)
def test_the_interval_of_a_difference_is_newcombes(
    one: tuple[int, int], other: tuple[int, int], low: float, high: float
) -> None:
    found = []
    for hits, count in (one, other):
        run = with_error(a_run(error=0.5, stderr=math.sqrt(0.25 / count)), hits / count)
        found.append(error_rate(run))
    difference = rate_difference(*found)
    assert (difference.low, difference.high) == pytest.approx((low, high), abs=5e-5)


def test_an_output_that_tells_its_examples_gives_a_faultless_model_an_interval() -> None:
    run = with_error(a_run(error=0.5, stderr=math.nan), 0.0)
    assert math.isnan(error_rate(run).high)
    told = dataclasses.replace(run.output, eval_examples=20)
    found = error_rate(dataclasses.replace(run, output=told))
    assert (found.low, found.high) == pytest.approx((0.0, 0.1611), abs=5e-5)  # 0 of 20, by Wilson


def test_one_length_of_training_decides_nothing() -> None:
    assert "not measured" in robust_to_overfitting({3.0: a_run()}).reason


@pytest.mark.parametrize(
    ("here", "there", "stderr", "outcome"),
    [
        (0.15, 0.3, 0.01, HOLDS),
        (0.3, 0.15, 0.01, CONTRADICTED),
        (0.15, 0.3, 0.1, UNDECIDED),
        (0.15, 0.3, math.nan, UNDECIDED),
    ],
)
def test_generalizing_is_the_evaluation_error(
    here: float, there: float, stderr: float, outcome: Outcome
) -> None:
    judged = generalizes_better(a_run(error=here, stderr=stderr), a_run(error=there, stderr=stderr))
    assert judged.outcome is outcome
    gain = value_of(judged, "accuracy, pre-trained above from scratch")
    assert gain == pytest.approx(there - here)


def test_errors_of_both_models_add_as_squares() -> None:
    judged = generalizes_better(a_run(error=0.1, stderr=0.03), a_run(error=0.2, stderr=0.04))
    assert judged.facts[0].value.stderr == pytest.approx(0.05)
    assert judged.facts[0].value.low == pytest.approx(0.1 - 1.96 * 0.05, abs=0.02)


# ---------------------------------------------------------------------------- the two surfaces


def test_surfaces_agree_disagree_or_are_undecided(make_surface: Any) -> None:
    surface = a_surface(make_surface, bowl(0.25))
    assert surfaces_agree(surface).outcome is HOLDS
    against = surface.numbers.copy()
    against[3] = 0.5 - against[3] / 2
    turned = dataclasses.replace(surface, numbers=against)
    assert surfaces_agree(turned).outcome is CONTRADICTED
    rough = surface.numbers.copy()
    rough[3] = np.random.default_rng(0).uniform(0.2, 0.4, rough[3].shape)
    rough[7] = 0.05
    assert surfaces_agree(dataclasses.replace(surface, numbers=rough)).outcome is UNDECIDED
    unknown = surface.numbers.copy()
    unknown[4:] = np.nan
    assert "not known" in surfaces_agree(dataclasses.replace(surface, numbers=unknown)).reason


# --------------------------------------------------------------------------------- the layers


@pytest.mark.parametrize(
    ("rises", "stderr", "outcome"),
    [
        ((0.0, 0.05, 0.2), 0.01, HOLDS),
        ((0.2, 0.05, 0.0), 0.01, CONTRADICTED),
        ((0.0, 0.3, 0.02), 0.01, UNDECIDED),
        ((0.0, 0.05, 0.2), math.nan, UNDECIDED),
    ],
)
def test_the_lowest_group_is_held_against_the_highest(
    make_surface: Any, rises: tuple[float, ...], stderr: float, outcome: Outcome
) -> None:
    rollback = a_rollback(a_surface(make_surface, bowl(0.25)), rises, stderr)
    judged = lower_layers_cost_less(rollback)
    assert judged.outcome is outcome
    assert value_of(judged, "difference") == pytest.approx(rises[-1] - rises[0])


def test_ranges_are_ordered_and_other_groups_left_out(make_surface: Any) -> None:
    surface = a_surface(make_surface, bowl(0.25))
    groups = ("embeddings", (3, 6), "all", (0, 3))
    judged = lower_layers_cost_less(a_rollback(surface, (0.5, 0.2, 0.5, 0.0), 0.01, groups))
    assert judged.outcome is HOLDS
    assert judged.facts[0].name == "rise of the error with [3, 6] put back"
    nested = a_rollback(surface, (0.0, 0.4), 0.01, ((0, 3), (0, 6)))
    assert "without a layer in common" in lower_layers_cost_less(nested).reason
    apart = a_rollback(surface, (0.0, 0.2, 0.4), 0.01, ((0, 3), (0, 6), (3, 6)))
    assert lower_layers_cost_less(apart).outcome is HOLDS
    few = a_rollback(surface, (0.5, 0.2), 0.01, ("embeddings", (3, 6)))
    assert "fewer than two groups" in lower_layers_cost_less(few).reason


@pytest.mark.parametrize(
    ("low", "high", "outcome"),
    [(0.1, 0.9, HOLDS), (0.9, 0.1, CONTRADICTED), (0.5, 0.51, UNDECIDED)],
)
def test_the_flatter_group_is_the_less_steep(
    make_surface: Any, low: float, high: float, outcome: Outcome
) -> None:
    surfaces = {
        "high": a_layer_surface(make_surface, "high", high),
        "low": a_layer_surface(make_surface, "low", low),
    }
    judged = lower_layers_flatter(surfaces)
    assert judged.outcome is outcome
    assert judged.facts[0].name.endswith(", low")
    assert "not measured" in lower_layers_flatter({"low": surfaces["low"]}).reason


def test_groups_of_a_model_without_an_optimum_decide_nothing(make_surface: Any) -> None:
    surfaces = {}
    for third, steepness in (("low", 0.1), ("high", 0.9)):
        plateau = bowl(steepness, low=0.6)
        surfaces[third] = a_surface(
            make_surface, lambda a, b, loss=plateau: loss(a + 1, b), layers=third, trajectory=False
        )
    judged = lower_layers_flatter(surfaces)
    assert judged.outcome is UNDECIDED
    assert judged.reason.startswith("low, training ended in no optimum")
    assert judged.facts[0].name == "mean rise at 0.5 ‖δ1ᴳ‖, low"


# ----------------------------------------------------------------------------------- of a study


def test_every_finding_is_judged_for_each_task(make_surface: Any) -> None:
    verdicts = judge(build(make_surface))
    assert {one.finding for one in verdicts} == set(STATEMENTS)
    tasks = {name: [one.task for one in verdicts if one.finding == name] for name in STATEMENTS}
    assert tasks.pop("robust-to-overfitting") == ["mrpc"]  # longer by default: the first task
    assert set(map(tuple, tasks.values())) == {("mrpc", "rte")}
    assert {one.judgement.outcome for one in verdicts} == {HOLDS}


def test_what_is_missing_is_undecided_and_named(results: StudyResults) -> None:
    empty = dataclasses.replace(results, runs={}, curves={}, surfaces={}, layers={}, rollbacks={})
    verdicts = judge(empty)
    assert {one.judgement.outcome for one in verdicts} == {UNDECIDED}
    assert all("not measured" in one.judgement.reason for one in verdicts)
    reasons = " ".join(one.judgement.reason for one in verdicts)
    for key in ("surface/mrpc/scratch", "finetune/mrpc/pretrained", "rollback/mrpc"):
        assert key in reasons


def test_a_part_that_is_not_asked_for_is_not_judged(results: StudyResults) -> None:
    values = results.spec.to_json()
    values |= {"rollback": {"groups": []}, "layers": {"groups": []}, "longer": {"epochs": []}}
    few = dataclasses.replace(results, spec=parse_study(values))
    left_out = {"robust-to-overfitting", "lower-layers-cost-less", "lower-layers-flatter"}
    assert {one.finding for one in judge(few)} == set(STATEMENTS) - left_out


@pytest.mark.parametrize(
    ("part", "key", "names"),
    [
        (
            "surfaces",
            ("mrpc", "pretrained"),
            {"wider-optimum", "flatter-optimum", "surfaces-agree"},
        ),
        ("layers", ("mrpc", "high"), {"lower-layers-flatter"}),
        ("rollbacks", "mrpc", {"lower-layers-cost-less"}),
    ],
)
def test_a_failed_self_check_decides_nothing(
    results: StudyResults, part: str, key: Any, names: set[str]
) -> None:
    found = dict(getattr(results, part))
    check = found[key].self_checks[0].model_copy(update={"passed": False})
    findings = found[key].findings.model_copy(update={"self_checks": (check,)})
    found[key] = dataclasses.replace(found[key], findings=findings)
    for one in judge(dataclasses.replace(results, **{part: found})):
        assert (one.judgement.outcome is UNDECIDED) == (one.finding in names)
        if one.finding in names:
            assert "a self-check failed" in one.judgement.reason


def test_curves_serve_where_surfaces_are_missing(results: StudyResults) -> None:
    curves_alone = dataclasses.replace(results, surfaces={})
    found = {one.finding: one.judgement for one in judge(curves_alone)}
    assert found["wider-optimum"].outcome is HOLDS
    assert found["wider-optimum"].facts[0].name == "length below J(θ1) + 0.5 nat, pre-trained"


def test_the_usual_training_is_the_shorter_one_where_there_is_one_longer(
    results: StudyResults,
) -> None:
    runs = {
        key: run for key, run in results.runs.items() if key[1] not in ("longer-5", "longer-10")
    }
    found = {one.finding: one.judgement for one in judge(dataclasses.replace(results, runs=runs))}
    names = [fact.name for fact in found["robust-to-overfitting"].facts]
    assert names[0] == "rise of the evaluation error from 3 to 20 epochs"
