"""A report as one HTML file: `page.html.jinja`, filled.

Everything is escaped there except what it marks as safe: the style, the pictures and the JSON.
"""

import json
from collections.abc import Callable
from importlib.resources import files
from typing import Any

from bertscape.report.parts import Page, Panel
from bertscape.values import MissingExtra, Problem, ProblemType

try:
    from jinja2 import Environment, StrictUndefined
except ImportError as error:
    detail = "a report needs Jinja2: pip install 'bertscape[plot]'"
    raise MissingExtra(Problem(ProblemType.UNAVAILABLE, detail)) from error

DrawPanel = Callable[[str, Panel], str]  # (name of the picture, panel) to an <svg> element


def html(page: Page, numbers: dict[str, Any], draw: DrawPanel) -> str:
    """The whole file.

    Args:
        page: its text.
        numbers: embedded as JSON; no NaN among them.
        draw: makes the element of each panel, with its text escaped.
    """
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, keep_trailing_newline=True
    )
    return environment.from_string(_file("page.html.jinja")).render(
        page=page,
        style=_file("style.css"),
        numbers=_embedded(numbers),
        draw=draw,
    )


def _file(name: str) -> str:
    return files("bertscape.report").joinpath(name).read_text(encoding="utf-8")


def _embedded(numbers: dict[str, Any]) -> str:
    text = json.dumps(numbers, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    # Nothing in a script element may look like its end.
    return text.replace("<", "\\u003c")
