"""What the commands print of an estimate."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from bertscape.cli.text import table

if TYPE_CHECKING:
    from bertscape.study import StudyEstimate
    from bertscape.values import EstimateKept, JobEstimate, SplitEstimate

_UNKNOWN = "not known"
_DECIMAL = ("FLOP", "kFLOP", "MFLOP", "GFLOP", "TFLOP", "PFLOP", "EFLOP", "ZFLOP")
_BINARY = ("bytes", "KiB", "MiB", "GiB", "TiB")


def estimate_text(estimate: "JobEstimate") -> str:
    """One job, a line for each thing to know, and why the rest is not known."""
    lines = {
        "kind": estimate.kind,
        "points": f"{estimate.points:,}",
        "train": _split(estimate.train),
        "eval": _split(estimate.eval),
        "operations": operations(estimate.flops),
        "time": _time(estimate),
        "memory": _memory(estimate),
        "disk": size(estimate.disk),
    }
    known = [(f"{name}:", text) for name, text in lines.items()]
    return "\n".join([table(known), *_reasons([estimate])])


def study_text(estimate: "StudyEstimate") -> str:
    """One line for each job that is still to be done, and their sum."""
    rows = [["JOB", "POINTS", "OPERATIONS", "TIME", "MEMORY", "DISK"]]
    for key, one in estimate.jobs.items():
        rows.append([key, f"{one.points:,}", *_row(one)])
    count = len(estimate.jobs)
    noun = "job" if count == 1 else "jobs"
    rows.append([f"{count} {noun}", f"{estimate.points:,}", *_row(estimate)])
    done = [f"{len(estimate.done)} done already"] if estimate.done else []
    return "\n".join([table(rows), *done, *_reasons([*estimate.jobs.values()])])


def kept_text(kept: "EstimateKept | None") -> str:
    """What a job was estimated to take, and what it took; empty if neither is known."""
    from bertscape.http import duration

    if kept is None or (kept.seconds is None and kept.taken is None):
        return ""
    if kept.seconds is None:
        return f"none was known; it took {duration(kept.taken or 0)}"
    if kept.taken is None:
        return duration(kept.seconds)
    text = f"{duration(kept.seconds)}, and it took {duration(kept.taken)}"
    if kept.seconds <= 0:
        return text
    change = round(100 * (kept.taken / kept.seconds - 1))
    return f"{text} ({abs(change)} % {'more' if change >= 0 else 'less'})"


def operations(flops: float | None) -> str:
    """A number of operations for people: "1.23 PFLOP"."""
    return _scaled(flops, 1000, _DECIMAL)


def size(count: float | None) -> str:
    """A number of bytes for people: "1.5 GiB"."""
    return _scaled(count, 1024, _BINARY)


def _scaled(value: float | None, step: int, units: Sequence[str]) -> str:
    """Three digits in the largest unit that it reaches; each unit is `step` of the one before."""
    if value is None:
        return _UNKNOWN
    place = 0
    while value >= step and place < len(units) - 1:
        value, place = value / step, place + 1
    return f"{value:.3g} {units[place]}"


def _row(one: "JobEstimate | StudyEstimate") -> list[str]:
    return [
        operations(one.flops),
        _duration(one.seconds),
        size(one.memory_per_worker),
        size(one.disk),
    ]


def _split(split: "SplitEstimate") -> str:
    if split.examples is None:
        return _UNKNOWN
    examples = f"{split.examples:,} {'example' if split.examples == 1 else 'examples'}"
    if split.tokens is None:
        return examples
    measured = split.measured_examples
    some = f", measured on {measured:,} of {split.examples:,} rows"
    exact = measured == split.examples
    return f"{examples}, {'' if exact else 'about '}{split.tokens:,} tokens{'' if exact else some}"


def _time(estimate: "JobEstimate") -> str:
    if estimate.seconds is None:
        return _UNKNOWN
    noun = "worker" if estimate.workers == 1 else "workers"
    text = f"{_duration(estimate.seconds)} on {estimate.workers} {noun} ({estimate.device})"
    if estimate.preparing_seconds is None:
        return text
    return f"{text}, {_duration(estimate.preparing_seconds)} of it to prepare"


def _memory(estimate: "JobEstimate") -> str:
    if estimate.memory_per_worker is None:
        return _UNKNOWN
    return (
        f"{size(estimate.memory_per_worker)} for each worker, "
        f"{size(estimate.object_store)} in each node's object store"
    )


def _duration(seconds: float | None) -> str:
    from bertscape.http import duration

    return _UNKNOWN if seconds is None else duration(seconds)


def _reasons(estimates: "Sequence[JobEstimate]") -> Iterator[str]:
    """Why something is not known, each reason once."""
    reasons: dict[tuple[str, str], None] = {}
    for estimate in estimates:
        unknown: Mapping[str, str] = estimate.unknown
        reasons.update(dict.fromkeys(unknown.items()))
    for name, reason in reasons:
        yield f"{_UNKNOWN}: {name.replace('_', ' ')}, because {reason}"
