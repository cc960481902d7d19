"""A further kind of job, as its author would add it: what it needs is all here.

It asks how far words reach: at each of some lengths, the share of the training split's examples
whose first text has at most so many words.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import Field

from bertscape.results import FORMS, Form, Result, Run
from bertscape.results.result_file import Contents, Dataset, ResultFile, described, root_attributes
from bertscape.results.run import gather
from bertscape.spec import Amount, JobSpec, Model, Visitor
from bertscape.spec.kinds import KINDS
from bertscape.values import Findings

# --- the client's part: spec and result ---------------------------------------------------------


class ToySpec(JobSpec):
    """Up to how many words."""

    result_form: ClassVar[str | None] = "toy"

    kind: Literal["toy"]
    model: Model
    longest: int = Field(default=5, ge=0)

    @property
    def point_count(self) -> int:
        return self.longest + 1

    @property
    def number_names(self) -> tuple[str, ...]:
        return ("share",)

    def amounts(self) -> Iterator[Amount]:
        yield from super().amounts()
        yield Amount("longest", self.point_count, "points", "points")

    def visited(self, visitor: Visitor) -> Self:
        return self.with_parts(model=visitor.model(self.model), data=visitor.data(self.data))


@dataclass(frozen=True, slots=True)
class Toy(Result):
    """The share of examples, by length."""

    form: ClassVar[str] = "toy"

    spec: ToySpec
    findings: Findings
    share: NDArray[np.float64]
    evaluated: NDArray[np.uint8]
    run: Run


def assemble_toy(
    spec: ToySpec,
    findings: Findings,
    tile_points: int,
    done: Iterable[tuple[int, NDArray[np.float64]]],
    run: Run,
) -> Toy:
    (share,), evaluated = gather(spec, tile_points, done)
    return Toy(spec, findings, share, evaluated, run)


def datasets(toy: Toy) -> list[Dataset]:
    words = np.arange(toy.spec.point_count)
    return [
        Dataset("words", words, ("words",), described("number of words", "1")),
        Dataset("share", toy.share, ("words",), described("share of the examples", "1")),
        Dataset("evaluated", toy.evaluated, ("words",), described("1 where computed", "1")),
    ]


def contents(toy: Toy) -> Contents:
    return Contents(root_attributes(toy.spec, toy.findings, Toy.form), datasets(toy))


def toy_from(file: ResultFile) -> Toy:
    spec: Any = file.spec()
    shape = (spec.point_count,)
    share, evaluated = (file.values(name, shape) for name in ("share", "evaluated"))
    return Toy(spec, file.findings(), share, evaluated, file.run())


def no_plot(toy: Toy) -> Any:
    raise NotImplementedError


# --- the workers' part --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class WordCounts:
    """What the workers are given, and what does a point."""

    words: NDArray[np.int64]  # of each example

    def evaluate(self, longest: float, _: float) -> NDArray[np.float64]:
        return np.array([np.mean(self.words <= longest)])


def toy_work() -> Any:
    """As a further entry of the workers' table has it; torch is imported with that."""
    from bertscape_workers.data import read_rows
    from bertscape_workers.jobs.kinds import PointByPoint, Work
    from bertscape_workers.jobs.prepare import Prepared

    def prepare(spec: ToySpec, **_: Any) -> Any:
        rows = read_rows(spec.data, "train")
        words = np.array([len(row.texts[0].split()) for row in rows])
        return Prepared(findings(), WordCounts(words))

    return Work(prepare, lambda inputs, _: PointByPoint(inputs))


def findings() -> Findings:
    return Findings(
        checkpoints={},
        splits={},
        classes=3,
        precision="fp32",
        device="any",
        threads=1,
        torch="none",
        delta1_norm=1.0,
        delta2_norm=None,
        cosine=None,
        self_checks=(),
        trajectory=None,
    )


# --- the lines of the registries ----------------------------------------------------------------


def add_to_the_client(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(KINDS, "toy", ToySpec)
    monkeypatch.setitem(FORMS, "toy", Form(assemble_toy, contents, toy_from, no_plot))


def add_to_the_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    from bertscape_workers.jobs.kinds import WORK

    monkeypatch.setitem(WORK, "toy", toy_work())
