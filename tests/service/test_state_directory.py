"""One state directory, one service."""

import json
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from bertscape.values import InvalidInput, ProblemType
from bertscape_service.configuration import StateDirectory

HOLDER = """
import sys
from pathlib import Path
from bertscape_service.configuration.state_directory import StateDirectory
held = StateDirectory.acquire(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


def test_a_second_holder_is_told_of_the_first(tmp_path: Path) -> None:
    path = tmp_path / "new" / "state"
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(InvalidInput) as refused:
            StateDirectory.acquire(path)
        problem = refused.value.problem
        assert (problem.type, problem.key) == (ProblemType.IN_USE, "--state-dir")
        assert f"in use by process {holder.pid} on {socket.gethostname()}" in problem.detail
        holder.kill()
        holder.wait()
        StateDirectory.acquire(path).release()  # the lock went with its holder


def test_a_patient_second_takes_over_when_the_first_ends(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(InvalidInput, match="in use by process"):
            StateDirectory.acquire(tmp_path, patience_s=0.2)
        timer = threading.Timer(0.3, holder.kill)
        timer.start()
        StateDirectory.acquire(tmp_path, patience_s=60.0).release()
        timer.join()


def test_the_holder_signs_over_an_earlier_name(state: StateDirectory) -> None:
    state.release()
    (state.path / "lock").write_text('{"pid": 1, "host": "' + "x" * 500 + '"}')
    again = StateDirectory.acquire(state.path)
    signed = json.loads((state.path / "lock").read_text())
    assert signed == {"pid": os.getpid(), "host": socket.gethostname()}
    again.release()


def test_a_directory_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidInput, match="expected a writable directory"):
        StateDirectory.acquire(tmp_path / "file" / "state")
