"""Pictures of surfaces, in the manner of Hao et al. 2019; needs the extra `plot`.

Figures are made without pyplot, so that nothing here needs a display or changes global state.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bertscape.color_scale import ColorScale, error_scale, loss_scale
from bertscape.errors import InvalidInput, MissingExtra, Problem, ProblemType
from bertscape.findings import NUMBERS
from bertscape.publish import publishing
from bertscape.readings.basin import basin_width
from bertscape.self_checks import describe_failures
from bertscape.spec import FINETUNED, Direction
from bertscape.surface import Surface

try:
    import contourpy  # comes with matplotlib
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable
    from matplotlib.colorbar import Colorbar
    from matplotlib.colors import LogNorm, Normalize
    from matplotlib.figure import Figure
    from matplotlib.patheffects import withStroke
except ImportError as error:
    raise MissingExtra(
        Problem(
            ProblemType.UNAVAILABLE,
            "drawing needs matplotlib: pip install 'bertscape[plot]'",
        )
    ) from error

FORMATS = ("png", "svg", "pdf")
DEFAULT_VALUES = ("train_loss", "eval_error")

_COLORS = "viridis"  # even in lightness: the same picture in grey, and for the colour-blind
_HALO = [withStroke(linewidth=2.5, foreground="black")]
_PANEL = (5.2, 4.4)  # inches
_MOST_PIECES = 4  # of one contour line
_WARNING = "#c00000"
_NAMES = {
    "train_loss": "training loss (nat)",
    "train_error": "training error (1 − accuracy)",
    "eval_loss": "evaluation loss (nat)",
    "eval_error": "generalization error (1 − accuracy)",
}
_CHECKPOINTS = {"pretrained": "θ0", "finetuned": "θ1", "toward": "θ2"}
_LABEL_OFFSETS = {"θ0": (-11, -11), "θ1": (13, -11), "θ2": (11, 11)}  # clear of the line
_MARKERS = {"θ0": "o", "θ1": "*", "θ2": "s"}


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
    figure.suptitle(_title(surface), fontsize="medium")
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
    scale = _scale(value, list(surfaces.values()))
    size = (_PANEL[0] * 0.92 * len(surfaces) + 0.8, _PANEL[1] + 0.35)
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(1, len(surfaces), sharex=True, sharey=True, squeeze=False)[0]
    drawn = None
    for axes, (title, surface) in zip(panels, surfaces.items(), strict=True):
        drawn = _map(axes, surface, value, scale)
        axes.set_title(f"{title}\n{_summary(surface)}", fontsize="medium")
        axes.set_xlabel(_x_label(surface))
    panels[0].set_ylabel(_y_label(next(iter(surfaces.values()))))
    _color_bar(figure, drawn, panels, scale).set_label(_name(value))
    _legend(panels)
    _warn(figure, surfaces)
    return figure


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure as PNG, SVG or PDF, by the ending of `path`.

    Raises:
        InvalidInput: another ending.
        OSError: it could not be written.
    """
    kind = picture_format(path)
    with publishing(path) as file:
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
        scale = _scale(value, [surface])
        drawn = _map(axes, surface, value, scale)
        _color_bar(figure, drawn, [axes], scale)
        axes.set_title(_name(value), fontsize="medium")
        axes.set_xlabel(_x_label(surface))
    panels[0].set_ylabel(_y_label(surface))
    _legend(panels)
    return figure


def _map(axes: Axes, surface: Surface, value: str, scale: ColorScale) -> Any:
    """One panel; returns what a colour bar needs, or None where nothing is finite."""
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
    label = _basin_label(surface)
    axes.plot([], [], color="black", linewidth=1.4, linestyle="dashed", label=label)


def _basin_label(surface: Surface) -> str:
    classes, threshold = surface.findings.classes, basin_width(surface).threshold
    return f"edge of the basin: ½ ln {classes} = {threshold:.3f}"


def _norm(scale: ColorScale) -> Normalize:
    if scale.logarithmic:
        return LogNorm(scale.levels[0], scale.levels[-1], clip=True)
    return Normalize(scale.levels[0], scale.levels[-1], clip=True)


def _color_bar(figure: Figure, drawn: Any, panels: Any, scale: ColorScale) -> Colorbar:
    # Where no panel has a finite value, the scale alone is shown.
    shown = drawn or ScalarMappable(_norm(scale), _COLORS)
    bar = figure.colorbar(shown, ax=list(panels), ticks=scale.lines, format="%g", pad=0.02)
    bar.ax.minorticks_off()
    return bar


def _legend(panels: Sequence[Axes]) -> None:
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
    """In the paper's projection where it is defined at each checkpoint, else least squares."""
    found = surface.trajectory
    if found is None:
        return
    paper = np.array([found.alpha, found.beta], dtype=np.float64)
    least_squares = np.array([found.alpha_lsq, found.beta_lsq], dtype=np.float64)
    defined = bool(np.isfinite(paper).all())
    axes.plot(
        *(paper if defined else least_squares),
        color="white",
        linewidth=1.3,
        marker=".",
        markersize=5,
        path_effects=_HALO,
        label="trajectory" if defined else "trajectory (least squares)",
        zorder=3,
    )


