"""Preparing a job: everything that its tiles need, and everything that pins it.

`prepare` finds the checkpoints, reads and tokenizes the splits, builds the plane, checks the
evaluator against plainly loaded models, and projects and measures the trajectory.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch

from bertscape.findings import CheckpointFound, Findings, SelfCheck, SplitFound
from bertscape.layer_group import LayerGroup
from bertscape.spec import FINETUNED, Direction, LandscapeSpec
from bertscape_workers import architecture
from bertscape_workers.backbone import Config, layout_of, load_config, read_head, skeleton
from bertscape_workers.checkpoints import CheckpointFiles, locate, locate_tokenizer
from bertscape_workers.devices import device_model, pick_device, set_threads
from bertscape_workers.evaluator import EvaluatorInputs, takes_token_types
from bertscape_workers.evaluators import Evaluator, evaluator_for
from bertscape_workers.memory import MemoryLimits, memory_for
from bertscape_workers.plane import Axis, Plane, PlaneRequest, build_plane, checkpoints_on_plane
from bertscape_workers.self_checks import compare, expected_numbers, plain_model
from bertscape_workers.splits import TokenizedSplit, Vocabulary, build_split, load_tokenizer
from bertscape_workers.tables import read_rows, source_name
from bertscape_workers.training import quiet_transformers
from bertscape_workers.trajectory import measure_trajectory

ProgressCall = Callable[[str, int, int], None]  # stage, done, total

PRECISION = "fp32"  # what `auto` comes to on a CPU, and the only one that is built


@dataclass(frozen=True)
class Prepared:
    """What preparing gives: what is journalled, and what the workers map."""

    findings: Findings
    inputs: EvaluatorInputs


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
    progress: ProgressCall | None = None,
    limits: MemoryLimits | None = None,
) -> Prepared:
    """Prepare a job, holding one checkpoint at a time beside the plane's vectors.

    Args:
        spec: with absolute paths.
        device: as torch names it; default: the GPU where there is one.
        threads: CPU threads of this process, and of every worker of this job.
        progress: told of each stage: its name, how much is done, of how much.
        limits: the memory there is; without them nothing is checked.

    Raises:
        InvalidInput: whatever is wrong with the checkpoints, the data or the sizes.
    """
    tell = progress or _silent
    set_threads(threads)
    device = device or pick_device()
    with quiet_transformers():
        checkpoints = find_checkpoints(spec)
        config = _checked_config(checkpoints, spec)
        pins = _fingerprints(checkpoints, tell)
        splits = _splits(spec, checkpoints, config, tell)
        inputs, plane = _inputs(checkpoints, config, splits, limits, tell)
        evaluator = evaluator_for(inputs, device)
        checks = _self_checks(checkpoints.plane, plane, inputs, evaluator, tell)
        trajectory = measure_trajectory(
            spec.trajectory, checkpoints.trajectory, plane, inputs.layout, evaluator, tell
        )
    findings = Findings(
        checkpoints=pins,
        splits={name: _found(spec, name, split) for name, split in splits.items()},
        delta1_norm=plane.delta1_norm,
        delta2_norm=plane.lengths.get("y"),
        cosine=plane.cosine,
        classes=architecture.label_count(config),
        self_checks=tuple(checks),
        trajectory=trajectory,
        precision=PRECISION,
        device=device_model(device),
        threads=threads,
        torch=torch.__version__,
        group=plane.group,
        explained_variance=plane.explained_variance or None,
    )
    return Prepared(findings, inputs)


def _found(spec: LandscapeSpec, name: str, split: TokenizedSplit) -> SplitFound:
    return SplitFound(
        source=source_name(getattr(spec.data, name)),
        sha256=split.sha256(),
        examples=len(split),
        tokens=len(split.tokens),
    )


def _silent(stage: str, done: int, total: int) -> None:
    """Nobody listens."""


# --- checkpoints --------------------------------------------------------------------------------


def find_checkpoints(spec: LandscapeSpec) -> JobCheckpoints:
    """Find every checkpoint that a spec names; hub ids are downloaded.

    Raises:
        InvalidInput: one is not there, or holds no config.json or safetensors.
    """
    pretrained = locate(spec.model.pretrained, "model.pretrained")
    finetuned = locate(spec.model.finetuned, "model.finetuned")
    directions = [("x", spec.x), ("y", spec.y)]
    axes = tuple(_axis(key, one, finetuned) for key, one in directions if one is not None)
    tokenizers = (
        (locate_tokenizer(spec.model.tokenizer, "model.tokenizer"),)
        if spec.model.tokenizer is not None
        else (finetuned, pretrained)
    )
    trajectory = tuple(
        locate(one, f"trajectory[{place}]") for place, one in enumerate(spec.trajectory)
    )
    request = PlaneRequest(pretrained, finetuned, axes, spec.origin, spec.layers)
    return JobCheckpoints(request, tokenizers, trajectory)


def _axis(key: str, direction: Direction, finetuned: CheckpointFiles) -> Axis:
    if direction.random is not None:
        return Axis(key, seed=direction.random.seed)
    if direction.pca is not None:
        along = (locate(one, f"{key}.pca[{place}]") for place, one in enumerate(direction.pca))
        return Axis(key, pca=tuple(along), component=direction.component)
    if direction.toward == FINETUNED or direction.toward is None:
        return Axis(key, toward=finetuned)
    return Axis(key, toward=locate(direction.toward, f"{key}.toward"))


def _checked_config(checkpoints: JobCheckpoints, spec: LandscapeSpec) -> Config:
    """The config of θ1, after all others were found to fit it."""
    finetuned = checkpoints.plane.finetuned
    plain = finetuned.config
    architecture.refuse_other_heads(plain, finetuned.key, finetuned.source)
    for files in checkpoints.named().values():
        architecture.refuse_other_architecture(
            (plain, finetuned.source), (files.config, files.source), files.key
        )
    architecture.refuse_long_inputs(plain, spec.data.max_length)
    return load_config(finetuned)


def _fingerprints(checkpoints: JobCheckpoints, tell: ProgressCall) -> dict[str, CheckpointFound]:
    named = checkpoints.named()
    found: dict[CheckpointFiles, CheckpointFound] = {}
    pins = {}
    for done, (name, files) in enumerate(named.items()):
        tell("reading checkpoints", done, len(named))
        same = next((f for f in found if f.folder == files.folder), None)
        found[files] = found[same] if same else files.found()
        pins[name] = found[files].model_copy(update={"source": files.source})
    tell("reading checkpoints", len(named), len(named))
    return pins


# --- splits and plane ---------------------------------------------------------------------------


def _splits(
    spec: LandscapeSpec, checkpoints: JobCheckpoints, config: Config, tell: ProgressCall
) -> dict[str, TokenizedSplit]:
    tokenizer = load_tokenizer(checkpoints.tokenizer)
    types = int(config.get("type_vocab_size", 0)) if takes_token_types(skeleton(config)) else 0
    vocabulary = Vocabulary(tokens=int(config["vocab_size"]), token_types=types)
    plain = checkpoints.plane.finetuned.config
    splits = {}
    for done, name in enumerate(("train", "eval")):
        tell("tokenizing", done, 2)
        splits[name] = build_split(
            f"data.{name}",
            read_rows(spec.data, name),
            tokenizer,
            spec.data.max_length,
            vocabulary,
            architecture.label_index(plain),
            architecture.label_count(plain),
        )
    tell("tokenizing", 2, 2)
    return splits


def _inputs(
    checkpoints: JobCheckpoints,
    config: Config,
    splits: dict[str, TokenizedSplit],
    limits: MemoryLimits | None,
    tell: ProgressCall,
) -> tuple[EvaluatorInputs, Plane]:
    request = checkpoints.plane
    model = skeleton(config)
    layout = layout_of(model)
    if limits is not None:
        size = sum(split.bytes for split in splits.values())
        longest = max(int(split.lengths.max()) for split in splits.values())
        states = _fixed_states(request.layers, splits)
        limits.check(memory_for(layout.size, len(request.axes), config, longest, size, states))
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
    )
    return inputs, plane


def _fixed_states(group: LayerGroup, splits: dict[str, TokenizedSplit]) -> int:
    """How many hidden states enter the lowest layer that moves, where all below it stays."""
    if group.holds_embeddings:
        return 0
    # The pooler takes the state of each example's first token.
    return sum(len(one) if group.holds_pooler else len(one.tokens) for one in splits.values())


def _self_checks(
    request: PlaneRequest,
    plane: Plane,
    inputs: EvaluatorInputs,
    evaluator: Evaluator,
    tell: ProgressCall,
) -> list[SelfCheck]:
    places = checkpoints_on_plane(request, plane)
    checks = []
    for done, (name, files, at) in enumerate(places):
        tell("self-checks", done, len(places))
        model = plain_model(files, request.finetuned)
        expected = expected_numbers(model, inputs.train, inputs.eval)
        del model  # before the next one is loaded
        checks.append(compare(name, at, expected, evaluator.evaluate(*at), PRECISION))
    tell("self-checks", len(places), len(places))
    return checks
