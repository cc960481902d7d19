"""A fine-tuning as the client shows it: while it runs, and what it left behind."""

import io
import math
from typing import Any

import pytest

from bertscape import JobStatus, KeptCheckpoint, LogEntry, ServiceError, TrainingOutput
from bertscape.http import JobProgress

OUTPUT = TrainingOutput(
    "/outputs/j1",
    (KeptCheckpoint(0, "/outputs/j1/checkpoint-0"), KeptCheckpoint(9, "/outputs/j1/checkpoint-9")),
    ("no", "yes"),
    (
        LogEntry(0, 0.0, eval_loss=math.inf, eval_error=0.5),
        LogEntry(5, 0.5, loss=1 / 3, learning_rate=1e-5),
        LogEntry(9, 1.0, eval_loss=0.1, eval_error=0.25, eval_error_stderr=0.01),
    ),
    eval_examples=4,
)


def status(state: str, **more: Any) -> JobStatus:
    job = {"id": "j1", "name": "mrpc", "kind": "finetune", "state": state, "workers": 1}
    return JobStatus.from_json({**job, "points_total": 1, "points_done": 0, **more})


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_an_output_survives_json() -> None:
    members = OUTPUT.to_json()
    assert members["log"][0] == {
        "step": 0,
        "epoch": 0.0,
        "eval_loss": "Infinity",
        "eval_error": 0.5,
    }
    assert TrainingOutput.from_json(members) == OUTPUT
    assert status("completed", output=members).output == OUTPUT
    assert OUTPUT.accuracy == 0.75


def test_an_output_of_an_older_version_does_not_say_how_many_examples_there_were() -> None:
    members = OUTPUT.to_json()
    assert members.pop("eval_examples") == 4
    older = TrainingOutput.from_json(members)
    assert older.eval_examples is None
    assert older.log == OUTPUT.log


def test_what_is_no_output_is_an_error() -> None:
    with pytest.raises(ServiceError, match="expected a job object"):
        status("completed", output={"folder": "/outputs/j1"})


def test_later_entries_keep_what_they_did_not_measure() -> None:
    first, second, third = OUTPUT.log
    latest = third.after(second.after(first.after(None)))
    assert (latest.step, latest.loss, latest.eval_error) == (9, 1 / 3, 0.25)
    assert latest.learning_rate == 1e-5


def test_the_bar_counts_steps_and_shows_the_latest_numbers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setenv("COLUMNS", "200")
    latest = {"step": 40, "epoch": 0.5, "loss": 0.4567, "eval_error": 0.25}
    progress = {"stage": "fine-tuning", "done": 40, "total": 100, "latest": latest}
    with JobProgress(status("queued")) as bar:
        bar.show(status("running", progress=progress))
        bar.show(status("completed", points_done=1))
    text = terminal.getvalue()
    assert " 40/100 steps, running: fine-tuning 40/100, loss 0.457, dev accuracy 0.7500" in text
    assert "100%" in text
    assert " 1/1 points, completed" in text
