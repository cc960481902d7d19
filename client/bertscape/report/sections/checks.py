"""Self-checks, settings and provenance: what the numbers rest on."""

from collections.abc import Iterator

import yaml

from bertscape.report.parts import Block, Cell, Code, Section, Table, Text, landscapes, number
from bertscape.results import Rollback, Surface, describe_failures
from bertscape.study import StudyResults, plan
from bertscape.values import NUMBERS, SelfCheck

_LOSSES = tuple(NUMBERS.index(name) for name in ("train_loss", "eval_loss"))


def failures(results: StudyResults) -> tuple[Text, ...]:
    """A warning for each self-check that failed, and for what preparing warned of."""
    return tuple(
        Text(f"{key}: {sentence}.", "warning")
        for key, found in landscapes(results)
        for sentence in (
            *describe_failures(check.to_json() for check in found.self_checks),
            *found.findings.warnings,
        )
    )


def checks_section(results: StudyResults) -> Section:
    """Every self-check of every result."""
    rows = tuple(
        _check(key, check) for key, found in landscapes(results) for check in found.self_checks
    )
    caption = (
        "Each checkpoint on a plane, loaded afresh through the plain Hugging Face model, against "
        "the evaluator at its place (α, β): absolute differences of both losses in nat. In fp32 a "
        "check passes within 1e-5 of the loss plus 1e-7."
    )
    head = ("Result", "Checkpoint", "Place", "Training loss", "Evaluation loss", "Self-check")
    table: tuple[Block, ...] = (
        (Table(caption, head, rows),) if rows else (Text("There are none yet.", "missing"),)
    )
    return Section("self-checks", "Self-checks", (*failures(results), *table))


def _check(key: str, check: SelfCheck) -> tuple[str | Cell, ...]:
    differences = (number(abs(check.found[index] - check.expected[index]), 2) for index in _LOSSES)
    place = f"({check.alpha:.4g}, {check.beta:.4g})"
    return key, check.checkpoint, place, *differences, _verdict(check.passed)


def _verdict(passed: bool | None) -> Cell:
    if passed is None:
        return Cell("reported only", "")
    return Cell("passed", "holds") if passed else Cell("FAILED", "warning")


def provenance_section(results: StudyResults) -> Section:
    """Settings, machines, versions and hashes."""
    spec = yaml.safe_dump(results.spec.to_json(), sort_keys=False, allow_unicode=True, width=96)
    return Section(
        "provenance",
        "Settings and provenance",
        (
            _trainings(results),
            *_evaluations(results),
            *_inputs(results),
            Text("The study as it was asked for:"),
            Code(spec),
        ),
    )


def _trainings(results: StudyResults) -> Table:
    names = ("epochs", "max_steps", "batch_size", "learning_rate", "warmup", "weight_decay",
             "schedule", "seed")  # fmt: skip
    rows = []
    for step in plan(results.spec):
        if step.training is not None:
            values = (getattr(step.training, name) for name in names)
            cells = ("" if value is None else str(value) for value in values)
            rows.append((step.key, *cells, step.spec.to_json()["precision"]))
    caption = "Trainings. Warm-up is a share of all steps."
    head = ("Training", "Epochs", "Most steps", "Batch", "Learning rate", "Warm-up",
            "Weight decay", "Schedule", "Seed", "Precision")  # fmt: skip
    return Table(caption, head, tuple(rows))


def _evaluations(results: StudyResults) -> Iterator[Block]:
    rows = []
    for key, found in landscapes(results):
        findings = found.findings
        sizes = (
            f"{findings.splits[name].examples:,}" if name in findings.splits else ""
            for name in ("train", "eval")
        )
        threads = f"{findings.threads} thread{'s' * (findings.threads != 1)} a worker"
        machine = (findings.precision, f"{findings.device}, {threads}", findings.torch)
        points = f"{int(found.evaluated.sum()):,} of {found.evaluated.size:,}"
        rows.append((key, points, found.extent, *sizes, *machine))
    if rows:
        caption = "Evaluations: points that are done, the grid, examples of both splits, and where."
        head = ("Result", "Points", "Grid (α; β)", "Training examples", "Evaluation examples",
                "Precision", "Device", "torch")  # fmt: skip
        yield Table(caption, head, tuple(rows), numeric=False)
        versions = sorted({_versions(found) for _, found in landscapes(results)} - {""})
        yield Text(f"Versions of workers: {'; '.join(versions) or 'not recorded'}.")


def _versions(found: Surface | Rollback) -> str:
    return ", ".join(f"{name} {version}" for name, version in sorted(found.run.versions.items()))


def _inputs(results: StudyResults) -> Iterator[Table]:
    """Each checkpoint and split once, with its hash and the roles in which it was read."""
    checkpoints: dict[tuple[str, str], list[str]] = {}
    splits: dict[tuple[str, str, str], list[str]] = {}
    for key, found in landscapes(results):
        for role, one in found.findings.checkpoints.items():
            if "[" in role:  # of a trajectory or of principal components: there are many
                continue
            source = one.source if one.commit is None else f"{one.source} at {one.commit}"
            checkpoints.setdefault((source, one.sha256), []).append(f"{role} of {key}")
        for role, split in found.findings.splits.items():
            size = f"{split.examples:,} examples, {split.tokens:,} tokens"
            splits.setdefault((split.source, size, split.sha256), []).append(f"{role} of {key}")
    if checkpoints:
        read = tuple(
            (Cell(source, "place"), Cell(sha256, "hash"), _few(roles))
            for (source, sha256), roles in checkpoints.items()
        )
        caption = "Checkpoints as they were read; those of trajectories are in the JSON."
        yield Table(caption, ("Checkpoint", "sha256", "Read as"), read, numeric=False)
    if splits:
        tokenized = tuple(
            (Cell(source, "place"), size, Cell(sha256, "hash"), _few(roles))
            for (source, size, sha256), roles in splits.items()
        )
        caption = "Tokenized splits as they were read."
        yield Table(caption, ("Split", "Size", "sha256", "Read as"), tokenized, numeric=False)


def _few(roles: list[str]) -> str:
    return roles[0] if len(roles) == 1 else f"{roles[0]} and {len(roles) - 1} more"
