"""Job specs: what is accepted, what is refused, and in which words."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from bertscape import (
    Axis,
    InvalidInput,
    JobSpec,
    LayerGroup,
    Limits,
    ProblemType,
    load_spec,
    parse_spec,
)
from bertscape.spec import GridRanges, LandscapeSpec, absolute
from bertscape.values import CHANGES, NUMBERS


def values(**changes: Any) -> dict[str, Any]:
    """A valid surface's spec, changed at dotted keys; `...` removes one."""
    spec: dict[str, Any] = {
        "kind": "surface",
        "model": {"pretrained": "a/checkpoint-0", "finetuned": "a/checkpoint-8"},
        "y": {"toward": "b/checkpoint-8"},
        "data": {
            "train": {"path": "train.tsv", "examples": 512, "seed": 0},
            "eval": {"dataset": "nyu-mll/glue", "config": "mrpc", "split": "validation"},
            "text": ["sentence1", "sentence2"],
        },
    }
    for key, value in changes.items():
        *parents, last = key.split("__")
        place = spec
        for parent in parents:
            place = place.setdefault(parent, {})
        if value is ...:
            del place[last]
        else:
            place[last] = value
    return spec


def refusal(spec: object) -> tuple[ProblemType, str]:
    with pytest.raises(InvalidInput) as caught:
        parse_spec(spec)
    return caught.value.problem.type, caught.value.problem.detail


def landscape(value: dict[str, Any]) -> LandscapeSpec:
    spec = parse_spec(value)
    assert isinstance(spec, LandscapeSpec)
    return spec


# ------------------------------------------------------------------------------------ accepted


def test_defaults_are_those_of_the_paper() -> None:
    spec = landscape(values())
    assert (spec.grid.x, spec.grid.y) == (Axis(-4.0, 4.0, 40), Axis(-4.0, 4.0, 40))
    assert spec.x.toward == "finetuned"
    assert (spec.origin, spec.layers, spec.precision) == ("pretrained", LayerGroup(), "auto")
    assert spec.to_json()["layers"] == "all"
    assert (spec.data.label, spec.data.max_length, spec.trajectory) == ("label", 128, ())


def test_pairing_is_asked_for() -> None:
    plain, paired = landscape(values()), landscape(values(paired=True))
    assert not plain.paired
    assert "paired" not in plain.to_json()  # as earlier versions wrote it
    assert landscape(values(paired=False)).to_json() == plain.to_json()
    assert paired.to_json()["paired"] is True
    assert parse_spec(paired.to_json()) == paired
    assert paired.number_names == (*NUMBERS, *CHANGES)
    assert plain.number_names == NUMBERS
    assert refusal(values(paired="yes"))[1].startswith("paired: 'yes'")


def test_what_sharpens_is_paired() -> None:
    spec = landscape(values(until={"stderr": 0.02}))
    assert spec.sharpens
    assert spec.paired
    assert parse_spec(spec.to_json()) == spec
    assert "until" not in landscape(values()).to_json()
    assert not landscape(values()).sharpens
    assert "round 3, α, β" in spec.describe_tile(900, 4)  # 400 tiles of 1,600 points
    assert spec.describe_tile(900, 4).endswith(spec.describe_tile(100, 4).partition("α")[2])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"until": {"stderr": 0}}, "until.stderr: 0; expected greater than 0"),
        ({"until": {"stderr": -0.1}}, "until.stderr: -0.1; expected greater than 0"),
        ({"until": {}}, "until.stderr: None; expected this key to be given"),
        ({"until": 0.02}, "until: 0.02; expected a mapping of keys"),
        ({"until": {"stderr": 0.1, "rounds": 3}}, "until.rounds: 3; expected no such key"),
        (
            {"until": {"stderr": 0.1}, "data__train": {"path": "train.tsv"}},
            "until: {'stderr': 0.1}; expected data.train.examples beside it: the sample to begin",
        ),
        ({"until": {"stderr": 0.1}, "paired": False}, "paired: False; expected true, or no such"),
        (
            {"until": {"stderr": 0.1}, "layers": "low", "origin": "pretrained"},
            "until: {'stderr': 0.1}; expected a plane that holds θ1",
        ),
        (
            {"until": {"stderr": 0.1}, "x": {"random": {"seed": 0}}},
            "until: {'stderr': 0.1}; expected a plane that holds θ1",
        ),
    ],
)
def test_what_cannot_sharpen_is_refused(changes: dict[str, Any], message: str) -> None:
    assert refusal(values(**changes))[1].startswith(message)


