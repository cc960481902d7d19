"""`docs/architectures.md`: what became of each model type, written by the sweep and read back."""

import dataclasses
import math
import re
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
import transformers
from tests.workers.architectures.sweep import Finding, sweep
from tests.workers.architectures.tiny_models import MODEL_TYPES

from bertscape_workers.checkpoints import quiet_transformers

PAGE = Path(__file__).parents[3] / "docs" / "architectures.md"
COMMAND = "python -m tests.workers.architectures"

_AS_IT_IS: tuple[str, dict[str, Any]] = ("", {})

# What is tried of some model types beside pairs of texts: a remark for the page, and arguments of
# `sweep`.
_TYPES_GIVEN = ("the tokenizer gives token types", {"like_bert": True})
MORE_CASES: dict[str, tuple[tuple[str, dict[str, Any]], ...]] = {
    **dict.fromkeys(
        (
            *("ctrl", "flaubert", "gpt-sw3", "gpt_bigcode", "gpt_neo", "gptj", "openai-gpt"),
            "xlm",
        ),
        (_TYPES_GIVEN,),
    ),
    "bart": (("some texts spell the end token", {"spelled": ("[SEP]",)}),),
    "canine": (("single texts, some of three characters", {"columns": 1}),),
    "esm": (("absolute positions", {"position_embedding_type": "absolute"}),),
    "gpt2": (_TYPES_GIVEN, ("no padding token", {"pad_token_id": None})),
    "funnel": (("embedding of padding not zero", {"padding_moves": True}),),
    "nystromformer": (
        ("as many landmarks as positions", {"num_landmarks": 8, "segment_means_seq_len": 8}),
    ),
    "reformer": (("`num_buckets` in its config", {"num_buckets": 4}),),
    "t5": (("some texts spell the end token", {"spelled": ("[SEP]",)}),),
}

_HEAD = f"""# Architectures

Every model type that `AutoModelForSequenceClassification` of transformers {{version}} knows, tried
as a tiny random model. Made by `{COMMAND}`, which overwrites this page;
`make test-architectures` fails if a verdict has changed.

A surface of two by two points is computed by `bertscape run` and compared with numbers from code of
its own: float64, `from_pretrained`, each example alone and unpadded, as the tokenizer gives it.

- **packed**: by the fast evaluator. **plain**: by the Hugging Face model, without padding.
- **refused**: at submission or while the job is prepared, for the reason that stands there.
- **deviation**: the largest relative one of a loss or its standard error. Right is at most 1e-5.
- **errors off**: error rates that differ by more than near ties explain, of all.

A tiny model shows that the code of a family is served rightly. It shows nothing of a checkpoint's
size, time or memory. MRA computes no attention without its CUDA kernel, here as in the reference.

Some models answer otherwise beside padding than alone (FNet, XLNet, T5Gemma, and others). Here
every example is evaluated as if alone; a model that was fine-tuned in padded batches has seen
something else.

{{count}} model types: {{packed}} packed, {{plain}} plain, {{refused}} refused.

| model type | evaluated | deviation | errors off | if refused: why |
| --- | --- | --- | --- | --- |
"""
_ROW = re.compile(
    r"\| `(?P<model_type>[^`]+)`(?:, (?P<remark>.*?))? \| (?P<verdict>.+?) \| (?P<deviation>.*?) "
    r"\| (?P<errors>.*?) \| (?P<why>.*?) ?\|"
)
_VERSION = re.compile(r"of transformers (\S+) knows")


@dataclasses.dataclass(frozen=True)
class Case:
    """A model type, and how it is tried."""

    model_type: str
    remark: str  # empty for pairs of texts and the family's own tokenizer
    arguments: dict[str, Any]  # of `sweep`

    @property
    def name(self) -> tuple[str, str]:
        return self.model_type, self.remark


@dataclasses.dataclass(frozen=True)
class Row:
    """A line of the page."""

    model_type: str
    remark: str
    verdict: str  # packed, plain, refused; anything else must not be
    why: str  # of a refusal
    deviation: str = ""
    errors: str = ""


def all_cases() -> list[Case]:
    """Every model type, and what else is tried of some."""
    return [
        Case(model_type, *case)
        for model_type in MODEL_TYPES
        for case in (_AS_IT_IS, *MORE_CASES.get(model_type, ()))
    ]


def tried(case: Case) -> Row:
    """Sweep a case on one thread."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder, quiet_transformers():
        return row_of(case, sweep(case.model_type, Path(folder), **case.arguments))


def row_of(case: Case, found: Finding) -> Row:
    """What the page says of a case."""
    verdict, why = _verdict(found), ""
    if verdict == "refused":
        why = _reason(found.message)
    elif verdict not in ("packed", "plain"):
        why = found.message
    elif found.checks[0] < found.checks[1]:
        why = f"self-checks {found.checks[0]} of {found.checks[1]}"
    if math.isnan(found.loss):
        return Row(*case.name, verdict, why)
    deviation = f"{max(found.loss, found.loss_stderr):.1e}"
    return Row(*case.name, verdict, why, deviation, f"{found.wrong_rates} of {found.rates}")


def _verdict(found: Finding) -> str:
    if found.outcome in ("refused", "traceback", "unmade"):
        return found.outcome
    evaluator = {"reference": "plain"}.get(found.outcome, found.outcome)
    return evaluator if found.right else f"{evaluator}, WRONG"


def _reason(message: str) -> str:
    """Without key, folder, model type, and what was expected."""
    told = message.partition("; expected")[0]
    return re.sub(r"^\S+: ('[^']*' )?(is a \S+ model: )?", "", told).replace("|", r"\|")


def write(path: Path, rows: Sequence[Row]) -> None:
    """Make the page."""
    counts = {
        verdict: sum(row.verdict == verdict and not row.remark for row in rows)
        for verdict in ("packed", "plain", "refused")
    }
    head = _HEAD.format(version=transformers.__version__, count=len(MODEL_TYPES), **counts)
    path.write_text(head + "".join(map(_line, rows)), encoding="utf-8")


def _line(row: Row) -> str:
    name = f"`{row.model_type}`" + (f", {row.remark}" if row.remark else "")
    return f"| {name} | {row.verdict} | {row.deviation} | {row.errors} | {row.why} |\n"


def read(path: Path) -> tuple[str, list[Row]]:
    """The transformers version that a page was made with, and its rows."""
    text = path.read_text(encoding="utf-8")
    version = _VERSION.search(text)
    assert version is not None
    matches = filter(None, map(_ROW.fullmatch, text.splitlines()))
    return version[1], [
        Row(**{name: value or "" for name, value in match.groupdict().items()}) for match in matches
    ]


def changed(before: Iterable[Row], after: Iterable[Row]) -> list[str]:
    """A sentence for each case whose verdict is another now."""
    known = {(row.model_type, row.remark): row.verdict for row in before}
    return [
        f"{row.model_type} {row.remark}: was {was}, is {row.verdict} ({row.why})"
        for row in after
        if (was := known.get((row.model_type, row.remark), "not there")) != row.verdict
    ]
