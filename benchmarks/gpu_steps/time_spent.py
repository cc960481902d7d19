"""Where a point's time goes: products, attention, everything else; and how many kernels it starts.

By torch's profiler, and once more without it: with attention left out, and products alone.
"""

import statistics
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

from bertscape_workers.checkpoints import set_threads
from bertscape_workers.evaluation import EvaluatorInputs
from bertscape_workers.evaluation.packed.attention_varlen import Spans
from bertscape_workers.evaluation.packed.evaluator import PackedEvaluator
from bertscape_workers.evaluation.packed.method import Method, cuda_method
from evaluator import POINT, counted_flops
from evaluator_gpu import method_on, rate, timed
from gpu_steps.inputs import FEW, random_inputs
from gpu_steps.telling import Setting, Told

REPEATS = 5
# Parts of the names of kernels, or on a CPU of operators; whatever has none is "rest".
KINDS = {
    "attention": ("flash", "fmha", "attention", "softmax", "bmm"),
    "products": (
        "gemm",
        "cutlass",
        "nvjet",
        "xmma",
        "cublas",
        "gemv",
        "addmm",
        "aten::mm",
        "splitk",
    ),
}
LAUNCHES = ("LaunchKernel",)  # as in cudaLaunchKernel and cuLaunchKernelEx
TOP = 12  # kernels that are named


def run(told: Told, setting: Setting) -> None:
    """The shapes that the arguments name, at MRPC's lengths."""
    set_threads(torch.get_num_threads())
    few = FEW if setting.small else None
    for shape in setting.arguments:
        inputs = random_inputs(shape, "mrpc", few=few)
        evaluator = PackedEvaluator(
            replace(inputs, precision="bf16"), setting.device, method_on(setting.device, "bf16")
        )
        call: Callable[[], object] = lambda one=evaluator: one.evaluate(*POINT)  # type: ignore[misc]  # noqa: E731
        call()
        with told.guard(f"{shape}: without the profiler"):
            told.figure(f"{shape}: without the profiler", **_differences(inputs, call, setting))
        with told.guard(f"{shape}: profiler"):
            _profiled(told, shape, call, setting)


def _differences(
    inputs: EvaluatorInputs, call: Callable[[], object], setting: Setting
) -> dict[str, float]:
    """Seconds of a point as it is, with attention left out, and of its counted products alone."""
    whole = _median(call, setting)
    bare = PackedEvaluator(
        replace(inputs, precision="bf16"), setting.device, cuda_method("bf16", _left_out)
    )
    bare.evaluate(*POINT)
    without = _median(lambda: bare.evaluate(*POINT), setting)
    method: Method = method_on(setting.device, "bf16")
    lengths = np.concatenate([inputs.train.lengths, inputs.eval.lengths]).astype(np.int64)
    tokens = min(int(lengths.sum()), method.block_tokens)
    flops = counted_flops(inputs.config, lengths)
    products = flops / rate(inputs.config, setting.device, method, tokens)
    return {
        "seconds": whole,
        "share_of_attention": 1 - without / whole,
        "share_of_products": products / whole,
        "share_of_the_rest": (without - products) / whole,
    }


def _left_out(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, queries: Spans, keys: Spans
) -> torch.Tensor:
    del key, value, queries, keys
    return query.contiguous()


def _median(call: Callable[[], object], setting: Setting) -> float:
    return statistics.median(timed(call, setting.device) for _ in range(REPEATS))


def _profiled(told: Told, shape: str, call: Callable[[], object], setting: Setting) -> None:
    unwatched = _median(call, setting)
    activities = [ProfilerActivity.CPU] + ([ProfilerActivity.CUDA] if setting.cuda else [])
    with profile(activities=activities) as profiled:
        seconds = timed(call, setting.device)
    rows: list[Any] = list(profiled.key_averages())
    if setting.cuda:
        kernels = [one for one in rows if one.device_type == DeviceType.CUDA]
        times = {one.key: one.self_device_time_total / 1e6 for one in kernels}
    else:
        kernels = [one for one in rows if one.key.startswith(("aten::", "mkldnn::"))]
        times = {one.key: one.self_cpu_time_total / 1e6 for one in kernels}
    launches = sum(one.count for one in rows if any(name in one.key for name in LAUNCHES))
    busy = sum(times.values())
    shares = {"attention": 0.0, "products": 0.0, "rest": 0.0}
    for name, taken in times.items():
        shares[kind_of(name)] += taken / busy if busy else 0.0
    told.check(
        f"{shape}: profiler",
        busy > 0,
        **{f"share_of_{kind}": share for kind, share in shares.items()},
        launches=launches,
        kernels=sum(one.count for one in kernels),
        seconds=seconds,
        seconds_unwatched=unwatched,
        seconds_of_kernels=busy,
        share_of_unwatched_time_in_kernels=busy / unwatched,
    )
    longest = sorted(times.items(), key=lambda item: -item[1])[:TOP]
    told.figure(
        f"{shape}: longest kernels",
        **{f"{kind_of(name)} {name[:90]}": taken / busy for name, taken in longest},
    )


def kind_of(kernel: str) -> str:
    """What a kernel works for, told by its name."""
    name = kernel.lower()
    return next((kind for kind, parts in KINDS.items() if any(p in name for p in parts)), "rest")
