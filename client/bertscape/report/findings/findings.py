"""The paper's findings, each judged for each task of a study."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bertscape.report.findings.judgement import Judgement, undecided
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
from bertscape.report.parts import LONGER
from bertscape.results import Rollback, Surface
from bertscape.study import PRETRAINED, SCRATCH, StudyResults, TrainingRun


@dataclass(frozen=True, slots=True)
class Verdict:
    """One finding of the paper, for one task."""

    finding: str  # a stable name, a key of `STATEMENTS`
    task: str
    judgement: Judgement


Judge = Callable[[StudyResults, str], Judgement]


def judge(results: StudyResults) -> tuple[Verdict, ...]:
    """Every finding for every task to which it applies, in the paper's order."""
    return tuple(
        Verdict(name, task, judge_one(results, task))
        for name, judge_one in _JUDGES.items()
        for task in _tasks(results, name)
    )


def _tasks(results: StudyResults, finding: str) -> tuple[str, ...]:
    """The tasks whose study asks for what the finding needs."""
    spec = results.spec
    match finding:
        case "robust-to-overfitting":
            return spec.tasks_of("longer") if spec.longer.epochs else ()
        case "lower-layers-cost-less":
            return spec.tasks_of("rollback") if spec.rollback.groups else ()
        case "lower-layers-flatter":
            return spec.tasks_of("layers") if spec.layers.groups else ()
    return tuple(spec.tasks)


def _optimum(compare: Callable[[Surface, Surface], Judgement]) -> Judge:
    """By both surfaces, or by both curves if a surface is missing."""

    def judged(results: StudyResults, task: str) -> Judgement:
        for found in (results.surfaces, results.curves):
            here, there = (found.get((task, start)) for start in (PRETRAINED, SCRATCH))
            if here is not None and there is not None:
                return _if_trusted(compare(here, there), here, there)
        return _not_measured("surface", task, results.surfaces)

    return judged


def _of_both_runs(compare: Callable[[TrainingRun, TrainingRun], Judgement]) -> Judge:
    def judged(results: StudyResults, task: str) -> Judgement:
        here, there = results.runs.get((task, PRETRAINED)), results.runs.get((task, SCRATCH))
        if here is None or there is None:
            return _not_measured("finetune", task, results.runs)
        return compare(here, there)

    return judged


def _easier(here: TrainingRun, there: TrainingRun) -> Judgement:
    return easier_optimization(here.output.log, there.output.log, len(here.output.labels))


def _robust(results: StudyResults, task: str) -> Judgement:
    starts = longer_starts(results, task)
    return robust_to_overfitting({by: results.runs[task, start] for by, start in starts.items()})


def longer_starts(results: StudyResults, task: str) -> dict[float, str]:
    """Starts by epochs, shortest first; the usual training is one only where it takes two."""
    starts = {
        float(start.removeprefix(LONGER)): start
        for name, start in results.runs
        if name == task and start.startswith(LONGER)
    }
    usual = results.runs.get((task, PRETRAINED))
    if len(starts) == 1 and usual is not None and usual.output.log:
        starts.setdefault(usual.output.log[-1].epoch, PRETRAINED)
    return dict(sorted(starts.items()))


def _agree(results: StudyResults, task: str) -> Judgement:
    surface = results.surfaces.get((task, PRETRAINED))
    if surface is None:
        return undecided(f"not measured: needs surface/{task}/{PRETRAINED}")
    return _if_trusted(surfaces_agree(surface), surface)


def _rolled_back(results: StudyResults, task: str) -> Judgement:
    rollback = results.rollbacks.get(task)
    if rollback is None:
        return undecided(f"not measured: needs rollback/{task}")
    return _if_trusted(lower_layers_cost_less(rollback), rollback)


def _layers(results: StudyResults, task: str) -> Judgement:
    groups = {group: one for (name, group), one in results.layers.items() if name == task}
    return _if_trusted(lower_layers_flatter(groups), *groups.values())


def _if_trusted(judgement: Judgement, *found: Surface | Rollback) -> Judgement:
    """The judgement, unless a self-check of what it rests on failed."""
    if any(one.failed_self_checks for one in found):
        reason = "a self-check failed, and these numbers must not be trusted"
        return undecided(reason, judgement.facts)
    return judgement


def _not_measured(part: str, task: str, found: Mapping[tuple[str, str], object]) -> Judgement:
    absent = (
        f"{part}/{task}/{start}" for start in (PRETRAINED, SCRATCH) if (task, start) not in found
    )
    return undecided(f"not measured: needs {' and '.join(absent)}")


_JUDGES: dict[str, Judge] = {
    "wider-optimum": _optimum(wider_optimum),
    "flatter-optimum": _optimum(flatter_optimum),
    "easier-optimization": _of_both_runs(_easier),
    "robust-to-overfitting": _robust,
    "generalizes-better": _of_both_runs(generalizes_better),
    "surfaces-agree": _agree,
    "lower-layers-cost-less": _rolled_back,
    "lower-layers-flatter": _layers,
}

STATEMENTS = {
    "wider-optimum": "Pre-training reaches a wider optimum than training from scratch",
    "flatter-optimum": "Pre-training reaches a flatter optimum than training from scratch",
    "easier-optimization": "Optimization is easier from the pre-trained start",
    "robust-to-overfitting": "Fine-tuning is robust to overfitting",
    "generalizes-better": "The pre-trained start ends in a model that generalizes better",
    "surfaces-agree": "The generalization error surface agrees with the training loss surface",
    "lower-layers-cost-less": "Lower layers are more transferable: putting them back costs less",
    "lower-layers-flatter": "Lower layers are more invariant: moving them raises the loss less",
}
