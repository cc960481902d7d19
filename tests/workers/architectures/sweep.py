"""One model type through `bertscape run`, every number compared with `independent_numbers`."""

import dataclasses
import json
import math
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tests.workers.architectures.independent_numbers import IndependentNumbers, Inputs, PointNumbers
from tests.workers.architectures.tiny_models import save_checkpoints, save_configs, tiny_config
from tests.workers.architectures.tiny_text import MAX_LENGTH, save_tokenizer, write_split

from bertscape import Surface
from bertscape.spec import JobSpec, parse_spec
from bertscape.values import NUMBERS, InvalidInput
from bertscape_workers.running.local_run import run_job

_LOSSES, _RATES, _SPREADS = (0, 2), (1, 3), (4, 6)  # places in NUMBERS
_TIE = 1e-4  # two best logits this close may be ordered either way


@dataclasses.dataclass(frozen=True)
class Finding:
    """What became of one model type."""

    model_type: str
    columns: int  # texts of an example
    outcome: str  # packed, reference, refused, traceback, or unmade where no model could be made
    message: str = ""  # of what was refused or raised
    loss: float = math.nan  # the largest relative deviation of a mean loss
    loss_stderr: float = math.nan  # and of its standard error
    wrong_rates: int = 0  # error rates that near ties do not explain
    rates: int = 0  # of so many
    lengths: float = math.nan  # the relative deviation of ‖δ1‖
    checks: tuple[int, int] = (0, 0)  # self-checks passed, of how many
    seconds: float = math.nan  # of the job alone

    @property
    def right(self) -> bool:
        """Within the self-checks' own tolerance everywhere."""
        return self.loss <= 1e-5 and not self.wrong_rates and self.lengths <= 1e-5

    @classmethod
    def load(cls, path: Path) -> "Finding":
        value = json.loads(path.read_text(encoding="utf-8"))
        return cls(**{**value, "checks": tuple(value["checks"])})

    def save(self, path: Path) -> None:
        path.write_text(json.dumps(dataclasses.asdict(self), indent=1), encoding="utf-8")


def sweep(
    model_type: str,
    folder: Path,
    columns: int = 2,
    *,
    like_bert: bool = False,
    spelled: tuple[str, ...] = (),
    padding_moves: bool = False,
    examples: int = 24,
    **settings: Any,
) -> Finding:
    """Make the inputs in an empty folder, run the job, and compare.

    Args:
        model_type: of `tiny_models.MODEL_TYPES`.
        folder: where the inputs go.
        columns: 1 for single texts, 2 for pairs.
        like_bert: whether the tokenizer joins texts as BERT's does, with token types.
        spelled: special tokens that some texts begin with, in turn.
        padding_moves: whether the embedding of padding is not zero.
        examples: of each split.
        settings: of the config, above what the tables say.
    """
    made = Finding(model_type, columns, "unmade")
    inputs = Inputs(
        (folder / "checkpoint-0", folder / "checkpoint-1", folder / "checkpoint-2"),
        # Beside a config.json transformers would take some families' own class for it.
        folder / "tokenizer",
        (
            write_split(folder / "train.tsv", examples, 1, spelled=spelled),
            write_split(folder / "dev.tsv", examples, 2, spelled=spelled),
        ),
        ("first", "second")[:columns],
        MAX_LENGTH,
    )
    try:
        config = tiny_config(model_type, **settings)
        save_checkpoints(config, inputs.checkpoints, padding_moves=padding_moves)
    except Exception as error:  # noqa: BLE001  # whatever transformers raises is a finding
        save_configs(model_type, inputs.checkpoints)
        save_tokenizer(inputs.tokenizer, model_type)
        found = _compared(made, inputs)  # refused by its config, if all is well
        unmade = dataclasses.replace(made, message=_told(error))
        return found if found.outcome == "refused" else unmade
    save_tokenizer(inputs.tokenizer, model_type, like_bert=like_bert)
    return _compared(made, inputs)


