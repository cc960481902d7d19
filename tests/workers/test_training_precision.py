"""bf16 moves the matrix products of training alone: weights and dev numbers stay in float32."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tests.workers.tiny_inputs import Inputs
from tests.workers.trainings import changed, check, training_spec
from transformers import AutoModelForSequenceClassification

from bertscape.spec import FINETUNE_NUMBERS, Data, FinetuneSpec, Split
from bertscape.values import InvalidInput
from bertscape_workers.evaluation import expected_numbers
from bertscape_workers.training import FineTuned, train


@pytest.fixture(scope="module")
def settings(bert: Inputs) -> FinetuneSpec:
    data = Data(
        train=Split(path=str(bert.train)),
        eval=Split(path=str(bert.eval)),
        text=("first", "second"),
        max_length=32,
    )
    return training_spec(bert.pretrained, data, batch_size=8, epochs=1, learning_rate=1e-3)


def weights(run: FineTuned) -> bytes:
    return (run.final / "model.safetensors").read_bytes()


def test_a_cpu_trains_in_fp32_and_has_no_bf16(settings: FinetuneSpec) -> None:
    assert not check(settings).bf16
    with pytest.raises(InvalidInput, match=r"precision: 'bf16'; expected a GPU that has bf16"):
        check(changed(settings, precision="bf16"))


@pytest.mark.parametrize(
    ("asked", "there", "taken"),
    [
        ("auto", True, True),
        ("auto", False, False),
        ("bf16", True, True),
        ("fp32", True, False),
    ],
)
def test_auto_is_bf16_where_the_gpu_has_it(
    settings: FinetuneSpec,
    monkeypatch: pytest.MonkeyPatch,
    asked: str,
    there: bool,
    taken: bool,
) -> None:
    monkeypatch.setattr("bertscape_workers.training.fine_tuning.has_bf16", lambda: there)
    assert check(changed(settings, precision=asked)).bf16 == taken


def test_dev_numbers_are_those_of_the_stored_float32_model(
    settings: FinetuneSpec, tmp_path: Path
) -> None:
    """torch's CPU has the same autocast as its GPU."""
    inputs = check(settings)
    plain = train(inputs, tmp_path / "fp32")
    run = train(replace(inputs, bf16=True), tmp_path / "bf16")
    assert all(
        tensor.dtype == torch.float32
        for tensor in load_file(run.final / "model.safetensors").values()
    )
    assert weights(run) != weights(plain)
    model = AutoModelForSequenceClassification.from_pretrained(run.final).eval()
    expected = expected_numbers(model, inputs.train, inputs.eval).numbers
    found = [getattr(run.numbers, name) for name in FINETUNE_NUMBERS]
    assert found == pytest.approx([*expected[2:4], *expected[6:8]], rel=1e-6)
    again = train(inputs, tmp_path / "fp32 again")  # bf16 leaves nothing behind in the process
    assert weights(again) == weights(plain)
