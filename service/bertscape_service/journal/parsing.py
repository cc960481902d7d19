"""Rows of SQLite as values. A text that was parsed before is not parsed again."""

import json
import sqlite3
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar

import numpy as np

from bertscape.spec import JobSpec, UnreadSpec, parse_spec
from bertscape.values import InvalidInput, Pins, Problem, TrainingOutput
from bertscape_service.journal.rows import (
    AttemptRow,
    EstimatedWork,
    JobRow,
    MeasuredRate,
    Outcome,
    RunFacts,
    TileRow,
)
from bertscape_service.scheduling import JobState

_KEPT_CHARACTERS = 4_000_000  # of each kind of text; a usual spec has about a thousand

Value = TypeVar("Value")


class ParsedTexts(Generic[Value]):
    """What texts say, kept while they are in use. Any thread may call it.

    The key is the text, not its row. So nothing here can be out of date, whatever is committed or
    rolled back.

    Args:
        parse: makes a value that nobody changes.
        characters: how many the kept texts may have in all; the longest unused go first.
    """

    def __init__(self, parse: Callable[[str], Value], characters: int = _KEPT_CHARACTERS) -> None:
        self._parse = parse
        self._room = characters
        self._kept: OrderedDict[str, Value] = OrderedDict()
        self._lock = threading.Lock()

    def __call__(self, text: str) -> Value:
        """The value of this text."""
        with self._lock:
            if text in self._kept:
                self._kept.move_to_end(text)
                return self._kept[text]
        value = self._parse(text)
        with self._lock:
            self._keep(text, value)
        return value

    def _keep(self, text: str, value: Value) -> None:
        if text in self._kept:  # another thread was faster
            return
        self._kept[text] = value
        self._room -= len(text)
        while self._room < 0:
            self._room += len(self._kept.popitem(last=False)[0])


class RowParser:
    """Makes values of rows, for one journal."""

    def __init__(self) -> None:
        self._specs = ParsedTexts(_spec)
        self._outputs = ParsedTexts(_output)
        self._findings: dict[type[Pins], ParsedTexts[Pins]] = {}

    def job(self, row: sqlite3.Row) -> JobRow:
        """A row of `jobs`."""
        spec, spec_values, unread = self._specs(row["spec"])
        return JobRow(
            number=row["number"],
            id=row["id"],
            state=JobState(row["state"]),
            spec=spec,
            spec_values=spec_values,
            tile_points=row["tile_points"],
            points_total=row["points_total"],
            tiles_total=row["tiles_total"],
            points_done=row["points_done"],
            tiles_done=row["tiles_done"],
            revision=row["revision"],
            created=row["created"],
            updated=row["updated"],
            unread=unread,
            findings=None if unread else self._found(spec.findings_type, row["findings"]),
            run=RunFacts(**json.loads(row["run"])) if row["run"] else None,
            error=Problem.from_json(json.loads(row["error"])) if row["error"] else None,
            output=self._outputs(row["output"]) if row["output"] else None,
            estimate=EstimatedWork(**json.loads(row["estimate"])) if row["estimate"] else None,
            taken=row["taken"],
        )

    def _found(self, kind: type[Pins], text: str | None) -> Pins | None:
        if text is None:
            return None
        if kind not in self._findings:
            self._findings[kind] = ParsedTexts(kind.model_validate_json)
        return self._findings[kind](text)


def attempt_row(row: sqlite3.Row) -> AttemptRow:
    """A row of `attempts`."""
    return AttemptRow(
        tile=row["tile"],
        attempt=row["attempt"],
        worker=row["worker"],
        device=row["device"],
        outcome=Outcome(row["outcome"]),
        started=row["started"],
        seconds=row["seconds"],
        error=row["error"],
    )


def measured_rate(row: sqlite3.Row) -> MeasuredRate:
    """A row of `rates`."""
    return MeasuredRate(
        stage=row["stage"],
        flops=row["flops"],
        count=row["count"],
        seconds=row["seconds"],
        evaluator=row["evaluator"],
    )


def tile_rows(reader: sqlite3.Connection, job: JobRow) -> Iterator[TileRow]:
    """All tiles of a job that are done, in their order."""
    rows = reader.execute(
        "SELECT tile, numbers FROM tiles WHERE job = ? ORDER BY tile", (job.number,)
    )
    for tile, blob in rows:
        numbers = np.frombuffer(blob, dtype="<f8").reshape(-1, len(job.spec.number_names))
        yield TileRow(tile, numbers)


def _spec(text: str) -> tuple[JobSpec, dict[str, Any], Problem | None]:
    """(the spec, its plain values, why this version refuses it): a row never breaks a list."""
    values = json.loads(text)
    try:
        spec = parse_spec(values)
    except InvalidInput as error:
        # Half of a surrogate pair can be in a journal, and in no answer.
        shown = json.loads(json.dumps(values, ensure_ascii=False).encode(errors="replace"))
        return UnreadSpec.of(shown), shown, error.problem
    return spec, spec.to_json(), None


def _output(text: str) -> TrainingOutput:
    return TrainingOutput.from_json(json.loads(text))
