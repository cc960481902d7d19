"""A fine-tuning as a job: preparing it, and its one point, which is the whole run."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from bertscape.spec import FINETUNE_NUMBERS, FinetuneSpec, Limits
from bertscape.values import Progress, TrainingFindings, TrainingOutput
from bertscape_workers.admission import MemoryLimits, admit
from bertscape_workers.checkpoints import device_model, set_threads
from bertscape_workers.jobs.prepare import Prepared, splits_found
from bertscape_workers.jobs.tiles import TileOrder, TileWatch
from bertscape_workers.training import (
    FineTuned,
    TrainingInputs,
    check,
    refuse_existing_trajectory,
    train,
    train_alone,
)


def prepare_training(
    spec: FinetuneSpec,
    *,
    device: str | None = None,
    threads: int = 1,
    progress: Progress | None = None,
    limits: MemoryLimits | None = None,
) -> Prepared[TrainingFindings, TrainingInputs]:
    """Check all that the run needs, and pin it; nothing is trained.

    Args:
        spec: with absolute paths.
        device: not asked for; the `Trainer` chooses.
        threads: CPU threads of this process, and of the worker that trains.
        progress: told of the one stage there is.
        limits: the memory there is; without them nothing is checked.

    Raises:
        InvalidInput: whatever is wrong with the checkpoint, the data or the sizes.
    """
    del device
    set_threads(threads)
    if progress is not None:
        progress("reading checkpoint and data", 0, 1)
    inputs = check(spec, limits, threads=threads)
    if progress is not None:
        progress("reading checkpoint and data", 1, 1)
    findings = TrainingFindings(
        checkpoints={"pretrained": inputs.pin},
        splits=splits_found(spec.data, {"train": inputs.train, "eval": inputs.eval}),
        classes=len(inputs.labels),
        precision="bf16" if inputs.bf16 else "fp32",
        device=device_model(),
        threads=threads,
        torch=torch.__version__,
        warnings=inputs.warnings,
        labels=inputs.labels,
    )
    return Prepared(findings, inputs)


def train_here(
    spec: FinetuneSpec,
    output: Path,
    progress: Progress | None = None,
    *,
    threads: int | None = 1,
) -> FineTuned:
    """Prepare and run a job in this process, without a service.

    Args:
        spec: with absolute paths; bound by no root.
        output: the folder for its checkpoints, which holds none yet.
        progress: told of each stage.
        threads: CPU threads, None as many as torch chooses; more of them change the last bits.

    Raises:
        InvalidInput: the spec asks for too much, its inputs are wrong, or another run has the
            folder.
        CheckpointNotWritten: the disk refuses a checkpoint.
    """
    refuse_existing_trajectory(output)
    count = threads or torch.get_num_threads()
    prepared = prepare_training(admit(spec, Limits()), threads=count, progress=progress)
    return train_alone(prepared.inputs, output, progress)


@dataclass(frozen=True, slots=True)
class TrainingRunner:
    """Runs the one tile of the job, which is the whole training, or its missing part."""

    inputs: TrainingInputs

    def run(self, order: TileOrder, watch: TileWatch) -> tuple[NDArray[np.float64], TrainingOutput]:
        """As `TileRunner.run`; errors are those of `train`.

        Returns:
            The numbers of the final model, (1, 4) float64 in the order of `FINETUNE_NUMBERS`, and
            what the run left behind.
        """
        folder = Path(order.output)
        run = train(self.inputs, folder, watch.stage, watch.logged, watch.stop, watch.kept)
        return np.array([[getattr(run.numbers, name) for name in FINETUNE_NUMBERS]]), run.output
