"""The operations of a whole job, by who does them: a further kind has an entry in `_WORK`."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bertscape.spec import FINETUNED, FinetuneSpec, JobSpec, LandscapeSpec, RollbackSpec
from bertscape.values import ALL_LAYERS
from bertscape_workers.admission import KEPT_STATES
from bertscape_workers.costs.flops import FORWARD_AND_BACKWARD, Encoder
from bertscape_workers.costs.lengths import Lengths

_FLOAT = 4  # bytes
_ROUNDED = 10  # evaluations that measure a precision: five points in two precisions


@dataclass(frozen=True, slots=True)
class Work:
    """FLOPs of one job, as `bertscape_workers.costs.flops` counts them."""

    model: str  # whose rate decides: `Encoder.name`, and what else makes a training faster
    preparing: float  # by one worker, before the first point; 0 if they are not what takes time
    once: float  # by each worker, at its first point
    each: float  # of a point; of a training, of an optimizer step with its share of evaluations
    count: int  # points, or steps

    @property
    def total(self) -> float:
        """Of the whole job, if one worker does it."""
        return self.preparing + self.once + self.each * self.count


def work_of(spec: JobSpec, encoder: Encoder, train: Lengths, evaluation: Lengths) -> Work | None:
    """What a job takes on splits of these lengths; None if its kind has no formula."""
    count = _WORK.get(spec.kind)
    return None if count is None else count(spec, encoder, train, evaluation)


def _landscape(spec: LandscapeSpec, encoder: Encoder, train: Lengths, evaluation: Lengths) -> Work:
    both = train + evaluation
    kept = encoder.states(both, spec.layers) * encoder.hidden * _FLOAT <= KEPT_STATES
    once, each = encoder.packed(both, spec.layers, kept=kept)
    packed = once + each
    checks = _checks(spec)
    others = len(spec.trajectory) + (_ROUNDED if _is_rounded(spec) else 0)
    # Each self-check also takes the plain model, which has no short last layer.
    preparing = checks * (packed + encoder.whole(both)) + others * packed
    return Work(encoder.name, preparing, once, each, spec.point_count)


def _checks(spec: LandscapeSpec) -> int:
    """How many checkpoints lie on the plane, as `bertscape_workers.plane` finds them."""
    if not spec.layers.is_all:
        return 1
    directions = [one for one in (spec.x, spec.y) if one is not None]
    along = [one for one in directions if one.toward == FINETUNED]
    toward = [one for one in directions if one.toward is not None]
    if spec.origin == FINETUNED:
        return 1 + len(toward) if along else 1  # θ0 is there in place of θ1, which is the origin
    return 1 + len(toward)


def _rollback(spec: RollbackSpec, encoder: Encoder, train: Lengths, evaluation: Lengths) -> Work:
    both = train + evaluation
    _, each = encoder.packed(both, ALL_LAYERS, kept=False)
    checks = 2 if ALL_LAYERS in spec.groups else 1
    others = 1 + (2 if _is_rounded(spec) else 0)  # θ1, which is a point that is then free
    preparing = checks * (each + encoder.whole(both)) + others * each
    return Work(encoder.name, preparing, 0.0, each, len(spec.groups))


def _training(spec: FinetuneSpec, encoder: Encoder, train: Lengths, evaluation: Lengths) -> Work:
    training = spec.training
    steps = training.steps(train.examples)
    passes = float(training.epochs)
    if training.max_steps is not None:
        passes = training.max_steps / training.steps_per_epoch(train.examples)
    trained = FORWARD_AND_BACKWARD * passes * encoder.whole(train)
    evaluated = training.checkpoints(train.examples) * encoder.whole(evaluation)
    count = max(steps, 1)
    # Padding is not counted, and this makes it less.
    grouped = " in batches by length" if training.batches == "by_length" else ""
    return Work(encoder.name + grouped, 0.0, 0.0, (trained + evaluated) / count, count)


def _is_rounded(spec: LandscapeSpec | RollbackSpec) -> bool:
    return spec.precision not in ("auto", "fp32")


_WORK: dict[str, Callable[[Any, Encoder, Lengths, Lengths], Work]] = {
    "surface": _landscape,
    "curve": _landscape,
    "rollback": _rollback,
    "finetune": _training,
}
