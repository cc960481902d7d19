"""The command that draws the file of a surface or a rollback."""

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from bertscape.cli.output_file import PICTURE, refuse_unwritable
from bertscape.cli.text import warn_of_failed_checks, write_json, write_line
from bertscape.values import DONE, Command, InvalidInput, ProblemType

if TYPE_CHECKING:
    from bertscape.figures import Figure
    from bertscape.results import Result


def _add_arguments(parser: ArgumentParser) -> None:
    from bertscape.results import FORMS

    parser.add_argument(
        "file", metavar="FILE", type=Path, help="a surface or a rollback, an HDF5 file"
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="PICTURE",
        type=Path,
        help="a name that ends in .png, .svg or .pdf (default: FILE with the ending .png)",
    )
    parser.add_argument(
        "--value",
        action="append",
        choices=[name for form in FORMS.values() for name in form.values],
        help="the value of a surface to draw; may be repeated (default: train_loss and eval_error)",
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def _plot(options: Namespace) -> int:
    from bertscape.figures import picture_format, save_figure
    from bertscape.results import read_result

    output = options.output or options.file.with_suffix(".png")
    picture_format(output)
    refuse_unwritable(output, PICTURE)
    result = read_result(options.file)
    save_figure(_figure(result, options.value), output)
    warn_of_failed_checks([check.to_json() for check in result.self_checks])
    if options.json:
        write_json({"output": str(output), "complete": result.complete})
    else:
        write_line(str(output))
    return DONE


def _figure(result: "Result", values: list[str] | None) -> "Figure":
    from bertscape.results import FORMS

    if not values:
        return result.plot()
    if not FORMS[result.form].values:
        raise InvalidInput.of(
            ProblemType.INVALID_VALUE,
            "--value",
            values,
            f"no --value: the picture of a {result.form} shows everything",
        )
    return result.plot(values=values)


PLOT = Command(
    name="plot",
    help="draw a picture of a surface or a rollback",
    add_arguments=_add_arguments,
    run=_plot,
    extra="plot",
    requires=("matplotlib",),
)
