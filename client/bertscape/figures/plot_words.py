"""What pictures of surfaces say: names of values and axes, titles, with their units."""

from pathlib import Path

from bertscape.readings import basin_width
from bertscape.results import Surface
from bertscape.spec import FINETUNED, Direction

CHECKPOINTS = {"pretrained": "θ0", "finetuned": "θ1", "toward": "θ2"}

_NAMES = {
    "train_loss": "training loss (nat)",
    "train_error": "training error (1 − accuracy)",
    "eval_loss": "evaluation loss (nat)",
    "eval_error": "generalization error (1 − accuracy)",
}


def value_name(value: str) -> str:
    """What a value is called in a picture, with its unit."""
    name = _NAMES.get(value.removesuffix("_stderr"), value)
    return f"{name}, standard error" if value.endswith("_stderr") else name


def surface_title(surface: Surface) -> str:
    """The heading of one surface's picture: name, width, examples, cosine, layer group."""
    findings = surface.findings
    name = surface.spec.name or f"{surface.spec.kind} of {Path(_source(surface)).name}"
    sizes = ", ".join(f"{count} {split}" for split, count in surface.examples.items())
    lines = [name, f"{summary(surface)}; {sizes} examples"]
    if findings.cosine is not None:
        lines[-1] += f"; cos(δ1, δ2) = {findings.cosine:.3f}"
    if not surface.spec.layers.is_all:
        lines.append(
            f"moving: {group_words(surface)} alone, from {CHECKPOINTS[surface.spec.origin]}"
        )
    return "\n".join(lines)


def _source(surface: Surface) -> str:
    found = surface.findings.checkpoints.get("finetuned")
    return found.source if found else "a checkpoint"


def summary(surface: Surface) -> str:
    """One line: the width of the basin, or how much of a snapshot there is."""
    if not surface.complete:
        return f"snapshot: {100 * surface.evaluated.mean():.0f} % of points"
    return f"basin width: {basin_width(surface)}"


def x_label(surface: Surface) -> str:
    """The x axis with its direction, as in "α  (δ1 = θ1 − θ0)"."""
    direction = surface.spec.x
    what = "δ1 = θ1 − θ0" if direction.toward == FINETUNED else "toward a checkpoint"
    if direction.toward is None:
        what = _no_checkpoint(direction)
    return f"α  ({what}{_where(surface)})"


def y_label(surface: Surface) -> str:
    """The y axis with its direction."""
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
    origin = f", from {CHECKPOINTS[surface.spec.origin]}"
    if surface.spec.layers.is_all:
        return origin if surface.spec.origin == FINETUNED else ""
    return f", in {group_words(surface)}{origin}"


def group_words(surface: Surface) -> str:
    """What moves, in words, as in "layers 4–5"; encoder layers are counted from 0."""
    found = surface.findings.group
    if found is None or found.layers is None:
        return f"the {surface.spec.layers.to_json()}"
    first, last = found.layers[0], found.layers[1] - 1
    return f"layer {first}" if first == last else f"layers {first}–{last}"


def basin_label(surface: Surface) -> str:
    """What the dashed line at ½ ln K is."""
    classes, threshold = surface.findings.classes, basin_width(surface).threshold
    return f"edge of the basin: ½ ln {classes} = {threshold:.3f}"
