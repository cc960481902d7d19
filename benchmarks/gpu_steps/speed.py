"""`evaluator_gpu.py` for one shape at the lengths of MRPC and SST-2, and whole MRPC in hours."""

import statistics
from dataclasses import replace

import torch

from bertscape_workers.checkpoints import Format, device_model, quiet_transformers, set_threads
from bertscape_workers.evaluation import EvaluatorInputs
from bertscape_workers.evaluation.packed.evaluator import PackedEvaluator
from evaluator import POINT
from evaluator_gpu import EXPECTED_SPEEDUP, measure, method_on, timed
from gpu_steps.inputs import FEW, random_inputs
from gpu_steps.telling import NEEDS_CUDA, Setting, Told

SHARE = {"base": 0.45, "large": 0.55}  # of the rate of bf16 products in the same run, at least
POINTS = 1600  # of a surface of 40 × 40
REPEATS = 3


def run(told: Told, setting: Setting) -> None:
    """The shape that the argument names."""
    (shape,) = setting.arguments
    set_threads(torch.get_num_threads())  # float32 is float32, whatever the environment says
    told.figure("device", model=device_model(setting.device), torch=torch.__version__)
    few = FEW if setting.small else None
    for data in ("sst2",) if setting.small else ("mrpc", "sst2"):
        with told.guard(f"{shape}, {data}"), quiet_transformers():
            _tell(told, setting, shape, data, random_inputs(shape, data, few=few))
    if setting.cuda:
        _other_precisions(told, shape, random_inputs(shape, "mrpc"))
    if shape == "large" or setting.small:
        with told.guard(f"{shape}, whole mrpc"):
            _whole(told, setting, shape, random_inputs(shape, "mrpc", "whole train", few))


def _tell(told: Told, setting: Setting, shape: str, data: str, inputs: EvaluatorInputs) -> None:
    repeats = 1 if setting.small else REPEATS
    found = measure(inputs, setting.device, "bf16", repeats)
    what = f"{shape}, {data}, bf16"
    told.figure(what, **found)
    if not setting.cuda:
        told.skipped(f"{what}: bars", NEEDS_CUDA)
        return
    share, speedup = found["share_of_the_rate"], found["speedup_over_plain"]
    if shape in SHARE and data == "mrpc":
        bar = SHARE[shape]
        told.check(f"{what}: share of the rate", share >= bar, found=share, bar=bar)
        bar = EXPECTED_SPEEDUP["bf16"]
        told.check(f"{what}: over the plain loop", speedup >= bar, found=speedup, bar=bar)


def _other_precisions(told: Told, shape: str, inputs: EvaluatorInputs) -> None:
    others: tuple[Format, ...] = ("fp32", "tf32")
    for precision in others:
        with told.guard(f"{shape}, mrpc, {precision}"):
            seconds = seconds_per_point(inputs, "cuda", precision, REPEATS)
            told.figure(f"{shape}, mrpc, {precision}", seconds_per_point=seconds)


def _whole(told: Told, setting: Setting, shape: str, inputs: EvaluatorInputs) -> None:
    seconds = seconds_per_point(inputs, setting.device, "bf16", REPEATS)
    told.figure(
        f"{shape}, whole mrpc, bf16",
        examples=len(inputs.train) + len(inputs.eval),
        tokens=len(inputs.train.tokens) + len(inputs.eval.tokens),
        seconds_per_point=seconds,
        hours_of_40_by_40=seconds * POINTS / 3600,
    )


def seconds_per_point(
    inputs: EvaluatorInputs, device: str, precision: Format, repeats: int
) -> float:
    """The median of some points, after an uncounted first one."""
    method = method_on(device, precision)
    evaluator = PackedEvaluator(replace(inputs, precision=precision), device, method)
    evaluator.evaluate(*POINT)
    return statistics.median(
        timed(lambda: evaluator.evaluate(*POINT), device) for _ in range(repeats)
    )
