"""The command that draws a surface's file."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

from bertscape.cli.service_commands import refuse_unwritable
from bertscape.cli.text import warn_of_failed_checks, write_json, write_line
from bertscape.command import DONE, Command
from bertscape.findings import NUMBERS
from bertscape.surface_file import read_surface

_VALUES = tuple(name for name in NUMBERS if not name.endswith("_stderr"))


def _add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", type=Path, help="the surface, an HDF5 file")
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
        choices=_VALUES,
        help="what to draw; may be repeated (default: train_loss and eval_error)",
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def _plot(options: Namespace) -> int:
    from bertscape.plot import DEFAULT_VALUES, picture_format, plot_surface, save_figure

    output = options.output or options.file.with_suffix(".png")
    picture_format(output)
    refuse_unwritable(output)
    surface = read_surface(options.file)
    save_figure(plot_surface(surface, options.value or DEFAULT_VALUES), output)
    warn_of_failed_checks([check.to_json() for check in surface.self_checks])
    if options.json:
        write_json({"output": str(output), "complete": surface.complete})
    else:
        write_line(str(output))
    return DONE


PLOT = Command(
    name="plot",
    help="draw a surface's file as a picture",
    add_arguments=_add_arguments,
    run=_plot,
    extra="plot",
    requires=("matplotlib",),
)
