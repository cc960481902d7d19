"""Which checkpoints a fine-tuning keeps, what it logs, and how it goes on after an interruption."""

import errno
import math
import os
import random
import shutil
import socket
import weakref
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.workers.tiny_inputs import Inputs, bert_config, make_inputs, random_model
from tests.workers.trainings import changed, check, finetune, training_spec
from transformers import AutoModelForSequenceClassification, PreTrainedModel

from bertscape.spec import FINETUNE_NUMBERS, Data, FinetuneSpec, Split
from bertscape.values import InvalidInput, LogEntry, ProblemType, TrainingOutput
from bertscape_workers.admission import MemoryLimits, memory_for_training
from bertscape_workers.admission.memory import PROCESS
from bertscape_workers.checkpoints import locate
from bertscape_workers.evaluation import expected_numbers
from bertscape_workers.jobs import TileOrder
from bertscape_workers.jobs.actor import Stages
from bertscape_workers.jobs.training_job import TrainingRunner, prepare_training
from bertscape_workers.training import FineTuned, fine_tuning, starting_model, train, train_alone
from bertscape_workers.training.fine_tuning import trajectory
from bertscape_workers.training.kept_checkpoints import (
    CheckpointNotWritten,
    clear_abandoned,
    held,
    writing,
)
from bertscape_workers.training.trainer import Stopped, log_entries, logging_steps, measure


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    return make_inputs(tmp_path_factory.mktemp("inputs"))


@pytest.fixture(scope="module")
def settings(inputs: Inputs) -> FinetuneSpec:
    """37 examples in batches of 8: five steps an epoch, fifteen in all. With dropout."""
    data = Data(
        train=Split(path=str(inputs.train)),
        eval=Split(path=str(inputs.eval)),
        text=("first", "second"),
        max_length=32,
    )
    return training_spec(inputs.pretrained, data, batch_size=8, learning_rate=1e-2, seed=5)


@pytest.fixture(scope="module")
def undisturbed(settings: FinetuneSpec, tmp_path_factory: pytest.TempPathFactory) -> FineTuned:
    return train(check(settings), tmp_path_factory.mktemp("undisturbed"))


def names(run: FineTuned) -> list[str]:
    return [path.name for path in run.checkpoints]


def weights(run: FineTuned) -> dict[str, bytes]:
    return {path.name: (path / "model.safetensors").read_bytes() for path in run.checkpoints}


def stop_after(steps: int) -> Callable[[], bool]:
    looks = iter(range(10**6))
    return lambda: next(looks) + 1 >= steps


def interrupt(settings: FinetuneSpec, output: Path, steps: int) -> None:
    """Train for some looks at the stop (one a step, one a batch of the evaluation split)."""
    with pytest.raises(Stopped):
        train(check(settings), output, stop=stop_after(steps))
    random.seed(99)  # another process has other random numbers
    np.random.seed(99)
    torch.manual_seed(99)


@pytest.mark.parametrize("looks", [3, 7, 8, 10, 16])
def test_an_interrupted_run_ends_as_an_undisturbed_one(
    settings: FinetuneSpec, undisturbed: FineTuned, tmp_path: Path, looks: int
) -> None:
    interrupt(settings, tmp_path, looks)
    again = train(check(settings), tmp_path)
    assert names(again) == ["checkpoint-0", "checkpoint-5", "checkpoint-10", "checkpoint-15"]
    assert weights(again) == weights(undisturbed)
    assert again.output.log == undisturbed.output.log


@pytest.mark.parametrize(
    ("looks", "batches"), [(6, "random"), (9, "random"), (13, "random"), (9, "by_length")]
)
def test_a_run_goes_on_from_the_middle_of_an_epoch(
    settings: FinetuneSpec, tmp_path: Path, looks: int, batches: str
) -> None:
    some = changed(settings, keep=3, max_steps=14, batches=batches)
    undisturbed = train(check(some), tmp_path / "undisturbed")
    interrupt(some, tmp_path / "again", looks)
    again = train(check(some), tmp_path / "again")
    assert names(again) == [f"checkpoint-{step}" for step in (0, 3, 6, 9, 12, 14)]
    assert weights(again) == weights(undisturbed)
    assert again.output.log == undisturbed.output.log


def test_a_half_written_checkpoint_never_counts(
    settings: FinetuneSpec, undisturbed: FineTuned, tmp_path: Path
) -> None:
    interrupt(settings, tmp_path, 9)
    torn = tmp_path / ".writing-5" / "checkpoint-10"
    torn.mkdir(parents=True)
    (torn / "model.safetensors").write_bytes(b"half")
    again = train(check(settings), tmp_path)
    assert weights(again) == weights(undisturbed)
    assert not torn.parent.exists()


def test_what_another_attempt_is_writing_stays(tmp_path: Path) -> None:
    with writing(tmp_path) as ours:
        with writing(tmp_path) as theirs:
            clear_abandoned(tmp_path)
            assert theirs.is_dir()
            (theirs / "checkpoint-5").mkdir()
        assert (tmp_path / "checkpoint-5").is_dir()
        assert ours.is_dir()
        (tmp_path / ".writing-killed").mkdir()
        clear_abandoned(tmp_path)
        (ours / "checkpoint-10").mkdir()
    assert {path.name for path in tmp_path.iterdir()} == {"checkpoint-5", "checkpoint-10"}


