"""A service with a played dispatcher: real journal, files and app; workers that obey a script."""

import asyncio
import json
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest
from safetensors.numpy import save_file
from tests.service.validated_scheduler import ValidatedScheduler

from bertscape.spec import FinetuneSpec
from bertscape.values import (
    CheckpointFound,
    Findings,
    KeptCheckpoint,
    LogEntry,
    Problem,
    SelfCheck,
    SplitFound,
    Tile,
    TrainingFindings,
    TrainingOutput,
)
from bertscape_service.configuration import Settings, StateDirectory
from bertscape_service.coordination import Coordinator
from bertscape_service.journal import Journal
from bertscape_service.journal.writer import JournalWriter
from bertscape_service.ray_cluster import (
    ClusterFound,
    DescribeJob,
    PrepareDone,
    PrepareRefused,
    TileResult,
)
from bertscape_service.rest import create_app
from bertscape_service.rest.api import KEEP_ALIVE_S
from bertscape_service.scheduling import PrepareJob, RunTile, StartWorker, TileFailed, WorkerReady

DEADLINE_S = 30.0
CPU = "a CPU"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


# --- inputs -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Inputs:
    """Checkpoint folders and data files whose headers are right; nobody evaluates them."""

    folder: Path

    def spec(self, **changes: Any) -> dict[str, Any]:
        return {
            "kind": "surface",
            "name": "a small one",
            "model": {
                "pretrained": str(self.folder / "start"),
                "finetuned": str(self.folder / "end"),
            },
            "y": {"toward": str(self.folder / "other")},
            "grid": {"x": [-1, 2, 4], "y": [-1, 2, 3]},
            "data": {
                "train": {"path": str(self.folder / "train.tsv")},
                "eval": {"path": str(self.folder / "eval.tsv")},
                "text": "sentence",
                "max_length": 16,
            },
            **changes,
        }

    def training(self, **changes: Any) -> dict[str, Any]:
        spec = self.spec()
        model = {"pretrained": str(self.folder / "start")}
        return {"kind": "finetune", "model": model, "data": spec["data"], **changes}


def write_checkpoint(folder: Path, seed: int) -> None:
    chance = np.random.default_rng(seed)
    shapes = {
        "bert.embeddings.word_embeddings.weight": (9, 4),
        "bert.encoder.layer.0.attention.self.query.weight": (4, 4),
        "bert.pooler.dense.weight": (4, 4),
        "classifier.weight": (2, 4),
        "classifier.bias": (2,),
    }
    folder.mkdir(parents=True)
    tensors = {name: chance.normal(size=shape).astype("f4") for name, shape in shapes.items()}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    config = {
        "architectures": ["BertForSequenceClassification"],
        "model_type": "bert",
        "vocab_size": 9,
        "hidden_size": 4,
        "num_hidden_layers": 1,
        "num_attention_heads": 1,
        "intermediate_size": 8,
        "max_position_embeddings": 16,
        "id2label": {"0": "no", "1": "yes"},
        "label2id": {"no": 0, "yes": 1},
    }
    (folder / "config.json").write_text(json.dumps(config))


@pytest.fixture
def inputs(tmp_path: Path) -> Inputs:
    folder = tmp_path / "inputs"
    for seed, name in enumerate(("start", "end", "other")):
        write_checkpoint(folder / name, seed)
    for split in ("train", "eval"):
        (folder / f"{split}.tsv").write_text("sentence\tlabel\nsome words\t1\n")
    return Inputs(folder)


def train(output: str) -> TrainingOutput:
    """What a training would have left behind: three checkpoints, whose headers are right."""
    folders = {step: Path(output) / f"checkpoint-{step}" for step in (0, 5, 10)}
    for step, folder in folders.items():
        write_checkpoint(folder, step)
    log = (
        LogEntry(0, 0.0, eval_loss=0.7, eval_error=0.5),
        LogEntry(10, 2.0, loss=float("nan"), eval_loss=0.25, eval_error=0.125),
    )
    kept = tuple(KeptCheckpoint(step, str(folder)) for step, folder in folders.items())
    return TrainingOutput(output, kept, ("no", "yes"), log)


def find_for_training(spec: FinetuneSpec, **changes: Any) -> TrainingFindings:
    """What preparing a training would have found."""
    found = TrainingFindings(
        checkpoints={
            "pretrained": CheckpointFound(source=str(spec.model.pretrained), sha256="5" * 8)
        },
        splits={},
        classes=2,
        precision="fp32",
        device=CPU,
        threads=1,
        torch="2.13.0+cpu",
        labels=("no", "yes"),
    )
    return found.model_copy(update=changes)


