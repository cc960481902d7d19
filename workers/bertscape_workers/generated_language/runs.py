"""The demo's four fine-tuning runs: two tasks from each of two starts, all else equal."""

from dataclasses import dataclass, replace
from pathlib import Path

from bertscape.values import Progress
from bertscape_workers.generated_language.data import DemoData
from bertscape_workers.generated_language.size import DEMO, Size
from bertscape_workers.training import (
    FineTuned,
    FineTuning,
    Start,
    finetune,
)


@dataclass(frozen=True, slots=True)
class TaskRuns:
    """Both tasks from one θ0, which is the `initial` checkpoint of either run."""

    target: FineTuned  # its final checkpoint is θ1
    other: FineTuned  # its final checkpoint is θ2


@dataclass(frozen=True, slots=True)
class FourRuns:
    """The same two tasks from both starts; steps, schedule and learning rate are equal."""

    pretrained: TaskRuns
    scratch: TaskRuns


def fine_tune_four(
    folder: Path,
    pretrained: Path,
    data: DemoData,
    seed: int,
    progress: Progress | None = None,
    *,
    size: Size = DEMO,
    threads: int | None = 1,
) -> FourRuns:
    """Fine-tune both tasks from the pre-trained start, and both from one stored random start.

    Args:
        folder: holds a folder for each run afterwards, as in `pretrained-target`.
        pretrained: the masked-language model.
        data: both tasks.
        seed: of the heads, the random start, the order of the sentences and dropout.
        progress: told of each optimizer step, each run under a stage of its own.
        size: of the training.
        threads: of the CPU; results depend on their number, not on that of the cores.
    """
    settings = FineTuning(
        pretrained=str(pretrained),
        data=data.target,
        epochs=size.fine_tuning_epochs,
        batch_size=size.fine_tuning_batch,
        learning_rate=size.fine_tuning_rate,
        seed=seed,
        threads=threads,
    )
    return FourRuns(
        pretrained=_both_tasks(folder, settings, data, progress),
        scratch=_both_tasks(folder, replace(settings, start=Start.SCRATCH), data, progress),
    )


def _both_tasks(
    folder: Path, settings: FineTuning, data: DemoData, progress: Progress | None
) -> TaskRuns:
    """The second run starts from what the first one stored, and so shares its θ0."""
    name = str(settings.start)
    target = finetune(settings, folder / f"{name}-target", _named(progress, f"{name}, target task"))
    shared = replace(
        settings, pretrained=str(target.initial), start=Start.PRETRAINED, data=data.other
    )
    other = finetune(shared, folder / f"{name}-other", _named(progress, f"{name}, other task"))
    return TaskRuns(target, other)


def _named(progress: Progress | None, run: str) -> Progress | None:
    """`progress` told of one run among several."""
    if progress is None:
        return None

    def tell(stage: str, done: int, total: int) -> None:
        progress(f"{stage} {run}", done, total)

    return tell
