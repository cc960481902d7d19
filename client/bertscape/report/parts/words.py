"""What a report calls the parts of a study."""

import re

from bertscape.study import PRETRAINED, SCRATCH

LONGER = "longer-"
_STARTS = {PRETRAINED: "pre-trained", SCRATCH: "from scratch"}


def start_words(start: str) -> str:
    """As in "pre-trained", "from scratch", "pre-trained, 5 epochs"."""
    return _STARTS.get(start) or f"pre-trained, {start.removeprefix(LONGER)} epochs"


def start_order(start: str) -> tuple[int, float]:
    """Sorts starts: pre-trained, from scratch, then longer trainings by their epochs."""
    if start in _STARTS:
        return list(_STARTS).index(start), 0.0
    return len(_STARTS), float(start.removeprefix(LONGER))


def slug(*parts: str) -> str:
    """A name for an anchor or a file: letters, digits, _ . and -."""
    return "-".join(re.sub(r"[^A-Za-z0-9_.-]+", "-", part).strip("-") or "x" for part in parts)
