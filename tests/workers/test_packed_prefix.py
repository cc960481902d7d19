"""Layer groups through the packed evaluator: what stays is computed once, with the same bytes."""

import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from tests.workers.tiny_inputs import Inputs, bert_config, make_inputs
from transformers import DistilBertConfig, PreTrainedConfig, RobertaConfig

from bertscape.values import ALL_LAYERS, InvalidInput
from bertscape_workers.admission import (
    KEPT_STATES,
    MemoryLimits,
    MemoryNeed,
    memory_for,
    memory_need,
)
from bertscape_workers.evaluation import EvaluatorInputs
from bertscape_workers.evaluation.packed import (
    evaluator as packed_evaluator,
    method as packed_method,
)
from bertscape_workers.evaluation.packed.evaluator import PackedEvaluator
from bertscape_workers.evaluation.packed.products import Linear, TorchProducts
from bertscape_workers.jobs import prepare as preparing
from bertscape_workers.jobs.prepare import prepare

CONFIGS: dict[str, PreTrainedConfig] = {
    "bert": bert_config(num_hidden_layers=3),
    "roberta": RobertaConfig(  # type: ignore[call-arg]
        vocab_size=19,
        hidden_size=32,
        num_hidden_layers=3,
        num_attention_heads=4,
        intermediate_size=48,
        max_position_embeddings=40,
        num_labels=3,
        initializer_range=0.3,
        pad_token_id=0,
    ),
    "distilbert": DistilBertConfig(  # type: ignore[call-arg]
        vocab_size=19,
        dim=32,
        n_layers=3,
        n_heads=4,
        hidden_dim=48,
        max_position_embeddings=40,
        num_labels=3,
        initializer_range=0.3,
    ),
}
GROUPS: list[Any] = ["low", "middle", "high", [1, 3], "embeddings"]
POINTS = [(0.3, -0.2), (0.0, 0.0), (1.0, 0.0), (-1.0, 0.7), (2.0, 2.0)]

Run = tuple[str, Any, str]  # architecture, group, origin
RUNS: list[Run] = [
    *(
        (name, group, origin)
        for name in CONFIGS
        for group in GROUPS
        for origin in ("pretrained", "finetuned")
    ),
    ("bert", "pooler", "pretrained"),
    ("bert", "pooler", "finetuned"),
]


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Inputs]:
    made: dict[str, Inputs] = {}

    def of(name: str) -> Inputs:
        if name not in made:
            made[name] = make_inputs(tmp_path_factory.mktemp(name), CONFIGS[name])
        return made[name]

    return of


@pytest.fixture(scope="module", params=RUNS, ids=str)
def grouped(
    request: pytest.FixtureRequest, checkpoints: Callable[[str], Inputs]
) -> EvaluatorInputs:
    name, group, origin = request.param
    return prepare(checkpoints(name).spec(layers=group, origin=origin)).inputs


@pytest.fixture(scope="module")
def high(checkpoints: Callable[[str], Inputs]) -> EvaluatorInputs:
    return prepare(checkpoints("bert").spec(layers="high")).inputs


def values(evaluator: PackedEvaluator) -> list[bytes]:
    return [evaluator.evaluate(*point).tobytes() for point in POINTS]


def keep_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packed_evaluator, "KEPT_STATES", 0)


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several blocks in each split."""
    monkeypatch.setitem(packed_method.BLOCK_TOKENS, "cpu", 90)


# --- the same numbers -----------------------------------------------------------------------------


@pytest.mark.usefixtures("small_blocks")
def test_bytes_are_those_of_the_whole_pass(
    grouped: EvaluatorInputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = values(PackedEvaluator(grouped))
    assert len(set(found)) == len(POINTS)
    assert found == values(PackedEvaluator(replace(grouped, layers=ALL_LAYERS)))
    keep_nothing(monkeypatch)
    assert found == values(PackedEvaluator(grouped))


@pytest.mark.usefixtures("small_blocks")
def test_bytes_do_not_depend_on_what_came_before(grouped: EvaluatorInputs) -> None:
    evaluator = PackedEvaluator(grouped)
    found = values(evaluator)
    evaluator.evaluate(1e30, 0.0)  # leaves NaN and infinity behind
    backwards = [evaluator.evaluate(*point).tobytes() for point in reversed(POINTS)]
    assert backwards[::-1] == found
    assert [PackedEvaluator(grouped).evaluate(*point).tobytes() for point in POINTS] == found


def test_any_backbone_is_evaluated_whole(grouped: EvaluatorInputs) -> None:
    generator = np.random.default_rng(0)
    noise = generator.standard_normal(grouped.layout.size).astype(np.float32)
    backbone = grouped.origin + np.float32(0.05) * noise
    evaluator = PackedEvaluator(grouped)
    before = evaluator.evaluate(0.5, -0.5).tobytes()
    found = evaluator.evaluate_backbone(backbone).tobytes()
    whole = PackedEvaluator(replace(grouped, layers=ALL_LAYERS))
    assert found == whole.evaluate_backbone(backbone).tobytes()
    assert evaluator.evaluate(0.5, -0.5).tobytes() == before


# --- the work that is left ------------------------------------------------------------------------


class CountedProducts(TorchProducts):
    """Counts what each point packs and multiplies."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()

    def pack(self, weight: torch.Tensor, bias: torch.Tensor, rows: int) -> Linear:
        self.calls["pack"] += 1
        return super().pack(weight, bias, rows)

    def linear(self, inputs: torch.Tensor, by: Linear) -> torch.Tensor:
        self.calls["linear"] += 1
        return super().linear(inputs, by)


