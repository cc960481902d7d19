"""Trials, with figures: sizes of blocks, CUDA graphs, and `torch.compile` of a layer.

None of it is what a job computes by. Each says how much faster it would be, and whether the numbers
stay the same.
"""

import os
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from bertscape_workers.checkpoints import set_threads
from bertscape_workers.data import Outcomes, TokenizedSplit
from bertscape_workers.evaluation import EvaluatorInputs
from bertscape_workers.evaluation.packed.evaluator import PackedEvaluator, States
from bertscape_workers.evaluation.packed.forward import UpperPart
from bertscape_workers.evaluation.packed.method import Method
from bertscape_workers.evaluation.packed.split import Block
from evaluator import POINT, weight_shapes
from evaluator_gpu import method_on, timed
from gpu_steps.inputs import FEW, random_inputs
from gpu_steps.telling import NEEDS_CUDA, Setting, Told

BLOCKS, SMALL_BLOCKS = (4096, 8192, 16384, 32768, 65536), (256, 512)
REPEATS, AT_A_TIME = 5, 10
ROUNDING = 0.15  # of normalized states, at most, between two ways to round to bfloat16
WARM = 3  # points before a graph is captured


def run(told: Told, setting: Setting) -> None:
    """The shapes that the arguments name, at MRPC's lengths."""
    set_threads(torch.get_num_threads())
    few = FEW if setting.small else None
    for shape in setting.arguments:
        inputs = replace(random_inputs(shape, "mrpc", few=few), precision="bf16")
        for trial in (_block_sizes, _graph, _compiled):
            with told.guard(f"{shape}:{trial.__name__.replace('_', ' ')}"):
                trial(told, shape, inputs, setting)


# --- sizes of blocks ------------------------------------------------------------------------------


def _block_sizes(told: Told, shape: str, inputs: EvaluatorInputs, setting: Setting) -> None:
    method = method_on(setting.device, "bf16")
    right = PackedEvaluator(inputs, setting.device, method).evaluate(*POINT)
    for tokens in SMALL_BLOCKS if setting.small else BLOCKS:
        figures = _of_blocks(replace(method, block_tokens=tokens), inputs, right, setting)
        told.figure(f"{shape}: blocks of {tokens} tokens", **figures)


def _of_blocks(
    method: Method, inputs: EvaluatorInputs, right: NDArray[np.float64], setting: Setting
) -> dict[str, Any]:
    if setting.cuda:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    one = PackedEvaluator(inputs, setting.device, method)
    found = one.evaluate(*POINT)
    return {
        "seconds": _median(lambda: one.evaluate(*POINT), setting.device),
        "loss_off_by": float(abs(found - right)[[0, 2]].max()),
        "peak_mib": torch.cuda.max_memory_allocated() >> 20 if setting.cuda else None,
    }


def _median(call: Callable[[], object], device: str, times: int = 1) -> float:
    return statistics.median(timed(call, device, times) for _ in range(REPEATS))


# --- CUDA graphs ----------------------------------------------------------------------------------


class OnDevice(PackedEvaluator):
    """Leaves the logits of a point where they are computed."""

    def logits_at(self, alpha: float, beta: float) -> list[torch.Tensor]:
        """Of each block of both splits."""
        self._found: list[torch.Tensor] = []
        self.outcomes_at(alpha, beta)
        return self._found

    def _split_outcomes(
        self, model: UpperPart, split: TokenizedSplit, blocks: Sequence[Block], states: States
    ) -> Outcomes:
        del split
        for block, entering in zip(blocks, states, strict=True):
            self._found.append(self._forward.logits(model, entering, block))
        nothing: Any = None
        return nothing


@torch.inference_mode()
def _graph(told: Told, shape: str, inputs: EvaluatorInputs, setting: Setting) -> None:
    """One point captured and replayed: what its launches cost."""
    evaluator = OnDevice(inputs, setting.device, method_on(setting.device, "bf16"))
    right = [one.clone() for one in evaluator.logits_at(*POINT)]
    eager = _median(lambda: evaluator.logits_at(*POINT), setting.device)
    if not setting.cuda:
        told.skipped(f"{shape}: CUDA graph", f"{NEEDS_CUDA}; a point took {eager:.3g} s")
        return
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(WARM):
            evaluator.logits_at(*POINT)
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        found = evaluator.logits_at(*POINT)
    for one in found:
        one.fill_(torch.nan)
    graph.replay()
    torch.cuda.synchronize()
    same = all(torch.equal(one, other) for one, other in zip(found, right, strict=True))
    replayed = _median(graph.replay, setting.device)
    told.check(
        f"{shape}: CUDA graph",
        same,
        seconds=replayed,
        seconds_without=eager,
        times_faster=eager / replayed,
    )


# --- torch.compile --------------------------------------------------------------------------------


def _compiled(told: Told, shape: str, inputs: EvaluatorInputs, setting: Setting) -> None:
    """All of a layer after its attention, compiled and not."""
    os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", "1")  # no process is left behind
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(setting.folder / "inductor"))
    tokens = min(method_on(setting.device, "bf16").block_tokens, len(inputs.train.tokens))
    given = _layer(inputs.config, tokens, setting.device)
    if setting.cuda:
        compiled = torch.compile(_after_attention, dynamic=False)
    else:
        told.skipped(f"{shape}: torch.compile by inductor", f"{NEEDS_CUDA}; traced alone")
        compiled = torch.compile(_after_attention, dynamic=False, backend="eager")
    with torch.inference_mode():
        began = time.monotonic()
        found = compiled(*given)
        first = time.monotonic() - began
        right = _after_attention(*given)
        eager = _median(lambda: _after_attention(*given), setting.device, AT_A_TIME)
        fast = _median(lambda: compiled(*given), setting.device, AT_A_TIME)
        again = compiled(*given)
    told.check(
        f"{shape}: a layer after attention, compiled",
        torch.allclose(found, right, rtol=0, atol=ROUNDING) and torch.equal(found, again),
        rows=tokens,
        seconds=fast,
        seconds_without=eager,
        times_faster=eager / fast,
        seconds_to_compile=first,
        off_by=float((found - right).abs().max()),
    )


def _layer(config: dict[str, Any], tokens: int, device: str) -> list[torch.Tensor]:
    """Random inputs of `_after_attention`."""
    width = config["hidden_size"]
    generator = torch.Generator(device).manual_seed(0)

    def random(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator, device=device)

    given = [random(tokens, width).to(torch.bfloat16), random(tokens, width)]
    _, *shapes = weight_shapes(config)
    for inputs, outputs in shapes:
        given += [(0.02 * random(outputs, inputs)).to(torch.bfloat16)]
        given += [random(outputs).to(torch.bfloat16)]
    return given + [1 + 0.1 * random(width) for _ in range(4)]


def _after_attention(
    mixed: torch.Tensor,  # (R, H) bfloat16
    hidden: torch.Tensor,  # (R, H) float32
    out: torch.Tensor,
    out_bias: torch.Tensor,
    expand: torch.Tensor,
    expand_bias: torch.Tensor,
    contract: torch.Tensor,
    contract_bias: torch.Tensor,
    *norms: torch.Tensor,
) -> torch.Tensor:
    """What `Forward` does there in bf16."""
    size = hidden.shape[-1:]
    hidden = functional.layer_norm(
        hidden + functional.linear(mixed, out, out_bias), size, norms[0], norms[1]
    )
    wide = functional.gelu(functional.linear(hidden.to(torch.bfloat16), expand, expand_bias))
    added = hidden + functional.linear(wide, contract, contract_bias)
    return functional.layer_norm(added, size, norms[2], norms[3])
