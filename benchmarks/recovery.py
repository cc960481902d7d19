"""How long a service takes to go on after each of its processes was killed.

Run `PYTHONPATH=. python benchmarks/recovery.py`; `--kills` says how many of each, `--victim` which
(all by default), and with `--json` it prints one object a kill. A small model, two workers and a
grid that does not end: each kill falls into the midst of it. The time is the one from the kill to
the next tile in the journal that was begun after it, and when its steps were first seen is written
beside it. Only a worker that dies alone with a tile is charged with an attempt.
"""

import argparse
import json
import os
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil
from tests.integration.live_service import LiveService, write_small_inputs

SIDE = 250  # grid points of an axis: so many that nobody waits for the last
SETTLED_TILES = 4  # between two kills
DEADLINE_S = 300.0
POLL_S = 0.02
WORKER = "ray::EvaluationWorker"


@dataclass(frozen=True, slots=True)
class Recovery:
    """One kill; seconds from it."""

    victim: str
    next_tile: float  # until the next tile was committed
    steps: dict[str, float]  # until each was first seen, of those that had ended
    charged: int  # attempts that failed


class Watched:
    """A service and its only job, looked at from outside."""

    def __init__(self, service: LiveService, spec: dict[str, object]) -> None:
        self.service = service
        self.job = service.client().submit(spec).id
        self._journal = sqlite3.connect(f"file:{service.state}/journal.sqlite3?mode=ro", uri=True)

    def tiles_since(self, started: float) -> int:
        """How many tiles are committed that were begun since, in Unix seconds."""
        return self._count("outcome = 'done' AND tile IS NOT NULL AND started >= ?", started)

    def charged(self) -> int:
        """How many attempts failed; those that were lost are nobody's fault."""
        return self._count("outcome = 'failed'")

    def state(self) -> str:
        """The job's, as committed."""
        (found,) = self._journal.execute("SELECT state FROM jobs").fetchone()
        return str(found)

    def _count(self, which: str, *values: float) -> int:
        sql = f"SELECT count(*) FROM attempts WHERE {which}"
        (found,) = self._journal.execute(sql, values).fetchone()
        return int(found)

    def steps(self, old: set[int]) -> dict[str, bool]:
        """Whether each step of a recovery is done, those of processes by new ones alone."""
        dispatcher = next((one for one in _children(self.service) if one.pid not in old), None)
        found: dict[str, bool] = {"dispatcher": dispatcher is not None}
        names = [] if dispatcher is None else [_title(one) for one in _members(dispatcher.pid)]
        for step, name in (("gcs", "gcs_server"), ("raylet", "raylet"), ("worker", WORKER)):
            found[step] = any(name in one for one in names)
        return found


def _children(service: LiveService) -> list[psutil.Process]:
    try:
        assert service.process is not None
        return psutil.Process(service.process.pid).children()
    except psutil.Error:
        return []


def _members(session: int) -> list[psutil.Process]:
    found = []
    for pid in psutil.pids():
        try:
            if os.getsid(pid) == session:
                found.append(psutil.Process(pid))
        except (OSError, psutil.Error):
            continue
    return found


def _title(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline()[:1])
    except psutil.Error:
        return ""


def _kill_api(service: LiveService) -> None:
    service.kill()
    service.start()


VICTIMS: dict[str, Callable[[LiveService], Callable[[], None]]] = {
    "worker": lambda service: service.ray_process(WORKER).kill,
    "dispatcher": lambda service: service.dispatcher().kill,
    "API": lambda service: lambda: _kill_api(service),
    "raylet": lambda service: service.ray_process("raylet/raylet").kill,
    "GCS": lambda service: service.ray_process("gcs_server").kill,
}


def recover(watched: Watched, victim: str) -> Recovery:
    """Kill it, and wait for the next tile."""
    ready = time.time()
    _wait(lambda: watched.tiles_since(ready) >= SETTLED_TILES)
    kill = VICTIMS[victim](watched.service)
    old = {one.pid for one in _children(watched.service)}
    charged, steps = watched.charged(), dict[str, float]()
    killed = time.time()
    kill()
    steps["API"] = round(time.time() - killed, 2)
    was_idle = victim == "worker"

    def went_on() -> bool:
        nonlocal was_idle
        now = time.time() - killed
        state = watched.state()
        was_idle = was_idle or state != "running"
        done = watched.steps(old) | {
            "preparing": state == "preparing",
            "running": was_idle and state == "running",
        }
        for step in (name for name, is_done in done.items() if is_done and name not in steps):
            steps[step] = round(now, 2)
        return watched.tiles_since(killed) > 0

    _wait(went_on)
    took = time.time() - killed
    return Recovery(victim, round(took, 2), steps, watched.charged() - charged)


def _wait(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError(f"nothing went on within {DEADLINE_S:.0f} s")
        time.sleep(POLL_S)


def measure(victims: list[str], kills: int, told: Callable[[Recovery], None]) -> list[Recovery]:
    """Kill each of them so many times, in turn."""
    found = []
    with tempfile.TemporaryDirectory() as name:
        inputs = write_small_inputs(Path(name))
        service = LiveService(Path(name, "state"), Path(name)).start()
        try:
            watched = Watched(service, inputs.spec(SIDE))
            for victim in victims * kills:
                found.append(recover(watched, victim))
                told(found[-1])
        finally:
            service.stop()
    return found


def table(found: list[Recovery]) -> str:
    """The median and the largest time of each victim."""
    lines = ["| killed | kills | median s | largest s | attempts charged |", "| --- " * 5 + "|"]
    for victim in dict.fromkeys(one.victim for one in found):
        of_it = [one for one in found if one.victim == victim]
        times = [one.next_tile for one in of_it]
        charged = sum(one.charged for one in of_it)
        numbers = f"{statistics.median(times):.1f} | {max(times):.1f} | {charged}"
        lines.append(f"| {victim} | {len(of_it)} | {numbers} |")
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kills", type=int, default=5, help="of each (default: %(default)s)")
    parser.add_argument("--victim", action="append", choices=sorted(VICTIMS))
    parser.add_argument("--json", action="store_true", help="one object a kill")
    options = parser.parse_args()

    def tell(one: Recovery) -> None:
        print(json.dumps(asdict(one)), file=sys.stdout if options.json else sys.stderr, flush=True)

    found = measure(options.victim or list(VICTIMS), options.kills, tell)
    if not options.json:
        print(table(found))


if __name__ == "__main__":
    main()