def find(spec: Any, **changes: Any) -> Findings:
    """What preparing would have found."""
    numbers = (0.5, 0.25, 0.6, float("nan"), 0.1, 0.1, 0.1, float("inf"))
    model = spec.model
    found = Findings(
        checkpoints={
            name: CheckpointFound(source=str(source), sha256=f"sha of {name}")
            for name, source in (("pretrained", model.pretrained), ("finetuned", model.finetuned))
        },
        splits={
            name: SplitFound(source=str(split.path), sha256="5" * 8, examples=1, tokens=4)
            for name, split in (("train", spec.data.train), ("eval", spec.data.eval))
        },
        delta1_norm=1.5,
        delta2_norm=2.5,
        cosine=0.1,
        classes=2,
        self_checks=(
            SelfCheck(
                checkpoint="finetuned",
                alpha=1.0,
                beta=0.0,
                expected=numbers,
                found=numbers,
                passed=True,
            ),
        ),
        trajectory=None,
        precision="fp32",
        device=CPU,
        threads=1,
        torch="2.13.0+cpu",
    )
    return found.model_copy(update=changes)


def numbers_at(points: tuple[int, ...]) -> np.ndarray:
    """Sixteen numbers for each point; the first eight of point 3 are NaN and infinite."""
    numbers = np.array([[point + column / 8 for column in range(16)] for point in points])
    numbers[np.array(points) == 3, :8] = [np.nan, np.inf, -np.inf, 0.1, np.nan, 1, 2, 3]
    return numbers


# --- a played dispatcher ------------------------------------------------------------------------


@dataclass
class Script:
    """How the workers behave; the same for every dispatcher that a test starts."""

    workers: int = 2
    tiles_to_run: int | None = None  # after so many, the rest is held back; None: none is
    failures: Counter[int] = field(default_factory=Counter)  # tile: times that it still fails
    refusals: deque[tuple[Problem, bool]] = field(default_factory=deque)  # of preparing, in turn
    changes: dict[str, Any] = field(default_factory=dict)  # of what preparing finds
    memory: int = 1 << 40
    starts: bool = True
    prepares: bool = True  # False: preparing is begun and goes on and on
    numbers: Callable[[tuple[int, ...], int], np.ndarray] = lambda points, _: numbers_at(points)
    on_sent: Callable[[object], None] = lambda message: None


class PlayedLink:
    """A dispatcher and its workers, as `DispatcherLink` would show them."""

    def __init__(
        self, script: Script, on_message: Callable[[object], None], on_lost: Callable[[str], None]
    ) -> None:
        self.script, self.say, self.lose = script, on_message, on_lost
        self.sent: list[Any] = []
        self.held: list[RunTile] = []
        self.jobs: dict[str, DescribeJob] = {}
        self.tiles: dict[str, list[Tile]] = {}
        self.stopped = False

    def start(self) -> None:
        if not self.script.starts:
            raise OSError("no dispatcher here")
        memory = self.script.memory
        self.say(ClusterFound(self.script.workers, memory, memory, 1, "2.60.0"))

    def stop(self) -> None:
        self.stopped = True

    def send(self, message: Any) -> None:
        self.sent.append(message)
        self.script.on_sent(message)
        match message:
            case DescribeJob():
                self.jobs[message.job_id] = message
                self.tiles[message.job_id] = message.spec.tiles(message.tile_points)
            case StartWorker():
                self.say(WorkerReady(message.worker_id, CPU))
            case PrepareJob():
                self.prepare(message)
            case RunTile():
                self._run(message)

    def told(self, kind: type) -> list[Any]:
        return [message for message in self.sent if isinstance(message, kind)]

    def release(self) -> None:
        """Run what was held back, and hold no more."""
        self.script.tiles_to_run = None
        held, self.held = self.held, []
        for instruction in held:
            self.say(self.result(instruction))

    def result(self, instruction: RunTile) -> TileResult:
        tiles = self.tiles[instruction.job_id]
        number, index = divmod(instruction.tile, len(tiles))
        points = tiles[index].points
        job = self.jobs[instruction.job_id]
        trained = isinstance(job.spec, FinetuneSpec)
        return TileResult(
            instruction.job_id,
            instruction.tile,
            instruction.worker_id,
            instruction.attempt,
            CPU,
            self.script.numbers(points, number)[:, : len(job.spec.number_names)],
            time.time(),
            0.25,
            train(job.output) if trained else None,
        )

    def prepare(self, instruction: PrepareJob) -> None:
        job_id, worker = instruction.job_id, instruction.worker_id
        if not self.script.prepares:
            return
        if self.script.refusals:
            problem, final = self.script.refusals.popleft()
            self.say(PrepareRefused(job_id, worker, problem, final))
            return
        spec = self.jobs[job_id].spec
        of_kind = find_for_training if isinstance(spec, FinetuneSpec) else find
        found: Any = of_kind(spec, **self.script.changes)
        self.say(PrepareDone(job_id, worker, CPU, found))

    def _run(self, instruction: RunTile) -> None:
        script = self.script
        if script.failures[instruction.tile] > 0:
            script.failures[instruction.tile] -= 1
            error = "the evaluator broke"
            self.say(TileFailed(instruction.job_id, instruction.tile, instruction.worker_id, error))
        elif script.tiles_to_run == 0:
            self.held.append(instruction)
        else:
            if script.tiles_to_run is not None:
                script.tiles_to_run -= 1
            self.say(self.result(instruction))


