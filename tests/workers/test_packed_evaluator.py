"""The packed evaluator against the reference, and its independence of the run."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from tiny_inputs import Inputs, bert_config, make_inputs
from transformers import DistilBertConfig, ElectraConfig, PreTrainedConfig, RobertaConfig

from bertscape_workers import packed_attention
from bertscape_workers.evaluator import EvaluatorInputs, ReferenceEvaluator
from bertscape_workers.packed_evaluator import PackedEvaluator
from bertscape_workers.packed_method import method_for
from bertscape_workers.packed_products import TorchProducts
from bertscape_workers.prepare import prepare

CPU = method_for(torch.device("cpu"), "fp32")
NEAR_TIE = 1e-4  # two best logits this close may swap by rounding
COUNTS = (37, 21)  # examples of the splits

SIZES = {
    "vocab_size": 19,
    "num_labels": 3,
    "initializer_range": 0.3,
    "num_attention_heads": 4,
    "num_hidden_layers": 2,
    "hidden_size": 32,
    "intermediate_size": 48,
    "max_position_embeddings": 40,
}
CONFIGS: dict[str, PreTrainedConfig] = {
    "bert": bert_config(),
    "bert-of-one-layer": bert_config(num_hidden_layers=1),
    "bert-with-relu": bert_config(hidden_act="relu"),
    "roberta": RobertaConfig(type_vocab_size=2, pad_token_id=0, **SIZES),
    "electra": ElectraConfig(embedding_size=32, **SIZES),
    "electra-projected": ElectraConfig(embedding_size=20, **SIZES),
    "distilbert": DistilBertConfig(
        vocab_size=19,
        num_labels=3,
        initializer_range=0.3,
        dim=32,
        n_layers=2,
        n_heads=4,
        hidden_dim=48,
        max_position_embeddings=40,
    ),
}


@pytest.fixture(scope="module", params=CONFIGS)
def inputs(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> EvaluatorInputs:
    root = tmp_path_factory.mktemp(request.param)
    return prepare(make_inputs(root, CONFIGS[request.param]).spec()).inputs


class WatchedReference(ReferenceEvaluator):
    """Counts the examples whose two best logits nearly tie."""

    near_ties = 0

    def _logits(self, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
        logits = super()._logits(batch)
        best = logits.topk(2, dim=1).values
        self.near_ties += int((best[:, 0] - best[:, 1] <= NEAR_TIE).sum())
        return logits


def assert_right(
    found: NDArray[np.float64], reference: WatchedReference, point: tuple[float, float]
) -> None:
    reference.near_ties = 0
    expected = reference.evaluate(*point)
    for loss, count in zip((0, 2), COUNTS, strict=True):
        tolerance = 1e-5 * abs(expected[loss]) + 1e-7
        assert abs(found[loss] - expected[loss]) <= tolerance
        assert found[loss + 4] == pytest.approx(expected[loss + 4], rel=1e-4, abs=1e-7)
        swapped = abs(found[loss + 1] - expected[loss + 1]) * count
        assert round(swapped) <= reference.near_ties
    if not reference.near_ties:
        assert found[[1, 3, 5, 7]].tolist() == expected[[1, 3, 5, 7]].tolist()


def test_every_point_is_that_of_the_reference(inputs: EvaluatorInputs) -> None:
    packed, reference = PackedEvaluator(inputs), WatchedReference(inputs)
    axis = np.linspace(-4, 4, 9).tolist()
    for point in [(alpha, beta) for beta in axis for alpha in axis]:
        assert_right(packed.evaluate(*point), reference, point)


def test_torch_alone_gives_the_same(inputs: EvaluatorInputs) -> None:
    method = replace(CPU, products=TorchProducts(), exact=TorchProducts())
    packed, reference = PackedEvaluator(inputs, method=method), WatchedReference(inputs)
    for point in [(0.0, 0.0), (1.0, 0.0), (-2.5, 3.0)]:
        assert_right(packed.evaluate(*point), reference, point)


def test_many_small_blocks_and_parts_give_the_same(
    inputs: EvaluatorInputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packed_attention, "SCORES", 1)
    packed = PackedEvaluator(inputs, method=replace(CPU, block_tokens=30))
    reference = WatchedReference(inputs)
    for point in [(0.0, 0.0), (1.0, 0.0), (-2.5, 3.0)]:
        assert_right(packed.evaluate(*point), reference, point)


def test_a_backbone_from_elsewhere_is_that_of_the_reference(inputs: EvaluatorInputs) -> None:
    backbone = inputs.origin + 0.25 * inputs.x
    found = PackedEvaluator(inputs).evaluate_backbone(backbone)
    expected = ReferenceEvaluator(inputs).evaluate_backbone(backbone)
    assert np.allclose(found[[0, 2]], expected[[0, 2]], rtol=1e-5, atol=1e-7)


# --- independence of the run ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def prepared(bert: Inputs) -> EvaluatorInputs:
    return prepare(bert.spec()).inputs


POINTS = [(0.0, 0.0), (0.3, -0.2), (1.0, 0.0), (-1.0, 0.7), (2.0, 2.0)]


def test_bytes_do_not_depend_on_order_or_instance(prepared: EvaluatorInputs) -> None:
    first = PackedEvaluator(prepared)
    forwards = [first.evaluate(*point).tobytes() for point in POINTS]
    backwards = [first.evaluate(*point).tobytes() for point in reversed(POINTS)]
    assert backwards[::-1] == forwards
    alone = [PackedEvaluator(prepared).evaluate(*point).tobytes() for point in POINTS]
    assert alone == forwards


def test_bytes_do_not_depend_on_what_memory_held(prepared: EvaluatorInputs) -> None:
    evaluator = PackedEvaluator(prepared)
    before = evaluator.evaluate(0.3, -0.2).tobytes()
    evaluator.evaluate(1e30, 0.0)  # leaves NaN and infinity behind
    assert evaluator.evaluate(0.3, -0.2).tobytes() == before


def test_a_curve_is_the_surface_without_its_second_axis(prepared: EvaluatorInputs) -> None:
    curve = PackedEvaluator(replace(prepared, y=None))
    surface = PackedEvaluator(prepared)
    assert curve.evaluate(0.5, 0.0).tobytes() == surface.evaluate(0.5, 0.0).tobytes()


def test_what_is_not_finite_stays_so_and_counts_as_wrong(prepared: EvaluatorInputs) -> None:
    numbers = PackedEvaluator(prepared).evaluate(1e30, 0.0)
    assert np.isnan(numbers[[0, 2]]).all()
    assert (numbers[[1, 3]] == 1.0).all()


def test_the_inputs_are_never_written_to(prepared: EvaluatorInputs) -> None:
    copies = [array.copy() for array in (prepared.origin, prepared.x)]
    PackedEvaluator(prepared).evaluate(0.5, -0.5)
    for array, copy in zip((prepared.origin, prepared.x), copies, strict=True):
        assert np.array_equal(array, copy)


# --- models that it does not take -----------------------------------------------------------------


@pytest.mark.parametrize("change", [{"model_type": "mpnet"}, {"is_decoder": True}])
def test_other_models_are_refused(prepared: EvaluatorInputs, change: dict[str, object]) -> None:
    other = replace(prepared, config={**prepared.config, **change})
    with pytest.raises(ValueError, match="no packed forward pass"):
        PackedEvaluator(other)


def test_a_model_with_one_tensor_more_is_refused(prepared: EvaluatorInputs) -> None:
    other = replace(prepared, head={**prepared.head, "classifier.scale": np.ones(1)})
    with pytest.raises(ValueError, match="no packed forward pass"):
        PackedEvaluator(other)
