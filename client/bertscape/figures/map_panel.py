"""One panel of a surface: contours, the trajectory and the checkpoints; needs the extra `plot`."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bertscape.figures.color_scale import ColorScale, error_scale, loss_scale
from bertscape.figures.matplotlib_parts import (
    Axes,
    Colorbar,
    Figure,
    LogNorm,
    Normalize,
    ScalarMappable,
    contourpy,
    withStroke,
)
from bertscape.figures.plot_words import CHECKPOINTS, basin_label
from bertscape.readings import basin_width
from bertscape.readings.shown import drawn_places
from bertscape.results import Surface

_COLORS = "viridis"  # even in lightness: the same picture in grey, and for the colour-blind
_HALO = [withStroke(linewidth=2.5, foreground="black")]
_MOST_PIECES = 4  # of one contour line
_LABEL_OFFSETS = {"θ0": (-11, -11), "θ1": (13, -11), "θ2": (11, 11)}  # clear of the line
_MARKERS = {"θ0": "o", "θ1": "*", "θ2": "s"}


def draw_map(axes: Axes, surface: Surface, value: str, scale: ColorScale) -> Any:
    """One panel; returns what a colour bar needs, or None if nothing is finite."""
    alpha, beta = surface.alpha, surface.beta
    if beta is None:
        raise ValueError("a curve has no map")
    axes.patch.set(facecolor="0.85", edgecolor="0.7", hatch="///")
    values = np.ma.masked_where(surface.evaluated == 0, scale.clipped(surface[value]))
    drawn = None
    if not values.count():
        axes.text(0.5, 0.5, "no finite value", transform=axes.transAxes, ha="center", va="center")
    elif surface.complete:
        drawn = _contours(axes, alpha, beta, values, scale)
        if value == "train_loss":
            _draw_basin_edge(axes, surface)
    else:  # a thin snapshot has no neighbours to draw contours between: a cell for each point
        drawn = axes.pcolormesh(
            alpha, beta, values, cmap=_COLORS, norm=_norm(scale), shading="nearest"
        )
    margin = 0.0 if surface.complete else 0.5  # half a cell
    axes.set(xlim=_ends(alpha, margin), ylim=_ends(beta, margin))
    _draw_trajectory(axes, surface)
    _mark_checkpoints(axes, surface)
    return drawn


def _ends(axis: NDArray[np.float64], margin: float) -> tuple[float, float]:
    step = float(axis[1] - axis[0])
    return float(axis[0]) - margin * step, float(axis[-1]) + margin * step


def _contours(axes: Axes, alpha: Any, beta: Any, values: Any, scale: ColorScale) -> Any:
    filled = axes.contourf(
        alpha,
        beta,
        values,
        levels=scale.levels,
        norm=_norm(scale),
        cmap=_COLORS,
        extend=scale.extend,
    )
    generator = contourpy.contour_generator(alpha, beta, values)
    # A line that falls into many pieces only traces the noise of a plateau.
    whole = [line for line in scale.lines if 0 < len(generator.lines(line)) <= _MOST_PIECES]
    if whole:
        lines = axes.contour(
            alpha, beta, values, levels=whole, colors="white", linewidths=0.7, alpha=0.8
        )
        axes.clabel(lines, fmt="%g", fontsize=7, inline=True, inline_spacing=2)
    return filled


def _draw_basin_edge(axes: Axes, surface: Surface) -> None:
    """The line that `basin_width` measures between."""
    threshold = basin_width(surface).threshold
    loss = np.ma.masked_invalid(np.minimum(surface.train_loss, 1e300))
    if not loss.count() or not loss.min() < threshold < loss.max():
        return
    style: dict[str, Any] = {"colors": "black", "linewidths": 1.4, "linestyles": "dashed"}
    axes.contour(surface.alpha, surface.beta, loss, levels=[threshold], **style)
    label = basin_label(surface)
    axes.plot([], [], color="black", linewidth=1.4, linestyle="dashed", label=label)


def _norm(scale: ColorScale) -> Normalize:
    if scale.logarithmic:
        return LogNorm(scale.levels[0], scale.levels[-1], clip=True)
    return Normalize(scale.levels[0], scale.levels[-1], clip=True)


def color_bar(figure: Figure, drawn: Any, panels: Any, scale: ColorScale) -> Colorbar:
    """The scale beside the panels that share it."""
    # Where no panel has a finite value, the scale alone is shown.
    shown = drawn or ScalarMappable(_norm(scale), _COLORS)
    bar = figure.colorbar(shown, ax=list(panels), ticks=scale.lines, format="%g", pad=0.02)
    bar.ax.minorticks_off()
    return bar


def draw_legend(panels: Sequence[Axes]) -> None:
    """One legend, in the first panel, of what any panel shows."""
    shown: dict[str, Any] = {}
    for axes in panels:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            shown.setdefault(label, handle)
    if shown:
        handles, labels = list(shown.values()), list(shown)
        legend = panels[0].legend(
            handles, labels, loc="lower left", fontsize=7, framealpha=1, facecolor="0.75"
        )
        legend.set_zorder(6)


def _draw_trajectory(axes: Axes, surface: Surface) -> None:
    found = surface.trajectory
    if found is None:
        return
    places, is_papers = drawn_places(surface, found)
    axes.plot(
        *places,
        color="white",
        linewidth=1.3,
        marker=".",
        markersize=5,
        path_effects=_HALO,
        label="trajectory" if is_papers else "trajectory (least squares)",
        zorder=3,
    )


def _mark_checkpoints(axes: Axes, surface: Surface) -> None:
    """θ0, θ1 and θ2, where they lie within the picture."""
    for check in surface.self_checks:
        if not inside(surface, check.alpha, check.beta):
            continue
        name = CHECKPOINTS.get(check.checkpoint, check.checkpoint)
        axes.plot(
            check.alpha,
            check.beta,
            marker=_MARKERS.get(name, "o"),
            markersize=13 if name == "θ1" else 8,
            markerfacecolor="white",
            markeredgecolor="black",
            linestyle="none",
            clip_on=False,
            zorder=4,
        )
        axes.annotate(
            name,
            (check.alpha, check.beta),
            xytext=_LABEL_OFFSETS.get(name, (8, 8)),
            textcoords="offset points",
            ha="center",
            va="center",
            color="white",
            weight="bold",
            path_effects=_HALO,
            zorder=5,
        )


def inside(surface: Surface, alpha: float, beta: float) -> bool:
    """Whether a place lies on the grid."""
    rows = surface.beta
    within = bool(surface.alpha[0] <= alpha <= surface.alpha[-1])
    return within and (rows is None or bool(rows[0] <= beta <= rows[-1]))


def scale_of(value: str, surfaces: Sequence[Surface]) -> ColorScale:
    """One scale for this value of all these surfaces."""
    values = np.concatenate([surface[value].ravel() for surface in surfaces])
    return loss_scale(values) if "loss" in value else error_scale(values)