def test_two_runs_that_begin_at_once_do_not_share_a_folder(
    settings: FinetuneSpec, tmp_path: Path
) -> None:
    holder = f"is in use by process {os.getpid()} on {socket.gethostname()}"
    with held(tmp_path), pytest.raises(InvalidInput, match=holder) as refused:
        finetune(settings, tmp_path)
    problem = refused.value.problem
    assert (problem.type, problem.key) == (ProblemType.IN_USE, "output")
    assert trajectory(tmp_path) == ()
    # Whoever has checked its inputs meanwhile finds that the first has ended.
    checked = check(settings)
    finetune(changed(settings, max_steps=1), tmp_path)
    with pytest.raises(InvalidInput, match="holds checkpoint-0"):
        train_alone(checked, tmp_path)


def test_a_folder_that_cannot_be_made_is_told_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(CheckpointNotWritten) as refused, writing(tmp_path / "run"):
        pytest.fail("there is nothing to write in")
    assert str(refused.value).endswith("run: [Errno 13] Permission denied")


def test_what_another_attempt_has_finished_meanwhile_stays(
    settings: FinetuneSpec, undisturbed: FineTuned, tmp_path: Path
) -> None:
    """Its node was out of reach, and it went on."""
    there = tmp_path / "checkpoint-10"

    def another_finishes(stage: str, done: int, total: int) -> None:
        if done == 8:
            shutil.copytree(undisturbed.checkpoints[2], there)
            (there / "mark").touch()

    run = train(check(settings), tmp_path, another_finishes)
    assert weights(run) == weights(undisturbed)
    assert (there / "mark").exists()


def test_a_start_that_changed_since_it_was_checked_is_refused(
    settings: FinetuneSpec, inputs: Inputs, tmp_path: Path
) -> None:
    start = tmp_path / "start"
    shutil.copytree(inputs.pretrained, start)
    checked = check(changed(settings, pretrained=str(start)))
    config = start / "config.json"
    config.write_text(config.read_text() + " ")
    with pytest.raises(InvalidInput, match=r"model\.pretrained: .*start' has changed since"):
        train(checked, tmp_path / "run")


def test_what_is_done_stays_and_is_not_done_again(settings: FinetuneSpec, tmp_path: Path) -> None:
    interrupt(settings, tmp_path, 14)
    calls: list[tuple[str, int, int]] = []
    first = train(check(settings), tmp_path, lambda *call: calls.append(call))
    assert calls == [("fine-tuning", done, 15) for done in range(10, 16)]
    again = train(check(settings), tmp_path, lambda *call: calls.append(call))
    assert len(calls) == 6
    assert again == first


def test_only_models_stay_when_the_run_has_ended(undisturbed: FineTuned) -> None:
    for path in undisturbed.checkpoints:
        files = {file.name for file in path.iterdir()}
        assert not files & {"optimizer.pt", "scheduler.pt", "rng_state.pth"}
        assert ("trainer_state.json" in files) == (path == undisturbed.final)


def test_while_it_runs_the_last_checkpoint_alone_has_a_state(
    settings: FinetuneSpec, tmp_path: Path
) -> None:
    interrupt(settings, tmp_path, 14)
    assert {path.parent.name for path in tmp_path.rglob("optimizer.pt")} == {"checkpoint-10"}


def test_each_kept_checkpoint_has_its_numbers(
    undisturbed: FineTuned, settings: FinetuneSpec
) -> None:
    measured = [entry for entry in undisturbed.output.log if entry.eval_loss is not None]
    assert [entry.step for entry in measured] == [0, 5, 10, 15]
    assert [entry.epoch for entry in measured] == [0.0, 1.0, 2.0, 3.0]
    splits = check(settings)
    for entry, path in zip(measured, undisturbed.checkpoints, strict=True):
        model = AutoModelForSequenceClassification.from_pretrained(path).eval()
        plain = expected_numbers(model, splits.train, splits.eval).numbers
        found = [getattr(entry, name) for name in FINETUNE_NUMBERS]
        assert found == pytest.approx([*plain[2:4], *plain[6:8]], rel=1e-5)
    losses = [entry for entry in undisturbed.output.log if entry.loss is not None]
    assert [entry.step for entry in losses] == list(range(1, 16))
    assert all(entry.learning_rate is not None for entry in losses)


@pytest.mark.parametrize("start", ["pretrained", "scratch"])
def test_no_epochs_store_the_start_alone(
    settings: FinetuneSpec, tmp_path: Path, start: str
) -> None:
    none = train(check(changed(settings, epochs=0, start=start)), tmp_path / "none")
    some = train(check(changed(settings, max_steps=1, start=start)), tmp_path / "some")
    assert names(none) == ["checkpoint-0"]
    assert weights(none)["checkpoint-0"] == weights(some)["checkpoint-0"]
    assert (none.initial / "config.json").read_bytes() == (
        some.initial / "config.json"
    ).read_bytes()
    assert none.output.log == some.output.log[:1]
    again = train(check(changed(settings, epochs=0, start=start)), tmp_path / "none")
    assert again == none


