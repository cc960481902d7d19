"""Layer groups: which tensors they hold, and the planes on which they alone move."""

import math
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.workers.tiny_inputs import Inputs, bert_config, make_inputs, random_model
from transformers import (
    AlbertConfig,
    AutoModelForSequenceClassification,
    DistilBertConfig,
    ElectraConfig,
    PreTrainedModel,
    RobertaConfig,
)

from bertscape.results import Surface
from bertscape.values import InvalidInput, LayerGroup
from bertscape_workers.admission import admit, members
from bertscape_workers.checkpoints import Layout, layout_of
from bertscape_workers.evaluation import expected_numbers
from bertscape_workers.evaluation.plain.evaluator import ReferenceEvaluator
from bertscape_workers.jobs.prepare import find_checkpoints, prepare
from bertscape_workers.plane import Plane, build_plane
from bertscape_workers.plane.directions import random_direction
from bertscape_workers.running.local_run import run_job

# --- which tensors ------------------------------------------------------------------------------

SIZES = {
    "vocab_size": 19,
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 40,
    "num_labels": 3,
    "initializer_range": 0.3,
}
DISTILBERT = DistilBertConfig(  # type: ignore[call-arg]
    vocab_size=19,
    dim=32,
    n_layers=3,
    n_heads=4,
    hidden_dim=48,
    max_position_embeddings=40,
    num_labels=3,
    initializer_range=0.3,
)
ELECTRA = ElectraConfig(**SIZES, embedding_size=16)
CONFIGS = {
    "bert": bert_config(num_hidden_layers=3),
    "roberta": RobertaConfig(**SIZES, pad_token_id=0),
    "distilbert": DISTILBERT,
    "electra": ELECTRA,
}


def parts(model: PreTrainedModel) -> dict[str, list[torch.nn.Module]]:
    """The modules of a backbone with three encoder layers, by the group that each makes."""
    base = model.base_model
    layers = base.transformer.layer if hasattr(base, "transformer") else base.encoder.layer
    low, middle, high = layers
    found: dict[str, Any] = {
        "embeddings": [base.embeddings],
        "low": [low],
        "middle": [middle],
        "high": [high],
    }
    if hasattr(base, "embeddings_project"):
        found["embeddings"].append(base.embeddings_project)
    if getattr(base, "pooler", None) is not None:
        found["pooler"] = [base.pooler]
    return found


def identities(modules: list[torch.nn.Module]) -> set[int]:
    return {id(parameter) for module in modules for parameter in module.parameters()}


def moving(model: PreTrainedModel, value: Any) -> set[int]:
    """The parameters of the model that a group moves."""
    layout = layout_of(model)
    names = [tuple(n.removeprefix(f"{layout.prefix}.") for n in t.names) for t in layout.tensors]
    found = members(LayerGroup(value), names).moving
    parameters = dict(model.named_parameters())
    pairs = zip(layout.tensors, found, strict=True)
    return {id(parameters[tensor.names[0]]) for tensor, moves in pairs if moves}


@pytest.mark.parametrize("name", CONFIGS)
def test_each_group_holds_the_parameters_of_its_modules(name: str) -> None:
    model = random_model(CONFIGS[name], seed=0)
    found = parts(model)
    assert ("pooler" in found) == (name == "bert")
    assert ("embeddings_project" in dict(model.base_model.named_children())) == (name == "electra")
    for group, modules in found.items():
        assert moving(model, group) == identities(modules)
    assert moving(model, (1, 3)) == identities(found["middle"] + found["high"])
    assert moving(model, "all") == identities([model.base_model])
    # Nothing is in two groups, and nothing in none.
    groups = [moving(model, group) for group in found]
    assert sum(map(len, groups)) == len(set.union(*groups)) == len(moving(model, "all"))


def test_the_layers_of_a_group_are_told() -> None:
    names = [(f"encoder.layer.{layer}.output.dense.weight",) for layer in range(24)]
    names += [("embeddings.LayerNorm.bias",), ("pooler.dense.bias",)]
    for value, layers in (("high", (16, 24)), ((3, 5), (3, 5)), ("pooler", None), ("all", None)):
        assert members(LayerGroup(value), names).layers == layers


