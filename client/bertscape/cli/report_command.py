"""The command that writes the report of a study."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

from bertscape.cli.output_file import NUMBERS, PAGE, refuse_unwritable
from bertscape.cli.text import write_line
from bertscape.values import DONE, Command


def _add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("study", metavar="STUDY", type=Path, help="the study's folder")
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        type=Path,
        help="the HTML file (default: report.html in the folder)",
    )
    parser.add_argument(
        "--figures", metavar="DIR", type=Path, help="also write each picture as SVG and PNG there"
    )
    parser.add_argument(
        "--json", metavar="FILE", type=Path, help="also write all numbers as JSON to this file"
    )


def _report(options: Namespace) -> int:
    from bertscape.report import write_report
    from bertscape.study import StudyResults

    output = options.output or options.study / "report.html"
    results = StudyResults.load(options.study)
    refuse_unwritable(output, PAGE)
    if options.json is not None:
        refuse_unwritable(options.json, NUMBERS)
    write_report(results, output, options.figures, options.json)
    write_line(str(output))
    return DONE


REPORT = Command(
    name="report",
    help="write the report of a study as one HTML file",
    add_arguments=_add_arguments,
    run=_report,
    extra="plot",
    requires=("jinja2", "matplotlib"),
)
