"""What a job would cost: operations against torch's counter, tokens against the job's own."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.workers.tiny_inputs import Inputs, bert_config, make_inputs
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode
from transformers import (
    AutoModelForSequenceClassification,
    DistilBertConfig,
    ElectraConfig,
    PreTrainedConfig,
    RobertaConfig,
)

from bertscape.results import result_bytes
from bertscape.spec import FinetuneSpec, parse_spec
from bertscape.values import InvalidInput, LayerGroup, ProblemType
from bertscape_workers.admission import admitted
from bertscape_workers.costs import Cost, Encoder, Lengths, cost_of, measure_lengths, work_of
from bertscape_workers.evaluation import EvaluatorInputs
from bertscape_workers.evaluation.packed import ARCHITECTURES, attention as packed_attention
from bertscape_workers.evaluation.packed.evaluator import PackedEvaluator
from bertscape_workers.evaluation.packed.method import method_for
from bertscape_workers.evaluation.packed.products import TorchProducts
from bertscape_workers.jobs.prepare import prepare
from bertscape_workers.running.local_run import run_job

CLASSES = 3
SIZES = {"vocab_size": 19, "num_labels": CLASSES, "max_position_embeddings": 40}
ENCODER = {
    "num_attention_heads": 4,
    "num_hidden_layers": 3,
    "hidden_size": 32,
    "intermediate_size": 48,
}
DISTILBERT = {"dim": 32, "n_layers": 3, "n_heads": 4, "hidden_dim": 48}
CONFIGS: dict[str, PreTrainedConfig] = {
    "bert": bert_config(num_hidden_layers=3),
    "roberta": RobertaConfig(type_vocab_size=2, pad_token_id=0, **SIZES, **ENCODER),
    "electra": ElectraConfig(embedding_size=32, **SIZES, **ENCODER),
    "distilbert": DistilBertConfig(**SIZES, **DISTILBERT),
}


# By torch's own products, which its counter knows, in blocks that are not filled up.
TORCH = TorchProducts()
COUNTABLE = replace(method_for(torch.device("cpu"), "fp32"), products=TORCH, exact=TORCH, rows=1)


@pytest.fixture(scope="module", params=CONFIGS)
def prepared(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> EvaluatorInputs:
    root = tmp_path_factory.mktemp(request.param)
    return prepare(make_inputs(root, CONFIGS[request.param]).spec()).inputs


@pytest.fixture
def bert(tmp_path: Path) -> Inputs:
    return make_inputs(tmp_path, CONFIGS["bert"])


def lengths_of(inputs: EvaluatorInputs) -> Lengths:
    found = [
        Lengths.of(split.lengths.tolist(), len(split)) for split in (inputs.train, inputs.eval)
    ]
    return found[0] + found[1]


def counted(call: Any) -> int:
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        call()
    return int(counter.get_total_flops())


def head_of(encoder: Encoder, examples: int) -> int:
    """Two dense layers on the first token of each example."""
    return 2 * examples * (encoder.hidden**2 + encoder.hidden * CLASSES)


# --- operations ---------------------------------------------------------------------------------


def test_every_packed_architecture_has_a_formula() -> None:
    for family in ARCHITECTURES:
        assert Encoder.of({"model_type": family}) is not None
    assert Encoder.of({"model_type": "albert"}) is None
    assert Encoder.of({"model_type": "bert", "is_decoder": True}) is None


@pytest.mark.parametrize("group", ["all", "high", "embeddings", "pooler"])
def test_the_packed_pass_takes_what_the_formula_says(
    prepared: EvaluatorInputs, group: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packed_attention, "KEYS", 1)  # no filler among them either
    config = dict(prepared.config)
    if group == "pooler" and config["model_type"] != "bert":
        pytest.skip("it has no pooler")
    inputs = replace(prepared, layers=LayerGroup(group))
    evaluator = PackedEvaluator(inputs, "cpu", COUNTABLE)
    encoder, lengths = Encoder.of(config), lengths_of(inputs)
    assert encoder is not None
    once, each = encoder.packed(lengths, inputs.layers, kept=True)
    head = head_of(encoder, lengths.examples)
    assert counted(lambda: evaluator.evaluate(0.5, 0.5)) == once + each + head
    assert counted(lambda: evaluator.evaluate(0.25, 0.5)) == each + head


def test_a_plain_pass_and_its_gradients_take_what_the_formula_says(bert: Inputs) -> None:
    model: Any = AutoModelForSequenceClassification.from_pretrained(
        bert.pretrained, num_labels=CLASSES, attn_implementation="eager"
    )
    ids = torch.tensor([[2, 5, 6, 7, 3]])
    encoder, lengths = Encoder.of(model.config.to_dict()), Lengths.of([5], 1)
    assert encoder is not None
    expected = encoder.whole(lengths) + head_of(encoder, 1)
    forward = counted(lambda: model(ids))
    assert forward == expected
    step = counted(lambda: model(ids, labels=torch.tensor([1])).loss.backward())
    assert step == 3 * expected


def test_what_is_prepared_and_done_once_is_counted_apart(bert: Inputs) -> None:
    encoder = Encoder("bert", 4, 8, 16)
    train, evaluation = Lengths.of([4, 6], 2), Lengths.of([5], 1)
    both = train + evaluation
    surface = work_of(bert.spec(), encoder, train, evaluation)
    assert surface is not None
    assert (surface.once, surface.count, surface.model) == (0, 9, "bert 8 × 16")
    assert surface.preparing == 3 * (surface.each + encoder.whole(both))  # θ0, θ1 and θ2
    high = work_of(bert.spec(layers="high"), encoder, train, evaluation)
    assert high is not None
    assert high.once > 0
    assert high.once + high.each == surface.each
    assert high.preparing == surface.each + encoder.whole(both)


def test_a_training_is_counted_in_steps(bert: Inputs) -> None:
    encoder = Encoder("bert", 2, 8, 16)
    train, evaluation = Lengths.of([4, 6, 5], 3), Lengths.of([5], 1)
    spec = training(bert, epochs=4, batch_size=2)
    found = work_of(spec, encoder, train, evaluation)
    assert found is not None
    assert found.count == 8
    passes = 3 * 4 * encoder.whole(train) + 5 * encoder.whole(evaluation)  # 0, and each epoch
    assert found.total == pytest.approx(passes)
    grouped = work_of(training(bert, batches="by_length"), encoder, train, evaluation)
    assert grouped is not None
    assert (found.model, grouped.model) == ("bert 8 × 16", "bert 8 × 16 in batches by length")
    none = work_of(training(bert, epochs=0), encoder, train, evaluation)
    assert none is not None
    assert (none.count, none.total) == (1, encoder.whole(evaluation))


def training(inputs: Inputs, **settings: Any) -> FinetuneSpec:
    spec = parse_spec(
        {
            "kind": "finetune",
            "model": {"pretrained": str(inputs.pretrained)},
            "data": inputs.spec().data.model_dump(mode="json"),
            "training": settings,
        }
    )
    assert isinstance(spec, FinetuneSpec)
    return spec


# --- tokens -------------------------------------------------------------------------------------


def test_tokens_are_those_that_preparing_finds(bert: Inputs) -> None:
    spec = bert.spec()
    found = prepare(spec)
    for name in ("train", "eval"):
        measured = measure_lengths(spec.data, name, bert.finetuned)
        pinned, split = found.findings.splits[name], getattr(found.inputs, name)
        assert (measured.examples, measured.tokens) == (pinned.examples, pinned.tokens)
        assert measured.measured == measured.examples
        assert measured.longest == split.lengths.max()
        assert measured.squares == (split.lengths.astype(np.int64) ** 2).sum()


def test_a_sample_is_that_of_the_job(bert: Inputs) -> None:
    data = {"train": {"path": str(bert.train), "examples": 7, "seed": 3}}
    spec = bert.spec(data={**bert.spec().data.model_dump(mode="json"), **data})
    measured = measure_lengths(spec.data, "train", bert.finetuned)
    assert (measured.examples, measured.tokens) == (
        7,
        prepare(spec).findings.splits["train"].tokens,
    )


def test_of_many_rows_some_are_measured(bert: Inputs) -> None:
    data = bert.spec().data
    whole = measure_lengths(data, "train", bert.finetuned)
    some = measure_lengths(data, "train", bert.finetuned, most=10)
    assert (some.examples, some.measured) == (whole.examples, 10)
    assert some.tokens == pytest.approx(whole.tokens, rel=0.5)
    assert some.squares / some.examples >= (some.tokens / some.examples) ** 2


# --- a whole job --------------------------------------------------------------------------------


def cost(spec: Any) -> Cost:
    return cost_of(admitted(spec), tile_points=4)


def test_the_size_of_a_result_is_known_before(bert: Inputs) -> None:
    spec = bert.spec(grid={"x": [-1, 1, 6], "y": [-1, 1, 6]})
    expected = cost(spec).disk
    assert len(result_bytes(run_job(spec))) == pytest.approx(expected, rel=0.25)


def test_memory_counts_what_the_splits_take(bert: Inputs) -> None:
    found = admitted(bert.spec())
    counted = cost_of(found, tile_points=4).memory
    assert counted is not None
    assert counted.object_store > found.memory.object_store


def test_a_training_keeps_its_checkpoints(bert: Inputs) -> None:
    found = admitted(training(bert, epochs=2))
    assert found.model is not None
    kept = 3 * (4 * found.model.parameters + (1 << 20))
    assert cost_of(found, tile_points=4).disk == kept


def test_what_is_not_known_has_a_reason(bert: Inputs) -> None:
    (bert.finetuned / "tokenizer.json").unlink()
    found = cost(bert.spec())
    assert (found.work, found.lengths) == (None, {})
    assert f"{bert.finetuned} has no tokenizer.json" in found.unknown["tokens"]
    assert "tokens" in found.unknown["flops"]
    assert found.disk is not None


def test_a_hub_model_and_a_dataset_are_not_known(bert: Inputs) -> None:
    data = bert.spec().data.model_dump(mode="json")
    data["train"] = {"dataset": "nyu-mll/glue", "config": "mrpc", "split": "train"}
    found = cost(bert.spec(data=data))
    assert (found.examples["train"], set(found.lengths)) == (None, {"eval"})
    assert "data.train is a `datasets` id" in found.unknown["tokens"]
    hub = {"pretrained": {"hub": "org/a"}, "finetuned": {"hub": "org/b"}}
    found = cost(
        bert.spec(model={**hub, "tokenizer": str(bert.finetuned)}, y={"random": {"seed": 0}})
    )
    assert (found.work, found.memory) == (None, None)
    assert set(found.lengths) == {"train", "eval"}
    assert "hub id" in found.unknown["flops"]


def test_a_model_type_without_a_formula(bert: Inputs) -> None:
    config = bert.finetuned / "config.json"
    found = admitted(bert.spec())
    assert found.model is not None
    assert config.is_file()
    other = replace(found, model=replace(found.model, config={"model_type": "albert"}))
    unknown = cost_of(other, tile_points=4).unknown
    assert unknown == {"flops": "there is no formula for the operations of a 'albert' model"}


def test_a_wrong_row_is_said(bert: Inputs) -> None:
    bert.train.write_text(bert.train.read_text() + "too\tfew\n")
    with pytest.raises(InvalidInput) as caught:
        cost(bert.spec())
    assert caught.value.problem.type is ProblemType.INVALID_DATA


def test_it_needs_neither_torch_nor_transformers() -> None:
    code = (
        "import sys\nfrom bertscape_workers.costs import cost_of, measure_lengths\n"
        "heavy = {'torch', 'transformers', 'datasets', 'ray', 'pyarrow'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
