"""The evaluator against the plain Hugging Face model, and its independence of the run."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tests.workers.tiny_inputs import Inputs, bert_config, make_inputs
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DistilBertConfig,
    RobertaConfig,
)

from bertscape_workers.evaluation import EvaluatorInputs
from bertscape_workers.evaluation.plain.evaluator import ReferenceEvaluator
from bertscape_workers.jobs.prepare import prepare

SIZES = {"vocab_size": 19, "num_labels": 3, "initializer_range": 0.3}
CONFIGS = {
    "bert": bert_config(),
    # Its head has a layer of its own, and it has no token types.
    "distilbert": DistilBertConfig(
        dim=32, n_layers=2, n_heads=4, hidden_dim=48, max_position_embeddings=40, **SIZES
    ),
    # Its positions begin after the padding's id, and its head has two layers.
    "roberta": RobertaConfig(
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=48,
        max_position_embeddings=40,
        type_vocab_size=2,
        pad_token_id=0,
        **SIZES,
    ),
}


@pytest.fixture(scope="module", params=CONFIGS)
def inputs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    root = tmp_path_factory.mktemp(request.param)
    return make_inputs(root, CONFIGS[request.param])


def test_every_point_is_that_of_the_plain_model(inputs: Inputs) -> None:
    evaluator = ReferenceEvaluator(prepare(inputs.spec()).inputs)
    reference = PlainPlane(inputs)
    for alpha, beta in [(0, 0), (1, 0), (-0.75, 0.5), (0.3, 1.7)]:
        reference.place(alpha, beta)
        found = evaluator.evaluate(alpha, beta)
        for column, path in ((0, inputs.train), (2, inputs.eval)):
            logits, labels = reference.logits(path)
            losses = -torch.log_softmax(logits, 1)[range(len(labels)), labels].numpy()
            expected = losses.mean()
            assert abs(found[column] - expected) <= 1e-5 * abs(expected) + 1e-7
            best = logits.topk(2, dim=1).values
            assert (best[:, 0] - best[:, 1] > 1e-4).all()  # so that errors must be equal
            error = (logits.argmax(1) != labels).double().mean().item()
            assert found[column + 1] == pytest.approx(error, abs=1e-12)
            count = len(labels)
            assert found[column + 4] == pytest.approx(
                losses.std(ddof=1) / count**0.5, rel=1e-4, abs=1e-9
            )
            assert found[column + 5] == pytest.approx((error * (1 - error) / count) ** 0.5)


class PlainPlane:
    """θ0 + αδ1 + βδ2 by the formula, from the files; one unpadded example at a time."""

    def __init__(self, inputs: Inputs) -> None:
        self.model = AutoModelForSequenceClassification.from_pretrained(inputs.finetuned).eval()
        self.tokenizer = AutoTokenizer.from_pretrained(inputs.finetuned)
        zero, one, two = (
            load_file(folder / "model.safetensors")
            for folder in (inputs.pretrained, inputs.finetuned, inputs.toward)
        )
        names = [name for name in zero if name.startswith(self.model.base_model_prefix)]
        self.zero = {name: zero[name].double() for name in names}
        self.delta1 = {name: one[name].double() - self.zero[name] for name in names}
        self.delta2 = {name: two[name].double() - self.zero[name] for name in names}
        self.ratio = length(self.delta1) / length(self.delta2)

    def place(self, alpha: float, beta: float) -> None:
        state = {
            name: self.zero[name]
            + alpha * self.delta1[name]
            + beta * self.ratio * self.delta2[name]
            for name in self.zero
        }
        found = self.model.load_state_dict(state, strict=False)
        assert not found.unexpected_keys

    @torch.no_grad()
    def logits(self, path: Path) -> tuple[torch.Tensor, torch.Tensor]:
        rows = [line.split("\t") for line in path.read_text().splitlines()[1:]]
        types = isinstance(self.model.config, DistilBertConfig)
        logits = []
        for first, second, _ in rows:
            one = self.tokenizer(
                first, second, return_tensors="pt", return_token_type_ids=not types
            )
            logits.append(self.model(**one).logits[0].double())
        return torch.stack(logits), torch.tensor([int(label) for _, _, label in rows])


def length(delta: dict[str, torch.Tensor]) -> float:
    return float(sum((values**2).sum() for values in delta.values()) ** 0.5)


# --- independence of the run ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def prepared(bert: Inputs) -> EvaluatorInputs:
    return prepare(bert.spec()).inputs


POINTS = [(0.0, 0.0), (0.3, -0.2), (1.0, 0.0), (-1.0, 0.7), (2.0, 2.0)]


def test_values_do_not_depend_on_order_or_instance(prepared: EvaluatorInputs) -> None:
    first = ReferenceEvaluator(prepared)
    forwards = [first.evaluate(*point).tobytes() for point in POINTS]
    backwards = [first.evaluate(*point).tobytes() for point in reversed(POINTS)]
    assert backwards[::-1] == forwards
    alone = [ReferenceEvaluator(prepared).evaluate(*point).tobytes() for point in POINTS]
    assert alone == forwards


def test_inputs_cross_processes_as_read_only_buffers(prepared: EvaluatorInputs) -> None:
    buffers: list[pickle.PickleBuffer] = []
    head = pickle.dumps(prepared, protocol=5, buffer_callback=buffers.append)
    vectors = 3 * prepared.layout.size * 4
    assert sum(buffer.raw().nbytes for buffer in buffers) > vectors
    assert len(head) < vectors / 4  # the arrays are not in it
    there = pickle.loads(head, buffers=[bytes(buffer.raw()) for buffer in buffers])
    assert not there.origin.flags.writeable
    point = (0.3, -0.2)
    expected = ReferenceEvaluator(prepared).evaluate(*point)
    assert ReferenceEvaluator(there).evaluate(*point).tobytes() == expected.tobytes()


def test_every_tensor_is_aligned(prepared: EvaluatorInputs) -> None:
    assert all(tensor.offset * 4 % 64 == 0 for tensor in prepared.layout.tensors)


def test_what_is_not_finite_stays_so_and_counts_as_wrong(prepared: EvaluatorInputs) -> None:
    # So far out that the activations overflow.
    numbers = ReferenceEvaluator(prepared).evaluate(1e30, 0.0)
    assert np.isnan(numbers[[0, 2]]).all()
    assert (numbers[[1, 3]] == 1.0).all()
