"""The report of a study: one HTML file with everything that the paper shows, and its numbers.

>>> from bertscape.report import write_report  # doctest: +SKIP
>>> write_report(StudyResults.load("study"), "report.html")  # doctest: +SKIP
"""

from pathlib import Path

from bertscape.study import StudyResults

__all__ = ["write_report"]


def write_report(
    results: StudyResults,
    path: str | Path,
    figures: str | Path | None = None,
    numbers: str | Path | None = None,
) -> None:
    """Write the report of a study, whole or so far; needs the extra `plot`.

    Equal results make equal bytes. Each file appears whole or not at all.

    Args:
        results: of the study.
        path: of the HTML file, which opens without a network.
        figures: a folder, created if it does not exist, for every picture as SVG and PNG.
        numbers: a file for all numbers as JSON; they are in the HTML file too.

    Raises:
        MissingExtra: matplotlib is not installed.
        OSError: a file could not be written.
    """
    from bertscape.report.writing import write_files

    write_files(
        results,
        Path(path),
        None if figures is None else Path(figures),
        None if numbers is None else Path(numbers),
    )
