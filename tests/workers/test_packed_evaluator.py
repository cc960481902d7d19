"""The packed evaluator against the reference, and its independence of the run."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from tests.workers.tiny_inputs import Inputs, bert_config, make_inputs
from transformers import DistilBertConfig, ElectraConfig, PreTrainedConfig, RobertaConfig

from bertscape_workers.checkpoints import Vector
from bertscape_workers.data import Outcomes, point_numbers
from bertscape_workers.evaluation import EvaluatorInputs
from bertscape_workers.evaluation.packed import attention as packed_attention
from bertscape_workers.evaluation.packed.evaluator import PackedEvaluator
from bertscape_workers.evaluation.packed.method import method_for
from bertscape_workers.evaluation.packed.products import TorchProducts
from bertscape_workers.evaluation.plain.evaluator import ReferenceEvaluator
from bertscape_workers.jobs.prepare import prepare

CPU = method_for(torch.device("cpu"), "fp32")
NEAR_TIE = 1e-4  # two best logits this close may swap by rounding
AXIS = np.linspace(-4, 4, 9).tolist()

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
    "distilbert": DistilBertConfig(  # type: ignore[call-arg]
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
    """Also tells how far each example's best logit is above the second."""

    def leads(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Of each example of (train, eval) at the last point, in the file's order."""
        found = []
        for split in (self._inputs.train, self._inputs.eval):
            lead = np.empty(len(split))
            for examples, _ in self._batches(split):
                best = self._seen.pop(0).topk(2, dim=1).values
                lead[examples] = (best[:, 0] - best[:, 1]).numpy()
            found.append(lead)
        return found[0], found[1]

    def _outcomes(self) -> tuple[Outcomes, Outcomes]:
        self._seen: list[torch.Tensor] = []
        return super()._outcomes()

    def _logits(self, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
        self._seen.append(super()._logits(batch))
        return self._seen[-1]


def backbone_at(inputs: EvaluatorInputs, alpha: float, beta: float) -> Vector:
    backbone = torch.from_numpy(inputs.origin.copy())
    for direction, factor in ((inputs.x, alpha), (inputs.y, beta)):
        assert direction is not None
        backbone.add_(torch.from_numpy(direction), alpha=factor)
    return backbone.numpy()


def assert_right(
    packed: PackedEvaluator,
    reference: WatchedReference,
    inputs: EvaluatorInputs,
    point: tuple[float, float],
) -> float:
    """The losses of both splits, and each prediction that is no near tie; the share of these."""
    backbone = backbone_at(inputs, *point)
    found, expected = packed.outcomes(backbone), reference.outcomes(backbone)
    numbers, right = point_numbers(*found), point_numbers(*expected)
    assert packed.evaluate(*point).tobytes() == numbers.tobytes()
    for loss in (0, 2):
        assert abs(numbers[loss] - right[loss]) <= 1e-5 * abs(right[loss]) + 1e-7
        assert numbers[loss + 4] == pytest.approx(right[loss + 4], rel=1e-4, abs=1e-7)
    clear = [lead > NEAR_TIE for lead in reference.leads()]
    for one, other, here in zip(found, expected, clear, strict=True):
        assert one.wrong[here].tolist() == other.wrong[here].tolist()
    return float(np.concatenate(clear).mean())


def test_every_point_is_that_of_the_reference(inputs: EvaluatorInputs) -> None:
    packed, reference = PackedEvaluator(inputs), WatchedReference(inputs)
    points = [(alpha, beta) for beta in AXIS for alpha in AXIS]
    compared = [assert_right(packed, reference, inputs, point) for point in points]
    assert np.mean(compared) > 0.95


def test_torch_alone_gives_the_same(inputs: EvaluatorInputs) -> None:
    method = replace(CPU, products=TorchProducts(), exact=TorchProducts())
    packed, reference = PackedEvaluator(inputs, method=method), WatchedReference(inputs)
    for point in [(0.0, 0.0), (1.0, 0.0), (-2.5, 3.0)]:
        assert_right(packed, reference, inputs, point)


def test_many_small_blocks_and_parts_give_the_same(
    inputs: EvaluatorInputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packed_attention, "SCORES", 1)
    packed = PackedEvaluator(inputs, method=replace(CPU, block_tokens=30))
    reference = WatchedReference(inputs)
    for point in [(0.0, 0.0), (1.0, 0.0), (-2.5, 3.0)]:
        assert_right(packed, reference, inputs, point)


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
