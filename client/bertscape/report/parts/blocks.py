"""What a report is made of, before it is HTML: sections of text, tables and pictures.

All text is plain: whoever renders a block escapes it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bertscape.figures import (
        Axes,
        Figure,
    )


# What stands for the counterpart in the paper of what is ours.
NO_COUNTERPART = "no counterpart"
BY_EYE = f"{NO_COUNTERPART} as numbers; its pictures are compared by eye"


@dataclass(frozen=True, slots=True)
class Text:
    """A paragraph; `tone` is "" or one of "missing", "warning"."""

    text: str
    tone: str = ""


@dataclass(frozen=True, slots=True)
class Code:
    """Lines as they stand."""

    text: str


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell of a table whose look says something; `tone` as an outcome's or a text's."""

    text: str
    tone: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows below a head; the first column names the row."""

    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[str | Cell, ...], ...]
    numeric: bool = True  # all columns but the first are numbers, set to the right
    paper: str = ""  # as of a picture


@dataclass(frozen=True, slots=True)
class Panel:
    """One pair of axes."""

    name: str  # of its file, after the picture's
    title: str
    alt: str  # what it shows, for those who do not see it
    draw: "Callable[[Figure, Axes], None]"
    size: tuple[float, float] = (4.3, 3.6)  # inches


@dataclass(frozen=True, slots=True)
class Picture:
    """Panels side by side, with one caption."""

    name: str  # of its file, and its place in the page: unique in a report
    caption: str
    panels: tuple[Panel, ...]
    paper: str = ""  # its counterpart there, as a phrase; empty of what no paper has: provenance


Block = Text | Code | Table | Picture


@dataclass(frozen=True, slots=True)
class Section:
    """A heading and what stands below it."""

    name: str  # its anchor
    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class Page:
    """A whole report."""

    title: str
    lead: tuple[Block, ...]  # above the first section
    sections: tuple[Section, ...]