def _mark_checkpoints(axes: Axes, surface: Surface) -> None:
    """θ0, θ1 and θ2, where they lie within the picture."""
    for check in surface.self_checks:
        if not _inside(surface, check.alpha, check.beta):
            continue
        name = _CHECKPOINTS.get(check.checkpoint, check.checkpoint)
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


def _inside(surface: Surface, alpha: float, beta: float) -> bool:
    rows = surface.beta
    within = bool(surface.alpha[0] <= alpha <= surface.alpha[-1])
    return within and (rows is None or bool(rows[0] <= beta <= rows[-1]))


# ------------------------------------------------------------------------------------- curves


def _plot_curve(surface: Surface, values: Sequence[str]) -> Figure:
    size = (_PANEL[0] * 1.25, 2.5 * len(values) + 0.7)
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(len(values), 1, sharex=True, squeeze=False)[:, 0]
    for axes, value in zip(panels, values, strict=True):
        _curve(axes, surface, value)
        axes.set_ylabel(_name(value), fontsize="small")
    panels[-1].set_xlabel(_x_label(surface))
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
            threshold, color="black", linewidth=0.9, linestyle=":", label=_basin_label(surface)
        )
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize=7)
    axes.set_xlim(alpha[0], alpha[-1])
    axes.grid(visible=True, linewidth=0.4, alpha=0.5)
    _mark_places(axes, surface)


def _mark_places(axes: Axes, surface: Surface) -> None:
    for check in surface.self_checks:
        if not _inside(surface, check.alpha, 0.0) or check.beta != 0:
            continue
        axes.axvline(check.alpha, color="0.3", linewidth=0.9, linestyle="--")
        axes.annotate(
            _CHECKPOINTS.get(check.checkpoint, check.checkpoint),
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


def _name(value: str) -> str:
    """What a value is called in a picture, with its unit."""
    name = _NAMES.get(value.removesuffix("_stderr"), value)
    return f"{name}, standard error" if value.endswith("_stderr") else name


def _scale(value: str, surfaces: Sequence[Surface]) -> ColorScale:
    values = np.concatenate([surface[value].ravel() for surface in surfaces])
    return loss_scale(values) if "loss" in value else error_scale(values)


def _title(surface: Surface) -> str:
    findings = surface.findings
    name = surface.spec.name or f"{surface.spec.kind} of {Path(_source(surface)).name}"
    sizes = ", ".join(f"{split.examples} {key}" for key, split in findings.splits.items())
    lines = [name, f"{_summary(surface)}; {sizes} examples"]
    if findings.cosine is not None:
        lines[-1] += f"; cos(δ1, δ2) = {findings.cosine:.3f}"
    if not surface.spec.layers.is_all:
        lines.append(f"moving: {_group(surface)} alone, from {_CHECKPOINTS[surface.spec.origin]}")
    return "\n".join(lines)


def _source(surface: Surface) -> str:
    found = surface.findings.checkpoints.get("finetuned")
    return found.source if found else "a checkpoint"


def _summary(surface: Surface) -> str:
    if not surface.complete:
        return f"snapshot: {100 * surface.evaluated.mean():.0f} % of points"
    return f"basin width: {basin_width(surface)}"


def _x_label(surface: Surface) -> str:
    direction = surface.spec.x
    what = "δ1 = θ1 − θ0" if direction.toward == FINETUNED else "toward a checkpoint"
    if direction.toward is None:
        what = _no_checkpoint(direction)
    return f"α  ({what}{_where(surface)})"


def _y_label(surface: Surface) -> str:
    direction, group = surface.spec.y, not surface.spec.layers.is_all
    what = "δ2, toward θ2" if group else "δ2, toward θ2, of the length of δ1"
    if direction is not None and direction.toward is None:
        what = f"δ2, a {_no_checkpoint(direction)}"
    return f"β  ({what}{_where(surface)})"


def _no_checkpoint(direction: Direction) -> str:
    if direction.random is not None:
        return "random direction"
    return f"principal component, number {direction.component}"


def _where(surface: Surface) -> str:
    """The layer group and the origin, as the end of a label; empty for all layers from θ0."""
    origin = f", from {_CHECKPOINTS[surface.spec.origin]}"
    if surface.spec.layers.is_all:
        return origin if surface.spec.origin == FINETUNED else ""
    return f", in {_group(surface)}{origin}"


def _group(surface: Surface) -> str:
    """What moves, in words, as in "layers 4–5"; encoder layers are counted from 0."""
    found = surface.findings.group
    if found is None or found.layers is None:
        return f"the {surface.spec.layers.to_json()}"
    first, last = found.layers[0], found.layers[1] - 1
    return f"layer {first}" if first == last else f"layers {first}–{last}"


def _warn(figure: Figure, surfaces: Mapping[str, Surface]) -> None:
    """A failed self-check stands in the picture, in red."""
    sentences = [
        f"{title}: {sentence}" if title else sentence
        for title, surface in surfaces.items()
        for sentence in describe_failures(check.to_json() for check in surface.self_checks)
    ]
    if sentences:
        figure.supxlabel("\n".join(sentences), color=_WARNING, fontsize="small", wrap=True)
