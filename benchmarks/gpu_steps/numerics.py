"""Every point of small models against float64, and the bytes of two runs.

float64 is computed on the CPU, one unpadded example at a time, by code that imports nothing of this
package: `tests/workers/architectures/independent_numbers.py`.
"""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tests.workers.architectures.independent_numbers import IndependentNumbers, Inputs as Files
from tests.workers.tiny_inputs import Inputs

from bertscape_workers.checkpoints import Format, quiet_transformers
from bertscape_workers.evaluation import Evaluator, EvaluatorInputs, evaluator_for
from bertscape_workers.evaluation.packed.evaluator import PackedEvaluator
from bertscape_workers.jobs.prepare import prepare
from evaluator_gpu import method_on
from gpu_steps.inputs import architectures, checkpoints
from gpu_steps.telling import Setting, Told

POINTS = [(0.0, 0.0), (1.0, 0.0), (0.5, -0.25), (-1.0, 0.7), (2.0, 2.0)]
LOSSES, RATES = (0, 2), (1, 3)

# The most by which a loss may differ from float64's, relative to it: in fp32 what the self-checks
# allow; else what the format's bits make of models as small as these.
ALLOWED = {"fp32": 1e-5, "tf32": 5e-3, "bf16": 3e-2}
LEAST = 1e-6  # nats, beside that
# A prediction may swap where the two best logits are this close.
TIE = {"fp32": 1e-4, "tf32": 2e-2, "bf16": 2e-1}

# What tells a second process that it is one, and where it works.
AGAIN_VARIABLE, AGAIN = "GPU_CHECK_AGAIN", "again"

Numbers = NDArray[np.float64]


def run(told: Told, setting: Setting) -> None:
    """Compare; in a second process only say the bytes."""
    if AGAIN_VARIABLE in os.environ:
        for name, precision, evaluator in _evaluators(told, setting):
            told.figure(
                "bytes", key=f"{name} {precision}", sha256=_digest(evaluator, _points(setting))
            )
        return
    second = _second_process(setting)
    try:
        found = _compared(told, setting)
        _same_as(told, second, found)
    finally:
        second.kill()
        second.wait()


def _points(setting: Setting) -> list[tuple[float, float]]:
    return POINTS[1:3] if setting.small else POINTS


def _evaluators(told: Told, setting: Setting) -> Iterator[tuple[str, Format, Evaluator]]:
    precisions: list[Any] = list(setting.arguments)
    for name, config in architectures(setting.small).items():
        with told.guard(f"{name}: prepared"), quiet_transformers():
            made = checkpoints(setting.folder / name, config)
            inputs = prepare(made.spec(), device=setting.device).inputs
            for precision in precisions:
                yield name, precision, _evaluator(inputs, precision, setting)


def _evaluator(inputs: EvaluatorInputs, precision: Format, setting: Setting) -> Evaluator:
    """The one that a job gets; on a CPU, what a GPU does but for its attention."""
    if setting.cuda:
        return evaluator_for(replace(inputs, precision=precision), "cuda")
    return PackedEvaluator(inputs, "cpu", method_on("cpu", precision))


def _compared(told: Told, setting: Setting) -> dict[str, str]:
    """Tell of each architecture and precision; the digests of their bytes."""
    precisions: list[Any] = list(setting.arguments)
    digests: dict[str, str] = {}
    for name, config in architectures(setting.small).items():
        with told.guard(f"{name}: prepared"):
            with quiet_transformers():
                made = checkpoints(setting.folder / name, config)
                prepared = prepare(made.spec(), device=setting.device)
                exact = _float64(made, _points(setting), setting.folder.parent / f"{name}.json")
            passed = [check.passed for check in prepared.findings.self_checks]
            told.check(f"{name}: self-checks", all(passed), found=prepared.findings.evaluator)
            for precision in precisions:
                with told.guard(f"{name}, {precision}"):
                    evaluator = _evaluator(prepared.inputs, precision, setting)
                    _against(told, f"{name}, {precision}", precision, evaluator, exact, setting)
                    digests[f"{name} {precision}"] = _digest(evaluator, _points(setting))
                    _whatever_the_order(told, prepared.inputs, precision, name, setting)
    return digests


