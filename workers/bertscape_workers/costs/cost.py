"""What one admitted job would cost, as far as its files tell without torch."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bertscape.spec import Data, JobSpec
from bertscape_workers.admission import (
    Admitted,
    MemoryNeed,
    ModelFound,
    memory_for,
    memory_for_training,
)
from bertscape_workers.costs.flops import Encoder
from bertscape_workers.costs.lengths import TOKENIZER_FILE, Lengths, measure_lengths
from bertscape_workers.costs.work import Work, work_of

_SPLITS = ("train", "eval")
_FLOAT = 4  # bytes
# Of a result file, by files of many sizes: what does not grow, and what each tile's attempt adds.
_FILE, _ATTEMPT = 22 << 10, 200
_BESIDE_WEIGHTS = 1 << 20  # of a kept checkpoint: its tokenizer and configs

Measure = Callable[[Data, str, Path], Lengths]


@dataclass(frozen=True, slots=True)
class Cost:
    """What is known of a job's cost; `unknown` says of the rest why not."""

    examples: Mapping[str, int | None]  # by split
    lengths: Mapping[str, Lengths]  # by split, of those that could be measured
    work: Work | None
    memory: MemoryNeed | None  # as far as headers and splits show it
    disk: int | None  # bytes
    unknown: Mapping[str, str] = field(default_factory=dict)  # reasons, by tokens, flops, …


def cost_of(job: Admitted[JobSpec], tile_points: int, measure: Measure = measure_lengths) -> Cost:
    """What a job would cost.

    Args:
        job: as admission found it.
        tile_points: the points of its tiles.
        measure: measures the lengths of a split.

    Raises:
        InvalidInput: a row is wrong, as far as rows were read.
    """
    spec, model = job.spec, job.model
    lengths, untold = _lengths(job, measure)
    examples = {
        name: lengths[name].examples if name in lengths else getattr(spec.data, name).examples
        for name in _SPLITS
    }
    unknown = {"tokens": untold} if untold else {}
    work, unformulated = _work(spec, model, lengths)
    if unformulated:
        unknown["flops"] = unformulated
    if model is None:
        unknown["memory"] = _HUB
    disk = _disk(spec, model, examples["train"], tile_points)
    if disk is None:
        unknown["disk"] = _HUB if model is None else untold
    return Cost(examples, lengths, work, _memory(spec, model, lengths), disk, unknown)


_HUB = "the model is a hub id, whose files only the job's preparing reads"


def _lengths(job: Admitted[JobSpec], measure: Measure) -> tuple[dict[str, Lengths], str]:
    """Of each split that can be measured here, and why not of the others."""
    data, folder = job.spec.data, job.tokenizer
    if folder is None:
        return {}, "no folder with a tokenizer is named: texts are tokenized by the job's preparing"
    if not (folder / TOKENIZER_FILE).is_file():
        return {}, f"{folder} has no {TOKENIZER_FILE}: texts are tokenized by the job's preparing"
    found: dict[str, Lengths] = {}
    reason = ""
    for name in _SPLITS:
        if getattr(data, name).path is None:
            reason = f"data.{name} is a `datasets` id, which only the job's preparing reads"
            continue
        try:
            found[name] = measure(data, name, folder)
        except ValueError as error:
            reason = str(error)
    return found, reason


def _work(
    spec: JobSpec, model: ModelFound | None, lengths: Mapping[str, Lengths]
) -> tuple[Work | None, str]:
    """The job's operations, or why they are not known."""
    if model is None:
        return None, _HUB
    encoder = Encoder.of(model.config)
    if encoder is None:
        family = model.config.get("model_type")
        return None, f"there is no formula for the operations of a {family!r} model"
    if len(lengths) < len(_SPLITS):
        return None, "the number of tokens is not known"
    work = work_of(spec, encoder, lengths["train"], lengths["eval"])
    if work is None:
        return None, f"there is no formula for the operations of a {spec.kind}"
    return work, ""


def _memory(
    spec: JobSpec, model: ModelFound | None, lengths: Mapping[str, Lengths]
) -> MemoryNeed | None:
    if model is None:
        return None
    tokens = sum(one.tokens for one in lengths.values())
    # Token ids, types, and for each example its length and its label.
    splits = 8 * tokens + 12 * sum(one.examples for one in lengths.values())
    if spec.trains:
        return memory_for_training(model.parameters, splits)
    encoder = Encoder.of(model.config)
    group = next(iter(spec.layer_groups.values()), None)
    states = 0
    if encoder is not None and group is not None and len(spec.layer_groups) == 1 and lengths:
        both = [*lengths.values()]
        states = sum(encoder.states(one, group) for one in both)
    longest = max((one.longest for one in lengths.values()), default=spec.data.max_length)
    return memory_for(
        model.backbone, spec.direction_count, model.config, longest, splits, tokens, states
    )


def _disk(
    spec: JobSpec, model: ModelFound | None, examples: int | None, tile_points: int
) -> int | None:
    """Bytes of the result file; of a training, of the checkpoints that it keeps."""
    if spec.result_form is not None:
        points = spec.point_count
        tiles = -(-points // spec.points_per_tile(tile_points))
        numbers = points * (8 * len(spec.number_names) + 1)
        return _FILE + numbers + tiles * _ATTEMPT
    kept = _checkpoints(spec, examples)
    if model is None or kept is None:
        return None
    return int(kept * (_FLOAT * model.parameters + _BESIDE_WEIGHTS))


def _checkpoints(spec: JobSpec, examples: int | None) -> int | None:
    training = getattr(spec, "training", None)
    if training is None or examples is None:
        return None
    return int(training.checkpoints(examples))
