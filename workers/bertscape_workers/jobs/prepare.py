"""Preparing a job: everything that its tiles need, and everything that pins it.

`prepare` finds the checkpoints, reads and tokenizes the splits, builds the plane, checks the
evaluator against plainly loaded models, and projects and measures the trajectory. A rollback is
prepared by the same steps; see `bertscape_workers.jobs.prepare_rollback`.
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Generic, TypeVar

import torch

from bertscape.spec import FINETUNED, Data, Direction, JobSpec, LandscapeSpec, Model
from bertscape.values import (
    CheckpointFound,
    Findings,
    LayerGroup,
    Pins,
    Progress,
    SelfCheck,
    SplitFound,
)
from bertscape_workers.admission import (
    MemoryLimits,
    MemoryNeed,
    architecture,
    memory_for,
    source_name,
    unused_tensors,
)
from bertscape_workers.checkpoints import (
    CheckpointFiles,
    Config,
    Format,
    Layout,
    device_model,
    known_tensors,
    layout_of,
    load_config,
    locate,
    locate_tokenizer,
    pick_device,
    quiet_transformers,
    read_backbone,
    read_head,
    refuse_converted,
    resolve,
    set_threads,
    skeleton,
    tensor_names,
    weight_warnings,
    whole_config,
)
from bertscape_workers.data import (
    Outcomes,
    TokenizedSplit,
    Vocabulary,
    fitted_split,
    load_tokenizer,
    point_numbers,
    quoting_warnings,
    read_rows,
)
from bertscape_workers.evaluation import (
    Evaluator,
    EvaluatorInputs,
    compare,
    evaluator_for,
    expected_numbers,
    losses_alone,
    measure_rounding,
    measure_trajectory,
    plain_model,
    refuse_changed,
    sample_points,
    with_sample,
)
from bertscape_workers.plane import Axis, Plane, PlaneRequest, build_plane, checkpoints_on_plane

_log = logging.getLogger(__name__)

Found = TypeVar("Found", bound=Pins, covariant=True)
Inputs = TypeVar("Inputs", covariant=True)


@dataclass(frozen=True)
class Prepared(Generic[Found, Inputs]):
    """What preparing gives: what is journalled, and what the workers map."""

    findings: Found
    inputs: Inputs


@dataclass(frozen=True, slots=True)
class JobCheckpoints:
    """Every checkpoint of a job, found."""

    plane: PlaneRequest
    tokenizer: tuple[CheckpointFiles, ...]  # where to look for one, in this order
    trajectory: tuple[CheckpointFiles, ...]

    def named(self) -> dict[str, CheckpointFiles]:
        """Each by the name that `Findings.checkpoints` has for it."""
        toward = {
            axis.name: axis.toward
            for axis in self.plane.axes
            if axis.toward is not None and not self.plane.is_delta1(axis)
        }
        along = {files.key: files for axis in self.plane.axes for files in axis.pca}
        along |= {f"trajectory[{place}]": files for place, files in enumerate(self.trajectory)}
        plane = self.plane
        return {"pretrained": plane.pretrained, "finetuned": plane.finetuned, **toward, **along}


def prepare(
    spec: LandscapeSpec,
    *,
    device: str | None = None,
    threads: int = 1,
    progress: Progress | None = None,
    limits: MemoryLimits | None = None,
) -> Prepared[Findings, EvaluatorInputs]:
    """Prepare a job, holding one checkpoint at a time beside the plane's vectors.

    Args:
        spec: with absolute paths.
        device: as torch names it; default: the GPU if there is one.
        threads: CPU threads of this process, and of every worker of this job.
        progress: told of each stage: its name, how much is done, of how much.
        limits: the memory there is; without them nothing is checked.

    Raises:
        InvalidInput: whatever is wrong with the checkpoints, the data or the sizes.
    """
    tell = progress or silent
    set_threads(threads)
    device = device or pick_device()
    precision = resolve(spec.precision, device)
    with quiet_transformers():
        checkpoints = find_checkpoints(spec)
        config = checked_config(checkpoints, spec)
        found = fingerprints(checkpoints, tell)
        splits, unknown = tokenized_splits(spec, checkpoints, config, tell)
        warnings = [*weights_read(checkpoints), *unknown]
        inputs, plane = _inputs(checkpoints, config, splits, precision, limits, tell)
        rounding = measure_rounding(inputs, sample_points(spec.points), device, tell)
        evaluator = evaluator_for(inputs, device)
        outcomes_at = cache(evaluator.outcomes_at)  # of the few places below, where θ1 is one
        places = [
            Place(name, files, at, partial(outcomes_at, *at))
            for name, files, at in checkpoints_on_plane(checkpoints.plane, plane)
        ]
        checks = self_checks(
            places,
            checkpoints.plane.finetuned,
            splits,
            precision,
            device,
            tell,
            plain=evaluator.name == "reference",
        )
        if spec.paired:
            end = _finetuned_outcomes(places, checkpoints.plane.finetuned, inputs, evaluator)
            inputs = replace(inputs, finetuned=end)
        trajectory = measure_trajectory(
            spec.trajectory, checkpoints.trajectory, plane, inputs.layout, evaluator, tell
        )
    findings = Findings(
        **dict(pins(spec, found, splits, config, precision, device, threads, warnings)),
        delta1_norm=plane.delta1_norm,
        delta2_norm=plane.lengths.get("y"),
        cosine=plane.cosine,
        self_checks=checks,
        trajectory=trajectory,
        group=plane.group,
        explained_variance=plane.explained_variance or None,
        evaluator=evaluator.name,
        rounding=rounding,
    )
    return Prepared(findings, inputs)


def pins(
    spec: JobSpec,
    checkpoints: dict[str, CheckpointFound],
    splits: dict[str, TokenizedSplit],
    config: Config,
    precision: Format,
    device: str,
    threads: int,
    warnings: Sequence[str] = (),
) -> Pins:
    """What pins a job of any kind, and its warnings, which are logged too."""
    for warning in warnings:
        _log.warning("%s", warning)
    return Pins(
        checkpoints=checkpoints,
        splits=splits_found(spec.data, splits),
        classes=architecture.label_count(config),
        precision=precision,
        device=device_model(device),
        threads=threads,
        torch=torch.__version__,
        warnings=tuple(warnings),
    )


def splits_found(data: Data, splits: Mapping[str, TokenizedSplit]) -> dict[str, SplitFound]:
    """What pins each split, by its name: train, eval, and train[1] of a further round."""
    return {
        name: SplitFound(
            source=source_name(getattr(data, name.partition("[")[0])),
            sha256=split.sha256(),
            examples=len(split),
            tokens=len(split.tokens),
            class_by_name=split.class_by_name,
        )
        for name, split in splits.items()
    }


def silent(stage: str, done: int, total: int) -> None:
    """Nobody listens."""


# --- checkpoints --------------------------------------------------------------------------------


def find_checkpoints(spec: LandscapeSpec) -> JobCheckpoints:
    """Find every checkpoint that a spec names; hub ids are downloaded.

    Raises:
        InvalidInput: one does not exist, or holds no config.json or safetensors.
    """
    pretrained, finetuned, tokenizers = find_model(spec.model)
    directions = [("x", spec.x), ("y", spec.y)]
    axes = tuple(_axis(key, one, finetuned) for key, one in directions if one is not None)
    trajectory = tuple(
        locate(one, f"trajectory[{place}]") for place, one in enumerate(spec.trajectory)
    )
    request = PlaneRequest(pretrained, finetuned, axes, spec.origin, spec.layers)
    return JobCheckpoints(request, tokenizers, trajectory)


def find_model(
    model: Model,
) -> tuple[CheckpointFiles, CheckpointFiles, tuple[CheckpointFiles, ...]]:
    """θ0, θ1, and where to look for a tokenizer, in this order; errors as `find_checkpoints`."""
    pretrained = locate(model.pretrained, "model.pretrained")
    finetuned = locate(model.finetuned, "model.finetuned")
    if model.tokenizer is None:
        return pretrained, finetuned, (finetuned, pretrained)
    return pretrained, finetuned, (locate_tokenizer(model.tokenizer, "model.tokenizer"),)


def _axis(key: str, direction: Direction, finetuned: CheckpointFiles) -> Axis:
    if direction.random is not None:
        return Axis(key, seed=direction.random.seed)
    if direction.pca is not None:
        along = (locate(one, f"{key}.pca[{place}]") for place, one in enumerate(direction.pca))
        return Axis(key, pca=tuple(along), component=direction.component)
    if direction.toward == FINETUNED or direction.toward is None:
        return Axis(key, toward=finetuned)
    return Axis(key, toward=locate(direction.toward, f"{key}.toward"))


def checked_config(checkpoints: JobCheckpoints, spec: JobSpec) -> Config:
    """The config of θ1, after all others were found to fit it."""
    finetuned = checkpoints.plane.finetuned
    plain = finetuned.config
    for files in checkpoints.named().values():
        architecture.refuse_unreadable(files.config, files.key)
    architecture.refuse_other_heads(plain, finetuned.key, finetuned.source)
    architecture.refuse_other_labels(plain, finetuned.key, finetuned.source)
    for files in checkpoints.named().values():
        architecture.refuse_other_positions(files.config, files.key)
        architecture.refuse_other_architecture(
            (plain, finetuned.source), (files.config, files.source), files.key
        )
    architecture.refuse_long_inputs(plain, spec.data.max_length)
    config = load_config(finetuned)
    _refuse_contradictions(checkpoints, config)
    return config


def _refuse_contradictions(checkpoints: JobCheckpoints, config: Config) -> None:
    """Raise `InvalidInput` if a checkpoint is not wholly what θ1's architecture computes."""
    finetuned = checkpoints.plane.finetuned
    model = skeleton(config)
    known = known_tensors(model)
    unused_tensors.refuse_bare_encoder(tensor_names(finetuned), finetuned.key, finetuned.source)
    for files in checkpoints.named().values():
        names = list(tensor_names(files))
        unused_tensors.refuse_adapters(names, files.key, files.source)
        refuse_converted(files, model)
        unused_tensors.refuse_more_layers(names, files.config, files.key, files.source)
        head = files.folder == finetuned.folder
        unused_tensors.refuse_unused(names, known, files.key, files.source, head=head)
        architecture.refuse_other_architecture(
            (config, finetuned.source),
            (whole_config(files, config["model_type"]), files.source),
            files.key,
        )


