"""Pictures of surfaces, in the manner of Hao et al. 2019; needs the extra `plot`.

Figures are made without pyplot, so that nothing here needs a display or changes global state.
"""

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from bertscape.figures.map_panel import color_bar, draw_legend, draw_map, inside, scale_of
from bertscape.figures.matplotlib_parts import Axes, Figure
from bertscape.figures.plot_words import (
    CHECKPOINTS,
    basin_label,
    summary,
    surface_title,
    value_name,
    x_label,
    y_label,
)
from bertscape.readings import basin_width
from bertscape.results import Surface, describe_failures
from bertscape.values import NUMBERS, InvalidInput, ProblemType, publishing

FORMATS = ("png", "svg", "pdf")
DEFAULT_VALUES = ("train_loss", "eval_error")

_PANEL = (5.2, 4.4)  # inches
_WARNING = "#c00000"


def plot_surface(surface: Surface, values: Sequence[str] = DEFAULT_VALUES) -> Figure:
    """Draw a surface as filled contours, or a curve as lines; one panel for each value.

    Args:
        surface: whole or with holes; holes are hatched, and the title says how much there is.
        values: names among the file's datasets, as in `("train_loss", "eval_error")`; a curve
            shows the standard error of each as a band.

    Raises:
        InvalidInput: there is no such value.
    """
    for value in values:
        _check_value(value)
    if not values:
        raise InvalidInput.of(ProblemType.INVALID_VALUE, "value", [], "at least one value")
    figure = _plot_curve(surface, values) if surface.beta is None else _plot_maps(surface, values)
    figure.suptitle(surface_title(surface), fontsize="medium", parse_math=False)
    _warn(figure, {"": surface})
    return figure


def plot_side_by_side(surfaces: Mapping[str, Surface], value: str = "train_loss") -> Figure:
    """Draw one value of several surfaces on one colour scale, with shared axes.

    Args:
        surfaces: by the title of their panel; all of kind `surface`.
        value: a name among the file's datasets.

    Raises:
        InvalidInput: there is no such value, no surface, or a curve among them.
    """
    _check_value(value)
    curves = [title for title, surface in surfaces.items() if surface.beta is None]
    if curves or not surfaces:
        raise InvalidInput.of(
            ProblemType.INVALID_VALUE, "surfaces", curves, "surfaces of kind surface"
        )
    scale = scale_of(value, list(surfaces.values()))
    size = (_PANEL[0] * 0.92 * len(surfaces) + 0.8, _PANEL[1] + 0.35)
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(1, len(surfaces), sharex=True, sharey=True, squeeze=False)[0]
    drawn = None
    for axes, (title, surface) in zip(panels, surfaces.items(), strict=True):
        drawn = draw_map(axes, surface, value, scale)
        axes.set_title(f"{title}\n{summary(surface)}", fontsize="medium", parse_math=False)
        axes.set_xlabel(x_label(surface))
    panels[0].set_ylabel(y_label(next(iter(surfaces.values()))))
    color_bar(figure, drawn, panels, scale).set_label(value_name(value))
    draw_legend(panels)
    _warn(figure, surfaces)
    return figure


def save_figure(figure: Figure, path: str | Path) -> None:
    """Write a figure as PNG, SVG or PDF, by the ending of `path`.

    Raises:
        InvalidInput: another ending.
        OSError: it could not be written.
    """
    kind = picture_format(Path(path))
    with publishing(Path(path)) as file, warnings.catch_warnings():
        # A name may hold letters that matplotlib's font lacks: they are drawn as boxes.
        warnings.filterwarnings("ignore", r"Glyph \d+ .* missing from font")
        figure.savefig(file, format=kind, dpi=150)


def picture_format(path: Path) -> str:
    """`png`, `svg` or `pdf`, by the ending of `path`; anything else is refused."""
    kind = path.suffix.lower().removeprefix(".")
    if kind not in FORMATS:
        raise InvalidInput.of(
            ProblemType.INVALID_VALUE, "-o", str(path), "a name that ends in .png, .svg or .pdf"
        )
    return kind


