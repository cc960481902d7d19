"""Which evaluator a job gets."""

import logging
from dataclasses import replace
from pathlib import Path

import pytest
from tests.workers.tiny_inputs import Inputs, make_inputs
from transformers import MPNetConfig

from bertscape_workers.checkpoints import Format
from bertscape_workers.evaluation import evaluator_for, evaluators
from bertscape_workers.evaluation.packed import attention_varlen
from bertscape_workers.evaluation.packed.evaluator import PackedEvaluator
from bertscape_workers.evaluation.plain.evaluator import ReferenceEvaluator
from bertscape_workers.jobs.prepare import prepare


def test_a_known_model_takes_the_packed_path(
    bert: Inputs, caplog: pytest.LogCaptureFixture
) -> None:
    inputs = prepare(bert.spec()).inputs
    assert isinstance(evaluator_for(inputs, "cpu"), PackedEvaluator)
    assert not caplog.records
    assert prepare(bert.spec()).findings.evaluator == "packed"


@pytest.mark.parametrize("precision", ["fp32", "tf32", "bf16"])
def test_it_does_so_on_a_gpu_too(
    bert: Inputs, monkeypatch: pytest.MonkeyPatch, precision: Format
) -> None:
    inputs = prepare(bert.spec()).inputs
    monkeypatch.setattr(evaluators, "PackedEvaluator", lambda _, device: device)
    monkeypatch.setattr(attention_varlen, "fits", lambda *_: True)
    found: object = evaluator_for(replace(inputs, precision=precision), "cuda")
    assert found == "cuda"


def test_another_model_takes_the_reference_path_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = MPNetConfig(  # type: ignore[call-arg]
        vocab_size=19,
        num_labels=3,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=48,
        max_position_embeddings=40,
    )
    evaluators.say_once.cache_clear()
    with caplog.at_level(logging.WARNING):
        prepared = prepare(make_inputs(tmp_path, config).spec(), device="cpu")
        assert isinstance(evaluator_for(prepared.inputs, "cpu"), ReferenceEvaluator)
    (record,) = caplog.records  # of two evaluators
    message = record.getMessage()
    assert "a mpnet model on cpu" in message
    assert message.endswith("the packed evaluator does not know this model type")
    assert prepared.findings.evaluator == "reference"
    assert all(check.passed for check in prepared.findings.self_checks)


def test_a_decoder_takes_the_reference_path(bert: Inputs, caplog: pytest.LogCaptureFixture) -> None:
    evaluators.say_once.cache_clear()
    inputs = prepare(bert.spec()).inputs
    decoder = replace(inputs, config={**inputs.config, "is_decoder": True})
    assert isinstance(evaluator_for(decoder, "cpu"), ReferenceEvaluator)
    (record,) = caplog.records
    assert record.getMessage().endswith("settings that the packed evaluator does not know")