def weights_read(checkpoints: JobCheckpoints) -> Iterator[str]:
    """A warning for each checkpoint whose weight files are odd, although they can be read."""
    for files in checkpoints.named().values():
        yield from weight_warnings(files)


def fingerprints(checkpoints: JobCheckpoints, tell: Progress) -> dict[str, CheckpointFound]:
    """What pins each checkpoint, by its name in `Findings.checkpoints`."""
    named = checkpoints.named()
    found: dict[CheckpointFiles, CheckpointFound] = {}
    by_name = {}
    for done, (name, files) in enumerate(named.items()):
        tell("reading checkpoints", done, len(named))
        same = next((f for f in found if f.folder == files.folder), None)
        found[files] = found[same] if same else files.found()
        by_name[name] = found[files].model_copy(update={"source": files.source})
    tell("reading checkpoints", len(named), len(named))
    return by_name


# --- splits and plane ---------------------------------------------------------------------------


def tokenized_splits(
    spec: JobSpec, checkpoints: JobCheckpoints, config: Config, tell: Progress
) -> tuple[dict[str, TokenizedSplit], list[str]]:
    """Both splits by name, train and eval, and warnings of quoted fields and unknown tokens.

    Raises:
        InvalidInput: no tokenizer, one of another vocabulary, or rows or labels that do not do.
    """
    tokenizer = load_tokenizer(checkpoints.tokenizer)
    vocabulary = Vocabulary.of(skeleton(config))
    plain = checkpoints.plane.finetuned.config
    splits: dict[str, TokenizedSplit] = {}
    warnings: list[str] = []
    for done, name in enumerate(("train", "eval")):
        tell("tokenizing", done, 2)
        rows = read_rows(spec.data, name)
        warnings += quoting_warnings(spec.data, name, rows)
        splits[name], found = fitted_split(
            f"data.{name}",
            rows,
            tokenizer,
            spec.data.max_length,
            vocabulary,
            architecture.label_index(plain),
            architecture.label_count(plain),
        )
        warnings += found
        del rows  # before the next split's are read
    tell("tokenizing", 2, 2)
    return splits, warnings