def test_the_latest_numbers_are_told(settings: FinetuneSpec, tmp_path: Path) -> None:
    told: list[LogEntry] = []
    run = train(check(changed(settings, max_steps=2)), tmp_path, logged=told.append)
    assert told[-1] == run.output.log[-1]
    assert told[0].step == 0


def test_a_worker_tells_how_far_it_is_and_how_many_checkpoints_it_has_kept(
    settings: FinetuneSpec, tmp_path: Path
) -> None:
    some = changed(settings, max_steps=5, keep=2)
    interrupt(some, tmp_path, 7)
    stages = Stages()
    seen: list[Any] = []

    def look() -> bool:
        seen.append(stages.underway)
        return False

    order = TileOrder(np.zeros((1, 2)), str(tmp_path))
    TrainingRunner(check(some)).run(order, stages.watch(look))
    first, last = seen[0], stages.underway
    # That of step 2 was kept by the attempt before.
    assert (first.stage, first.done, first.total, first.kept) == ("fine-tuning", 2, 5, 0)
    assert (last.stage, last.done, last.total, last.kept) == ("fine-tuning", 5, 5, 2)
    assert last.latest.step == 5


def test_a_long_run_has_a_short_log() -> None:
    assert [logging_steps(steps) for steps in (0, 1, 50, 51, 10_000)] == [1, 1, 1, 2, 200]


def test_one_entry_a_step_and_nothing_that_was_not_measured() -> None:
    log: list[Mapping[str, float]] = [
        {"loss": float("nan"), "learning_rate": 0.5, "grad_norm": 2.0, "epoch": 0.5, "step": 1},
        {"eval_loss": 1.0, "eval_error": 0.25, "epoch": 0.5, "step": 1},
        {"train_runtime": 3.0, "epoch": 0.5, "step": 2},
    ]
    (entry,) = log_entries(log)
    assert math.isnan(entry.loss or 0.0)
    assert (entry.eval_loss, entry.eval_error, entry.eval_loss_stderr) == (1.0, 0.25, None)
    text = TrainingOutput("folder", (), ("a", "b"), (entry,)).to_json()
    assert text["log"][0]["loss"] == "NaN"
    assert math.isnan(TrainingOutput.from_json(text).log[0].loss or 0.0)


def job(inputs: Inputs, start: str) -> FinetuneSpec:
    return training_spec(inputs.pretrained, inputs.data(), start=start)


def test_a_job_that_fits_is_prepared(inputs: Inputs) -> None:
    limits = MemoryLimits(1 << 40, 1 << 40)
    prepared = prepare_training(job(inputs, "pretrained"), limits=limits)
    assert prepared.findings.labels == ("0", "1", "2")
    assert prepared.findings.splits["train"].examples == 37
    parameters = random_model(bert_config(), seed=0).num_parameters()
    splits = prepared.inputs.train.bytes + prepared.inputs.eval.bytes
    assert prepared.inputs.memory == memory_for_training(parameters, splits)


@pytest.mark.parametrize("start", ["pretrained", "scratch"])
def test_a_job_that_cannot_fit_is_refused_before_a_model_is_loaded(
    inputs: Inputs, start: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fine_tuning, "starting_model", lambda *_, **__: pytest.fail("a model"))
    with pytest.raises(InvalidInput) as caught:
        prepare_training(job(inputs, start), limits=MemoryLimits(PROCESS, 1 << 40))
    assert caught.value.problem.type is ProblemType.DOES_NOT_FIT


def test_one_model_at_a_time_is_held(inputs: Inputs, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[weakref.ref[object]] = []
    draw, load = starting_model.model_from_config, starting_model.load_start

    def watch_draw(*arguments: Any) -> PreTrainedModel:
        model = draw(*arguments)
        drawn.append(weakref.ref(model.base_model.embeddings.word_embeddings.weight))
        return model

    def watch_load(*arguments: Any) -> PreTrainedModel:
        assert [reference() for reference in drawn] == [None]
        return load(*arguments)

    monkeypatch.setattr(starting_model, "model_from_config", watch_draw)
    monkeypatch.setattr(starting_model, "load_start", watch_load)
    files = locate(str(inputs.pretrained), "model.pretrained")
    starting_model.starting_model(files, ("0", "1", "2"), 5, 32, scratch=False)
    assert len(drawn) == 1


def test_losses_come_from_float64_logits() -> None:
    logits = np.array([[20.0, 0.0], [0.0, 1.0], [float("nan"), 0.0]], dtype=np.float32)
    loss, error, _, error_stderr = measure(logits[:2], np.array([0, 0]))
    assert loss == (math.log1p(math.exp(-20)) + math.log1p(math.exp(1))) / 2
    assert (error, error_stderr) == (0.5, math.sqrt(0.125))
    loss, error, *_ = measure(logits, np.array([0, 1, 0]))
    assert math.isnan(loss)
    assert error == pytest.approx(1 / 3)
