"""The panels of a report: what each draws into a pair of axes; needs the extra `plot`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bertscape.figures import (
    CHANGES,
    CHECKPOINTS,
    Axes,
    ColorScale,
    Figure,
    MaxNLocator,
    color_bar,
    draw_changes,
    draw_map,
    value_name,
    x_label,
    y_label,
)
from bertscape.readings.parts import NORMAL_95
from bertscape.report.parts.blocks import Panel
from bertscape.report.parts.theme import LINES, MARKERS, MUTED, SERIES, WARNING
from bertscape.report.parts.words import start_words
from bertscape.results import Rollback, Surface
from bertscape.study import SCRATCH

_WHOLE = ("optimizer step", "epochs")  # what is counted in whole numbers
_SPREAD = 50  # a loss whose largest value is so many times its smallest has a logarithmic axis


@dataclass(frozen=True, slots=True)
class Series:
    """One line: values over x, with standard errors if they are known."""

    label: str
    x: NDArray[np.float64]  # (n,)
    y: NDArray[np.float64]  # (n,)
    stderr: NDArray[np.float64] | None = None  # (n,)
    look: int = 0  # which colour, dash and marker


def look_of(start: str) -> int:
    """The same for one start in every picture."""
    return int(start == SCRATCH)


def map_panel(name: str, title: str, surface: Surface, value: str, scale: ColorScale) -> Panel:
    """Contours of one value, with the trajectory and θ0, θ1, θ2; × where a value is not finite."""

    def draw(figure: Figure, axes: Axes) -> None:
        drawn = draw_map(axes, surface, value, scale)
        if drawn is not None:
            drawn.set_rasterized(True)
        _mark_lost(axes, surface, value)
        bar = color_bar(figure, drawn, [axes], scale)
        bar.outline.set_visible(False)
        bar.set_label(value_name(value))
        axes.set(xlabel=x_label(surface), ylabel=y_label(surface))

    return Panel(name, title, f"{title}: {_extremes(surface, value)}", draw)


def _mark_lost(axes: Axes, surface: Surface, value: str) -> None:
    rows, columns = np.nonzero((surface.evaluated == 1) & ~np.isfinite(surface[value]))
    if len(rows) and surface.beta is not None:
        axes.plot(surface.alpha[columns], surface.beta[rows], "x", color=WARNING, markersize=4)


def _extremes(surface: Surface, value: str) -> str:
    """A map in words: its lowest and its highest value, and where they lie."""
    values = np.where(np.isfinite(surface[value]), surface[value], np.nan)
    if np.isnan(values).all() or surface.beta is None:
        return f"a map of the {value_name(value)} without a finite value"
    places = []
    for index in (np.nanargmin(values), np.nanargmax(values)):
        row, column = np.unravel_index(index, values.shape)
        at = f"α = {surface.alpha[column]:.3g}, β = {surface.beta[row]:.3g}"
        places.append(f"{values[row, column]:.3g} at {at}")
    return f"a map of the {value_name(value)}, lowest {places[0]}, highest {places[1]}"


def curve_panel(name: str, title: str, curves: Mapping[str, Surface], value: str) -> Panel:
    """One value along δ1, a line for each start on shared axes, bands of the 95 % intervals."""
    lines = [
        Series(start_words(start), one.alpha, one[value], one[f"{value}_stderr"], look_of(start))
        for start, one in curves.items()
    ]

    def finish(axes: Axes) -> None:
        for place, label in ((0.0, CHECKPOINTS["pretrained"]), (1.0, CHECKPOINTS["finetuned"])):
            _mark_place(axes, place, label)

    return line_panel(
        name, title, lines, ("α, along each run's own δ1 = θ1 − θ0", value_name(value)), finish
    )


def _mark_place(axes: Axes, place: float, label: str) -> None:
    low, high = axes.get_xlim()
    if low <= place <= high:
        axes.axvline(place, color=MUTED, linewidth=0.7, linestyle=(0, (1, 2)), zorder=1)
        axes.annotate(
            label, (place, 1), xycoords=("data", "axes fraction"), xytext=(0, 2),
            textcoords="offset points", ha="center", color=MUTED,
        )  # fmt: skip


def line_panel(
    name: str,
    title: str,
    series: Sequence[Series],
    labels: tuple[str, str],
    finish: Any = None,
    bars: bool = False,
) -> Panel:
    """Lines that differ in colour, dash and marker.

    Args:
        name: of the panel's file.
        title: above it.
        series: those of one look cannot be told apart.
        labels: of the x and the y axis, with units.
        finish: draws on top, once the limits stand.
        bars: 95 % intervals as bars instead of bands.
    """

    def draw(_: Figure, axes: Axes) -> None:
        if _logarithmic(series, labels[1]):
            axes.set_yscale("log")
            axes.yaxis.set_major_formatter("{x:g}")
            axes.yaxis.set_minor_formatter("")
        for one in series:
            _draw_line(axes, one, one.look % len(SERIES), bars)
        axes.set(xlabel=labels[0], ylabel=labels[1])
        if labels[0] in _WHOLE:
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(visible=True)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
        if finish is not None:
            finish(axes)
        _legend_below(axes, [one.label for one in series])

    return Panel(name, title, f"{title}: {_in_words(series, labels)}", draw, (4.3, 3.4))


def _legend_below(axes: Axes, labels: Sequence[str], place: float = -0.17) -> None:
    """In this order: matplotlib would put those with error bars last."""
    handles = dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
    there = [label for label in labels if label in handles]
    axes.legend(
        [handles[label] for label in there], there,
        loc="upper center", bbox_to_anchor=(0.5, place), ncols=2, handlelength=3,
    )  # fmt: skip


def _logarithmic(series: Sequence[Series], label: str) -> bool:
    values = np.concatenate([one.y for one in series]) if series else np.zeros(0)
    positive = values[np.isfinite(values) & (values > 0)]
    return bool("nat" in label and positive.size and positive.max() > _SPREAD * positive.min())


def _draw_line(axes: Axes, one: Series, index: int, bars: bool) -> None:
    color, finite = SERIES[index], np.isfinite(one.y)
    style: dict[str, Any] = {
        "color": color, "linestyle": LINES[index], "linewidth": 1.2,
        "marker": MARKERS[index], "markersize": 2.6, "label": one.label,
    }  # fmt: skip
    x, y = one.x[finite], one.y[finite]
    if one.stderr is None:
        axes.plot(x, y, **style)
    else:
        up = NORMAL_95 * np.nan_to_num(one.stderr[finite])
        # A logarithmic axis has no place for 0, nor for what lies below.
        down = np.minimum(up, 0.9 * np.abs(y)) if axes.get_yscale() == "log" else up
        if bars:
            axes.errorbar(x, y, np.stack([down, up]), capsize=1.5, elinewidth=0.7, **style)
        else:
            axes.plot(x, y, **style)
            axes.fill_between(x, y - down, y + up, color=color, alpha=0.18, lw=0)
    lost = one.x[~finite]
    if len(lost):  # at the foot: a place without a value
        transform = axes.get_xaxis_transform()
        axes.plot(lost, np.full(len(lost), 0.02 + 0.03 * index), "x", color=color,
                  markersize=4, transform=transform)  # fmt: skip


def _in_words(series: Sequence[Series], labels: tuple[str, str]) -> str:
    words = []
    for one in series:
        finite = np.isfinite(one.y)
        if not finite.any():
            words.append(f"{one.label}, no finite value")
            continue
        x, y = one.x[finite], one.y[finite]
        low = int(np.argmin(y))
        words.append(
            f"{one.label}, from {y[0]:.3g} to {y[-1]:.3g}, lowest {y[low]:.3g} at {x[low]:.3g}"
        )
    return f"{labels[1]} over {labels[0]}; {'; '.join(words)}"


def rollback_panel(name: str, title: str, rollback: Rollback, what: str) -> Panel:
    """One change of both splits, a row for each group put back; `what` is one of `CHANGES`."""

    def draw(_: Figure, axes: Axes) -> None:
        draw_changes(axes, rollback, what, SERIES[2:])  # other than those of the starts
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.tick_params(axis="y", length=0)
        labels = [f"{split} split" for split in ("evaluation", "training")]
        _legend_below(axes, labels, -0.5 / (height - 1.2))  # half an inch below the axes

    height = 1.25 + 0.42 * len(rollback.groups)  # inches
    factor, label = CHANGES[what]
    changes = zip(rollback.groups, factor * rollback[f"eval_{what}"], strict=True)
    words = "; ".join(f"{group}, {change:.3g}" for group, change in list(changes)[1:])
    alt = f"{title}: {label} on the evaluation split; {words}"
    return Panel(name, title, alt, draw, (4.3, height))


def figure_of(panels: Sequence[Panel], columns: int = 3) -> Figure:
    """A new figure with these panels side by side; call it within `svg.settings`."""
    across = min(columns, len(panels))
    down = -(-len(panels) // across)
    width, height = panels[0].size
    figure = Figure(figsize=(width * across, height * down), layout="constrained")
    places = figure.subplots(down, across, squeeze=False).ravel()
    for axes, panel in zip(places, panels, strict=False):
        panel.draw(figure, axes)
        axes.set_title(panel.title, loc="left", weight="bold")
    for axes in places[len(panels) :]:
        axes.set_axis_off()
    return figure