def test_a_tensor_of_two_layers_makes_every_group_wrong() -> None:
    names = [("encoder.layer.0.x", "encoder.layer.1.x"), ("embeddings.y",)]
    assert members(LayerGroup(), names).moving == (True, True)
    with pytest.raises(InvalidInput, match=r"layers: 'embeddings' .*encoder\.layer\.0\.x"):
        members(LayerGroup("embeddings"), names)


# --- the plane ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    """BERT with three layers; shared, so never written to."""
    return make_inputs(tmp_path_factory.mktemp("three"), CONFIGS["bert"])


def plane_of(inputs: Inputs, **changes: Any) -> tuple[Plane, Layout]:
    layout = layout_of(AutoModelForSequenceClassification.from_pretrained(inputs.finetuned))
    return build_plane(find_checkpoints(inputs.spec(**changes)).plane, layout), layout


def by_hand(inputs: Inputs, group: str | list[int], origin: str) -> Callable[..., Any]:
    """f_G by its formula, with three plain models and none of the plane's code."""
    zero, one, two, here = (
        AutoModelForSequenceClassification.from_pretrained(folder)
        for folder in (inputs.pretrained, inputs.finetuned, inputs.toward, inputs.finetuned)
    )
    if origin == "pretrained":
        here.base_model.load_state_dict(zero.base_model.state_dict())
    start = {name: value.double().clone() for name, value in here.base_model.named_parameters()}
    base = {name: value.double() for name, value in zero.base_model.named_parameters()}
    delta1 = {n: value.double() - base[n] for n, value in one.base_model.named_parameters()}
    delta2 = {n: value.double() - base[n] for n, value in two.base_model.named_parameters()}
    ratio = length(delta1.values()) / length(delta2.values())
    layers = here.base_model.encoder.layer
    modules = parts(here)[group] if isinstance(group, str) else list(layers[slice(*group)])
    wanted = identities(modules)

    def numbers(alpha: float, beta: float, splits: Any) -> tuple[float, ...]:
        with torch.no_grad():
            for name, parameter in here.base_model.named_parameters():
                if id(parameter) in wanted:
                    step = alpha * delta1[name] + beta * ratio * delta2[name]
                    parameter.copy_(start[name] + step)
        return expected_numbers(here.eval(), splits.train, splits.eval).numbers

    return numbers


def length(values: Any) -> float:
    return math.sqrt(sum(float(value.detach().square().sum()) for value in values))


@pytest.mark.parametrize("origin", ["pretrained", "finetuned"])
@pytest.mark.parametrize("group", ["low", "middle", "high", "embeddings", "pooler", [0, 2]])
def test_every_point_is_that_of_the_formula(
    three: Inputs, group: str | list[int], origin: str
) -> None:
    prepared = prepare(three.spec(layers=group, origin=origin))
    evaluator = ReferenceEvaluator(prepared.inputs)
    expect = by_hand(three, group, origin)
    losses = set()
    for point in [(0.0, 0.0), (1.0, 0.0), (-0.75, 0.5), (0.5, 2.0)]:
        found, expected = evaluator.evaluate(*point), expect(*point, prepared.inputs)
        for column in (0, 2):
            assert abs(found[column] - expected[column]) <= 1e-5 * abs(expected[column]) + 1e-7
        np.testing.assert_allclose(found[[1, 3]], [expected[1], expected[3]], atol=1e-12)
        losses.add(round(expected[0], 4))
    assert len(losses) == 4  # the group moves something