def _float64(made: Inputs, points: Sequence[tuple[float, float]], kept: Path) -> dict[str, Any]:
    """Values of each point, and gaps of the two best logits; from the file if it is there."""
    if kept.exists():
        known: dict[str, Any] = json.loads(kept.read_text("ascii"))
        return known
    files = Files(
        (made.pretrained, made.finetuned, made.toward),
        made.finetuned,
        (made.train, made.eval),
        ("first", "second"),
        32,
    )
    found = [IndependentNumbers(files).at(*point) for point in points]
    exact = {"values": [one.values for one in found], "gaps": [one.gaps for one in found]}
    kept.write_text(json.dumps(exact), "ascii")
    return exact


def _against(
    told: Told,
    what: str,
    precision: Format,
    evaluator: Evaluator,
    exact: dict[str, Any],
    setting: Setting,
) -> None:
    found = np.stack([evaluator.evaluate(*point) for point in _points(setting)])
    right = np.array(exact["values"])  # (points, 8)
    off = np.abs(found - right)[:, LOSSES]
    allowed = ALLOWED[precision] * np.abs(right[:, LOSSES]) + LEAST
    swapped, ties = 0, 0
    for place, gaps in enumerate(exact["gaps"]):
        for column, gap in zip(RATES, gaps, strict=True):
            near = sum(one <= TIE[precision] for one in gap)
            count = round(abs(found[place, column] - right[place, column]) * len(gap))
            swapped, ties = swapped + count, ties + near
            if count > near:
                allowed[place] = -1.0  # no tie explains it
    told.check(
        what,
        bool((off <= allowed).all()) and evaluator.name == "packed",
        evaluator=evaluator.name,
        loss_off_by=float((off / np.abs(right[:, LOSSES])).max()),
        predictions_swapped=swapped,
        near_ties=ties,
    )


def _whatever_the_order(
    told: Told, inputs: EvaluatorInputs, precision: Format, name: str, setting: Setting
) -> None:
    """A point's bytes are the same backwards, and alone in an evaluator of its own."""
    points = _points(setting)
    evaluator = _evaluator(inputs, precision, setting)
    forwards = [evaluator.evaluate(*point).tobytes() for point in points]
    backwards = [evaluator.evaluate(*point).tobytes() for point in points[::-1]]
    alone = [_evaluator(inputs, precision, setting).evaluate(*one).tobytes() for one in points]
    told.check(f"{name}, {precision}: bytes in any order", forwards == backwards[::-1] == alone)


def _digest(evaluator: Evaluator, points: Sequence[tuple[float, float]]) -> str:
    whole = hashlib.sha256()
    for point in points:
        whole.update(evaluator.evaluate(*point).tobytes())
    return whole.hexdigest()


def _second_process(setting: Setting) -> "subprocess.Popen[str]":
    check = Path(__file__).parents[1] / "gpu_check.py"
    command = [
        *(sys.executable, str(check), "--step", setting.folder.name, "--device", setting.device),
        *("--output", str(setting.folder / AGAIN), *(("--small",) if setting.small else ())),
    ]
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, AGAIN_VARIABLE: "1"},
    )


def _same_as(told: Told, second: "subprocess.Popen[str]", found: dict[str, str]) -> None:
    said, _ = second.communicate()
    lines = [json.loads(line) for line in said.splitlines()]
    other = {line["key"]: line["sha256"] for line in lines if line["what"] == "bytes"}
    differ = sorted(key for key in found | other if found.get(key) != other.get(key))
    told.check("bytes in a second process", not differ, compared=len(found), differ=differ)
