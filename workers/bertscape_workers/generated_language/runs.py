"""The demo's four fine-tuning runs: two tasks from each of two starts, all else equal."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bertscape.spec import Data, FinetuneModel, FinetuneSpec, Training
from bertscape.values import Progress
from bertscape_workers.generated_language.data import DemoData
from bertscape_workers.generated_language.size import DEMO, Size
from bertscape_workers.training import FineTuned, finetune

Start = Literal["pretrained", "scratch"]


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
    training = Training(
        epochs=size.fine_tuning_epochs,
        batch_size=size.fine_tuning_batch,
        learning_rate=size.fine_tuning_rate,
        seed=seed,
    )
    trainer = _Trainer(folder, training, threads, progress)
    return FourRuns(
        pretrained=trainer.both_tasks("pretrained", str(pretrained), data),
        scratch=trainer.both_tasks("scratch", str(pretrained), data),
    )


@dataclass(frozen=True, slots=True)
class _Trainer:
    folder: Path
    training: Training
    threads: int | None
    progress: Progress | None

    def both_tasks(self, start: Start, model: str, data: DemoData) -> TaskRuns:
        """The second run starts from what the first one stored, and so shares its θ0."""
        begun = self.training.model_copy(update={"start": start})
        target = self._run(start, "target", model, data.target, begun)
        other = self._run(start, "other", str(target.initial), data.other, self.training)
        return TaskRuns(target, other)

    def _run(
        self, start: Start, task: str, model: str, data: Data, training: Training
    ) -> FineTuned:
        spec = FinetuneSpec(
            kind="finetune", model=FinetuneModel(pretrained=model), data=data, training=training
        )
        progress = _named(self.progress, f"{start}, {task} task")
        return finetune(spec, self.folder / f"{start}-{task}", progress, threads=self.threads)


def _named(progress: Progress | None, run: str) -> Progress | None:
    """`progress` told of one run among several."""
    if progress is None:
        return None

    def tell(stage: str, done: int, total: int) -> None:
        progress(f"{stage} {run}", done, total)

    return tell
