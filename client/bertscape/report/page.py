"""A report as one HTML file that opens without a network: nothing in it is fetched."""

import json
from collections.abc import Callable, Iterator
from html import escape
from importlib.resources import files
from typing import Any

from bertscape.report.parts import (
    Block,
    Cell,
    Code,
    Page,
    Panel,
    Picture,
    Section,
    Table,
    Text,
)

DrawPanel = Callable[[str, Panel], str]  # (name of the picture, panel) to an <svg> element

_SHORT = 14  # rows of a table that stays on one page
_LONG = 20  # characters of a row's name that may break into lines
_PAPER = "https://arxiv.org/abs/1908.05620"


def html(page: Page, numbers: dict[str, Any], draw: DrawPanel) -> str:
    """The whole file.

    Args:
        page: its text, which is escaped here.
        numbers: embedded as JSON; no NaN among them.
        draw: makes the element of each panel.
    """
    style = files("bertscape.report").joinpath("style.css").read_text(encoding="utf-8")
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en">',
            "<head>",
            '<meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="color-scheme" content="light dark">',
            '<link rel="icon" href="data:,">',
            f"<title>{escape(page.title)}</title>",
            f"<style>\n{style}</style>",
            "</head>",
            "<body>",
            _contents(page),
            "<main>",
            *_main(page, draw),
            _FOOT,
            "</main>",
            _embedded(numbers),
            "</body>",
            "</html>",
            "",
        ]
    )


_FOOT = (
    f'<footer><p>Made by bertscape after <a href="{_PAPER}">Hao, Dong, Wei and Xu, “Visualizing '
    "and Understanding the Effectiveness of BERT”, EMNLP 2019</a>. All numbers of this page, to "
    "the last digit, are in it as JSON: the element <code>#numbers</code>.</p></footer>"
)


def _embedded(numbers: dict[str, Any]) -> str:
    text = json.dumps(numbers, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    # Nothing in a script element may look like its end.
    text = text.replace("<", "\\u003c")
    return f'<script type="application/json" id="numbers">{text}</script>'


def _contents(page: Page) -> str:
    items = (
        f'<li><a href="#{escape(section.name)}">{escape(section.title)}</a></li>'
        for section in page.sections
    )
    return f'<nav aria-label="Contents"><ol>{"".join(items)}</ol></nav>'


def _main(page: Page, draw: DrawPanel) -> Iterator[str]:
    yield f"<header><h1>{escape(page.title)}</h1>"
    yield from (_block(block, draw) for block in page.lead)
    yield "</header>"
    for section in page.sections:
        yield from _section(section, draw)


def _section(section: Section, draw: DrawPanel) -> Iterator[str]:
    yield f'<section id="{escape(section.name)}">'
    yield f"<h2>{escape(section.title)}</h2>"
    yield from (_block(block, draw) for block in section.blocks)
    yield "</section>"


def _block(block: Block, draw: DrawPanel) -> str:
    match block:
        case Text(text, tone):
            attribute = f' class="{tone}"' if tone else ""
            return f"<p{attribute}>{escape(text)}</p>"
        case Code(text):
            return f"<pre>{escape(text)}</pre>"
        case Table():
            return _table(block)
        case Picture():
            return _picture(block, draw)


def _table(table: Table) -> str:
    kind = "numbers" if table.numeric else "words"
    head = "".join(f'<th scope="col">{escape(text)}</th>' for text in table.head)
    rows = "\n".join(f"<tr>{''.join(_cells(table.head, row))}</tr>" for row in table.rows)
    place = "table short" if len(table.rows) <= _SHORT else "table"
    # A caption element would be as narrow as the table.
    return (
        f'<figure class="{place}"><figcaption>{_caption(table)}</figcaption>'
        f'<div class="scroll" tabindex="0"><table class="{kind}">\n'
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{rows}\n</tbody></table></div></figure>"
    )


def _caption(block: Table | Picture) -> str:
    caption = escape(block.caption)
    if block.paper:
        caption += f' <span class="paper">In the paper: {escape(block.paper)}.</span>'
    return caption


def _cells(head: tuple[str, ...], row: tuple[str | Cell, ...]) -> Iterator[str]:
    for index, (name, cell) in enumerate(zip(head, row, strict=True)):
        text, tone = (cell.text, cell.tone) if isinstance(cell, Cell) else (cell, "")
        if index == 0 and len(text) > _LONG:
            tone = f"{tone} long".strip()
        attribute = f' class="{tone}"' if tone else ""
        if index == 0:
            yield f'<th scope="row"{attribute}>{escape(text)}</th>'
        else:
            # Where there is no room for a head, each cell says its own.
            yield f'<td{attribute} data-head="{escape(name)}">{escape(text)}</td>'


def _picture(picture: Picture, draw: DrawPanel) -> str:
    panels = "".join(
        f'<div class="panel">{draw(picture.name, panel)}</div>' for panel in picture.panels
    )
    return (
        f'<figure id="{escape(picture.name)}"><div class="panels">{panels}</div>'
        f"<figcaption>{_caption(picture)}</figcaption></figure>"
    )
