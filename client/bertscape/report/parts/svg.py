"""Figures as SVG: text as text, heat maps as images inside; alone, or as part of the page."""

import io
import re
from contextlib import AbstractContextManager
from typing import Any

from bertscape.figures import Figure, rc_context
from bertscape.report.parts.theme import GRID, INK, MUTED, VARIABLES

_DPI = 160  # of heat maps, and of PNG
_SETTINGS: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "bertscape",  # equal figures have equal bytes
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],  # measured with; the page's own font is narrower
    "font.size": 8.5,
    "axes.titlesize": 9.0,
    "axes.labelsize": 8.5,
    "axes.facecolor": "none",
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.linewidth": 0.6,
    "axes.unicode_minus": True,
    "text.color": INK,
    "text.parse_math": False,  # names are the user's: a $ in them is a $
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "grid.color": GRID,
    "grid.linewidth": 0.5,
    "hatch.linewidth": 0.5,
    "legend.fontsize": 7.5,
    "legend.frameon": False,
}
_WITHOUT_DATE = {"Date": None, "Creator": None}


def settings() -> AbstractContextManager[None]:
    """The look of all pictures, inside a `with`; outside, matplotlib stays as it was."""
    return rc_context(_SETTINGS)


def svg_bytes(figure: Figure) -> bytes:
    """A file of its own, on white."""
    file = io.BytesIO()
    figure.savefig(file, format="svg", dpi=_DPI, facecolor="white", metadata=_WITHOUT_DATE)
    return file.getvalue()


def png_bytes(figure: Figure) -> bytes:
    """The same as an image."""
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=_DPI, facecolor="white", metadata={"Software": None})
    return file.getvalue()


def inline_svg(figure: Figure, name: str, label: str) -> str:
    """An element for the page, without background, its colours the page's.

    Args:
        figure: drawn within `settings`.
        name: stands before each id, so that no two pictures of a page share one.
        label: what it shows, escaped already.
    """
    file = io.StringIO()
    figure.savefig(file, format="svg", dpi=_DPI, facecolor="none", metadata=_WITHOUT_DATE)
    text = file.getvalue()
    for pattern, replacement in (
        (r"\A.*?(?=<svg)", ""),  # what belongs to a file of its own
        (r"<metadata>.*?</metadata>\s*", ""),
        (r"<style.*?</style>\s*", ""),
        (r"(<svg[^>]*?) width=\"[^\"]*\" height=\"[^\"]*\"", r"\1"),  # as wide as there is room
        (r"(\bid=\"|url\(#|href=\"#)", rf"\g<1>{name}-"),
        (r"font-family: 'DejaVu Sans'[^;\"]*", "font-family: var(--sans)"),
    ):
        text = re.sub(pattern, replacement, text, flags=re.DOTALL)
    for color, variable in VARIABLES.items():
        text = text.replace(color, f"var({variable})")
    return text.replace("<svg", f'<svg role="img" aria-label="{label}"', 1)
