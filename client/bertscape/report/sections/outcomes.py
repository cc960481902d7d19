"""What holds here, and the accuracies that it begins with."""

import math
from collections.abc import Iterator

from bertscape.report.findings import (
    STATEMENTS,
    Fact,
    Judgement,
    Outcome,
    Verdict,
    accuracy,
    judgement as units,
    rate_difference,
)
from bertscape.report.parts import BY_EYE, Block, Cell, Section, Table, Text, gaps, with_interval
from bertscape.study import PRETRAINED, SCRATCH, StudyResults, TrainingRun

_TONES = {
    Outcome.HOLDS: "holds",
    Outcome.CONTRADICTED: "contradicted",
    Outcome.UNDECIDED: "undecided",
}
_PERCENT = 100.0


def findings_section(verdicts: tuple[Verdict, ...]) -> Section:
    """A line for each finding of the paper and each task."""
    reasons = tuple(row for name in STATEMENTS for row in _reasons(name, verdicts))
    caption = (
        "The paper's findings, and what this study says of each. “Undecided” means that the "
        "intervals are too wide, or that something is missing, and not that a finding is wrong."
    )
    why = "What decides, and the numbers with their 95 % intervals."
    head = ("Finding", "Task", "Here", "Why")
    return Section(
        "findings",
        "What holds here",
        (
            _overview(verdicts, caption),
            Text(
                "Each model was trained once. The intervals say what another sample of examples "
                "might change; they do not say what another seed would: that takes several runs."
            ),
            Table(why, head, reasons, numeric=False, paper=BY_EYE),
        ),
    )


_NOT_ASKED_FOR = Cell("not asked for", "missing")


def _reasons(
    finding: str, verdicts: tuple[Verdict, ...]
) -> Iterator[tuple[str, str, Cell, str | Cell]]:
    """A row for each task; a single row that says so if the study asks for none."""
    there = [one for one in verdicts if one.finding == finding]
    if not there:
        yield STATEMENTS[finding], "", _NOT_ASKED_FOR, "The study does not ask for this part."
    for one in there:
        outcome = _outcome(one.judgement.outcome)
        yield STATEMENTS[finding], one.task, outcome, Cell(_evidence(one.judgement), "lines")


def _overview(verdicts: tuple[Verdict, ...], caption: str) -> Table:
    """Findings by tasks."""
    tasks = tuple(dict.fromkeys(one.task for one in verdicts))
    found = {(one.finding, one.task): one.judgement.outcome for one in verdicts}

    def cell(finding: str, task: str) -> Cell:
        outcome = found.get((finding, task))
        return _NOT_ASKED_FOR if outcome is None else _outcome(outcome)

    rows: tuple[tuple[str | Cell, ...], ...] = tuple(
        (STATEMENTS[finding], *(cell(finding, task) for task in tasks)) for finding in STATEMENTS
    )
    paper = "the conclusions that it draws"
    return Table(caption, ("Finding", *tasks), rows, numeric=False, paper=paper)


def _outcome(outcome: Outcome) -> Cell:
    return Cell(str(outcome), _TONES[outcome])


def _evidence(judgement: Judgement) -> str:
    sentence = judgement.reason[:1].upper() + judgement.reason[1:]
    return "\n".join((f"{sentence}.", *(fact_text(fact) for fact in judgement.facts)))


def fact_text(fact: Fact) -> str:
    """As in "area, pre-trained: 1.57 (1.45 to 1.69) ‖δ1‖²"."""
    match fact.unit:
        case units.SHARE:
            value = f"{with_interval(fact.value, _PERCENT)} %"
        case units.POINTS:
            value = f"{with_interval(fact.value, _PERCENT)} percentage points"
        case units.STEP:
            step = fact.value.value
            value = f"{step:,.0f}" if math.isfinite(step) else "never"
        case unit:
            value = f"{with_interval(fact.value, at_least=fact.at_least)} {unit}"
    return f"{fact.name}: {value}".rstrip()


def accuracy_section(results: StudyResults) -> Section:
    """Final accuracies, pre-trained against scratch."""
    rows = []
    for task in results.spec.tasks:
        here, there = results.runs.get((task, PRETRAINED)), results.runs.get((task, SCRATCH))
        rows.append((task, _accuracy(here), _accuracy(there), _gain(here, there)))
    caption = (
        "Accuracy of the final models on the evaluation split, in %, and the difference in "
        "percentage points, with 95 % intervals: Wilson's of a rate, Newcombe's of a difference, "
        "as if each model had examples of its own."
    )
    head = ("Task", "Pre-trained", "From scratch", "Difference")
    paper = "accuracies of the fine-tuned models, beside those with layers put back"
    blocks: tuple[Block, ...] = (Table(caption, head, tuple(rows), paper=paper),)
    return Section(
        "accuracy", "Accuracy", (*blocks, *gaps(results, "finetune/", "start/", longer=False))
    )


def _accuracy(run: TrainingRun | None) -> str | Cell:
    if run is None:
        return Cell("missing", "missing")
    return with_interval(accuracy(run), _PERCENT)


def _gain(here: TrainingRun | None, there: TrainingRun | None) -> str | Cell:
    if here is None or there is None:
        return Cell("missing", "missing")
    return with_interval(rate_difference(accuracy(here), accuracy(there)), _PERCENT)
