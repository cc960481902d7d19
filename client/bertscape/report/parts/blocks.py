"""What a report is made of, before it is HTML: sections of text, tables and pictures.

All text is plain: whoever renders a block escapes it. `element` names the macro of the template.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from bertscape.figures import Axes, Figure


_SHORT = 14  # rows of a table that stays on one page
_LONG = 20  # characters of a row's name that may break into lines

# What stands for the counterpart in the paper of what is ours.
NO_COUNTERPART = "no counterpart"
BY_EYE = f"{NO_COUNTERPART} as numbers; its pictures are compared by eye"


@dataclass(frozen=True, slots=True)
class Text:
    """A paragraph; `tone` is "" or one of "missing", "warning"."""

    element: ClassVar[str] = "text"

    text: str
    tone: str = ""


@dataclass(frozen=True, slots=True)
class Code:
    """Lines as they stand."""

    element: ClassVar[str] = "code"

    text: str


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell of a table whose look says something; `tone` as an outcome's or a text's."""

    text: str
    tone: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows below a head; the first column names the row."""

    element: ClassVar[str] = "table"

    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[str | Cell, ...], ...]
    numeric: bool = True  # all columns but the first are numbers, set to the right
    paper: str = ""  # as of a picture

    @property
    def short(self) -> bool:
        """Whether it stays on one page."""
        return len(self.rows) <= _SHORT

    @property
    def cells(self) -> tuple[tuple[Cell, ...], ...]:
        """All rows as cells; a row's name that may break into lines has the tone "long" too."""
        return tuple((_row_name(_cell(row[0])), *map(_cell, row[1:])) for row in self.rows)


def _cell(one: str | Cell) -> Cell:
    return one if isinstance(one, Cell) else Cell(one)


def _row_name(cell: Cell) -> Cell:
    if len(cell.text) <= _LONG:
        return cell
    return replace(cell, tone=f"{cell.tone} long".strip())


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

    element: ClassVar[str] = "picture"

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