def work_of_a_later_point(inputs: EvaluatorInputs) -> tuple[int, int]:
    """Matrices packed and products taken; a split is one block."""
    products = CountedProducts()
    method = packed_method.method_for(torch.device("cpu"), "fp32")
    counted = replace(method, products=products, exact=products)
    evaluator = PackedEvaluator(inputs, method=counted)
    evaluator.evaluate(1.0, 0.0)
    products.calls.clear()
    evaluator.evaluate(0.5, 0.5)
    return products.calls["pack"], products.calls["linear"]


# A layer has 4 matrices, the last one 5, the head 2; each multiplies in both splits.
@pytest.mark.parametrize(
    ("group", "packed", "multiplied", "multiplied_if_not_kept"),
    [
        ("low", 4, 15, 15),
        ("middle", 4, 11, 15),
        ("high", 5, 7, 15),
        ([1, 3], 9, 11, 15),
        ("pooler", 2, 2, 15),
        ("embeddings", 0, 15, 15),
        ("all", 15, 15, 15),
    ],
    ids=str,
)
def test_what_stays_is_neither_packed_nor_run_again(
    checkpoints: Callable[[str], Inputs],
    monkeypatch: pytest.MonkeyPatch,
    group: Any,
    packed: int,
    multiplied: int,
    multiplied_if_not_kept: int,
) -> None:
    inputs = prepare(checkpoints("bert").spec(layers=group)).inputs
    assert work_of_a_later_point(inputs) == (packed, 2 * multiplied)
    keep_nothing(monkeypatch)
    assert work_of_a_later_point(inputs) == (packed, 2 * multiplied_if_not_kept)


# --- memory ---------------------------------------------------------------------------------------


def test_too_many_states_are_computed_again_and_the_log_says_so_once(
    high: EvaluatorInputs, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    packed_evaluator.say_once.cache_clear()
    with caplog.at_level(logging.WARNING):
        PackedEvaluator(high)
        assert not caplog.records
        keep_nothing(monkeypatch)
        for _ in range(2):
            PackedEvaluator(high).evaluate(0.5, 0.5)
    (record,) = caplog.records
    assert "above the 2 lowest layers" in record.getMessage()


def need(inputs: EvaluatorInputs, states: int) -> MemoryNeed:
    splits = (inputs.train, inputs.eval)
    longest = max(int(split.lengths.max()) for split in splits)
    size, tokens = sum(one.bytes for one in splits), sum(len(one.tokens) for one in splits)
    return memory_for(inputs.layout.size, 2, inputs.config, longest, size, tokens, states)


def test_kept_states_are_counted_up_to_the_bound(high: EvaluatorInputs) -> None:
    without, width = need(high, 0).worker, 4 * high.config["hidden_size"]
    assert need(high, 1000).worker == without + 1000 * width
    most = KEPT_STATES // width
    assert need(high, most).worker == without + most * width
    assert need(high, most + 1).worker == without


@pytest.mark.parametrize("group", ["high", "pooler", "embeddings"])
def test_a_job_is_refused_whose_kept_states_do_not_fit(
    checkpoints: Callable[[str], Inputs], high: EvaluatorInputs, group: str
) -> None:
    splits = (high.train, high.eval)
    states = {
        "high": sum(len(split.tokens) for split in splits),
        "pooler": sum(len(split) for split in splits),
        "embeddings": 0,
    }
    needed = need(high, states[group])
    spec = checkpoints("bert").spec(layers=group)
    prepare(spec, limits=MemoryLimits(needed.worker, needed.object_store))
    with pytest.raises(InvalidInput, match="the memory of a worker"):
        prepare(spec, limits=MemoryLimits(needed.worker - 1, needed.object_store))


def test_a_submission_is_not_refused_for_states_that_only_its_rows_tell(
    checkpoints: Callable[[str], Inputs], high: EvaluatorInputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = checkpoints("bert").spec(layers="high")
    needed = need(high, sum(len(split.tokens) for split in (high.train, high.eval)))
    stated = memory_need(spec)
    # With the most that can be kept, a job would be refused that fits.
    assert stated.worker < needed.worker < stated.worker + KEPT_STATES
    # Preparing, which has read the rows, refuses it before it reads a tensor.
    limits = MemoryLimits(needed.worker - 1, needed.object_store)
    limits.check(stated)
    monkeypatch.setattr(preparing, "build_plane", lambda *_: pytest.fail("read tensors"))
    with pytest.raises(InvalidInput, match="the memory of a worker"):
        prepare(spec, limits=limits)
