"""Seconds per point of the packed evaluator on a GPU, against its limit and against a plain loop.

    BERTSCAPE_GLUE=folder python benchmarks/evaluator_gpu.py [--device cuda] [--precision bf16]
        [--shape base large] [--data mrpc] [--repeats 5]

In one run, alternating, medians of several repeats:

- the rate of matrix products in that precision: the model's own weight shapes, weighted by FLOPs,
  at 4,096 tokens and at a block's, whichever is faster;
- the packed evaluator in that precision;
- the plain Hugging Face model in fp32, in batches of 32 in the file's order, padded to 128.

Also the largest difference of the two losses from fp32. What is counted is said in `evaluator.py`;
models, directions and examples are those of it too, but 512 of train and all of dev. On a CPU
(`--device cpu`: 32 examples of each, no bar) the same code runs with attention example by example
in the kernel's place: a trial of this file, not a measurement.
"""

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bertscape_workers.checkpoints import Format, device_model, quiet_transformers, set_threads
from bertscape_workers.evaluation import EvaluatorInputs
from bertscape_workers.evaluation.packed.attention_varlen import Spans
from bertscape_workers.evaluation.packed.evaluator import PackedEvaluator
from bertscape_workers.evaluation.packed.method import Method, cuda_method
from evaluator import (
    MAX_LENGTH,
    POINT,
    SHAPES,
    TEXT,
    TOKENS,
    PlainLoop,
    counted_flops,
    make_inputs,
    weight_shapes,
)

EXPECTED_SHARE = {"bf16": 0.45}  # of the rate of matrix products
EXPECTED_SPEEDUP = {"bf16": 10.0}  # over the plain fp32 loop padded to 128
LAUNCHES = 10  # products at a time between two readings of the clock


def one_by_one(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, queries: Spans, keys: Spans
) -> torch.Tensor:
    """Attention without the kernel; as `packed_attention_varlen.Attend`."""
    each, of = queries.bounds.diff().tolist(), keys.bounds.diff().tolist()
    examples = zip(query.split(each), key.split(of), value.split(of), strict=True)
    attention = torch.nn.functional.scaled_dot_product_attention
    mixed = [attention(*(one.transpose(0, 1) for one in example)) for example in examples]
    return torch.cat([one.transpose(0, 1) for one in mixed])


def method_on(device: str, precision: Format) -> Method:
    """A GPU's method; on a CPU with another attention."""
    return cuda_method(precision) if device == "cuda" else cuda_method(precision, one_by_one)


def timed(call: Callable[[], object], device: str, times: int = 1) -> float:
    """Seconds that a call takes, with all that it started on the device."""
    _wait(device)
    start = time.perf_counter()
    for _ in range(times):
        call()
    _wait(device)
    return (time.perf_counter() - start) / times


def _wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


@torch.inference_mode()
def rate(config: dict[str, Any], device: str, method: Method, tokens: int) -> float:
    """FLOP/s of the products of one layer: all FLOPs over the sum of each shape's median time."""
    flops, seconds = 0, 0.0
    products = method.products
    with products.in_use():
        for inputs, outputs in weight_shapes(config):
            weight = torch.randn((outputs, inputs), device=device)
            by = products.pack(weight, weight.new_zeros(outputs), tokens)
            rows = torch.randn((tokens, inputs), device=device).to(by.bias.dtype)
            call = _product(method, rows, by)
            timed(call, device)
            seconds += statistics.median(timed(call, device, LAUNCHES) for _ in range(7))
            flops += 2 * tokens * inputs * outputs
    return flops / seconds


def _product(method: Method, rows: torch.Tensor, by: Any) -> Callable[[], torch.Tensor]:
    return lambda: method.products.linear(rows, by)


def run(shape: str, data: str, glue: Path, options: argparse.Namespace) -> dict[str, Any]:
    """All figures of one model on one data set."""
    inputs = make_inputs(shape, data, glue, all_examples=options.device == "cuda")
    found = measure(inputs, options.device, options.precision, options.repeats)
    return {"model": shape, "data": data, **found}


def measure(
    inputs: EvaluatorInputs, device: str, precision: Format, repeats: int
) -> dict[str, Any]:
    """All figures of one model on its splits."""
    method = method_on(device, precision)
    packed = PackedEvaluator(replace(inputs, precision=precision), device, method)
    plain = PlainLoop(inputs, MAX_LENGTH, device)
    difference = _difference(packed, inputs, device)
    plain.evaluate(*POINT)
    seconds: dict[str, list[float]] = {"packed": [], "plain_fp32_padded_to_128": []}
    rates: dict[str, list[float]] = {}
    for _ in range(repeats):
        for tokens in {TOKENS, method.block_tokens if device == "cuda" else TOKENS}:
            found = rate(inputs.config, device, method, tokens)
            rates.setdefault(f"{tokens} tokens", []).append(found)
        for name, one in (("packed", packed), ("plain_fp32_padded_to_128", plain)):
            call: Callable[..., object] = one.evaluate
            seconds[name].append(timed(lambda: call(*POINT), device))  # noqa: B023
    lengths = np.concatenate([inputs.train.lengths, inputs.eval.lengths]).astype(np.int64)
    flops = counted_flops(inputs.config, lengths)
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    by_size = {name: statistics.median(values) for name, values in rates.items()}
    return {
        "examples": len(lengths),
        "tokens": int(lengths.sum()),
        "counted_gflop": flops / 1e9,
        "gflop_per_s_of_products": {name: one / 1e9 for name, one in by_size.items()},
        "seconds_per_point": medians,
        "share_of_the_rate": flops / medians["packed"] / max(by_size.values()),
        "speedup_over_plain": medians["plain_fp32_padded_to_128"] / medians["packed"],
        "largest_difference_of_a_loss_from_fp32": difference,
    }


def _difference(packed: PackedEvaluator, inputs: EvaluatorInputs, device: str) -> float:
    exact = PackedEvaluator(inputs, device, method_on(device, "fp32")).evaluate(*POINT)
    return float(np.abs(packed.evaluate(*POINT) - exact)[[0, 2]].max())


def passed(figures: dict[str, Any], precision: str) -> bool:
    """Whether the bars of this precision are met; one that has none always does."""
    return bool(
        figures["share_of_the_rate"] >= EXPECTED_SHARE.get(precision, 0.0)
        and figures["speedup_over_plain"] >= EXPECTED_SPEEDUP.get(precision, 0.0)
    )


def main() -> None:
    """Run the benchmark; exit status 1 where a GPU is slower than expected."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--precision", choices=["bf16", "tf32", "fp32"], default="bf16")
    parser.add_argument("--shape", nargs="+", choices=SHAPES, default=list(SHAPES))
    parser.add_argument("--data", choices=TEXT, default="mrpc")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    if "BERTSCAPE_GLUE" not in os.environ:
        parser.error("BERTSCAPE_GLUE must name a folder with mrpc/, sst2/ and rte/")
    set_threads(1)
    glue = Path(os.environ["BERTSCAPE_GLUE"])
    with quiet_transformers():
        results = [run(shape, options.data, glue, options) for shape in options.shape]
    machine = {
        "device": device_model(options.device),
        "precision": options.precision,
        "torch": torch.__version__,
    }
    print(json.dumps({**machine, "results": results}, indent=2))
    fast = all(passed(figures, options.precision) for figures in results)
    raise SystemExit(0 if fast or options.device == "cpu" else 1)


if __name__ == "__main__":
    main()