@pytest.mark.parametrize(
    "changes",
    [
        {"origin": "finetuned", "x": {"random": {"seed": 0}}},
        {"layers": "low"},
        {"x": {"toward": "c"}, "y": {"toward": "finetuned"}},
        {"x": {"toward": "a/checkpoint-8"}},
    ],
)
def test_a_plane_that_holds_the_end_point_can_sharpen(changes: dict[str, Any]) -> None:
    assert landscape(values(until={"stderr": 0.1}, **changes)).sharpens


def test_a_surface_always_has_two_axes() -> None:
    for grid in ({"x": [-1, 2, 7]}, GridRanges(x=Axis(-1, 2, 7))):
        assert landscape(values(grid=grid)).points.shape == (40, 7)


def test_a_curve_has_one_axis() -> None:
    spec = landscape(values(kind="curve", y=...))
    assert spec.points.shape == (40,)
    assert parse_spec(spec.to_json()) == spec


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"name": "mrpc, pre-trained"},
        {"model__pretrained": {"hub": "google-bert/bert-base-cased", "revision": "main"}},
        {"model__tokenizer": "a"},
        {"y": {"random": {"seed": 7}}},
        {"x": {"random": {"seed": 1}}, "y": {"random": {"seed": 2}}},
        {"y": {"pca": ["a/checkpoint-0", {"hub": "x/y"}, "/b"], "component": 2}},
        {"x": {"pca": ["a", "b", "c"]}, "y": {"pca": ["a", "b", "c"], "component": 2}},
        {"origin": "finetuned", "precision": "fp32"},
        {"layers": "high"},
        {"layers": [0, 8], "origin": "pretrained"},
        {"kind": "curve", "y": ..., "layers": "pooler"},
        {"grid": {"x": [-1, 2, 7], "y": [-0.5, 1.5, 3]}},
        {"trajectory": ["a/checkpoint-0", {"hub": "x/y"}]},
        {"data__text": "sentence", "data__max_length": 2},
    ],
)
def test_json_and_yaml_read_back_as_equal_specs(changes: dict[str, Any], tmp_path: Path) -> None:
    spec = absolute(parse_spec(values(**changes)), tmp_path)
    (tmp_path / "spec.json").write_text(json.dumps(spec.to_json()))
    (tmp_path / "spec.yaml").write_text(yaml.safe_dump(spec.to_json()))
    assert load_spec(tmp_path / "spec.json") == spec
    assert load_spec(tmp_path / "spec.yaml") == spec
    assert isinstance(spec, JobSpec)


def test_paths_become_absolute_against_the_files_folder(tmp_path: Path) -> None:
    spec = values(
        x={"toward": "c"},
        model__pretrained={"hub": "x/y"},
        model__tokenizer="/elsewhere",
        trajectory=["a/checkpoint-0", {"hub": "x/y"}],
    )
    (tmp_path / "spec.yaml").write_text(yaml.safe_dump(spec))
    found = load_spec(tmp_path / "spec.yaml").to_json()
    assert found["model"] == {
        "pretrained": {"hub": "x/y"},
        "finetuned": str(tmp_path / "a/checkpoint-8"),
        "tokenizer": "/elsewhere",
    }
    assert found["x"] == {"toward": str(tmp_path / "c")}
    assert found["y"] == {"toward": str(tmp_path / "b/checkpoint-8")}
    assert found["data"]["train"]["path"] == str(tmp_path / "train.tsv")
    assert "path" not in found["data"]["eval"]
    assert found["trajectory"] == [str(tmp_path / "a/checkpoint-0"), {"hub": "x/y"}]


@pytest.mark.parametrize("layers", ["low", "embeddings", [0, 8], LayerGroup((0, 8))])
def test_a_layer_group_moves_from_theta1_unless_the_spec_says_otherwise(layers: Any) -> None:
    assert parse_spec(values(layers=layers)).to_json()["origin"] == "finetuned"
    assert landscape(values(layers=layers, origin="pretrained")).origin == "pretrained"
    for everything in ("all", LayerGroup()):
        assert landscape(values(layers=everything)).origin == "pretrained"


def test_a_trajectorys_paths_become_absolute_and_its_first_component_is_the_default(
    tmp_path: Path,
) -> None:
    spec = values(y={"pca": ["a/checkpoint-0", {"hub": "x/y"}, "/c"]})
    found = absolute(parse_spec(spec), tmp_path).to_json()["y"]
    paths = [str(tmp_path / "a/checkpoint-0"), {"hub": "x/y"}, "/c"]
    assert found == {"pca": paths, "component": 1}


