"""A live service in processes of its own, and a small job to give it."""

import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil

from bertscape import Client

START_DEADLINE_S = 120.0  # generous: Ray starts and ends in seconds; what hangs must end the test


@dataclass
class LiveService:
    """`bertscape serve` as a user would start it: a real process on a real socket."""

    state: Path
    root: Path
    workers: int = 2
    options: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)  # beside this process's own
    prefix: tuple[str, ...] = ()  # a command that runs another one
    process: subprocess.Popen[str] | None = None
    url: str = ""
    log: Path = field(init=False)
    clients: list[Client] = field(default_factory=list)  # closed with the service

    def start(self) -> "LiveService":
        self.state.mkdir(0o700, parents=True, exist_ok=True)
        self.log = self.state / f"serve-{time.monotonic_ns()}.log"
        command = [
            *self.prefix,
            *(sys.executable, "-m", "bertscape", "serve", "--port", "0"),
            *("--state-dir", str(self.state), "--allow-root", str(self.root)),
            *("--workers", str(self.workers), *self.options),
        ]
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                command,
                stdout=log,
                stderr=log,
                text=True,
                stdin=subprocess.DEVNULL,
                env={**os.environ, **self.environment},
            )
        self.url = wait_for(self._printed_url, "the printed URL")
        return self

    def client(self) -> Client:
        self.clients.append(Client(self.url))
        return self.clients[-1]

    def close_clients(self) -> None:
        while self.clients:
            self.clients.pop().close()

    def dispatcher(self) -> psutil.Process:
        """The dispatcher of this service: the child that leads a session of its own."""
        return wait_for(self._find_dispatcher, "the dispatcher")

    def ray_process(self, name: str) -> psutil.Process:
        """A process of the dispatcher's session by its name or title, as in "gcs_server"."""
        return wait_for(lambda: self._find_ray_process(name), name)

    def stop(self) -> int:
        """Ctrl-C; the exit status."""
        self.close_clients()
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        return self.process.wait(timeout=START_DEADLINE_S)

    def kill(self) -> None:
        """What a lost machine does to the API process."""
        self.close_clients()
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def _printed_url(self) -> str | None:
        assert self.process is not None
        found = re.search(r"http://\S+:\d+", self.log.read_text())
        if found is None and self.process.poll() is not None:
            raise AssertionError(f"serve ended: {self.log.read_text()}")
        return None if found is None else found[0]

    def _find_dispatcher(self) -> psutil.Process | None:
        assert self.process is not None
        for child in psutil.Process(self.process.pid).children():
            if os.getsid(child.pid) == child.pid:
                return child
        return None

    def _find_ray_process(self, name: str) -> psutil.Process | None:
        session = self.dispatcher().pid
        for process in psutil.process_iter():
            try:
                title = " ".join(process.cmdline()[:1])
                if os.getsid(process.pid) == session and name in title:
                    return process
            except (psutil.Error, ProcessLookupError):
                continue
        return None


def wait_for(find, what: str, deadline_s: float = START_DEADLINE_S):
    """The first true answer of `find`; an assertion error that names `what` after the deadline."""
    end = time.monotonic() + deadline_s
    while time.monotonic() < end:
        if found := find():
            return found
        time.sleep(0.05)
    raise AssertionError(f"{what} did not come within {deadline_s:.0f} s")


# --- a small model, and text for it ---------------------------------------------------------


@dataclass(frozen=True)
class SmallInputs:
    """A tiny BERT with two fine-tuned versions, all with random weights, and two data files."""

    folder: Path

    def spec(self, count: int = 5, **changes: object) -> dict[str, object]:
        return {
            "kind": "surface",
            "model": {
                "pretrained": str(self.folder / "start" / "checkpoint-0"),
                "finetuned": str(self.folder / "first" / "checkpoint-8"),
            },
            "y": {"toward": str(self.folder / "second" / "checkpoint-8")},
            "grid": {"x": [-1, 2, count], "y": [-1, 2, count]},
            "data": {
                "train": {"path": str(self.folder / "train.tsv")},
                "eval": {"path": str(self.folder / "eval.tsv")},
                "text": "sentence",
                "max_length": 32,
            },
            "trajectory": [
                str(self.folder / "start" / "checkpoint-0"),
                str(self.folder / "first" / "checkpoint-8"),
            ],
            **changes,
        }


def write_small_inputs(folder: Path) -> SmallInputs:
    """Make them in a folder that is there; the same bytes each time."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification, BertTokenizer
    from transformers.utils import logging

    logging.disable_progress_bar()

    words = [f"w{index}" for index in range(60)]
    (folder / "vocab.txt").write_text(
        "\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words]) + "\n"
    )
    tokenizer = BertTokenizer(str(folder / "vocab.txt"))
    torch.manual_seed(0)
    config = BertConfig(  # type: ignore[call-arg]
        vocab_size=65,
        hidden_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=96,
        max_position_embeddings=64,
        num_labels=2,
    )
    model = BertForSequenceClassification(config)
    for name, seed in (
        ("start/checkpoint-0", None),
        ("first/checkpoint-8", 1),
        ("second/checkpoint-8", 2),
    ):
        copy = BertForSequenceClassification(config)
        copy.load_state_dict(model.state_dict())
        if seed is not None:
            noise = torch.Generator().manual_seed(seed)
            with torch.no_grad():
                for parameter in copy.parameters():
                    parameter += 0.05 * torch.randn(parameter.shape, generator=noise)
        copy.save_pretrained(folder / name)
        tokenizer.save_pretrained(folder / name)
    chance = np.random.default_rng(0)
    for split, examples in (("train", 96), ("eval", 64)):
        rows = [
            f"{' '.join(chance.choice(words, size=chance.integers(3, 20)))}\t{chance.integers(2)}"
            for _ in range(examples)
        ]
        (folder / f"{split}.tsv").write_text("sentence\tlabel\n" + "\n".join(rows) + "\n")
    return SmallInputs(folder)
