"""A failed self-check in words: whoever shows a surface shows these too."""

import warnings
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from bertscape.values import NUMBERS

_LOSSES = tuple(NUMBERS.index(name) for name in ("train_loss", "eval_loss"))


class SelfCheckWarning(UserWarning):
    """A surface came with a failed self-check: do not trust its values."""


def describe_failures(checks: Iterable[Mapping[str, Any]]) -> list[str]:
    """One sentence for each self-check that failed.

    Args:
        checks: self-checks as plain values, as the service and the file's attribute hold them.
    """
    return [_describe(check) for check in checks if check.get("passed") is False]


def summarize(checks: Collection[Mapping[str, Any]]) -> str:
    """How many passed and failed, as in "2 of 3 passed, 1 FAILED"; empty if there are none.

    A precision other than fp32 is not held to the tolerance: its checks are reported alone.

    Args:
        checks: as of `describe_failures`.
    """
    verdicts = [check.get("passed") for check in checks]
    judged, failed = len(verdicts) - verdicts.count(None), verdicts.count(False)
    parts = [f"{verdicts.count(True)} of {judged} passed"] if judged else []
    parts += [f"{failed} FAILED"] if failed else []
    parts += [f"{verdicts.count(None)} reported, not judged"] if judged < len(verdicts) else []
    return ", ".join(parts)


def warn_of_failures(checks: Iterable[Mapping[str, Any]]) -> None:
    """Raise a `SelfCheckWarning` for each self-check that failed, where the caller called."""
    for sentence in describe_failures(checks):
        warnings.warn(sentence, SelfCheckWarning, stacklevel=3)


def _describe(check: Mapping[str, Any]) -> str:
    place = ", ".join(
        f"{letter} = {check[name]:.4g}"
        for letter, name in (("α", "alpha"), ("β", "beta"))
        if isinstance(check.get(name), int | float)
    )
    where = f"{check.get('checkpoint', 'a checkpoint')} ({place})" if place else "a checkpoint"
    expected, found = check.get("expected") or (), check.get("found") or ()
    differences = [
        f"{NUMBERS[index].replace('_', ' ')} {found[index]}, plain model {expected[index]}"
        for index in _LOSSES
        if index < min(len(expected), len(found)) and expected[index] != found[index]
    ]
    reason = f": {'; '.join(differences)}" if differences else ""
    return f"self-check FAILED at {where}{reason}; do not trust this surface"
