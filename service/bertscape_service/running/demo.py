"""`bertscape demo`: the whole service on a small generated language, nothing downloaded.

It writes the language's text, pre-trains a tiny BERT on it, fine-tunes two tasks from the
pre-trained start and two from one stored random start, serves, submits both surfaces over HTTP
as any client would, and draws them side by side. Every number is computed then and there.
"""

import shutil
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bertscape import Client, Job, Surface
from bertscape.cli import table
from bertscape.figures import plot_side_by_side, save_figure
from bertscape.http import StageProgress, local_service
from bertscape.readings import basin_width
from bertscape.values import InvalidInput, ProblemType

if TYPE_CHECKING:
    from bertscape_workers.generated_language import DemoData, TaskRuns

GRID = [-1, 2, 21]  # both axes: θ0 at 0 and θ1 at 1, with as much room around
PRETRAINED, SCRATCH = "pre-trained", "from scratch"
FILES = {PRETRAINED: "pretrained.h5", SCRATCH: "scratch.h5"}
FIGURE = "surfaces.png"
_MARKER = ".bertscape-demo"


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the demo's table."""

    start: str
    accuracy: float  # of θ1 on the evaluation split, in [0, 1]
    basin: str  # width in units of ‖δ1‖
    cosine: float  # of δ1 and δ2
    self_checks: str


def run_demo(folder: Path, seed: int) -> list[Row]:
    """Make everything in `folder`: data, checkpoints, two surfaces, one figure.

    Raises:
        InvalidInput: the folder holds something that no earlier demo made.
        BertscapeError: the service did not start, or a job failed.
    """
    make_room(folder, _MARKER, ("data", "runs", "state"))
    runs, data = _train(folder, seed)
    with (
        local_service(folder / "state", [folder], folder / "serve.log") as service,
        Client(service.url, service.token) as client,
    ):
        # Both at once: the workers go on to the second surface without a pause.
        jobs = {start: client.submit(_spec(start, runs[start], data)) for start in FILES}
        surfaces = {start: _fetched(job, folder / FILES[start]) for start, job in jobs.items()}
    save_figure(plot_side_by_side(surfaces), folder / FIGURE)
    return [
        _row(start, surface, runs[start].target.eval_accuracy)
        for start, surface in surfaces.items()
    ]


def report(rows: list[Row]) -> str:
    """The rows in aligned columns."""
    head = ("", "dev accuracy", "basin width", "cos(δ1, δ2)", "self-checks")
    return table(
        [
            head,
            *(
                (row.start, f"{row.accuracy:.1%}", row.basin, f"{row.cosine:+.3f}", row.self_checks)
                for row in rows
            ),
        ]
    )


def make_room(folder: Path, marker: str, made: Sequence[str]) -> None:
    """A folder for a demo; what an earlier one of its kind made there goes.

    Args:
        folder: created if it does not exist.
        marker: the name of an empty file that says which demo's folder it is.
        made: names of the folders and files to remove.

    Raises:
        InvalidInput: it holds something that no earlier demo of this kind made.
    """
    if folder.exists() and any(folder.iterdir()) and not (folder / marker).exists():
        raise InvalidInput.of(
            ProblemType.INVALID_VALUE,
            "--output",
            str(folder),
            "an empty folder or the folder of an earlier demo",
        )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / marker).touch()
    for path in (folder / name for name in made):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _train(folder: Path, seed: int) -> tuple[Mapping[str, "TaskRuns"], "DemoData"]:
    from bertscape_workers.generated_language import fine_tune_four, pretrain, write_demo_data

    with closing(StageProgress()) as progress:
        data = write_demo_data(folder / "data", seed)
        pretrained = pretrain(folder / "runs" / "language-model", data, seed, progress)
        four = fine_tune_four(folder / "runs", pretrained, data, seed, progress)
    return {PRETRAINED: four.pretrained, SCRATCH: four.scratch}, data


def _fetched(job: Job, path: Path) -> Surface:
    job.wait(progress=True)
    return Surface.load(job.fetch(path))


def _spec(start: str, runs: "TaskRuns", data: "DemoData") -> dict[str, Any]:
    target = [str(checkpoint.resolve()) for checkpoint in runs.target.checkpoints]
    return {
        "kind": "surface",
        "name": f"generated language, {start}",
        "model": {"pretrained": target[0], "finetuned": target[-1]},
        "y": {"toward": str(runs.other.checkpoints[-1].resolve())},
        "grid": {"x": GRID, "y": GRID},
        "data": data.target.model_dump(mode="json"),
        "trajectory": target,
    }


def _row(start: str, surface: Surface, accuracy: float) -> Row:
    checks = surface.self_checks
    passed = sum(check.passed is True for check in checks)
    return Row(
        start=start,
        accuracy=accuracy,
        basin=str(basin_width(surface)),
        cosine=surface.findings.cosine or 0.0,
        self_checks=f"{passed} of {len(checks)} passed",
    )
