"""Preparing a surface or a curve that sharpens: as any other, with the examples of all rounds."""

from dataclasses import replace
from itertools import chain

from bertscape.spec import LandscapeSpec
from bertscape.values import Findings, Progress
from bertscape_workers.admission import MemoryLimits, architecture
from bertscape_workers.checkpoints import quiet_transformers, set_threads, skeleton
from bertscape_workers.data import (
    TokenizedSplit,
    Vocabulary,
    fitted_split,
    further_rows,
    load_tokenizer,
    quoting_warnings,
)
from bertscape_workers.evaluation import EvaluatorInputs, RoundInputs
from bertscape_workers.jobs.prepare import (
    Prepared,
    check_memory,
    checked_config,
    find_checkpoints,
    prepare,
    silent,
    splits_found,
)

_STAGE = "tokenizing further rounds"


def prepare_landscape(
    spec: LandscapeSpec,
    *,
    device: str | None = None,
    threads: int = 1,
    progress: Progress | None = None,
    limits: MemoryLimits | None = None,
) -> Prepared[Findings, EvaluatorInputs | RoundInputs]:
    """Prepare a surface or a curve of one round or several; arguments and errors as `prepare`."""
    if spec.until is None:
        return prepare(spec, device=device, threads=threads, progress=progress, limits=limits)
    set_threads(threads)
    # First, because what is wrong with a row is told sooner.
    further, warnings = _further_splits(spec, progress or silent)
    prepared = prepare(spec, device=device, threads=threads, progress=progress, limits=limits)
    first, findings = prepared.inputs, prepared.findings
    every = {"train": first.train, "eval": first.eval, **further}
    check_memory(limits, first.layout, spec.direction_count, first.config, every)
    update = {
        "splits": {
            **findings.splits,
            **splits_found(spec.data, further),
        },
        "warnings": tuple(dict.fromkeys((*findings.warnings, *warnings))),
    }
    (place,) = (check for check in findings.self_checks if check.checkpoint == "finetuned")
    inputs = RoundInputs(first, tuple(further.values()), (place.alpha, place.beta))
    return Prepared(findings.model_copy(update=update), inputs)


def _further_splits(
    spec: LandscapeSpec, tell: Progress
) -> tuple[dict[str, TokenizedSplit], list[str]]:
    """What each round adds to the first, by its name in `Findings.splits`, and warnings.

    Raises:
        InvalidInput: as for a split of any job.
    """
    splits: dict[str, TokenizedSplit] = {}
    warnings: list[str] = []
    with quiet_transformers():
        checkpoints = find_checkpoints(spec)
        config = checked_config(checkpoints, spec)
        tokenizer = load_tokenizer(checkpoints.tokenizer)
        vocabulary = Vocabulary.of(skeleton(config))
        plain = checkpoints.plane.finetuned.config
        rounds = further_rows(spec.data)
        warnings += quoting_warnings(spec.data, "train", list(chain.from_iterable(rounds)))
        for done, rows in enumerate(rounds, start=1):
            tell(_STAGE, done - 1, len(rounds))
            split, found = fitted_split(
                "data.train",
                rows,
                tokenizer,
                spec.data.max_length,
                vocabulary,
                architecture.label_index(plain),
                architecture.label_count(plain),
            )
            splits[f"train[{done}]"] = replace(split, sample=())
            warnings += found
        tell(_STAGE, len(rounds), len(rounds))
    return splits, warnings
