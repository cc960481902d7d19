"""What the paper found, and whether a study finds it too: pure functions of its results.

Each verdict compares two or more numbers by a rule that its docstring states. All uncertainty is
that of the sample of examples: a study trains each model once, so that what another seed would
change is in no interval here.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from bertscape.readings import (
    Estimate,
    OptimumArea,
    OptimumLength,
    at_least,
    circle_rise,
    consistency,
    end_point,
    optimum_area,
    optimum_length,
    radius_in_space,
    size_of,
)
from bertscape.readings.parts import units_of
from bertscape.report.findings.error_rates import accuracy, error_rate, rate_difference
from bertscape.report.findings.judgement import (
    POINTS,
    SHARE,
    STEP,
    Fact,
    Judgement,
    Outcome,
    apart,
    by_sign,
    difference_of,
    undecided,
)
from bertscape.report.findings.loss_steps import middle_steps
from bertscape.results import Rollback, Surface
from bertscape.study import TrainingRun
from bertscape.values import THIRDS, LayerGroup, LogEntry

WIDTH_THRESHOLDS = (0.5, 0.25, 0.1)  # nat above J(θ1): levels whose regions may be compared
RADII = (0.5, 0.25)  # of the circles that are compared: the first that both surfaces hold whole
MARGIN = 0.02  # a rise of the evaluation error that is counted as none: two percentage points
FEWEST_ENTRIES = 5  # of a training's log, to tell its noise from its course


# -------------------------------------------------------------------------------- the optimum


def wider_optimum(pretrained: Surface, scratch: Surface) -> Judgement:
    """Pre-training reaches a wider optimum than training from scratch.

    Compared: the area of the region around θ1 below J(θ1) + 0.5 nat, in units of each run's own
    ‖δ1‖² as the pictures have it, or of ‖δ1‖·‖δ2‖ where y is a random direction with a length of
    its own; on curves the length of that region. Where both regions may reach beyond the grid no
    size can be told from another: it is then the level of 0.25 nat, or of 0.1, whichever is the
    first at which they do not.

    Rule: it holds if the whole 95 % interval from the pre-trained start lies above that from
    scratch, is contradicted if it lies below, and is undecided if they meet. A region that
    touches the grid's border or a hole has an interval without an upper end. Undecided too where a
    run did not end in an optimum: its training loss is not below ½ ln K, half of chance.

    The radius in parameter space of the circle with that area is given too, and decides nothing:
    two runs of unlike ‖δ1‖ may order differently there, and the reason then says so. Where y is a
    random direction there is no such radius.
    """
    no_optimum = _without_optimum({"pre-trained": pretrained, "from scratch": scratch})
    widths = _widths(pretrained, scratch)
    if widths is None:
        return undecided("a grid does not hold θ1")
    here, there = widths
    name = "area" if isinstance(here, OptimumArea) else "length"
    name = f"{name} below J(θ1) + {here.threshold:g} nat"
    unit = units_of(pretrained).area if isinstance(here, OptimumArea) else "‖δ1‖"
    facts = (
        Fact(f"{name}, pre-trained", size_of(here), unit, at_least(here)),
        Fact(f"{name}, from scratch", size_of(there), unit, at_least(there)),
    )
    if no_optimum:
        return undecided(no_optimum, facts)
    radii = _radii({"pre-trained": (pretrained, here), "from scratch": (scratch, there)})
    judged = apart(size_of(here), size_of(there), (*facts, *radii), "wider", "narrower")
    order = [fact.value.value for fact in radii]
    in_units = size_of(here).value - size_of(there).value
    if len(order) == 2 and (order[0] - order[1]) * in_units < 0:
        reason = f"{judged.reason}; in parameter space the order is the other way round"
        return dataclasses.replace(judged, reason=reason)
    return judged


_Width = OptimumArea | OptimumLength


def _widths(pretrained: Surface, scratch: Surface) -> tuple[_Width, _Width] | None:
    """At the first level at which not both regions may reach beyond the grid, else the last."""
    found = None
    for threshold in WIDTH_THRESHOLDS:
        here, there = _width(pretrained, threshold), _width(scratch, threshold)
        if here is None or there is None:
            return None
        found = here, there
        if not all(math.isinf(size_of(one).high) for one in found):
            break
    return found


def _width(surface: Surface, threshold: float) -> _Width | None:
    if surface.beta is None:
        return optimum_length(surface, threshold)
    return optimum_area(surface, threshold)


def _radii(widths: Mapping[str, tuple[Surface, _Width]]) -> tuple[Fact, ...]:
    """Radii of the optima in parameter space; empty for curves, and if a direction is random."""
    radii = {
        name: (radius_in_space(surface, found), at_least(found))
        for name, (surface, found) in widths.items()
        if isinstance(found, OptimumArea)
    }
    return tuple(
        Fact(f"radius in parameter space, {name}", radius, "", cut)
        for name, (radius, cut) in radii.items()
        if radius is not None
    )


def flatter_optimum(pretrained: Surface, scratch: Surface) -> Judgement:
    """Pre-training reaches a flatter optimum than training from scratch.

    Compared: the mean rise of the training loss above J(θ1) on a circle around θ1 of radius 0.5
    ‖δ1‖; of radius 0.25 where a grid does not hold the larger one whole. Where y is a random
    direction it is the circle of the picture, whose axes have different units.

    Rule: it holds if the whole 95 % interval from the pre-trained start lies below that from
    scratch, is contradicted if it lies above, and is undecided if they meet, where no circle
    is whole in both, and where a run did not end in an optimum (as in `wider_optimum`).
    """
    unit = units_of(pretrained).circle
    return _flatter({"pre-trained": pretrained, "from scratch": scratch}, unit)


def _flatter(surfaces: Mapping[str, Surface], unit: str) -> Judgement:
    """Whether the first of two surfaces rises less around θ1 than the second, an optimum each."""
    judged = _by_rise(surfaces, unit)
    no_optimum = _without_optimum(surfaces)
    return undecided(no_optimum, judged.facts) if no_optimum else judged


def _by_rise(surfaces: Mapping[str, Surface], unit: str) -> Judgement:
    for radius in RADII:
        rises = [circle_rise(surface, radius) for surface in surfaces.values()]
        whole = [rise for rise in rises if rise is not None and rise.known == 1]
        if len(whole) == len(surfaces):
            facts = tuple(
                Fact(f"mean rise at {radius:g} {unit}, {name}", rise.mean, "nat")
                for name, rise in zip(surfaces, whole, strict=True)
            )
            first, second = (rise.mean for rise in whole)
            return apart(second, first, facts, "flatter", "steeper")
    return undecided(f"no circle of {RADII[-1]:g} {unit} around θ1 is known whole on both surfaces")


def _without_optimum(surfaces: Mapping[str, Surface]) -> str:
    """Which run did not end below half of chance, as a reason; empty if both did."""
    for name, surface in surfaces.items():
        end, level = end_point(surface), 0.5 * math.log(surface.findings.classes)
        if end is not None and not end.train_loss < level:
            loss = f"{end.train_loss:.3g}" if math.isfinite(end.train_loss) else "not finite"
            return (
                f"{name}, training ended in no optimum: its training loss is {loss}, not below "
                f"½ ln {surface.findings.classes} = {level:.3f}"
            )
    return ""


# ------------------------------------------------------------------------------- the training


def easier_optimization(
    pretrained: Sequence[LogEntry], scratch: Sequence[LogEntry], classes: int
) -> Judgement:
    """Optimization is easier from the pre-trained start: the training loss falls faster.

    Compared: the mean over the steps that both runs have of what the training loss from scratch
    is above that from the pre-trained start, at equal steps. A logged loss is a mean over the steps
    since the one before, and stands at their middle (`middle_steps`), however often a run logs;
    logged losses are joined by lines.

    Rule: it holds if the 95 % interval of that mean lies above 0, is contradicted if it lies
    below, and is undecided if it holds 0, or if a log has fewer than five losses in common
    steps. A log has no standard errors: the noise of a logged loss is estimated from its second
    differences, σ² = mean((x₋ − 2x + x₊)²) / 6, and that of a mean of n is σ/√n. The step of each
    run's first logged loss below ½ ln K is given, and decides nothing.
    """
    runs = {"pre-trained": _losses(pretrained), "from scratch": _losses(scratch)}
    level = 0.5 * math.log(classes)
    facts = tuple(
        Fact(
            f"first step with a loss below {level:.3f} nat, {name}", _first_below(run, level), STEP
        )
        for name, run in runs.items()
    )
    here, there = runs.values()
    if not (len(here) and len(there)):
        return undecided("a log holds no training loss", facts)
    first, last = max(here[0, 0], there[0, 0]), min(here[-1, 0], there[-1, 0])
    common = [run[(run[:, 0] >= first) & (run[:, 0] <= last)] for run in (here, there)]
    if min(map(len, common)) < FEWEST_ENTRIES:
        reason = f"fewer than {FEWEST_ENTRIES} logged losses at steps that both runs have"
        return undecided(reason, facts)
    steps = np.union1d(common[0][:, 0], common[1][:, 0])
    above = np.interp(steps, *there.T) - np.interp(steps, *here.T)
    noise = [_noise(run[:, 1]) / math.sqrt(len(run)) for run in common]
    difference = Estimate.of(float(above.mean()), math.hypot(*noise))
    name = f"training loss from scratch above pre-trained, mean of steps {first:g} to {last:g}"
    return by_sign(difference, (Fact(name, difference, "nat"), *facts), "lower", "higher")


def _losses(log: Sequence[LogEntry]) -> NDArray[np.float64]:
    """(step, loss) of the entries with a finite loss, (n, 2); each at its middle step."""
    found = [(entry.step, entry.loss) for entry in log if entry.loss is not None]
    values = np.array(found, dtype=np.float64).reshape(-1, 2)
    values[:, 0] = middle_steps(values[:, 0])
    return values[np.isfinite(values[:, 1])]


def _first_below(run: NDArray[np.float64], level: float) -> Estimate:
    below = run[run[:, 1] < level, 0]
    return Estimate.of(float(below[0]) if len(below) else math.inf, math.nan)


def _noise(losses: NDArray[np.float64]) -> float:
    return float(np.sqrt(np.mean(np.diff(losses, n=2) ** 2) / 6))


def robust_to_overfitting(runs: Mapping[float, TrainingRun]) -> Judgement:
    """Fine-tuning is robust to overfitting: training longer does not raise the evaluation error.

    Compared: the final evaluation error of the longest training with that of the shortest.

    Rule: it is contradicted if the 95 % interval of the rise lies above 0, holds if it lies
    below two percentage points and the former does not apply, and is undecided else: that an
    error does not rise can only be shown up to some margin. The interval has a width where an error
    is 0 or 1 too (`rate_difference`). The evaluation loss may rise, as confidence does; it is
    given, and decides nothing.

    Args:
        runs: by their number of epochs.
    """
    if len(runs) < 2:
        return undecided("not measured: there are no trainings of different lengths")
    order = sorted(runs)
    short, long = runs[order[0]], runs[order[-1]]
    rise = rate_difference(error_rate(long), error_rate(short))
    loss = difference_of(
        (long.eval_loss, long.eval_loss_stderr), (short.eval_loss, short.eval_loss_stderr)
    )
    between = f"from {order[0]:g} to {order[-1]:g} epochs"
    facts = (
        Fact(f"rise of the evaluation error {between}", rise, POINTS),
        Fact(f"rise of the evaluation loss {between}", loss, "nat"),
    )
    if math.isnan(rise.low):
        return undecided("an interval is not known", facts)
    if rise.low > 0:
        return Judgement(Outcome.CONTRADICTED, "the evaluation error rises", facts)
    if rise.high < MARGIN:
        reason = f"a rise of {100 * MARGIN:g} percentage points or more is excluded"
        return Judgement(Outcome.HOLDS, reason, facts)
    reason = f"the interval holds both no rise and one of {100 * MARGIN:g} percentage points"
    return undecided(reason, facts)


def generalizes_better(pretrained: TrainingRun, scratch: TrainingRun) -> Judgement:
    """The end point reached from the pre-trained start generalizes better.

    Compared: the final models' error on the evaluation split.

    Rule: it holds if the 95 % interval of (error from scratch − error from the pre-trained
    start) lies above 0, is contradicted if it lies below, and is undecided if it holds 0.
    The interval is as of `robust_to_overfitting`.
    """
    difference = rate_difference(error_rate(scratch), error_rate(pretrained))
    facts = (
        Fact("accuracy, pre-trained above from scratch", difference, POINTS),
        Fact("accuracy, pre-trained", accuracy(pretrained), SHARE),
        Fact("accuracy, from scratch", accuracy(scratch), SHARE),
    )
    return by_sign(difference, facts, "more accurate", "less accurate")


# ---------------------------------------------------------------------------- the two surfaces


def surfaces_agree(surface: Surface) -> Judgement:
    """The generalization error surface agrees with the training loss surface.

    Compared over all grid points with both: Spearman's rank correlation with 0, and the overlap of
    the lowest tenths of both with what chance gives (`readings.consistency`).

    Rule: it holds if both 95 % intervals lie above these, is contradicted if one of them lies
    below, and is undecided else.
    """
    found = consistency(surface)
    rank, overlap = found.rank_correlation, found.overlap
    facts = (
        Fact("rank correlation", rank, ""),
        Fact(f"overlap of the lowest {found.low_points} points", overlap, ""),
        Fact("overlap by chance", Estimate.of(found.chance, math.nan), ""),
    )
    if math.isnan(rank.low) or math.isnan(overlap.low):
        return undecided("an interval is not known", facts)
    if rank.low > 0 and overlap.low > found.chance:
        return Judgement(Outcome.HOLDS, "both are above what chance gives", facts)
    if rank.high < 0 or overlap.high < found.chance:
        return Judgement(Outcome.CONTRADICTED, "one is below what chance gives", facts)
    return undecided("an interval holds what chance gives", facts)


# --------------------------------------------------------------------------------- the layers


_FEW_GROUPS = "fewer than two groups of encoder layers without a layer in common"


def lower_layers_cost_less(rollback: Rollback) -> Judgement:
    """Lower layers are more transferable: putting them back costs less accuracy than higher ones.

    Compared: what the evaluation error rises by where the highest layer group is put back to θ0,
    above what it rises by where the lowest is. Embeddings, pooler and `all` are no such groups.

    Rule: it holds if the 95 % interval of that difference lies above 0, is contradicted if it
    lies below, and is undecided if it holds 0, or if the two groups have a layer in common.
    Both rises are of paired differences.
    """
    groups = dict(zip(rollback.groups[1:], rollback.spec.groups, strict=True))
    ends = lowest_and_highest(groups)
    if ends is None:
        return undecided(f"{_FEW_GROUPS} were put back")
    low, high = (rollback.groups.index(name) for name in ends)
    change, stderr = rollback["eval_error_change"], rollback["eval_error_change_stderr"]
    costs = [(float(change[index]), float(stderr[index])) for index in (high, low)]
    difference = difference_of(*costs)
    facts = (
        Fact(f"rise of the error with {ends[1]} put back", Estimate.of(*costs[0]), POINTS),
        Fact(f"rise of the error with {ends[0]} put back", Estimate.of(*costs[1]), POINTS),
        Fact("difference", difference, POINTS),
    )
    return by_sign(difference, facts, "the lower cost less", "the lower cost more")


def lower_layers_flatter(surfaces: Mapping[str, Surface]) -> Judgement:
    """Lower layers are more invariant: where they alone move, the training loss rises less.

    Compared: the mean rise of the training loss on a circle around θ1, on the surfaces of the
    lowest and of the highest layer group, its radius in multiples of what fine-tuning moved each
    group by, ‖δ1ᴳ‖.

    Rule: as of `flatter_optimum`, of the lowest group against the highest; undecided too if the
    two have a layer in common.

    Args:
        surfaces: layer-group surfaces by the group's name.
    """
    ends = lowest_and_highest({name: one.spec.layers for name, one in surfaces.items()})
    if ends is None:
        return undecided(f"not measured: surfaces of {_FEW_GROUPS}")
    return _flatter({name: surfaces[name] for name in ends}, "‖δ1ᴳ‖")


def lowest_and_highest(groups: Mapping[str, LayerGroup]) -> tuple[str, str] | None:
    """Names of the lowest and the highest group of encoder layers.

    Returns:
        None of fewer than two, and of ranges that share a layer.
    """
    thirds = [name for third in THIRDS for name, one in groups.items() if one.value == third]
    if len(thirds) > 1:
        return thirds[0], thirds[-1]
    ranges = sorted(
        (one.value, name) for name, one in groups.items() if isinstance(one.value, tuple)
    )
    if len(ranges) < 2 or ranges[0][0][1] > ranges[-1][0][0]:
        return None
    return ranges[0][1], ranges[-1][1]