def test_toward_finetuned_is_no_folder(tmp_path: Path) -> None:
    spec = values(x={"random": {"seed": 0}}, y={"toward": "finetuned"})
    assert absolute(landscape(spec), tmp_path).y.toward == "finetuned"


# ------------------------------------------------------------------------------------- refused


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        # unknown keys, also deep ones
        ({"colour": "red"}, "colour: 'red'; expected no such key"),
        ({"data__train__shuffle": True}, "data.train.shuffle: True; expected no such key"),
        (
            {"model__finetuned": {"hub": "x", "rev": "y"}},
            "model.finetuned.rev: 'y'; expected no such key",
        ),
        # axes
        ({"grid__x": [0, float("nan"), 3]}, "grid.x: [0, nan, 3]; .* with finite ends"),
        ({"grid__x": [float("-inf"), 0, 3]}, "grid.x: [-inf, 0, 3]; .* with finite ends"),
        ({"grid__x": [0, 10**400, 3]}, "with finite ends"),
        ({"grid__y": [-1, 1, 1]}, "grid.y: [-1, 1, 1]; .* with at least 2 points"),
        ({"grid__x": [2, -1, 7]}, "grid.x: [2, -1, 7]; .* with the lower end first"),
        ({"grid__x": [1, 1, 7]}, "grid.x: [1, 1, 7]; .* with the lower end first"),
        ({"grid__x": [-1, 2]}, "grid.x: [-1, 2]; expected [low, high, count]"),
        ({"grid__x": [-1, 2, 7.0]}, "with a whole number as count"),
        ({"grid__x": [-1, 2, True]}, "with a whole number as count"),
        ({"grid__x": ["-1", 2, 7]}, "with numbers as ends"),
        ({"grid__x": "wide"}, "grid.x: 'wide'; expected [low, high, count]"),
        ({"grid": None}, "grid: None; expected a mapping of keys"),
        # kinds, directions and precisions that are not built
        ({"kind": "volume"}, "kind: 'volume'; expected one of surface, curve"),
        ({"kind": ...}, "kind: None; expected one of surface, curve"),
        ({"layers": "top"}, "layers: 'top'; expected all, low, middle, high, embeddings, pooler"),
        ({"layers": [4, 4]}, "layers: [4, 4]; expected .*[first, end], a half-open range"),
        ({"layers": [0, 1, 2]}, "layers: [0, 1, 2]; expected .*[first, end], a half-open range"),
        ({"layers": [-1, 2]}, "layers: [-1, 2]; expected .*[first, end], a half-open range"),
        ({"layers": ["0", 2]}, "layers: ['0', 2]; expected .*[first, end], a half-open range"),
        ({"layers": None}, "layers: None; expected all, low"),
        ({"layers": {"from": 0}}, "layers: {'from': 0}; expected all, low"),
        (
            {"precision": "fp16"},
            "precision: 'fp16'; expected 'auto', 'fp32', 'tf32' or 'bf16'",
        ),
        ({"origin": "middle"}, "origin: 'middle'; expected 'pretrained' or 'finetuned'"),
        (
            {"y": {}},
            "y: {}; expected exactly one of {toward: …}, {random: {seed: …}} and {pca: […], comp",
        ),
        ({"y": {"pca": ["a", "b"], "random": {"seed": 0}}}, "expected exactly one of"),
        (
            {"y": {"pca": ["a", "b"], "component": 2}},
            "y.pca: ['a', 'b']; expected at least 3 checkpoints for component 2",
        ),
        ({"x": {"pca": []}}, "x.pca: []; expected at least 2 checkpoints for component 1"),
        ({"y": {"pca": "a"}}, "y.pca: 'a'; expected a list"),
        ({"y": {"pca": ["a", 3]}}, "y.pca.1: 3; expected a folder, {hub: id"),
        ({"y": {"pca": ["a", "b"], "component": 0}}, "y.component: 0; expected"),
        ({"y": {"pca": ["a", "b"], "component": 1.0}}, "y.component: 1.0; expected a whole number"),
        (
            {"y": {"toward": "a", "component": 1}},
            "y.component: 1; expected component only with {pca: […]}",
        ),
        (
            {"x": {"pca": ["a", "b"]}, "y": {"pca": ["a", "b"], "component": 1}},
            "expected a direction other than x",
        ),
        ({"y": {"toward": "a", "random": {"seed": 0}}}, "expected exactly one of"),
        ({"y": {"toward": "finetuned"}}, "y: .*; expected a direction other than x"),
        ({"y": ...}, "y: None; expected a y direction with kind surface"),
        ({"kind": "curve"}, "y: .*; expected no y direction with kind curve"),
        (
            {"kind": "curve", "y": ..., "grid__y": [-1, 1, 3]},
            "grid.y: .*; expected no y axis with kind curve",
        ),
        ({"y": {"random": {"seed": -1}}}, "y.random.seed: -1; expected"),
        ({"y": {"random": {"seed": 0.5}}}, "y.random.seed: 0.5; expected a whole number"),
        # checkpoints
        ({"model__pretrained": ...}, "model.pretrained: None; expected this key to be given"),
        ({"model__pretrained": ""}, "model.pretrained: ''; expected a folder, {hub: id"),
        ({"model__pretrained": 3}, "model.pretrained: 3; expected a folder, {hub: id"),
        ({"model__pretrained": {"hub": ""}}, "model.pretrained.hub: ''; expected"),
        ({"trajectory": "a"}, "trajectory: 'a'; expected a list"),
        ({"trajectory": [3]}, "trajectory.0: 3; expected a folder"),
        # data
        ({"data__train__path": "t.xls"}, "data.train.path: 't.xls'; expected a file that ends in"),
        ({"data__train": {}}, "data.train: {}; expected exactly one of {path: …} and {dataset"),
        ({"data__eval__path": "d.tsv"}, "data.eval: .*; expected exactly one of"),
        ({"data__train__split": "train"}, "expected config, split and revision only with {dataset"),
        ({"data__eval__split": ...}, "data.eval: .*; expected a split of the dataset"),
        ({"data__train__examples": 0}, "data.train.examples: 0; expected"),
        ({"data__train__examples": "9"}, "data.train.examples: '9'; expected a whole number"),
        ({"data__train__examples": True}, "data.train.examples: True; expected a whole number"),
        ({"data__text": []}, "data.text: .*; expected one text column, or two different ones"),
        ({"data__text": ["a", "a"]}, "expected one text column, or two different ones"),
        ({"data__text": ["a", "b", "c"]}, "expected one text column, or two different ones"),
        ({"data__label": ""}, "data.label: ''; expected"),
        ({"data__max_length": 1}, "data.max_length: 1; expected"),
        ({"data__max_length": float("nan")}, "data.max_length: nan; expected a whole number"),
        ({"name": "x" * 201}, "name: .*; expected"),
    ],
)
def test_what_is_refused(changes: dict[str, Any], message: str) -> None:
    kind, detail = refusal(values(**changes))
    start, _, end = message.partition(".*")
    assert start in detail
    assert end in detail.split(start, 1)[1] if start else end in detail
    unknown = "no such key" in message
    assert kind is (ProblemType.UNKNOWN_KEY if unknown else ProblemType.INVALID_VALUE)


