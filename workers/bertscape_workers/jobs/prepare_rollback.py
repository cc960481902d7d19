"""Preparing a rollback: like any job, but with θ0 and θ1 in place of a plane."""

from functools import partial

import numpy as np

from bertscape.spec import RollbackSpec
from bertscape.values import ALL_LAYERS, Findings, GroupFound, Progress
from bertscape_workers.admission import Members, MemoryLimits, members
from bertscape_workers.checkpoints import (
    Config,
    Format,
    Layout,
    Vector,
    dot,
    layout_of,
    pick_device,
    quiet_transformers,
    read_backbone,
    read_head,
    resolve,
    set_threads,
    skeleton,
)
from bertscape_workers.data import TokenizedSplit
from bertscape_workers.evaluation import (
    Evaluator,
    EvaluatorInputs,
    RollbackInputs,
    evaluator_for,
    measure_rounding,
)
from bertscape_workers.jobs.prepare import (
    JobCheckpoints,
    Place,
    Prepared,
    check_memory,
    checked_config,
    find_model,
    fingerprints,
    pins,
    self_checks,
    silent,
    tokenized_splits,
    weights_read,
)
from bertscape_workers.plane import PlaneRequest, length_toward

FINETUNED_AT = (0.0, 0.0)  # where θ1 lies: α is along δ1, from it


def prepare_rollback(
    spec: RollbackSpec,
    *,
    device: str | None = None,
    threads: int = 1,
    progress: Progress | None = None,
    limits: MemoryLimits | None = None,
) -> Prepared[Findings, RollbackInputs]:
    """Prepare a rollback; arguments and errors are those of `prepare`."""
    tell = progress or silent
    set_threads(threads)
    device = device or pick_device()
    precision = resolve(spec.precision, device)
    with quiet_transformers():
        checkpoints = find_rollback_checkpoints(spec)
        config = checked_config(checkpoints, spec)
        found = fingerprints(checkpoints, tell)
        splits, unknown = tokenized_splits(spec, checkpoints, config, tell)
        warnings = [*weights_read(checkpoints), *unknown]
        layout = layout_of(skeleton(config))
        groups = find_groups(spec, layout)
        check_memory(limits, layout, 1, config, splits)  # beside θ1 there is θ0
        finetuned, pretrained = _backbones(checkpoints.plane, config, layout, splits, precision)
        norm, moved = _lengths(checkpoints.plane, finetuned, pretrained, groups)
        rounding = measure_rounding(finetuned, (FINETUNED_AT,), device, tell)
        evaluator = evaluator_for(finetuned, device)
        places = _places(spec, checkpoints.plane, evaluator, finetuned.origin, pretrained)
        checks = self_checks(
            places,
            checkpoints.plane.finetuned,
            splits,
            precision,
            device,
            tell,
            plain=evaluator.name == "reference",
        )
        outcomes = evaluator.outcomes(finetuned.origin)
    findings = Findings(
        **dict(pins(spec, found, splits, config, precision, device, threads, warnings)),
        delta1_norm=norm,
        delta2_norm=None,
        cosine=None,
        self_checks=checks,
        trajectory=None,
        groups=moved,
        evaluator=evaluator.name,
        rounding=rounding,
    )
    moving = tuple(group.moving for group in groups)
    return Prepared(findings, RollbackInputs(finetuned, pretrained, moving, outcomes))


def find_rollback_checkpoints(spec: RollbackSpec) -> JobCheckpoints:
    """Find θ0, θ1 and where a tokenizer may be; errors as `find_checkpoints`."""
    pretrained, finetuned, tokenizers = find_model(spec.model)
    # A plane of no axes is a point: θ1.
    point = PlaneRequest(pretrained, finetuned, (), "finetuned", ALL_LAYERS)
    return JobCheckpoints(point, tokenizers, ())


def find_groups(spec: RollbackSpec, layout: Layout) -> tuple[Members, ...]:
    """What each group holds of the layout's tensors.

    Raises:
        InvalidInput: a group that the model has not.
    """
    inside = f"{layout.prefix}."
    names = [tuple(n.removeprefix(inside) for n in tensor.names) for tensor in layout.tensors]
    return tuple(members(group, names, key) for key, group in spec.layer_groups.items())


def _backbones(
    request: PlaneRequest,
    config: Config,
    layout: Layout,
    splits: dict[str, TokenizedSplit],
    precision: Format,
) -> tuple[EvaluatorInputs, Vector]:
    """(θ1 with all that evaluating it needs, θ0)."""
    origin, pretrained = layout.empty(), layout.empty()
    read_backbone(request.finetuned, layout, origin)
    read_backbone(request.pretrained, layout, pretrained)
    head = read_head(request.finetuned, skeleton(config))
    inputs = EvaluatorInputs(
        config=config,
        layout=layout,
        origin=origin,
        x=None,
        y=None,
        head=head,
        train=splits["train"],
        eval=splits["eval"],
        precision=precision,
    )
    return inputs, pretrained


def _lengths(
    request: PlaneRequest,
    finetuned: EvaluatorInputs,
    pretrained: Vector,
    groups: tuple[Members, ...],
) -> tuple[float, tuple[GroupFound, ...]]:
    """(‖δ1‖, how far each group is put back).

    Raises:
        InvalidInput: θ1 is θ0.
    """
    delta = finetuned.origin - pretrained
    parts = [tensor.view(delta).reshape(-1) for tensor in finetuned.layout.tensors]
    squares = np.array([dot(part, part) for part in parts])
    moved = tuple(
        GroupFound(
            layers=group.layers,
            x_norm=float(np.sqrt(squares[np.array(group.moving)].sum())),
            y_norm=None,
        )
        for group in groups
    )
    return length_toward(delta, request.finetuned, request), moved


def _places(
    spec: RollbackSpec,
    request: PlaneRequest,
    evaluator: Evaluator,
    finetuned: Vector,
    pretrained: Vector,
) -> list[Place]:
    """θ1, and θ0 where everything is put back."""
    places = [("finetuned", request.finetuned, FINETUNED_AT, finetuned)]
    if ALL_LAYERS in spec.groups:
        places.append(("pretrained", request.pretrained, (-1.0, 0.0), pretrained))
    return [
        Place(name, files, at, partial(evaluator.outcomes, backbone))
        for name, files, at, backbone in places
    ]
