"""What the commands print of a rollback."""

import math
from typing import Any

from bertscape.readings import Estimate
from bertscape.results import Rollback
from bertscape.spec import ROLLBACK_NUMBERS
from bertscape.values import plain

_HEAD = (
    "PUT BACK",
    "DISTANCE (‖δ1‖)",
    "ACCURACY",
    "CHANGE (95 % INTERVAL)",
    "LOSS CHANGE (95 % INTERVAL)",
    "TRAINING LOSS CHANGE (95 % INTERVAL)",
)


def rollback_rows(rollback: Rollback) -> list[tuple[str, ...]]:
    """A table: its head, θ1 itself, and a row for each group; accuracies in per cent."""
    accuracy = (100 * rollback.accuracy, 100 * rollback["eval_error_stderr"])
    change = (100 * rollback.accuracy_change, 100 * rollback["eval_error_change_stderr"])
    losses = [
        (rollback[f"{split}_loss_change"], rollback[f"{split}_loss_change_stderr"])
        for split in ("eval", "train")
    ]
    rows: list[tuple[str, ...]] = [_HEAD]
    for place, group in enumerate(rollback.groups):
        if not rollback.evaluated[place]:
            rows.append((group, f"{rollback.distance[place]:.3f}", *["not evaluated"] * 4))
            continue
        mean, error = (float(values[place]) for values in accuracy)
        changes = [
            _change(Estimate.of(float(values[place]), float(errors[place])), digits)
            for (values, errors), digits in zip([change, *losses], (2, 4, 4), strict=True)
        ]
        shown = [f"{rollback.distance[place]:.3f}", f"{mean:.2f} ± {error:.2f}"]
        rows.append((group, *shown, *(changes if place else ["", "", ""])))
    return rows


def _change(found: Estimate, digits: int) -> str:
    if math.isnan(found.value):
        return "not known"
    text = f"{found.value:+.{digits}f}"
    if math.isnan(found.low):
        return text
    return f"{text} ({found.low:+.{digits}f} to {found.high:+.{digits}f})"


def rollback_json(rollback: Rollback) -> Any:
    """Every number by its name, in the order of `groups`; NaN and infinity are strings."""
    numbers = {name: rollback[name] for name in ROLLBACK_NUMBERS}
    derived = {"accuracy": rollback.accuracy, "accuracy_change": rollback.accuracy_change}
    evaluated = rollback.evaluated.astype(bool)
    distance = rollback.distance
    return plain(
        {
            "groups": list(rollback.groups),
            "evaluated": evaluated,
            "distance": distance,
            **derived,
            **numbers,
        }
    )
