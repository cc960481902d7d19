"""A study's results as the page that shows them all."""

from collections.abc import Iterator
from dataclasses import replace

from bertscape.report.findings import Verdict
from bertscape.report.parts import Block, Page, Section, Text
from bertscape.report.sections import (
    accuracy_section,
    checks_section,
    curves_section,
    failures,
    findings_section,
    generalization_section,
    layers_section,
    longer_section,
    optimization_section,
    provenance_section,
    rollback_section,
    shown_section,
    training_loss_section,
    widths_section,
)
from bertscape.spec import Random, plain
from bertscape.study import StudyResults, plan


def page_of(results: StudyResults, verdicts: tuple[Verdict, ...]) -> Page:
    """All sections, in the order of the paper."""
    return Page(
        title=results.spec.name or "Loss landscapes of a fine-tuned BERT",
        lead=tuple(_lead(results)),
        sections=tuple(
            _filled(section)
            for section in (
                findings_section(verdicts),
                accuracy_section(results),
                curves_section(results),
                training_loss_section(results),
                optimization_section(results),
                generalization_section(results),
                layers_section(results),
                longer_section(results),
                rollback_section(results),
                widths_section(results),
                shown_section(results),
                checks_section(results),
                provenance_section(results),
            )
        ),
    )


def _filled(section: Section) -> Section:
    """An empty section says why: nothing is left out without a word."""
    nothing = Text("The study does not ask for this part.", "missing")
    return section if section.blocks else replace(section, blocks=(nothing,))


def _second_direction(results: StudyResults) -> str:
    spec = results.spec
    at_random = [name for name in spec.tasks if isinstance(spec.toward(name), Random)]
    toward = (
        "θ2 is where the training of another task from the same start ended, and δ2 = θ2 − θ0 at "
        "the length of δ1."
    )
    random = (
        "δ2 is a random direction whose filters have the norms of θ0's: it has a length of its "
        "own, not that of δ1."
    )
    if not at_random:
        return toward
    if len(at_random) == len(spec.tasks):
        return random
    return f"{toward} For {', '.join(at_random)} {random}"


def _lead(results: StudyResults) -> Iterator[Block]:
    source = plain(results.spec.pretrained)
    model = source if isinstance(source, str) else source.get("hub") or f"job {source['job']}"
    tasks = ", ".join(results.spec.tasks)
    yield Text(
        f"{model}, fine-tuned on {tasks}: from the pre-trained start, and from a random one with "
        "the same architecture. Only the backbone moves on the surfaces; the head stays as "
        "fine-tuning left it. θ0 is where a training began, θ1 where it ended, and "
        f"δ1 = θ1 − θ0. {_second_direction(results)}"
    )
    yield from failures(results)
    if results.missing:
        steps = len(plan(results.spec))
        failed = [f"{key} failed: {why}" for key, why in results.failed.items()]
        reasons = f" {'; '.join(failed)}." if failed else ""
        yield Text(
            f"This study is not whole: {len(results.missing)} of {steps} steps are missing, which "
            f"is said where they belong.{reasons} Missing: {', '.join(results.missing)}.",
            "missing",
        )
