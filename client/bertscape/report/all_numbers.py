"""Everything that a report shows as plain JSON values, to the last digit."""

from collections.abc import Mapping
from typing import Any

from bertscape.readings import basin_width, measure
from bertscape.report.findings import STATEMENTS, Verdict
from bertscape.results import Rollback, Surface
from bertscape.spec import ROLLBACK_NUMBERS
from bertscape.study import StudyResults, TrainingRun
from bertscape.values import plain
from bertscape.version import version

FORMAT, FORMAT_VERSION = "bertscape report", 1


def all_numbers(results: StudyResults, verdicts: tuple[Verdict, ...]) -> dict[str, Any]:
    """Verdicts, trainings, and each landscape with its values and readings."""
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "bertscape": version(),
        "study": results.spec.to_json(),
        "missing": list(results.missing),
        "failed": dict(results.failed),
        "verdicts": [_verdict(one) for one in verdicts],
        "runs": _each(results.runs, "start", _run),
        "curves": _each(results.curves, "start", _surface),
        "surfaces": _each(results.surfaces, "start", _surface),
        "layers": _each(results.layers, "group", _surface),
        "rollbacks": [
            {"task": task, **_rollback(found)} for task, found in results.rollbacks.items()
        ],
    }


def _each(found: Mapping[tuple[str, str], Any], name: str, of: Any) -> list[dict[str, Any]]:
    return [{"task": task, name: key, **of(one)} for (task, key), one in found.items()]


def _verdict(one: Verdict) -> dict[str, Any]:
    return {
        "finding": one.finding,
        "statement": STATEMENTS[one.finding],
        "task": one.task,
        "outcome": str(one.judgement.outcome),
        "reason": one.judgement.reason,
        "facts": [
            {"name": fact.name, **plain(fact.value), "unit": fact.unit, "at_least": fact.at_least}
            for fact in one.judgement.facts
        ],
    }


def _run(run: TrainingRun) -> dict[str, Any]:
    values: dict[str, Any] = plain(run)
    return {"accuracy": plain(run.accuracy), **values}


def _surface(surface: Surface) -> dict[str, Any]:
    basin = basin_width(surface)
    values: dict[str, Any] = {
        "spec": surface.spec.to_json(),
        "findings": surface.findings.to_json(),
        "versions": dict(surface.run.versions),
        "alpha": plain(surface.alpha),
        "beta": None if surface.beta is None else plain(surface.beta),
        "evaluated": plain(surface.evaluated),
        **{name: plain(surface[name]) for name in surface.names},
        "readings": measure(surface).to_json(),
        "basin_width": {"kind": str(basin.kind), "threshold": basin.threshold, "low": basin.low,
                        "high": basin.high},
    }  # fmt: skip
    return {**values, "basin_width": plain(values["basin_width"])}


def _rollback(found: Rollback) -> dict[str, Any]:
    return {
        "spec": found.spec.to_json(),
        "findings": found.findings.to_json(),
        "versions": dict(found.run.versions),
        "group": list(found.groups),
        "evaluated": plain(found.evaluated),
        "distance": plain(found.distance),
        **{name: plain(found[name]) for name in ROLLBACK_NUMBERS},
    }