def _spec(inputs: Inputs) -> JobSpec:
    pretrained, finetuned, toward = map(str, inputs.checkpoints)
    train, evaluation = map(str, inputs.splits)
    return parse_spec(
        {
            "kind": "surface",
            "model": {
                "pretrained": pretrained,
                "finetuned": finetuned,
                "tokenizer": str(inputs.tokenizer),
            },
            "y": {"toward": toward},
            "grid": {"x": [-0.5, 0.5, 2], "y": [0, 1, 2]},
            "data": {
                "train": {"path": train},
                "eval": {"path": evaluation},
                "text": list(inputs.columns),
                "max_length": inputs.max_length,
            },
        }
    )


def _compared(made: Finding, inputs: Inputs) -> Finding:
    began = time.perf_counter()
    try:
        result = run_job(_spec(inputs), threads=1, device="cpu")
    except InvalidInput as refused:
        return dataclasses.replace(made, outcome="refused", message=str(refused))
    except Exception as error:  # noqa: BLE001  # what must never happen
        return dataclasses.replace(made, outcome="traceback", message=_told(error))
    seconds = time.perf_counter() - began
    assert isinstance(result, Surface)
    made = dataclasses.replace(made, outcome=str(result.findings.evaluator), seconds=seconds)
    points = [(float(a), float(b)) for b in result.beta for a in result.alpha]
    try:
        truth, expected = _expected(inputs, points)
    except Exception as error:  # noqa: BLE001  # the model takes no such example at all
        return dataclasses.replace(made, loss=math.inf, message=f"alone: {_told(error)}")
    found = result.numbers.reshape(len(NUMBERS), -1).T  # (points, 8)
    checks = result.findings.self_checks
    return dataclasses.replace(
        made,
        loss=_deviation(found, expected, _LOSSES),
        loss_stderr=_deviation(found, expected, _SPREADS),
        wrong_rates=_wrong_rates(found, expected),
        rates=len(points) * len(_RATES),
        lengths=max(
            abs(result.findings.delta1_norm / truth.length - 1),
            abs((result.findings.delta2_norm or 0) / truth.second_length - 1),
        ),
        checks=(sum(bool(one.passed) for one in checks), len(checks)),
    )


def _expected(
    inputs: Inputs, points: Sequence[tuple[float, float]]
) -> tuple[IndependentNumbers, list[PointNumbers]]:
    try:
        truth = IndependentNumbers(inputs)
        return truth, [truth.at(*point) for point in points]
    except RuntimeError:  # some models mix float64 with float32 of their own making
        truth = IndependentNumbers(inputs, torch.float32)
        return truth, [truth.at(*point) for point in points]


def _deviation(found: np.ndarray, expected: Sequence[PointNumbers], places: Sequence[int]) -> float:
    """The largest |found − expected| / |expected|; infinite where one of them alone is finite."""
    worst = 0.0
    for row, point in zip(found, expected, strict=True):
        for place in places:
            here, there = float(row[place]), point.values[place]
            if here == there or (math.isnan(here) and math.isnan(there)):
                continue
            far = abs(here - there) / abs(there) if there else math.inf
            worst = max(worst, math.inf if math.isnan(far) else far)
    return worst


def _wrong_rates(found: np.ndarray, expected: Sequence[PointNumbers]) -> int:
    wrong = 0
    for row, point in zip(found, expected, strict=True):
        for place, gaps in zip(_RATES, point.gaps, strict=True):
            moved = abs(float(row[place]) - point.values[place]) * len(gaps)
            wrong += round(moved) > sum(gap <= _TIE for gap in gaps)
    return wrong


def _told(error: Exception) -> str:
    last = traceback.extract_tb(error.__traceback__)[-1]
    text = " ".join(str(error).split())[:300]
    return f"{type(error).__name__}: {text} ({Path(last.filename).name}:{last.lineno})"
