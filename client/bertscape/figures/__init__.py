"""Pictures of results by matplotlib, which the extra `plot` brings.

Touches `results`, `readings` and what is below them. It reads no file and asks no service.
"""

from bertscape.figures.color_scale import ColorScale
from bertscape.figures.map_panel import color_bar, draw_map, scale_of
from bertscape.figures.matplotlib_parts import Axes, Figure, MaxNLocator, rc_context
from bertscape.figures.plot import (
    DEFAULT_VALUES,
    picture_format,
    plot_side_by_side,
    plot_surface,
    save_figure,
)
from bertscape.figures.plot_words import CHECKPOINTS, group_words, value_name, x_label, y_label
from bertscape.figures.rollback_plot import CHANGES, draw_changes, plot_rollback

__all__ = [
    "CHANGES",
    "CHECKPOINTS",
    "DEFAULT_VALUES",
    "Axes",
    "ColorScale",
    "Figure",
    "MaxNLocator",
    "color_bar",
    "draw_changes",
    "draw_map",
    "group_words",
    "picture_format",
    "plot_rollback",
    "plot_side_by_side",
    "plot_surface",
    "rc_context",
    "save_figure",
    "scale_of",
    "value_name",
    "x_label",
    "y_label",
]
