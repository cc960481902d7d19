"""Surfaces made from formulas, for the tests of the client."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

from bertscape.results import Attempt, Rollback, Run, Surface, result_bytes
from bertscape.spec import ROLLBACK_NUMBERS, LandscapeSpec, RollbackSpec, parse_spec
from bertscape.values import (
    CheckpointFound,
    Findings,
    GroupFound,
    SelfCheck,
    SplitFound,
    TrajectoryFound,
)

MakeSurface = Callable[..., Surface]
Content = Callable[[Mapping[str, Any]], bytes]


def spec_values(kind: str = "surface", **changes: Any) -> dict[str, Any]:
    """A small valid spec as plain values."""
    values: dict[str, Any] = {
        "kind": kind,
        "name": "bowl",
        "model": {"pretrained": "/runs/a/checkpoint-0", "finetuned": "/runs/a/checkpoint-8"},
        "grid": {"x": [-1, 2, 7]},
        "data": {
            "train": {"path": "/data/train.tsv"},
            "eval": {"path": "/data/dev.tsv"},
            "text": ["sentence"],
        },
    }
    if kind == "surface":
        values["y"] = {"toward": "/runs/b/checkpoint-8"}
        values["grid"] = {"x": [-1, 2, 7], "y": [-1, 1, 5]}
    return {**values, **changes}


def bowl(alpha: np.ndarray, beta: np.ndarray) -> np.ndarray:
    """A training loss with its minimum, 0.1, at θ1 = (1, 0)."""
    return 0.1 + 0.6 * (alpha - 1) ** 2 + 0.4 * beta**2


def a_trajectory() -> TrajectoryFound:
    return TrajectoryFound(
        step=(0, 4, 8),
        alpha=(0.0, 0.6, 1.0),
        beta=(0.0, 0.2, float("nan")),
        alpha_lsq=(0.0, 0.61, 1.0),
        beta_lsq=(0.0, 0.19, 0.0),
        residual=(0.0, 0.05, 1e-17),
        numbers=tuple((0.7 - i / 10, 0.5, 0.6, 0.4, 0.01, 0.02, 0.03, 0.04) for i in range(3)),
    )


def findings(
    spec: LandscapeSpec,
    trajectory: TrajectoryFound | None,
    passed: bool = True,
    end_loss: float = 0.1,  # of θ1
) -> Findings:
    numbers = (end_loss, 0.0, 1 / 3, 0.2, 0.01, 0.02, 0.03, 0.04)
    two = spec.kind == "surface"
    return Findings(
        checkpoints={
            "pretrained": CheckpointFound(source="/runs/a/checkpoint-0", sha256="0" * 64),
            "finetuned": CheckpointFound(source="/runs/a/checkpoint-8", sha256="1" * 64),
        },
        splits={
            "train": SplitFound(source="/data/train.tsv", sha256="2" * 64, examples=64, tokens=900),
            "eval": SplitFound(source="/data/dev.tsv", sha256="3" * 64, examples=32, tokens=400),
        },
        delta1_norm=7.25,
        delta2_norm=6.1 if two else None,
        cosine=0.1234567890123456789 if two else None,
        classes=2,
        self_checks=(
            SelfCheck(
                checkpoint="finetuned",
                alpha=1.0,
                beta=0.0,
                expected=numbers,
                found=numbers if passed else (0.2, *numbers[1:]),
                passed=passed,
            ),
        ),
        trajectory=trajectory,
        precision="fp32",
        device="a CPU",
        threads=1,
        torch="2.13.0+cpu",
        group=None if spec.layers.is_all else group(spec),
    )


def group(spec: LandscapeSpec) -> GroupFound:
    """The layer group in a model of six layers."""
    layers = spec.layers.layers(6)
    return GroupFound(
        layers=(layers.start, layers.stop) if layers else None,
        x_norm=3.5,
        y_norm=2.5 if spec.kind == "surface" else None,
    )


@pytest.fixture
def make_surface() -> MakeSurface:
    """Build a surface; `loss` is a function of (α, β), `holes` the indices not evaluated."""

    def make(
        kind: str = "surface",
        *,
        loss: Callable[[np.ndarray, np.ndarray], np.ndarray] = bowl,
        holes: tuple[int, ...] = (),
        trajectory: bool = True,
        passed: bool = True,
        **changes: Any,
    ) -> Surface:
        spec = parse_spec(spec_values(kind, **changes))
        assert isinstance(spec, LandscapeSpec)
        grid = spec.points
        alpha, beta = grid.coordinates(range(grid.size)).T
        train = loss(alpha, beta)
        numbers = np.stack(
            [
                train,
                np.clip(train / 4, 0, 0.5),
                train * 1.2 + 0.05,
                np.clip(train / 4 + 0.1, 0, 0.5),
                *(np.full(grid.size, 0.01 * k) for k in range(1, 5)),
            ]
        )
        if spec.paired:
            end = loss(np.array([1.0]), np.array([0.0]))
            errors = [np.full(grid.size, 0.001 * k) for k in range(1, 5)]
            numbers = np.stack([*numbers, train - end, *numbers[1:4], *errors])
        evaluated = np.ones(grid.size, dtype=np.uint8)
        numbers[:, list(holes)] = np.nan
        evaluated[list(holes)] = 0
        attempts = (
            Attempt(0, 1, "worker-1", "a CPU", 1_700_000_000.25, 0.5, "lost"),
            Attempt(0, 2, "worker-2 é", "a CPU", 1_700_000_001.5, 0.75, "done"),
        )
        return Surface(
            spec=spec,
            findings=findings(
                spec,
                a_trajectory() if trajectory else None,
                passed,
                float(loss(np.array([1.0]), np.array([0.0]))[0]),
            ),
            numbers=numbers.reshape(-1, *grid.shape),
            evaluated=evaluated.reshape(grid.shape),
            run=Run(attempts, workers=2, threads=1, tile_points=4, versions={"torch": "2.13.0"}),
        )

    return make


@pytest.fixture
def content(make_surface: MakeSurface) -> Content:
    """The file of a job with that spec, as a played service has it: a bowl, or nothing but 0."""
    surface = make_surface()

    def of(spec: Mapping[str, Any]) -> bytes:
        found = parse_spec(spec)
        if not isinstance(found, RollbackSpec):
            return result_bytes(make_surface(found.kind))
        count = found.point_count
        groups = (GroupFound(layers=None, x_norm=3.5, y_norm=None),) * len(found.groups)
        return result_bytes(
            Rollback(
                spec=found,
                findings=surface.findings.model_copy(update={"groups": groups}),
                numbers=np.zeros((len(ROLLBACK_NUMBERS), count)),
                evaluated=np.ones(count, dtype=np.uint8),
                run=surface.run,
            )
        )

    return of
