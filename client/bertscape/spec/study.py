"""Studies: everything that the paper shows, for one model and the user's own tasks.

A study is no job. `bertscape.study` plans the jobs that it takes, and runs them on a service.
"""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, field_serializer, field_validator, model_validator

from bertscape.spec.kinds import MAX_EPOCHS, Precision, Training
from bertscape.spec.parts import (
    DEFAULT_AXIS,
    AxisRange,
    Checkpoint,
    Data,
    GridRanges,
    JobOutput,
    Layers,
    Random,
    Values,
    wrong,
)
from bertscape.values import THIRDS, LayerGroup

STUDY = "study"
_TASK_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,39}")


def _as_tuple(value: object) -> object:
    """A list, or one value instead of a list of one."""
    if isinstance(value, list):
        return tuple(value)
    return (value,) if isinstance(value, str | int) else value


def _different(values: tuple[Any, ...]) -> tuple[Any, ...]:
    if len(set(values)) != len(values):
        raise wrong("no duplicates")
    return values


TaskNames = Annotated[tuple[str, ...], BeforeValidator(_as_tuple)]
Groups = Annotated[tuple[Layers, ...], BeforeValidator(_as_tuple)]
_THIRDS = tuple(LayerGroup(third) for third in THIRDS)


class Overrides(Training):
    """Some settings of a training; those that are not given stay as they were."""

    @model_validator(mode="after")
    def _no_start(self) -> Self:
        if "start" in self.model_fields_set:
            raise wrong("no start here: a study trains from both", "start", self.start)
        return self

    def over(self, training: Training) -> Training:
        """`training` with what is given here in its place.

        Epochs that are given here end a `max_steps` from there.
        """
        given = {name: getattr(self, name) for name in self.model_fields_set}
        if "epochs" in given:
            given = {"max_steps": None, **given}
        return training.model_copy(update=given)


class RandomDirection(Values):
    """The y axis of a study of one task."""

    random: Random = Random(seed=0)


def _toward(value: object) -> object:
    match value:
        case str() | RandomDirection():
            return value
        case {"random": _}:
            return RandomDirection.model_validate(value)
    raise wrong("the name of a task, or {random: {seed: 0}}")


class Evaluate(Values):
    """How many examples of each split a point is evaluated on; default: all that `data` has.

    A sample is drawn by the split's `seed`, and of those that were trained on.
    """

    train: int | None = Field(default=None, ge=1)
    eval: int | None = Field(default=None, ge=1)


class Task(Values):
    """A data set, what is special in training on it, and where its y axis points."""

    data: Data
    training: Overrides = Overrides()  # over the study's `training`
    scratch: Overrides = Overrides()  # over the study's `scratch`
    # Another task: its run from the same start. Default: the next task in the list.
    toward: Annotated[str | RandomDirection | None, BeforeValidator(_toward)] = None
    evaluate: Evaluate | None = None  # default: the study's

    @field_serializer("training", "scratch")
    def _only_given(self, overrides: Overrides) -> dict[str, Any]:
        return _given(overrides)


class Longer(Values):
    """Training for longer than usual, to see whether it overfits."""

    tasks: TaskNames | None = None  # default: the first
    epochs: Annotated[tuple[int, ...], BeforeValidator(_as_tuple)] = (5, 10, 20)

    @field_validator("epochs")
    @classmethod
    def _numbers_of_epochs(cls, epochs: tuple[int, ...]) -> tuple[int, ...]:
        in_bounds = all(1 <= count <= MAX_EPOCHS for count in epochs)
        if not in_bounds or len(set(epochs)) != len(epochs):
            raise wrong(f"numbers of epochs, each from 1 to {MAX_EPOCHS}, none twice")
        return epochs


class LayerSurfaces(Values):
    """Which layer groups to move, each on a surface of its own."""

    tasks: TaskNames | None = None  # default: all
    groups: Groups = _THIRDS
    grid: GridRanges | None = None  # default: the study's `surface`

    _none_twice = field_validator("groups")(_different)


class RolledBack(Values):
    """Which layer groups to put back to θ0."""

    tasks: TaskNames | None = None  # default: all
    groups: Groups = _THIRDS

    _none_twice = field_validator("groups")(_different)


class StudySpec(Values):
    """One model, one or more tasks, and which parts of the paper to draw of them."""

    kind: Literal["study"]
    name: str | None = Field(default=None, max_length=100)
    pretrained: Checkpoint  # its weights are one start, its architecture the other's
    tokenizer: Checkpoint | None = None  # default: pretrained's
    tasks: Mapping[str, Task]
    training: Overrides = Overrides()
    scratch: Overrides = Overrides()  # over `training`, for the runs from scratch
    longer: Longer = Longer()
    curve: AxisRange = DEFAULT_AXIS
    surface: GridRanges = GridRanges()  # both axes
    layers: LayerSurfaces = LayerSurfaces()
    rollback: RolledBack = RolledBack()
    evaluate: Evaluate = Evaluate()
    paired: bool = Field(default=False, exclude_if=lambda paired: not paired)  # as of a job
    precision: Precision = "auto"

    @field_validator("pretrained", "tokenizer")
    @classmethod
    def _of_no_job(cls, checkpoint: Checkpoint | None) -> Checkpoint | None:
        if isinstance(checkpoint, JobOutput):
            raise wrong("a folder, or {hub: id, revision: name}")
        return checkpoint

    @field_validator("tasks")
    @classmethod
    def _named_tasks(cls, tasks: Mapping[str, Task]) -> Mapping[str, Task]:
        if not tasks:
            raise wrong("one task or more, as in {mrpc: {data: …}, rte: {data: …}}")
        for name in tasks:
            if not _TASK_NAME.fullmatch(name):
                raise wrong(
                    "tasks named by 1 to 40 letters, digits, and _ . - after the first", name, name
                )
        return tasks

    @model_validator(mode="after")
    def _known_tasks(self) -> Self:
        named = {f"tasks.{name}.toward": task.toward for name, task in self.tasks.items()}
        for part in ("longer", "layers", "rollback"):
            names = getattr(self, part).tasks or ()
            named |= {f"{part}.tasks[{place}]": name for place, name in enumerate(names)}
        for key, name in named.items():
            if isinstance(name, str) and name not in self.tasks:
                raise wrong(f"one of the tasks: {', '.join(self.tasks)}", key, name)
        for name, task in self.tasks.items():
            if task.toward == name:
                raise wrong("another task than itself", f"tasks.{name}.toward", name)
        return self

    @field_serializer("training", "scratch")
    def _only_given(self, overrides: Overrides) -> dict[str, Any]:
        return _given(overrides)

    def toward(self, task: str) -> str | Random:
        """Where that task's y axis points: another task, or a random direction."""
        asked = self.tasks[task].toward
        if isinstance(asked, RandomDirection):
            return asked.random
        names = list(self.tasks)
        if asked is not None or len(names) == 1:
            return asked or Random(seed=0)
        return names[(names.index(task) + 1) % len(names)]

    def tasks_of(self, part: Literal["longer", "layers", "rollback"]) -> tuple[str, ...]:
        """The tasks of one part of the study, in the order of `tasks`."""
        asked = getattr(self, part).tasks
        names = tuple(self.tasks)
        if asked is None:
            return names[:1] if part == "longer" else names
        return tuple(name for name in names if name in asked)

    def to_json(self) -> dict[str, Any]:
        """The spec as plain JSON values; `parse_study` reads it back as an equal object."""
        return self.model_dump(mode="json", exclude_none=True)


def _given(overrides: Overrides) -> dict[str, Any]:
    return overrides.model_dump(mode="json", exclude_unset=True)
