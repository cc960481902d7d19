"""Each reading is taken once where several parts of one work ask for it."""

import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

import numpy as np
import pytest
from tests.client.report.bowl_study import build

from bertscape import InvalidInput, readings
from bertscape.readings import circle_rise, optimum_area, optimum_length
from bertscape.readings.parts import each_reading_once, reading
from bertscape.report import write_report


def counted() -> tuple[list[Any], Callable[..., float]]:
    """A reading, and the surfaces of which it was taken."""
    taken: list[Any] = []

    @reading
    def lowest(surface: Any, scale: float = 1.0) -> float:
        taken.append(surface)
        return float(scale * np.nanmin(surface.train_loss))

    return taken, lowest


def test_without_a_block_every_call_reads_anew(make_surface: Any) -> None:
    taken, lowest = counted()
    surface = make_surface()
    before = lowest(surface)
    surface.numbers[0] += 1
    assert lowest(surface) == before + 1
    assert len(taken) == 2


def test_in_a_block_it_is_taken_once_for_each_surface_and_option(make_surface: Any) -> None:
    taken, lowest = counted()
    one, other = make_surface(), make_surface()
    with each_reading_once(), each_reading_once():
        found = [lowest(one), lowest(one, 1.0), lowest(one, scale=1.0), lowest(one, 2.0)]
        assert [lowest(other), lowest(one)] == [found[0], found[0]]
    assert taken == [one, one, other]
    assert found == [found[0], found[0], found[0], 2 * found[0]]
    lowest(one)
    assert len(taken) == 4


def test_a_block_that_ends_in_an_error_forgets_too(make_surface: Any) -> None:
    taken, lowest = counted()
    surface = make_surface()
    with suppress(KeyError), each_reading_once():
        lowest(surface)
        raise KeyError
    lowest(surface)
    assert len(taken) == 2


def test_a_refusal_is_not_remembered(make_surface: Any) -> None:
    with each_reading_once():
        for _ in range(2):
            with pytest.raises(InvalidInput):
                optimum_area(make_surface(), -1.0)


@contextmanager
def readings_taken() -> Iterator[Counter[Any]]:
    """Counts what is computed, by reading, surface and options: not what is remembered."""
    codes = {
        found.__wrapped__.__code__
        for found in map(readings.__dict__.get, readings.__all__)
        if hasattr(found, "__wrapped__")
    }
    assert {one.__wrapped__.__code__ for one in (optimum_area, optimum_length, circle_rise)} < codes
    count: Counter[Any] = Counter()

    def note(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and frame.f_code in codes:
            code = frame.f_code
            surface, *options = map(frame.f_locals.get, code.co_varnames[: code.co_argcount])
            count[code.co_name, id(surface), *options] += 1

    sys.setprofile(note)
    try:
        yield count
    finally:
        sys.setprofile(None)


def test_a_report_takes_each_reading_once(
    make_surface: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bertscape.report.writing.figure_of", lambda _: None)  # takes long
    monkeypatch.setattr("bertscape.report.writing.inline_svg", lambda *_: "<svg></svg>")
    results = build(make_surface)
    with readings_taken() as count:
        write_report(results, tmp_path / "report.html")
    assert len(count) > 200
    assert {key: times for key, times in count.items() if times > 1} == {}
