"""What the sections of a report are made of: blocks, figures, the text of numbers, words."""

from bertscape.report.parts.blocks import (
    BY_EYE,
    NO_COUNTERPART,
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
from bertscape.report.parts.figures import (
    Series,
    curve_panel,
    figure_of,
    line_panel,
    look_of,
    map_panel,
    rollback_panel,
)
from bertscape.report.parts.number_text import mean_rise, number, with_error, with_interval
from bertscape.report.parts.study_parts import gaps, groups_of, landscapes, of_task
from bertscape.report.parts.svg import inline_svg, png_bytes, settings, svg_bytes
from bertscape.report.parts.words import LONGER, slug, start_words

__all__ = [
    "BY_EYE",
    "LONGER",
    "NO_COUNTERPART",
    "Block",
    "Cell",
    "Code",
    "Page",
    "Panel",
    "Picture",
    "Section",
    "Series",
    "Table",
    "Text",
    "curve_panel",
    "figure_of",
    "gaps",
    "groups_of",
    "inline_svg",
    "landscapes",
    "line_panel",
    "look_of",
    "map_panel",
    "mean_rise",
    "number",
    "of_task",
    "png_bytes",
    "rollback_panel",
    "settings",
    "slug",
    "start_words",
    "svg_bytes",
    "with_error",
    "with_interval",
]
