"""What a study has so far, read from its folder."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from bertscape.results import Surface
from bertscape.spec import StudySpec
from bertscape.values import TrainingOutput

if TYPE_CHECKING:
    from bertscape.results import Rollback

PRETRAINED, SCRATCH = "pretrained", "scratch"


@dataclass(frozen=True, slots=True)
class TrainingRun:
    """One fine-tuning: its trajectory, and the final model on the evaluation split."""

    output: TrainingOutput
    eval_loss: float  # mean cross-entropy, in nats
    eval_error: float  # 1 − accuracy, in [0, 1]
    eval_loss_stderr: float
    eval_error_stderr: float

    @property
    def accuracy(self) -> float:
        """Of the final model, in [0, 1]; its standard error is that of the error."""
        return 1 - self.eval_error


@dataclass(frozen=True, slots=True)
class StudyResults:
    """Everything that exists; `missing` and `failed` name the rest.

    A start is "pretrained", "scratch", or "longer-5" for five epochs from the pre-trained start.
    """

    spec: StudySpec
    runs: Mapping[tuple[str, str], TrainingRun]  # by (task, start)
    curves: Mapping[tuple[str, str], Surface]  # along δ1, by (task, start)
    surfaces: Mapping[tuple[str, str], Surface]  # with the trajectory, by (task, start)
    layers: Mapping[tuple[str, str], Surface]  # by (task, group), as ("mrpc", "low")
    rollbacks: Mapping[str, "Rollback"]  # of the pre-trained run, by task
    missing: tuple[str, ...] = ()  # keys of the steps without a result, as "surface/mrpc/scratch"
    failed: Mapping[str, str] = field(default_factory=dict)  # why, of those of them that failed

    @classmethod
    def load(cls, folder: str | Path) -> "StudyResults":
        """Read a study's folder, whole or so far.

        Raises:
            InvalidInput: the folder holds no study.
            SurfaceFileError: one of its files is damaged.
        """
        from bertscape.study.folder import load_results

        return load_results(Path(folder))
