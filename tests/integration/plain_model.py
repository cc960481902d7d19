"""The reference that real surfaces are checked against.

It imports nothing of `bertscape_workers`: it reads the safetensors itself, builds θ0 + αδ1 + βδ2
from the formula, and evaluates one unpadded example at a time with the plain Hugging Face model.
"""

import dataclasses
import json
import math
import multiprocessing
import struct
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import torch
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer

MAX_LENGTH = 128
TIE = 1e-5  # two best logits closer than this may be ordered either way
PROCESSES = 2


@dataclasses.dataclass(frozen=True)
class RealInputs:
    folder: Path
    start: Path  # θ0: MiniLM with its pooler, as the first run stored it
    mrpc: Path  # θ1
    rte: Path  # θ2
    middle: Path  # a checkpoint of the MRPC run between θ0 and θ1


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
        (loss, error, ties), (eval_loss, eval_error, eval_ties) = train, evaluation
        return Numbers(loss, error, eval_loss, eval_error, ties, eval_ties)

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


def numbers_at(
    inputs: RealInputs, faults: Faults, places: Sequence[tuple[float, float]]
) -> list[Numbers]:
    """What the plain model gives at each (α, β), spread over processes."""
    shares = [places[start::PROCESSES] for start in range(PROCESSES)]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(PROCESSES, mp_context=context) as pool:
        answers = list(pool.map(_share, [inputs] * PROCESSES, [faults] * PROCESSES, shares))
    return [answers[index % PROCESSES][index // PROCESSES] for index in range(len(places))]


def _share(
    inputs: RealInputs, faults: Faults, places: Sequence[tuple[float, float]]
) -> list[Numbers]:
    torch.set_num_threads(1)
    reference = Reference(inputs, faults) if places else None
    return [reference.at(*place) for place in places] if reference else []
