"""The picture of a rollback: what each layer group changes; needs the extra `plot`."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bertscape.figures.matplotlib_parts import Axes, Figure
from bertscape.readings.parts import NORMAL_95
from bertscape.results import Rollback, describe_failures

_PANEL = (4.4, 1.6)  # inches, before its groups
_ROW = 0.42  # inches a group
_WARNING = "#c00000"


class _Series(NamedTuple):
    label: str
    split: str  # as the names of numbers begin
    color: str  # blue and orange of Okabe and Ito, which the colour-blind tell apart
    marker: str
    offset: float  # rows, so that two dots of a group do not cover each other


_SERIES = (
    _Series("evaluation split", "eval", "#0072B2", "o", -0.12),
    _Series("training split", "train", "#E69F00", "s", 0.12),
)
CHANGES = {
    # Factor and label; an error that falls is an accuracy that rises.
    "error_change": (-100.0, "change of accuracy (percentage points)"),
    "loss_change": (1.0, "change of loss (nat)"),
}


def plot_rollback(rollback: Rollback) -> Figure:
    """Draw the change of accuracy and of loss against θ1, a row for each group put back.

    Dots are changes on either split, bars their 95 % intervals from paired differences. A group
    that was not evaluated, or whose change is not finite, has a cross at the left edge.
    """
    groups = rollback.groups[1:]
    size = (_PANEL[0] * len(CHANGES), _PANEL[1] + _ROW * len(groups))
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(1, len(CHANGES), sharey=True)
    for axes, what in zip(panels, CHANGES, strict=True):
        draw_changes(axes, rollback, what)
    panels[0].set_ylabel("put back to θ0")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    figure.suptitle(_title(rollback), fontsize="medium", parse_math=False)
    _warn(figure, rollback)
    return figure


def draw_changes(
    axes: Axes, rollback: Rollback, what: str, colors: tuple[str, str] | None = None
) -> None:
    """One panel: a change of both splits, a row for each group.

    Args:
        axes: to draw into.
        rollback: whole or with holes.
        what: one of `CHANGES`.
        colors: of the evaluation and the training split, other than the usual ones.
    """
    groups, (factor, label) = rollback.groups[1:], CHANGES[what]
    for place, series in enumerate(_SERIES):
        if colors is not None:
            series = series._replace(color=colors[place])
        name = f"{series.split}_{what}"
        stderr = abs(factor) * rollback[f"{name}_stderr"][1:]
        _dots(axes, series, factor * rollback[name][1:], stderr)
    axes.axvline(0, color="0.4", linewidth=0.9, zorder=1)
    axes.set_xlabel(label)
    axes.grid(visible=True, axis="x", linewidth=0.4, alpha=0.5)
    axes.set_yticks(np.arange(len(groups)), groups)
    axes.set_ylim(len(groups) - 0.5, -0.5)  # the first group on top


def _dots(
    axes: Axes, series: _Series, values: NDArray[np.float64], stderr: NDArray[np.float64]
) -> None:
    places = np.arange(len(values)) + series.offset
    finite = np.isfinite(values)
    axes.errorbar(
        values[finite],
        places[finite],
        # A single example has no standard error, and then no bar.
        xerr=NORMAL_95 * np.nan_to_num(stderr[finite]),
        fmt=series.marker,
        color=series.color,
        markersize=5,
        elinewidth=1.3,
        capsize=3,
        label=series.label,
        zorder=3,
    )
    lost = places[~finite]
    axes.plot(
        np.full(len(lost), 0.02),
        lost,
        "x",
        color=_WARNING,
        transform=axes.get_yaxis_transform(),
    )


def _title(rollback: Rollback) -> str:
    name = rollback.spec.name or "rollback"
    sizes = [f"{split.examples} {key}" for key, split in rollback.findings.splits.items()]
    lines = [name, f"against θ1, with 95 % intervals; {', '.join(sizes)} examples"]
    if not rollback.complete:
        lines.append(f"snapshot: {100 * rollback.evaluated.mean():.0f} % of points")
    return "\n".join(lines)


def _warn(figure: Figure, rollback: Rollback) -> None:
    """A failed self-check and a warning stand in the picture, in red."""
    failures = describe_failures(check.to_json() for check in rollback.self_checks)
    sentences = [*failures, *rollback.findings.warnings]
    if sentences:
        figure.supxlabel("\n".join(sentences), color=_WARNING, fontsize="small", wrap=True)
