"""What a page of jobs and one server-sent event cost, with many jobs in the journal.

    python benchmarks/journal.py [--jobs 2000] [--repeats 20] [--json]

The app is the real one, called in this process, with a dispatcher that never starts. Nine of ten
jobs are completed surfaces with a trajectory and self-checks, the tenth is a fine-tuning with a log
of 200 entries. Figures are milliseconds of CPU time of the whole process, all its threads included:
the first call, and the median of the calls after it. An event is what the stream of a job that has
ended sends: the job object, once.
"""

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import numpy as np

from bertscape.spec import JobSpec, parse_spec
from bertscape.values import (
    CheckpointFound,
    Findings,
    KeptCheckpoint,
    LogEntry,
    SelfCheck,
    SplitFound,
    TrainingFindings,
    TrainingOutput,
)
from bertscape_service.configuration import Settings, StateDirectory
from bertscape_service.coordination import Coordinator
from bertscape_service.journal import AttemptRow, Journal, NewJob, Outcome, RunFacts, TileRow
from bertscape_service.rest import create_app
from bertscape_service.scheduling import JobState

DATA = {
    "train": {"path": "/data/train.tsv", "examples": 512},
    "eval": {"path": "/data/eval.tsv"},
    "text": ["sentence1", "sentence2"],
}
SURFACE = {
    "kind": "surface",
    "name": "one of many",
    "model": {"pretrained": "/runs/mrpc/checkpoint-0", "finetuned": "/runs/mrpc/checkpoint-124"},
    "y": {"toward": "/runs/rte/checkpoint-76"},
    "grid": {"x": [-4, 4, 40], "y": [-4, 4, 40]},
    "data": DATA,
    "trajectory": [f"/runs/mrpc/checkpoint-{step}" for step in range(0, 125, 31)],
}
TRAINING = {"kind": "finetune", "model": {"pretrained": "/runs/mrpc/checkpoint-0"}, "data": DATA}
NUMBERS = (0.5, 0.25, 0.6, float("nan"), 0.1, 0.1, 0.1, float("inf"))
LOG = tuple(LogEntry(step, step / 62, loss=0.5, learning_rate=1e-5) for step in range(200))


class NoDispatcher:
    """A link whose dispatcher never says a word."""

    def start(self) -> None:
        """Start nothing."""

    def send(self, message: object) -> None:
        """Send it to nobody."""

    def stop(self) -> None:
        """Stop nothing."""


def pins() -> dict[str, Any]:
    """What preparing a job of any kind finds."""
    return {
        "checkpoints": {"pretrained": CheckpointFound(source="/runs/mrpc", sha256="5" * 64)},
        "splits": {
            "train": SplitFound(source="/data/train.tsv", sha256="5" * 64, examples=1, tokens=9)
        },
        "classes": 2,
        "precision": "fp32",
        "device": "a CPU",
        "threads": 1,
        "torch": "2",
    }


def fill(journal: Journal, jobs: int) -> None:
    """Write down so many jobs, each completed with one tile."""
    check = SelfCheck(
        checkpoint="finetuned", alpha=1.0, beta=0.0, expected=NUMBERS, found=NUMBERS, passed=True
    )
    norms = {"delta1_norm": 1.5, "delta2_norm": 2.5, "cosine": 0.1, "trajectory": None}
    found = Findings(**pins(), **norms, self_checks=(check,) * 3)
    trained = TrainingFindings(**pins(), labels=("no", "yes"))
    output = TrainingOutput("/out", (KeptCheckpoint(0, "/out/checkpoint-0"),), ("no", "yes"), LOG)
    surface, training = parse_spec(SURFACE), parse_spec(TRAINING)
    facts = RunFacts(2, 1, {"torch": "2"})
    for number in range(jobs):
        job_id, trains = f"{number:012x}", number % 10 == 9
        spec: JobSpec = training if trains else surface
        journal.add_job(NewJob(job_id, spec, spec.points_per_tile(4), "sha"))
        journal.pin(job_id, trained if trains else found, facts)
        numbers = np.zeros((1, 4) if trains else (4, 8))
        attempt = AttemptRow(0, 1, "w-1", "a CPU", Outcome.DONE, 10.0, 0.5)
        journal.add_tile(job_id, TileRow(0, numbers), attempt, output if trains else None)
        journal.end_job(job_id, JobState.COMPLETED)
    journal.settled().result()


async def measure(http: httpx2.AsyncClient, path: str, repeats: int) -> dict[str, float]:
    """Milliseconds of CPU time of the first GET, and the median of the others."""
    taken = []
    for _ in range(repeats + 1):
        before = time.process_time()
        answer = await http.get(path)
        taken.append(1e3 * (time.process_time() - before))
        answer.raise_for_status()
    return {"first": round(taken[0], 2), "then": round(statistics.median(taken[1:]), 2)}


async def run(folder: Path, jobs: int, repeats: int) -> dict[str, dict[str, float]]:
    """Fill a journal and ask the app over it."""
    state = StateDirectory.acquire(folder / "state")
    journal = Journal(state.journal)
    fill(journal, jobs)
    journal.close()
    settings = Settings(state.path, (folder,))

    def no_link(_: Callable[[object], None], __: Callable[[str], None]) -> NoDispatcher:
        return NoDispatcher()

    app = create_app(Coordinator(settings, state, no_link), settings)
    surface, training = f"{jobs // 2 // 10 * 10:012x}", f"{jobs // 2 // 10 * 10 + 9:012x}"
    paths = {
        "page of 50": "/v1/jobs?limit=50",
        "page of 100": "/v1/jobs?limit=100",
        "surface, event": f"/v1/jobs/{surface}/events",
        "training, event": f"/v1/jobs/{training}/events",
    }
    transport = httpx2.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as http,
    ):
        await measure(http, "/healthz", repeats)  # what the first request of all costs
        return {name: await measure(http, path, repeats) for name, path in paths.items()}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--jobs", type=int, default=2_000)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = asyncio.run(run(Path(folder), options.jobs, options.repeats))
    if options.json:
        print(json.dumps(figures))
        return
    for name, figure in figures.items():
        print(f"{name:18}first {figure['first']:8.2f} ms, then {figure['then']:8.2f} ms")


if __name__ == "__main__":
    main()