def test_disjoint_groups_add_up_to_the_whole(three: Inputs) -> None:
    whole, _ = plane_of(three)
    groups = ["embeddings", "low", "middle", "high", "pooler"]
    planes = [plane_of(three, layers=group)[0] for group in groups]
    assert whole.y is not None
    np.testing.assert_array_equal(np.sum([plane.x for plane in planes], axis=0), whole.x)
    np.testing.assert_array_equal(np.sum([plane.y for plane in planes], axis=0), whole.y)
    found = [plane.group for plane in planes if plane.group is not None]
    assert math.hypot(*(group.x_norm for group in found)) == pytest.approx(whole.delta1_norm)
    assert math.hypot(*(group.y_norm or 0 for group in found)) == pytest.approx(whole.delta1_norm)
    for plane in planes:
        assert (plane.delta1_norm, plane.lengths) == (whole.delta1_norm, whole.lengths)


def test_the_cosine_is_that_of_the_group(three: Inputs) -> None:
    plane, _ = plane_of(three, layers="middle")
    assert plane.y is not None
    x, y = plane.x.astype(np.float64), plane.y.astype(np.float64)
    assert plane.cosine == pytest.approx(x @ y / np.linalg.norm(x) / np.linalg.norm(y), abs=1e-9)
    assert plane.cosine != pytest.approx(plane_of(three)[0].cosine, abs=1e-4)


@pytest.mark.parametrize("origin", ["pretrained", "finetuned"])
def test_a_random_direction_is_drawn_in_the_group_at_the_origin(three: Inputs, origin: str) -> None:
    random = {"random": {"seed": 5}}
    plane, layout = plane_of(three, layers="high", y=random, origin=origin)
    whole = random_direction(plane.origin, layout, seed=5)
    assert plane.y is not None
    for tensor in layout.tensors:
        inside = "encoder.layer.2." in tensor.names[0]
        expected = tensor.view(whole) if inside else np.zeros(tensor.shape)
        np.testing.assert_array_equal(tensor.view(plane.y), expected)
    assert plane.y.any()


# --- what preparing and running make of it --------------------------------------------------------


@pytest.mark.parametrize("origin", ["pretrained", "finetuned"])
def test_the_origin_alone_is_checked(three: Inputs, origin: str) -> None:
    (check,) = prepare(three.spec(layers="low", origin=origin)).findings.self_checks
    assert (check.checkpoint, check.alpha, check.beta, check.passed) == (origin, 0.0, 0.0, True)


def test_a_trajectory_falls_onto_the_groups_plane(three: Inputs) -> None:
    folders = [str(three.pretrained), str(three.finetuned)]
    for origin, alpha in (("finetuned", (-1.0, 0.0)), ("pretrained", (0.0, 1.0))):
        spec = three.spec(layers="high", origin=origin, trajectory=folders)
        findings = prepare(spec).findings
        found, group = findings.trajectory, findings.group
        assert found is not None
        assert group is not None
        assert group.layers == (2, 3)
        assert all(math.isnan(value) for value in (*found.alpha, *found.beta))
        assert found.alpha_lsq == pytest.approx(alpha, abs=1e-7)
        assert found.beta_lsq == pytest.approx((0.0, 0.0), abs=1e-7)
        # What the group does not reach counts in full.
        outside = math.sqrt(1 - (group.x_norm / findings.delta1_norm) ** 2)
        expected = [outside if value else 0.0 for value in alpha]
        assert found.residual == pytest.approx(expected, abs=1e-6)


def test_a_surface_is_run_saved_and_loaded(three: Inputs, tmp_path: Path) -> None:
    run_job(three.spec(layers="high")).save(tmp_path / "high.h5")
    surface = Surface.load(tmp_path / "high.h5")
    assert surface.spec.layers == LayerGroup("high")
    assert surface.spec.origin == "finetuned"
    (check,) = surface.self_checks
    assert surface.numbers[:, 1, 1].tolist() == list(check.found)  # (0, 0) of 3 × 3 points
    expected = by_hand(three, "high", "finetuned")
    splits = prepare(three.spec()).inputs
    for row, beta in enumerate((-1.0, 0.0, 1.0)):
        for column, alpha in enumerate((-1.0, 0.0, 1.0)):
            loss = expected(alpha, beta, splits)[0]
            assert surface.train_loss[row, column] == pytest.approx(loss, rel=1e-5, abs=1e-7)
    with h5py.File(tmp_path / "high.h5") as file:
        assert list(file.attrs["group_layers"]) == [2, 3]
        assert file.attrs["group_x_norm"] < file.attrs["delta1_norm"]