# --- a service ----------------------------------------------------------------------------------


@dataclass
class Service:
    """One life of a service."""

    coordinator: Coordinator
    state: StateDirectory
    writer: JournalWriter  # of its journal
    http: httpx2.AsyncClient
    links: list[PlayedLink]
    app: Any

    @property
    def link(self) -> PlayedLink:
        return self.links[-1]

    async def submit(self, spec: Any, **headers: str) -> dict[str, Any]:
        response = await self.http.post("/v1/jobs", json=spec, headers=headers)
        assert response.status_code == 202, response.text
        return response.json()

    async def job(self, job_id: str) -> dict[str, Any]:
        return (await self.http.get(f"/v1/jobs/{job_id}")).json()

    async def ended(self, job_id: str) -> dict[str, Any]:
        final = ("completed", "failed", "cancelled")
        await self.until(lambda job: job["state"] in final, job_id)
        return await self.job(job_id)

    async def until(self, true: Callable[[dict[str, Any]], Any], job_id: str) -> None:
        async def check() -> bool:
            return bool(true(await self.job(job_id)))

        await eventually(check)

    async def settled(self) -> None:
        """Everything that was under way is taken in and committed."""
        for _ in range(20):
            await asyncio.sleep(0)
        await asyncio.wrap_future(self.coordinator.journal.settled())
        for _ in range(20):
            await asyncio.sleep(0)


async def eventually(check: Callable[[], Any]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not await check():
            await asyncio.sleep(0.01)


@pytest.fixture
def settings(tmp_path: Path, inputs: Inputs) -> Settings:
    return Settings(tmp_path / "state", (inputs.folder,), tile_points=2)


@pytest.fixture
def run_service(settings: Settings) -> Callable[..., Any]:
    """Lives of one service on one state directory, one after the other."""

    @asynccontextmanager
    async def run(
        script: Script | None = None, *, keep_alive_s: float = KEEP_ALIVE_S, **changes: Any
    ) -> AsyncIterator[Service]:
        script, told, links = script or Script(), replace(settings, **changes), []
        state = StateDirectory.acquire(told.state_directory)

        def make_link(on_message: Any, on_lost: Any) -> PlayedLink:
            links.append(PlayedLink(script, on_message, on_lost))
            return links[-1]

        writer = JournalWriter(state.journal)
        journal = Journal(state.journal, writer)
        coordinator = Coordinator(told, state, make_link, journal, ValidatedScheduler())
        app = create_app(coordinator, told, keep_alive_s=keep_alive_s)
        transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
        try:
            async with (
                app.router.lifespan_context(app),
                httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as http,
            ):
                yield Service(coordinator, state, writer, http, links, app)
        finally:
            state.release()

    return run


@pytest.fixture
def script() -> Script:
    return Script()


@pytest.fixture
def make_script() -> type[Script]:
    return Script


@pytest.fixture
def state(tmp_path: Path) -> Iterator[StateDirectory]:
    held = StateDirectory.acquire(tmp_path / "state")
    yield held
    held.release()


@pytest.fixture(name="find")
def find_fixture() -> Callable[..., Findings]:
    return find
