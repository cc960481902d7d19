"""A study's folder: which steps there are, how each one stands, and its result.

::

    study.json          the spec, and of each step its key, job, state and file
    results/<key>.h5    a curve, a surface, a rollback; <key> with - in place of /
    results/<key>.json  a fine-tuning
    report.html

Files appear whole or not at all; the folder is at any moment one that `load_results` reads.
"""

import contextlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from bertscape.results import read_surface
from bertscape.spec import FINETUNE_NUMBERS, StudySpec, parse_study
from bertscape.study.results import StudyResults, TrainingRun
from bertscape.values import COMPLETED, InvalidInput, ProblemType, TrainingOutput, publishing

STUDY_FILE, RESULTS, REPORT = "study.json", "results", "report.html"
_FORMAT, _VERSION = "bertscape-study", 1


@dataclass(frozen=True, slots=True)
class StepRecord:
    """How one step stands."""

    state: str = "waiting"  # then as its job's
    job: str | None = None  # its id
    identity: str | None = None  # the idempotency key under which the job was submitted
    file: str | None = None  # relative to the study's folder; once it is there
    error: str | None = None  # why it failed


@dataclass(frozen=True, slots=True)
class StudyRecord:
    """What `study.json` says."""

    spec: StudySpec
    steps: Mapping[str, StepRecord]  # by key, in the order of the plan

    def with_step(self, key: str, **changes: Any) -> "StudyRecord":
        """The same with one step changed."""
        return replace(self, steps={**self.steps, key: replace(self.steps[key], **changes)})

    def write(self, folder: Path) -> None:
        """Publish it in that folder."""
        steps = {
            key: {name: value for name, value in asdict(step).items() if value is not None}
            for key, step in self.steps.items()
        }
        write_json(
            folder / STUDY_FILE,
            {
                "format": _FORMAT,
                "format_version": _VERSION,
                "spec": self.spec.to_json(),
                "steps": steps,
            },
        )

    @classmethod
    def read(cls, folder: Path) -> "StudyRecord":
        """Read it from that folder.

        Raises:
            InvalidInput: there is none, or none that is known here.
        """
        path = folder / STUDY_FILE
        with _no_study(path):
            members = json.loads(path.read_text(encoding="utf-8"))
            if (members["format"], members["format_version"]) != (_FORMAT, _VERSION):
                raise ValueError(f"format_version {members['format_version']}")
            steps = {key: StepRecord(**step) for key, step in members["steps"].items()}
            return cls(parse_study(members["spec"]), steps)


def result_name(key: str, suffix: str) -> str:
    """The file of a step's result, relative to the study's folder."""
    return f"{RESULTS}/{key.replace('/', '-')}{suffix}"


def write_json(path: Path, value: object) -> None:
    """Publish plain values as a JSON file; Python's json reads its NaN and infinity back."""
    with publishing(path) as file:
        file.write((json.dumps(value, ensure_ascii=False, indent=1) + "\n").encode())


def load_results(folder: Path) -> StudyResults:
    """See `StudyResults.load`."""
    record = StudyRecord.read(folder)
    found: dict[str, dict[Any, Any]] = {
        part: {} for part in ("finetune", "curve", "surface", "layers", "rollback")
    }
    for key, step in record.steps.items():
        part, *names = key.split("/")
        if part in found and step.file is not None:
            name = names[0] if part == "rollback" else tuple(names)
            found[part][name] = _read_result(part, folder / step.file)
    return StudyResults(
        spec=record.spec,
        runs=found["finetune"],
        curves=found["curve"],
        surfaces=found["surface"],
        layers=found["layers"],
        rollbacks=found["rollback"],
        missing=tuple(key for key, step in record.steps.items() if step.state != COMPLETED),
        failed={key: step.error for key, step in record.steps.items() if step.error is not None},
    )


def _read_result(part: str, path: Path) -> Any:
    match part:
        case "finetune":
            with _no_study(path):
                return _run(json.loads(path.read_text(encoding="utf-8")))
        case "rollback":
            from bertscape.results import Rollback

            return Rollback.load(path)
    return read_surface(path)


def _run(members: Mapping[str, Any]) -> TrainingRun:
    numbers = {name: float(members[name]) for name in FINETUNE_NUMBERS}
    return TrainingRun(output=TrainingOutput.from_json(members["output"]), **numbers)


@contextlib.contextmanager
def _no_study(path: Path) -> Iterator[None]:
    """Say which file is none of a study's."""
    try:
        yield
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        reason = f"({type(error).__name__}: {error})"
        raise InvalidInput.of(
            ProblemType.PATH_NOT_FOUND, None, str(path), "a file of a study's folder", reason
        ) from error