def test_a_curve_of_a_group(three: Inputs) -> None:
    changes = {"kind": "curve", "y": None, "grid": {"x": [-1, 0, 2]}}
    curve = run_job(three.spec(layers=[0, 3], **changes))
    assert isinstance(curve, Surface)
    group = curve.findings.group
    assert group is not None
    assert (group.layers, group.y_norm) == ((0, 3), None)
    assert curve.train_loss[1] == curve.self_checks[0].found[0]
    assert curve.train_loss[0] != curve.train_loss[1]


# --- refused --------------------------------------------------------------------------------------


def refused(inputs: Inputs, message: str, **changes: Any) -> None:
    """By the service before it takes the job, and while preparing, where hub ids are found."""
    for call in (admit, prepare):
        with pytest.raises(InvalidInput, match=message) as caught:
            call(inputs.spec(**changes))
        assert caught.value.problem.key == "layers"


def test_layers_that_the_model_has_not(three: Inputs, bert: Inputs) -> None:
    refused(three, r"layers: \[1, 4\]; .*within the 3 encoder layers", layers=[1, 4])
    refused(three, r"layers: \[3, 9\]; .*within the 3 encoder layers", layers=[3, 9])
    refused(bert, r"layers: 'low'; .*non-empty group: the model has 2 encoder layer", layers="low")


def test_a_pooler_that_the_model_has_not(tmp_path: Path) -> None:
    inputs = make_inputs(tmp_path, DISTILBERT)
    refused(inputs, r"layers: 'pooler'; .*has no pooler", layers="pooler")


def test_layers_that_share_tensors(tmp_path: Path) -> None:
    inputs = make_inputs(tmp_path, AlbertConfig(**SIZES, embedding_size=16))
    message = r"layers: 'high' .* does not belong to a single layer; expected all"
    refused(inputs, message, layers="high")
    assert admit(inputs.spec()) == inputs.spec()


def frozen(inputs: Inputs, root: Path, prefix: str, name: str, source: str) -> Inputs:
    """The same inputs, with the tensors below `prefix` of one checkpoint taken from another."""
    folders = {key: root / key for key in ("pretrained", "finetuned", "toward")}
    for key, folder in folders.items():
        shutil.copytree(getattr(inputs, key), folder)
    tensors = load_file(folders[name] / "model.safetensors")
    given = load_file(folders[source] / "model.safetensors")
    taken = {key: value for key, value in given.items() if key.startswith(prefix)}
    save_file({**tensors, **taken}, folders[name] / "model.safetensors", {"format": "pt"})
    return Inputs(**folders, train=inputs.train, eval=inputs.eval)


def refusals(inputs: Inputs, **changes: Any) -> Iterator[str]:
    with pytest.raises(InvalidInput) as caught:
        plane_of(inputs, **changes)
    yield from (caught.value.problem.key or "", caught.value.problem.detail)


@pytest.mark.parametrize(("name", "axis"), [("finetuned", "x"), ("toward", "y")])
def test_a_group_that_fine_tuning_left_frozen(
    three: Inputs, tmp_path: Path, name: str, axis: str
) -> None:
    inputs = frozen(three, tmp_path, "bert.embeddings.", name, "pretrained")
    key, detail = refusals(inputs, layers="embeddings")
    assert key == "layers"
    same = f"is the same in {tmp_path / name} and {tmp_path / 'pretrained'}"
    assert same in detail
    assert f"a group in which the {axis} direction is not zero" in detail
    plane_of(inputs, layers="low")


def test_directions_that_are_parallel_in_the_group(three: Inputs, tmp_path: Path) -> None:
    inputs = frozen(three, tmp_path, "bert.encoder.layer.2.", "toward", "finetuned")
    key, detail = refusals(inputs, layers="high")
    assert key == "y"
    assert "not parallel to x" in detail
    plane_of(inputs, layers="middle")
