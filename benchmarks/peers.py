"""Seconds per point against two packages that draw loss landscapes: loss-landscapes, landscaper.

    BERTSCAPE_GLUE=folder python benchmarks/peers.py [--cache folder] [--points 3]
        [--examples 128] [--threads 1] [--cpu-time] [--json]

Each package is installed in a virtual environment of its own, in a cache folder, and gets the plain
Hugging Face model (MiniLM-L6 with a random head) and the same MRPC examples as ours. Neither
package makes batches: both call a function of the user's, which here loops over batches of 32 in
the file's order, each padded to its longest example, and returns the mean cross-entropy.

- loss-landscapes: `linear_interpolation` between two models.
- landscaper: `LossLandscape.compute` along one direction.
- ours: `PackedEvaluator.evaluate` on a plane of two directions, which also gives the error rate and
  the standard errors. All its examples are in one split, and one more example is in the other.

A point of each package is timed from one call of that function to the next, so that moving the
parameters counts; the first call is none. Figures are medians. `--cpu-time` counts CPU time in
place of wall time, for a machine that is not quiet. A package that cannot be installed or fails is
named, with the end of what it said, and the others go on.

The models that a package hands over are kept, and ours is asked for their losses too: landscaper
scales a direction tensor by tensor in a way of its own, so its points lie on no line that we name.
Exit status 1 where two losses differ by more than 1e-5 of them, plus 1e-7.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable
from pathlib import Path
from typing import Any

PACKAGES = ("loss-landscapes", "landscaper")
PINNED = ("torch==2.13.0", "transformers==5.23.0")  # equal in every environment
BATCH, MAX_LENGTH = 32, 128
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
STEP = 0.02  # a direction's size, in standard deviations of each tensor

Point = tuple[float, float]  # seconds, loss in nats


# --- what a package runs, in its own environment --------------------------------------------------


def measure_package(
    package: str, folder: Path, points: int, threads: int, clock: str
) -> list[Point]:
    """Of each point but the first; nothing of ours is imported here."""
    import torch
    from transformers import AutoModelForSequenceClassification

    torch.set_num_threads(threads)
    start, end = (
        AutoModelForSequenceClassification.from_pretrained(folder / name).eval()
        for name in ("start", "end")
    )
    batches = torch.load(folder / "batches.pt", weights_only=True)
    began: list[float] = []
    found: list[Point] = []

    def loss(call: Any) -> float:
        total, count = 0.0, 0
        with torch.no_grad():
            for batch, labels in batches:
                logits = call(**batch).logits
                total += torch.nn.functional.cross_entropy(logits, labels, reduction="sum").item()
                count += len(labels)
        ended = CLOCKS[clock]()
        if began:
            torch.save(call.state_dict(), folder / f"{package}-{len(found)}.pt")
            found.append((ended - began[-1], total / count))
        began.append(CLOCKS[clock]())
        return total / count

    run = _loss_landscapes if package == "loss-landscapes" else _landscaper
    run(start, end, loss, points + 1)
    return found


def _loss_landscapes(start: Any, end: Any, loss: Callable[[Any], float], points: int) -> None:
    from loss_landscapes import linear_interpolation  # type: ignore[import-not-found]
    from loss_landscapes.metrics import Metric  # type: ignore[import-not-found]

    class Loss(Metric):  # type: ignore[misc]  # of a package without types
        """The loss of the wrapped model."""

        def __call__(self, model_wrapper: Any) -> float:
            return loss(model_wrapper.modules[0])

    linear_interpolation(start, end, Loss(), steps=points)


def _landscaper(start: Any, end: Any, loss: Callable[[Any], float], points: int) -> None:
    from landscaper import LossLandscape  # type: ignore[import-not-found]

    pairs = zip(start.parameters(), end.parameters(), strict=True)
    direction = [(there - here).detach() for here, there in pairs]
    LossLandscape.compute(
        start,
        None,  # the data, which the function below has
        [direction],
        lambda model, _: loss(model),
        steps=points,
        distance=STEP,
        dim=1,
        device="cpu",
    )


# --- ours -----------------------------------------------------------------------------------------


def write_inputs(folder: Path, glue: Path, examples: int) -> Any:
    """Models and batches for the packages; returns the same as inputs of our evaluator."""
    from dataclasses import replace

    import torch

    from bertscape_workers.checkpoints import attach, build_model
    from bertscape_workers.data import TokenizedSplit
    from evaluator import make_inputs, padded_batches  # type: ignore[import-not-found]

    inputs = make_inputs("minilm", "mrpc", glue)
    for name, vector in (("start", inputs.origin), ("end", inputs.origin + inputs.x)):
        model = build_model(inputs.config)
        attach(model, inputs.layout, torch.from_numpy(vector), inputs.head)
        # Cloned, for tensors that share one memory are not saved.
        state = {key: value.clone() for key, value in model.state_dict().items()}
        model.save_pretrained(folder / name, state_dict=state)

    def first(split: TokenizedSplit, count: int) -> TokenizedSplit:
        tokens = int(split.lengths[:count].sum())
        types = None if split.token_types is None else split.token_types[:tokens]
        return TokenizedSplit(
            split.tokens[:tokens], types, split.lengths[:count], split.labels[:count]
        )

    train = first(inputs.train, examples)
    torch.save(list(padded_batches(train, None)), folder / "batches.pt")
    return replace(inputs, train=train, eval=first(inputs.eval, 1))


def measure_ours(inputs: Any, points: int, clock: str) -> list[float]:
    """Seconds of each point."""
    from bertscape_workers.evaluation.packed.evaluator import PackedEvaluator

    evaluator = PackedEvaluator(inputs, "cpu")
    evaluator.evaluate(0.0, 0.0)  # what is set up once is no part of a point
    seconds = []
    for point in range(points):
        before = CLOCKS[clock]()
        evaluator.evaluate(0.1 * point, -0.1 * point)
        seconds.append(CLOCKS[clock]() - before)
    return seconds


def our_losses(inputs: Any, models: list[Path]) -> list[float]:
    """Of the models that a package handed over, in nats."""
    import torch

    from bertscape_workers.evaluation.packed.evaluator import PackedEvaluator

    evaluator, losses = PackedEvaluator(inputs, "cpu"), []
    for path in models:
        state, backbone = torch.load(path, weights_only=True), inputs.layout.empty()
        for tensor in inputs.layout.tensors:
            tensor.view(backbone)[...] = state[tensor.names[0]].numpy()
        losses.append(float(evaluator.evaluate_backbone(backbone)[0]))
    return losses


# --- the environments -----------------------------------------------------------------------------


def python_with(package: str, cache: Path) -> Path:
    """The interpreter of an environment that holds the package, made where there is none.

    Raises:
        subprocess.CalledProcessError: the package cannot be installed.
    """
    folder = cache / package
    python = folder / "bin" / "python"
    done = folder / "installed"  # written last: what was interrupted is made anew
    if not done.exists():
        venv.create(folder, clear=True, with_pip=True)
        _call([str(python), "-m", "pip", "install", "--quiet", *PINNED, package])
        done.touch()
    return python


def _call(command: list[str]) -> str:
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return done.stdout


# --- the command line -----------------------------------------------------------------------------


def compare(package: str, folder: Path, ours: Any, options: argparse.Namespace) -> dict[str, Any]:
    """One package and ours, one after the other."""
    clock = "cpu" if options.cpu_time else "wall"
    sizes = [str(options.points), str(options.threads), clock]
    try:
        python = str(python_with(package, options.cache))
        said = _call([python, __file__, "--measure", package, str(folder), *sizes])
    except subprocess.CalledProcessError as error:
        end = [line for line in f"{error.stdout}\n{error.stderr}".splitlines() if line.strip()]
        return {"package": package, "failed": " | ".join(end[-3:])}
    points = json.loads(said.splitlines()[-1])
    here = statistics.median(measure_ours(ours, options.points, clock))
    theirs = statistics.median(seconds for seconds, _ in points)
    models = [folder / f"{package}-{index}.pt" for index in range(len(points))]
    losses = list(zip((loss for _, loss in points), our_losses(ours, models), strict=True))
    return {
        "package": package,
        "version": _version(python, package),
        "seconds_per_point": theirs,
        "our_seconds_per_point": here,
        "ratio": theirs / here,
        "loss_difference": max(abs(their - our) for their, our in losses),
        "equal_losses": all(abs(their - our) <= 1e-5 * abs(our) + 1e-7 for their, our in losses),
    }


def _version(python: str, package: str) -> str:
    code = f"import importlib.metadata as m; print(m.version({package!r}))"
    return _call([python, "-c", code]).strip()


def main() -> int:
    """Run the benchmark; 1 where the losses of a package are not ours."""
    if sys.argv[1:2] == ["--measure"]:
        package, folder, points, threads, clock = sys.argv[2:]
        found = measure_package(package, Path(folder), int(points), int(threads), clock)
        print(json.dumps(found))
        return 0
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache/bertscape-peers")
    parser.add_argument("--points", type=int, default=3)
    parser.add_argument("--examples", type=int, default=128)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--cpu-time", action="store_true", help="CPU time in place of wall time")
    parser.add_argument("--json", action="store_true", help="print one JSON object a package")
    options = parser.parse_args()
    if "BERTSCAPE_GLUE" not in os.environ:
        parser.error("BERTSCAPE_GLUE must name a folder with mrpc/")
    from bertscape_workers.checkpoints import quiet_transformers, set_threads

    set_threads(options.threads)
    with tempfile.TemporaryDirectory() as name, quiet_transformers():
        inputs = write_inputs(Path(name), Path(os.environ["BERTSCAPE_GLUE"]), options.examples)
        equal = True
        for package in PACKAGES:
            row = compare(package, Path(name), inputs, options)
            equal &= row.get("equal_losses", True)
            print(json.dumps(row) if options.json else _line(row), flush=True)
    return int(not equal)


def _line(row: dict[str, Any]) -> str:
    if "failed" in row:
        return f"{row['package']}: {row['failed']}"
    agreement = "equal" if row["equal_losses"] else "NOT EQUAL"
    return (
        f"{row['package']} {row['version']}: {row['seconds_per_point']:.3f} s per point, "
        f"ours {row['our_seconds_per_point']:.3f} s, ratio {row['ratio']:.2f}; "
        f"losses {agreement}, by at most {row['loss_difference']:.2g}"
    )


if __name__ == "__main__":
    sys.exit(main())
