"""Which jobs a study takes, in which order, and which of them need what others leave behind.

::

    start/pretrained, start/scratch     θ0, stored once, so that all runs of a start share it
    finetune/TASK/START                 START: pretrained, scratch, longer-5, …
    curve/TASK/START                    along δ1; START: pretrained, scratch
    surface/TASK/START                  with the run's trajectory
    layers/TASK/GROUP                   of the pre-trained run
    rollback/TASK                       of the pre-trained run

A job's name is that of its step: a study that takes another name finds its jobs again.
No I/O: a step's spec names the steps that it needs by their keys, where a job's id will stand.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from bertscape.spec import (
    Checkpoint,
    Data,
    Direction,
    FinetuneModel,
    FinetuneSpec,
    GridRanges,
    JobOutput,
    JobSpec,
    LandscapeSpec,
    Model,
    Overrides,
    Random,
    RollbackSpec,
    Split,
    StudySpec,
    Training,
    with_sources,
)
from bertscape.values import LayerGroup

PRETRAINED, SCRATCH = "pretrained", "scratch"
START, FINETUNE, CURVE, SURFACE = "start", "finetune", "curve", "surface"
LAYERS, ROLLBACK = "layers", "rollback"
_Start = Literal["pretrained", "scratch"]
_STARTS: tuple[_Start, ...] = ("pretrained", "scratch")
_WORDS = {PRETRAINED: "pre-trained", SCRATCH: "from scratch"}


@dataclass(frozen=True, slots=True)
class Step:
    """One job of a study."""

    key: str  # as in "surface/mrpc/scratch"
    spec: JobSpec  # with {job: KEY} where the output of the step KEY is to stand
    training: Training | None = None  # its settings, where it is one

    @property
    def part(self) -> str:
        """The first word of the key."""
        return self.key.partition("/")[0]

    @property
    def needs(self) -> tuple[str, ...]:
        """The keys of the steps whose outputs it takes, each once, in the spec's order."""
        found: dict[str, None] = {}
        self._replaced(lambda key: found.setdefault(key) or key)
        return tuple(found)

    def resolved(self, jobs: Mapping[str, str]) -> JobSpec:
        """The spec to submit: `jobs` gives the job's id for each key in `needs`."""
        return self._replaced(lambda key: jobs[key])

    def identity(self, identities: Mapping[str, str], content: Mapping[str, str]) -> str:
        """What the result depends on, as one hash: equal steps on equal inputs have equal ones.

        Args:
            identities: those of the steps in `needs`, by key.
            content: a word for what a file or folder now holds, by its path; unknown ones count
                by their path alone.
        """
        spec = self._replaced(lambda key: identities[key]).to_json()
        text = json.dumps([spec, dict(content)], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def _replaced(self, job: Callable[[str], str]) -> JobSpec:
        def checkpoint(_: str, value: Checkpoint) -> Checkpoint:
            if isinstance(value, JobOutput):
                return value.model_copy(update={"job": job(value.job)})
            return value

        return with_sources(self.spec, checkpoint)


def plan(study: StudySpec) -> tuple[Step, ...]:
    """All steps of a study, each after those that it needs.

    The order is that in which results are wanted: first what the rest is built on, then what
    tells most for its cost.
    """
    return tuple(_steps(study))


def _steps(study: StudySpec) -> Iterator[Step]:
    longer = [(task, epochs) for task in study.tasks_of("longer") for epochs in study.longer.epochs]
    yield from (_start(study, start) for start in _STARTS)
    for start in _STARTS:
        yield from (
            _finetune(study, task, start, _training(study, task, start)) for task in study.tasks
        )
    for task, epochs in longer:
        training = _training(study, task, PRETRAINED, Overrides(epochs=epochs))
        yield _finetune(study, task, f"longer-{epochs}", training)
    for start in _STARTS:
        yield from (_curve(study, task, start) for task in study.tasks)
    yield from (
        _rollback(study, task) for task in study.tasks_of("rollback") if study.rollback.groups
    )
    for start in _STARTS:
        yield from (_surface(study, task, start) for task in study.tasks)
    for task in study.tasks_of("layers"):
        yield from (_layers(study, task, group) for group in study.layers.groups)
    yield from (_surface(study, task, f"longer-{epochs}") for task, epochs in longer)


# --- training -----------------------------------------------------------------------------------


def _start(study: StudySpec, start: _Start) -> Step:
    """θ0, complete; the head that the first task gives it is used by no other run."""
    task = next(iter(study.tasks))
    nothing = Overrides(epochs=0).over(_training(study, task, start))
    nothing = nothing.model_copy(update={"start": start})
    return Step(
        f"{START}/{start}",
        FinetuneSpec(
            kind="finetune",
            name=f"θ0, {_words(start)}",
            model=FinetuneModel(pretrained=study.pretrained, tokenizer=study.tokenizer),
            data=study.tasks[task].data,
            training=nothing,
            precision=_training_precision(study),
        ),
        nothing,
    )


def _finetune(study: StudySpec, task: str, start: str, training: Training) -> Step:
    return Step(
        f"{FINETUNE}/{task}/{start}",
        FinetuneSpec(
            kind="finetune",
            name=f"{task}, {_words(start)}",
            model=FinetuneModel(pretrained=_theta0(start)),
            data=study.tasks[task].data,
            training=training,  # its start is what the folder holds, random weights included
            precision=_training_precision(study),
        ),
        training,
    )


def _training(
    study: StudySpec,
    task: str,
    start: str,
    last: Overrides = Overrides(),  # noqa: B008 (frozen)
) -> Training:
    """The settings of one run: the study's, then the task's, then those of its start."""
    training = study.tasks[task].training.over(study.training.over(Training()))
    if start == SCRATCH:
        training = study.tasks[task].scratch.over(study.scratch.over(training))
    return last.over(training)


def _training_precision(study: StudySpec) -> Literal["auto", "fp32", "bf16"]:
    """The study's, where a training has it too."""
    return study.precision if study.precision in ("fp32", "bf16") else "auto"


# --- landscapes ---------------------------------------------------------------------------------


def _curve(study: StudySpec, task: str, start: str) -> Step:
    return Step(
        f"{CURVE}/{task}/{start}",
        LandscapeSpec(
            kind="curve",
            name=f"{task}, {_words(start)}, curve",
            model=_model(task, start),
            grid=GridRanges(x=study.curve),
            data=_evaluated(study, task),
            paired=study.paired,
            precision=study.precision,
        ),
    )


def _surface(study: StudySpec, task: str, start: str) -> Step:
    return Step(
        f"{SURFACE}/{task}/{start}",
        LandscapeSpec.model_validate(
            {
                "kind": "surface",
                "name": f"{task}, {_words(start)}, surface",
                "model": _model(task, start),
                "y": _y_direction(study, task, start),
                "grid": study.surface,
                "data": _evaluated(study, task),
                "trajectory": (_run(task, start),),
                "paired": study.paired,
                "precision": study.precision,
            }
        ),
    )


def _layers(study: StudySpec, task: str, group: LayerGroup) -> Step:
    name = group_name(group)
    return Step(
        f"{LAYERS}/{task}/{name}",
        LandscapeSpec.model_validate(
            {
                "kind": "surface",
                "name": f"{task}, {_words(PRETRAINED)}, layers {name}",
                "model": _model(task, PRETRAINED),
                "y": _y_direction(study, task, PRETRAINED),
                "layers": group,
                "origin": "finetuned",
                "grid": study.layers.grid or study.surface,
                "data": _evaluated(study, task),
                "paired": study.paired,
                "precision": study.precision,
            }
        ),
    )


def _rollback(study: StudySpec, task: str) -> Step:
    return Step(
        f"{ROLLBACK}/{task}",
        RollbackSpec(
            kind="rollback",
            name=f"{task}, {_words(PRETRAINED)}, rollback",
            model=_model(task, PRETRAINED),
            groups=study.rollback.groups,
            data=_evaluated(study, task),
            precision=study.precision,
        ),
    )


def _model(task: str, start: str) -> Model:
    return Model(pretrained=_theta0(start), finetuned=_run(task, start))


def _y_direction(study: StudySpec, task: str, start: str) -> Direction:
    """Toward the other task's run from the same θ0, or at random."""
    toward = study.toward(task)
    if isinstance(toward, Random):
        return Direction(random=toward)
    return Direction(toward=_run(toward, SCRATCH if start == SCRATCH else PRETRAINED))


def _theta0(start: str) -> Checkpoint:
    return JobOutput(job=f"{START}/{SCRATCH if start == SCRATCH else PRETRAINED}")


def _run(task: str, start: str) -> JobOutput:
    return JobOutput(job=f"{FINETUNE}/{task}/{start}")


def _evaluated(study: StudySpec, task: str) -> Data:
    """The task's data, of each split as many examples as a point is to be evaluated on."""
    data, asked = study.tasks[task].data, study.tasks[task].evaluate or study.evaluate
    sampled = {"train": _sampled(data.train, asked.train), "eval": _sampled(data.eval, asked.eval)}
    return data.model_copy(update=sampled)


def _sampled(split: Split, examples: int | None) -> Split:
    """With the same seed the smaller of two samples is part of the larger one."""
    counts = [count for count in (split.examples, examples) if count is not None]
    return split.model_copy(update={"examples": min(counts)}) if counts else split


# --- words --------------------------------------------------------------------------------------


def group_name(group: LayerGroup) -> str:
    """As it stands in a step's key: "low", or "0-4" for the layers [0, 4)."""
    value = group.to_json()
    return value if isinstance(value, str) else "-".join(map(str, value))


def _words(start: str) -> str:
    return _WORDS.get(start) or f"pre-trained, {start.removeprefix('longer-')} epochs"
