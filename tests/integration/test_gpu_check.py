"""`benchmarks/gpu_check.py` in its small form: each step really runs, and none costs another."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

ROOT = Path(__file__).parents[2]
CHECK = ROOT / "benchmarks" / "gpu_check.py"
STEPS = {"host", "numerics", "service", "speed-large", "time-spent", "fine-tuning", "trials"}
WITHOUT_A_GPU = pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")

pytestmark = pytest.mark.timeout(900)


def run(output: Path, *options: str) -> tuple[int, list[dict[str, Any]]]:
    """Exit status, and the lines of `results.jsonl`."""
    command = [sys.executable, str(CHECK), "--output", str(output), *options]
    done = subprocess.run(command, capture_output=True, text=True)
    lines = (output / "results.jsonl").read_text().splitlines()
    table = (output / "table.txt").read_text()
    assert table == done.stdout
    assert len(table.splitlines()) == len(lines), done.stderr
    return done.returncode, [json.loads(line) for line in lines]


def test_the_small_form_runs_every_step(tmp_path: Path) -> None:
    status, lines = run(tmp_path, "--small", "--device", "cpu", "--limit", "850")
    failed = [line for line in lines if line["passed"] is False]
    assert (status, failed) == (0, []), (tmp_path / "log.txt").read_text()[-3000:]
    assert {line["step"] for line in lines if line["what"] != "ended"} == STEPS
    # What only a GPU has is said to be left out, and nothing else is.
    left_out = [line for line in lines if "skipped" in line]
    assert all("needs cuda" in line["skipped"] for line in left_out)
    assert {line["step"] for line in left_out} >= STEPS - {"numerics", "time-spent"}
    known = {line["what"]: line for line in lines}
    assert known["bytes in a second process"]["compared"] == 4
    assert known["kill -9 of the worker"]["workers"] == 2
    assert known["the worker lives"]["passed"]


@WITHOUT_A_GPU
def test_a_step_that_fails_costs_itself_alone(tmp_path: Path) -> None:
    status, lines = run(tmp_path, "--device", "cuda", "--only", "host", "speed-minilm")
    assert status == 1
    failed = {line["step"]: line for line in lines if "error" in line}
    assert set(failed) == {"host", "speed-minilm"}
    assert [line["step"] for line in lines if line["what"] == "ended"] == [
        *("host", "speed-minilm", "all")
    ]
    assert lines[-1]["bad"] == len([line for line in lines[:-1] if line["passed"] is False])


def test_a_step_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    # More than a step that is to be started may have left, and less than its work takes.
    status, lines = run(
        tmp_path, "--device", "cpu", "--only", "speed-large", "trials", "--limit", "8.5"
    )
    assert status == 1
    ended = {line["step"]: line for line in lines if line["what"] == "ended"}
    assert ended["speed-large"]["error"] == "ended after 8 s, its deadline"
    assert ended["trials"]["error"] == "no time was left"
