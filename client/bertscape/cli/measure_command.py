"""The command that reads numbers off the file of a surface or a rollback."""

from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bertscape.cli.text import table, warn_of_failed_checks, write_json, write_line
from bertscape.values import DONE, Command, InvalidInput, ProblemType

if TYPE_CHECKING:
    from bertscape.results import Rollback, Surface


def _add_arguments(parser: ArgumentParser) -> None:
    from bertscape.readings.consistency import DEFAULT_FRACTION
    from bertscape.readings.flatness import DEFAULT_RADII
    from bertscape.readings.width import DEFAULT_THRESHOLDS

    parser.add_argument(
        "file", metavar="FILE", type=Path, help="a surface or a rollback, an HDF5 file"
    )
    parser.add_argument(
        "--threshold",
        metavar="NAT",
        type=float,
        action="append",
        help="measure the optimum's width at this much above the training loss of θ1, in nat; "
        f"may be repeated (default: {_list(DEFAULT_THRESHOLDS)})",
    )
    parser.add_argument(
        "--radius",
        metavar="R",
        type=float,
        action="append",
        help="rise on a circle of this radius around θ1, in ‖δ1‖ or a layer group's ‖δ1ᴳ‖; "
        f"may be repeated (default: {_list(DEFAULT_RADII)})",
    )
    parser.add_argument(
        "--fraction",
        metavar="F",
        type=float,
        help=f"share of the points that counts as the low region (default: {DEFAULT_FRACTION})",
    )
    parser.add_argument("--json", action="store_true", help="print the readings as JSON")


def _list(values: tuple[float, ...]) -> str:
    return ", ".join(f"{value:g}" for value in values)


def _measure(options: Namespace) -> int:
    from bertscape.results import read_result

    result = read_result(options.file)
    if result.form not in _PRINTED:
        raise InvalidInput.of(
            ProblemType.INVALID_VALUE, None, result.form, "a surface, a curve or a rollback"
        )
    numbers, rows = _PRINTED[result.form](result, options)
    warn_of_failed_checks([check.to_json() for check in result.self_checks])
    if options.json:
        write_json(numbers)
    else:
        write_line(table(rows))
    return DONE


_Printed = tuple[Any, Sequence[Sequence[str]]]  # what is printed as JSON, and as a table


def _surface(surface: "Surface", options: Namespace) -> _Printed:
    from bertscape.cli.reading_text import reading_rows
    from bertscape.readings import measure
    from bertscape.readings.parts import units_of

    asked = {"thresholds": options.threshold, "radii": options.radius, "fraction": options.fraction}
    given = {name: value for name, value in asked.items() if value is not None}
    readings = measure(surface, **given)
    return readings.to_json(), reading_rows(readings, units_of(surface))


def _rollback(rollback: "Rollback", options: Namespace) -> _Printed:
    from bertscape.cli.rollback_text import rollback_json, rollback_rows

    _refuse_options(options)
    return rollback_json(rollback), rollback_rows(rollback)


def _refuse_options(options: Namespace) -> None:
    """A rollback has no optimum to measure."""
    for name in ("threshold", "radius", "fraction"):
        value = getattr(options, name)
        if value is not None:
            raise InvalidInput.of(
                ProblemType.INVALID_VALUE,
                f"--{name}",
                value,
                "a surface or a curve (a rollback has no such reading)",
            )


_PRINTED: dict[str, Callable[[Any, Namespace], _Printed]] = {
    "surface": _surface,
    "rollback": _rollback,
}  # by the form of a result


MEASURE = Command(
    name="measure",
    help="print the width, flatness and consistency of a surface, or the changes of a rollback",
    add_arguments=_add_arguments,
    run=_measure,
)
