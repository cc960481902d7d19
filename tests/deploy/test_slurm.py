"""The batch script, with stand-ins for Slurm's commands, for Ray's and for the service."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from tests.deploy.validators import DEPLOY, check_serve, said

SCRIPT = DEPLOY / "slurm" / "bertscape.sbatch"
PATIENCE_S = 60

# Each notes what it was given. Ray's head listens, as the script waits for that; Ray and the
# service run until SIGTERM.
STAND_INS = {
    "scontrol": "print('one\\ntwo\\nthree')",
    "srun": """
split = next(at for at, word in enumerate(words) if not word.startswith('--'))
note(step=words[:split], command=words[split])
if words[split] == 'hostname':
    print('127.0.0.1 10.0.0.1')
else:
    os.execvp(words[split], words[split:])
""",
    "ray": """
note(words=words, token=os.environ['RAY_AUTH_TOKEN'], mode=os.environ['RAY_AUTH_MODE'])
if '--head' in words:
    options = dict(word.partition('=')[::2] for word in words)
    listener = socket.create_server((options['--node-ip-address'], int(options['--port'])))
signal.sigwait([signal.SIGTERM])
note(ended=True)
""",
    "bertscape": """
note(words=words)
signal.sigwait([signal.SIGTERM])
note(ended=True)
""",
}
HEAD = f"""#!{sys.executable}
import json, os, signal, socket, sys
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
words = sys.argv[1:]
def note(**facts):
    with open(os.environ['NOTES'], 'a') as notes:
        notes.write(json.dumps({{'program': os.path.basename(sys.argv[0]), **facts}}) + '\\n')
"""


class Batch:
    """One run of the script."""

    def __init__(self, folder: Path, **variables: str) -> None:
        self.notes = folder / "notes"
        self.notes.touch()
        programs = folder / "bin"
        programs.mkdir()
        for name, text in STAND_INS.items():
            # srun goes on as the program, which must not inherit a blocked signal.
            head = HEAD.replace("signal.pthread_sigmask", "# ") if name == "srun" else HEAD
            (programs / name).write_text(head + text, encoding="utf-8")
            (programs / name).chmod(0o755)
        (folder / "token").write_text("t" * 32, encoding="utf-8")
        given = {
            "PATH": f"{programs}:{os.environ['PATH']}",
            "NOTES": str(self.notes),
            "BERTSCAPE_BIN": str(programs),
            "BERTSCAPE_DATA": str(folder),
            "BERTSCAPE_STATE": str(folder / "state"),
            "BERTSCAPE_TOKEN_FILE": str(folder / "token"),
            "SLURM_JOB_NODELIST": "unread",
            "SLURM_JOB_ID": str(free_port() - 20000),
            **variables,
        }
        self.process = subprocess.Popen(["bash", str(SCRIPT)], env=given, start_new_session=True)

    def of(self, program: str) -> list[dict[str, Any]]:
        notes = map(json.loads, self.notes.read_text(encoding="utf-8").splitlines())
        return [note for note in notes if note["program"] == program]

    def end(self) -> None:
        """Leave nothing of it behind."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)

    def await_all(self) -> None:
        end = time.monotonic() + PATIENCE_S
        while not (len(self.of("ray")) == 2 and self.of("bertscape")):
            assert self.process.poll() is None
            assert time.monotonic() < end, self.notes.read_text()
            time.sleep(0.05)


def free_port() -> int:
    """One of the script's range."""
    for port in range(20000 + os.getpid() % 5000, 29999):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return port
    raise AssertionError("no free port")


def test_the_script_has_no_fault_that_shellcheck_knows() -> None:
    said("bash", "-n", SCRIPT)
    said("shellcheck", SCRIPT)


def test_one_head_the_rest_workers_and_an_end_in_order(tmp_path: Path) -> None:
    batch = Batch(tmp_path, SLURM_CPUS_PER_TASK="8", SLURM_MEM_PER_NODE="32768")
    try:
        batch.await_all()
        batch.process.send_signal(signal.SIGTERM)
        assert batch.process.wait(PATIENCE_S) == 0
    finally:
        batch.end()
    head, others, *ends = batch.of("ray")
    assert [end["ended"] for end in ends] == [True, True]
    assert "--head" in head["words"]
    assert "--head" not in others["words"]
    port = next(word for word in head["words"] if word.startswith("--port=")).partition("=")[2]
    assert f"--address=127.0.0.1:{port}" in others["words"]
    for node in (head, others):
        assert {"--num-cpus=8", f"--memory={32768 * 600000}"} <= set(node["words"])
        assert node["mode"] == "token"
        assert len(node["token"]) == 64
        (place,) = [word for word in node["words"] if word.startswith("--temp-dir=")]
        assert not Path(place.partition("=")[2]).parent.exists()  # it goes with the node
    assert head["token"] == others["token"]

    steps = [note["step"] for note in batch.of("srun") if note["command"] == "bash"]
    assert {"--nodes=1", "--nodelist=one", "--cpus-per-task=8"} <= set(steps[0])
    assert {"--nodes=2", "--ntasks=2", "--exclude=one"} <= set(steps[1])

    service, ended = batch.of("bertscape")
    assert service["words"][:3] == ["serve", "--ray-address", f"127.0.0.1:{port}"]
    check_serve(service["words"][1:])
    assert ended["ended"]


@pytest.mark.parametrize("missing", ["BERTSCAPE_BIN", "BERTSCAPE_DATA", "BERTSCAPE_STATE"])
def test_it_says_what_it_needs(missing: str, tmp_path: Path) -> None:
    batch = Batch(tmp_path, **{missing: ""})
    assert batch.process.wait(PATIENCE_S) != 0
    assert batch.of("srun") == []