def _inputs(
    checkpoints: JobCheckpoints,
    config: Config,
    splits: dict[str, TokenizedSplit],
    precision: Format,
    limits: MemoryLimits | None,
    tell: Progress,
) -> tuple[EvaluatorInputs, Plane]:
    request = checkpoints.plane
    model = skeleton(config)
    layout = layout_of(model)
    states = fixed_states(request.layers, splits)
    check_memory(limits, layout, len(request.axes), config, splits, states)
    tell("building the plane", 0, 1)
    head = read_head(request.finetuned, model)
    plane = build_plane(request, layout)
    tell("building the plane", 1, 1)
    inputs = EvaluatorInputs(
        config=config,
        layout=layout,
        origin=plane.origin,
        x=plane.x,
        y=plane.y,
        head=head,
        train=splits["train"],
        eval=splits["eval"],
        layers=request.layers,
        precision=precision,
    )
    return inputs, plane


def check_memory(
    limits: MemoryLimits | None,
    layout: Layout,
    directions: int,
    config: Config,
    splits: dict[str, TokenizedSplit],
    states: int = 0,
) -> None:
    """Raise `InvalidInput` if the job needs more than there is; see `counted_memory`."""
    if limits is not None:
        limits.check(counted_memory(layout, directions, config, splits, states, limits.gpu))


