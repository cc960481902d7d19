"""From a study's results to the files of its report; needs the extra `plot`."""

import json
from html import escape
from pathlib import Path

from bertscape.readings.parts import each_reading_once
from bertscape.report.all_numbers import all_numbers
from bertscape.report.contents import page_of
from bertscape.report.findings import judge
from bertscape.report.page import html
from bertscape.report.parts import (
    Page,
    Panel,
    Picture,
    figure_of,
    inline_svg,
    png_bytes,
    settings,
    slug,
    svg_bytes,
)
from bertscape.study import StudyResults
from bertscape.values import publishing


def write_files(
    results: StudyResults, path: Path, figures: Path | None, numbers: Path | None
) -> None:
    """As `bertscape.report.write_report`."""
    with each_reading_once(), settings():
        verdicts = judge(results)
        values = all_numbers(results, verdicts)
        page = page_of(results, verdicts)
        _publish(path, html(page, values, _draw).encode())
        if figures is not None:
            _write_figures(page, figures)
    if numbers is not None:
        text = json.dumps(values, ensure_ascii=False, allow_nan=False, indent=1)
        _publish(numbers, f"{text}\n".encode())


def _draw(picture: str, panel: Panel) -> str:
    return inline_svg(figure_of([panel]), slug(picture, panel.name), escape(panel.alt))


def _write_figures(page: Page, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    blocks = (block for section in page.sections for block in section.blocks)
    for picture in (block for block in blocks if isinstance(block, Picture)):
        figure = figure_of(picture.panels)
        _publish(folder / f"{picture.name}.svg", svg_bytes(figure))
        _publish(folder / f"{picture.name}.png", png_bytes(figure))


def _publish(path: Path, content: bytes) -> None:
    with publishing(path) as file:
        file.write(content)