@pytest.mark.parametrize("spec", [None, [], "text", 3])
def test_what_is_no_mapping(spec: object) -> None:
    assert "expected a job spec: a mapping of keys" in refusal(spec)[1]


def test_every_wrong_key_is_named() -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_spec(values(colour="red", grid__x=[0, 1, 1], data__label=3))
    errors = caught.value.problem.errors
    assert {error.key for error in errors} == {"colour", "grid.x", "data.label"}
    assert "(and 2 more)" in str(caught.value)
    assert caught.value.problem.to_json()["errors"][0]["key"] in {"colour", "grid.x", "data.label"}


def test_long_values_are_cut_in_messages() -> None:
    assert len(refusal(values(name="x" * 10_000))[1]) < 400


@pytest.mark.parametrize(
    ("limits", "key", "expected"),
    [
        (Limits(points=1599), "grid", "1600 points; expected at most 1599 points"),
        (Limits(examples=511), "data.train.examples", "512 examples; expected at most 511"),
        (Limits(trajectory=0), "trajectory", "1 checkpoints; expected at most 0"),
        (Limits(trajectory=2), "y.pca", "3 checkpoints; expected at most 2"),
    ],
)
def test_limits(limits: Limits, key: str, expected: str) -> None:
    spec = parse_spec(values(trajectory=["a"], y={"pca": ["a", "b", "c"]}))
    Limits().check(spec)
    with pytest.raises(InvalidInput, match=expected) as caught:
        limits.check(spec)
    assert caught.value.problem.key == key
    assert caught.value.problem.type is ProblemType.LIMIT_EXCEEDED
    assert caught.value.problem.type.status == 422
