"""The parts of a study's results, in order; and what is missing, in words."""

from collections.abc import Iterable, Iterator, Mapping
from typing import TypeVar

import numpy as np

from bertscape.report.parts.blocks import Text
from bertscape.report.parts.words import LONGER, start_order
from bertscape.results import Rollback, Surface
from bertscape.study import PRETRAINED, SCRATCH, StudyResults, plan

AnyResult = TypeVar("AnyResult")


def of_task(
    found: Mapping[tuple[str, str], AnyResult], task: str, *, longer: bool = False
) -> dict[str, AnyResult]:
    """Results of one task by their start: pre-trained and from scratch, or the longer ones."""
    starts = [start for name, start in found if name == task and start.startswith(LONGER) == longer]
    return {start: found[task, start] for start in sorted(starts, key=start_order)}


def groups_of(results: StudyResults, task: str) -> dict[str, Surface]:
    """Layer-group surfaces of one task by the group's name, in the order of the plan."""
    return {group: one for (name, group), one in results.layers.items() if name == task}


def landscapes(results: StudyResults) -> Iterator[tuple[str, Surface | Rollback]]:
    """Everything that was evaluated point by point, by the key of its step."""
    parts = {"curve": results.curves, "surface": results.surfaces, "layers": results.layers}
    for part, found in parts.items():
        for (task, name), surface in found.items():
            yield f"{part}/{task}/{name}", surface
    for task, rollback in results.rollbacks.items():
        yield f"rollback/{task}", rollback


def keys(results: StudyResults) -> set[str]:
    """The keys of all steps that have a result."""
    runs = {f"finetune/{task}/{start}" for task, start in results.runs}
    # A stored start shows nothing of its own: it is there unless the study says otherwise.
    starts = {f"start/{start}" for start in (PRETRAINED, SCRATCH)} - set(results.missing)
    return runs | starts | {key for key, _ in landscapes(results)}


def gaps(results: StudyResults, *prefixes: str, longer: bool | None = None) -> tuple[Text, ...]:
    """What is not there of the steps whose keys begin so, and what is there in part.

    Args:
        results: of the study.
        prefixes: of keys, as in "surface/".
        longer: of longer trainings alone, or of all others alone; None for both.
    """
    there = keys(results)

    def asked(key: str) -> bool:
        of_longer = f"/{LONGER}" in key
        return key.startswith(prefixes) and (longer is None or of_longer == longer)

    absent = [step.key for step in plan(results.spec) if asked(step.key) and step.key not in there]
    texts = [Text(f"Missing here: {_reasons(results, absent)}.", "missing")] if absent else []
    for key, surface in landscapes(results):
        if asked(key):
            texts += [Text(f"{key}: {words}.", "missing") for words in _flaws(surface)]
    return tuple(texts)


def _reasons(results: StudyResults, absent: Iterable[str]) -> str:
    return "; ".join(
        f"{key} (failed: {results.failed[key]})"
        if key in results.failed
        else f"{key} (no result yet)"
        for key in absent
    )


def _flaws(found: Surface | Rollback) -> Iterator[str]:
    done, points = int(found.evaluated.sum()), found.evaluated.size
    if done < points:
        yield f"{done:,} of {points:,} points were evaluated; the others are hatched"
    numbers = found.numbers[:, found.evaluated == 1]
    lost = int((~np.isfinite(numbers)).any(axis=0).sum()) if done else 0
    if lost:
        yield f"at {lost:,} evaluated points a number is not finite"