def counted_memory(
    layout: Layout,
    directions: int,
    config: Config,
    splits: dict[str, TokenizedSplit],
    states: int = 0,
    gpu: bool = False,
) -> MemoryNeed:
    """What a job needs with its splits counted; `directions`, `states`, `gpu` as `memory_for`."""
    return memory_for(
        layout.size,
        directions,
        config,
        max_length=max(int(split.lengths.max()) for split in splits.values()),
        splits=sum(split.bytes for split in splits.values()),
        tokens=sum(len(split.tokens) for split in splits.values()),
        states=states,
        gpu=gpu,
    )


def fixed_states(group: LayerGroup, splits: dict[str, TokenizedSplit]) -> int:
    """How many hidden states enter the lowest layer that moves, if all below it stays."""
    if group.holds_embeddings:
        return 0
    # The pooler takes the state of each example's first token.
    return sum(len(one) if group.holds_pooler else len(one.tokens) for one in splits.values())


@dataclass(frozen=True)
class Place:
    """Where a checkpoint lies, and what the evaluator says there."""

    name: str  # as `SelfCheck.checkpoint`
    files: CheckpointFiles
    at: tuple[float, float]  # (α, β)
    found: Callable[[], tuple[Outcomes, Outcomes]]  # of (train, eval)


def _finetuned_outcomes(
    places: Sequence[Place], files: CheckpointFiles, inputs: EvaluatorInputs, evaluator: Evaluator
) -> tuple[Outcomes, Outcomes]:
    """What θ1 makes of each example of (train, eval): as the plane has it, if it lies there."""
    for place in places:
        if place.name == "finetuned":
            return place.found()
    backbone = inputs.layout.empty()
    read_backbone(files, inputs.layout, backbone)
    return evaluator.outcomes(backbone)


def self_checks(
    places: Sequence[Place],
    finetuned: CheckpointFiles,
    splits: dict[str, TokenizedSplit],
    precision: Format,
    device: str,
    tell: Progress,
    *,
    plain: bool = False,
) -> tuple[SelfCheck, ...]:
    """The checkpoint of each place as the plain model has it, with θ1's head, and as found.

    Both on the job's device: on a GPU's host one thread would take minutes for each. Some examples
    are also run alone, as the tokenizer gives them.

    Args:
        places: where to check.
        finetuned: θ1.
        splits: by name, train and eval.
        precision: of the job.
        device: of the job.
        tell: told of each place.
        plain: whether the evaluator is the plain model.

    Raises:
        InvalidInput: the plain model cannot take an example, or gives it another loss alone, or
            transformers changes its weights while loading them.
    """
    checks = []
    for done, place in enumerate(places):
        tell("self-checks", done, len(places))
        model = plain_model(place.files, finetuned, device)
        alone = losses_alone(model, splits, finetuned)
        if plain:
            refuse_changed(model, place.files)
        expected = expected_numbers(model, splits["train"], splits["eval"])
        evaluated = (finetuned, str(model.config.model_type)) if plain else None
        del model  # before the evaluator works, and before the next one is loaded
        found = place.found()
        check = compare(place.name, place.at, expected, point_numbers(*found), precision)
        by_split = dict(zip(("train", "eval"), found, strict=True))
        checks.append(with_sample(check, alone, by_split, evaluated))
    tell("self-checks", len(places), len(places))
    return tuple(checks)