# --------------------------------------------------------------------------------------- maps


def _plot_maps(surface: Surface, values: Sequence[str]) -> Figure:
    size = (_PANEL[0] * len(values), _PANEL[1] + 0.3)
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(1, len(values), sharex=True, sharey=True, squeeze=False)[0]
    for axes, value in zip(panels, values, strict=True):
        scale = scale_of(value, [surface])
        drawn = draw_map(axes, surface, value, scale)
        color_bar(figure, drawn, [axes], scale)
        axes.set_title(value_name(value), fontsize="medium")
        axes.set_xlabel(x_label(surface))
    panels[0].set_ylabel(y_label(surface))
    draw_legend(panels)
    return figure


# ------------------------------------------------------------------------------------- curves


def _plot_curve(surface: Surface, values: Sequence[str]) -> Figure:
    size = (_PANEL[0] * 1.25, 2.5 * len(values) + 0.7)
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(len(values), 1, sharex=True, squeeze=False)[:, 0]
    for axes, value in zip(panels, values, strict=True):
        _curve(axes, surface, value)
        axes.set_ylabel(value_name(value), fontsize="small")
    panels[-1].set_xlabel(x_label(surface))
    return figure


def _curve(axes: Axes, surface: Surface, value: str) -> None:
    alpha, line = surface.alpha, surface[value]
    finite = np.isfinite(line)
    positive = line[finite & (line > 0)]
    if "loss" in value and positive.size and positive.max() > 50 * positive.min():
        axes.set_yscale("log")
    axes.plot(alpha[finite], line[finite], marker=".", markersize=4, linewidth=1.3, color="C0")
    if f"{value}_stderr" in NUMBERS:
        error = surface[f"{value}_stderr"]
        low = np.maximum(line - error, positive.min() / 2 if positive.size else 0)
        if axes.get_yscale() == "linear":
            low = line - error
        axes.fill_between(
            alpha[finite], low[finite], (line + error)[finite], alpha=0.25, color="C0", linewidth=0
        )
    missing = alpha[~finite]
    if missing.size:  # at the foot of the panel: no value, but a place
        axes.plot(
            missing,
            np.zeros_like(missing),
            "x",
            color=_WARNING,
            transform=axes.get_xaxis_transform(),
            clip_on=False,
            label="no finite value",
        )
    if value == "train_loss":
        threshold = basin_width(surface).threshold
        axes.axhline(
            threshold, color="black", linewidth=0.9, linestyle=":", label=basin_label(surface)
        )
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize=7)
    axes.set_xlim(alpha[0], alpha[-1])
    axes.grid(visible=True, linewidth=0.4, alpha=0.5)
    _mark_places(axes, surface)


def _mark_places(axes: Axes, surface: Surface) -> None:
    for check in surface.self_checks:
        if not inside(surface, check.alpha, 0.0) or check.beta != 0:
            continue
        axes.axvline(check.alpha, color="0.3", linewidth=0.9, linestyle="--")
        axes.annotate(
            CHECKPOINTS.get(check.checkpoint, check.checkpoint),
            (check.alpha, 1.0),
            xycoords=("data", "axes fraction"),
            xytext=(3, -11),
            textcoords="offset points",
            weight="bold",
        )


# --------------------------------------------------------------------------------------- words


def _check_value(value: str) -> None:
    if value not in NUMBERS:
        raise InvalidInput.of(
            ProblemType.INVALID_VALUE, "value", value, f"one of {', '.join(NUMBERS)}"
        )


def _sentences(surface: Surface) -> list[str]:
    failures = describe_failures(check.to_json() for check in surface.self_checks)
    return [*failures, *surface.findings.warnings]


def _warn(figure: Figure, surfaces: Mapping[str, Surface]) -> None:
    """A failed self-check and a warning stand in the picture, in red."""
    sentences = [
        f"{title}: {sentence}" if title else sentence
        for title, surface in surfaces.items()
        for sentence in _sentences(surface)
    ]
    if sentences:
        figure.supxlabel("\n".join(sentences), color=_WARNING, fontsize="small", wrap=True)
