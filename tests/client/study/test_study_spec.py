"""Studies: what is accepted, what stands for what, and what is refused in which words."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from bertscape import Axis, InvalidInput, ProblemType, StudySpec, load_study, parse_spec
from bertscape.spec import FinetuneSpec, Random, Training, parse_study
from bertscape.study import plan

EXAMPLES = Path(__file__).parents[3] / "examples"


def test_the_shortest_study_has_every_part(study: Any) -> None:
    spec = parse_study(study())
    assert spec.curve == spec.surface.x == Axis(-4.0, 4.0, 40)
    assert spec.longer.epochs == (5, 10, 20)
    assert spec.tasks_of("longer") == ("mrpc",)
    assert spec.tasks_of("layers") == spec.tasks_of("rollback") == ("mrpc", "rte")
    assert (spec.toward("mrpc"), spec.toward("rte")) == ("rte", "mrpc")


def test_a_study_of_one_task_has_a_random_y_axis(study: Any) -> None:
    values = study()
    del values["tasks"]["rte"]
    assert parse_study(values).toward("mrpc") == Random(seed=0)
    values["tasks"]["mrpc"]["toward"] = {"random": {"seed": 3}}
    assert parse_study(values).toward("mrpc") == Random(seed=3)


def test_a_study_survives_json(study: Any) -> None:
    spec = parse_study(
        study(
            mrpc={"training": {"epochs": 4}, "toward": {"random": {"seed": 1}}},
            scratch={"epochs": 16},
            longer={"tasks": "rte", "epochs": 5},
            layers={"groups": ["low", [0, 4]], "grid": {"x": [-1, 1, 3]}},
            evaluate={"train": 256},
        )
    )
    assert parse_study(json.loads(json.dumps(spec.to_json()))) == spec


def test_pairing_holds_for_all_grids_and_is_in_no_spec_without_it(study: Any) -> None:
    plain, paired = parse_study(study()), parse_study(study(paired=True))
    assert "paired" not in json.dumps(plain.to_json())
    assert parse_study(paired.to_json()) == paired
    asked = {step.part for step in plan(paired) if getattr(step.spec, "paired", False)}
    assert asked == {"curve", "surface", "layers"}
    # Steps of a study of an earlier version are still the same steps.
    assert not any("paired" in step.spec.to_json() for step in plan(plain))


def test_overrides_change_what_they_name_and_nothing_else(study: Any) -> None:
    spec = parse_study(study(training={"max_steps": 9, "seed": 5}, scratch={"epochs": 16}))
    training = spec.training.over(Training(batch_size=8))
    assert (training.batch_size, training.max_steps, training.seed) == (8, 9, 5)
    longer = spec.scratch.over(training)
    assert (longer.epochs, longer.max_steps, longer.seed) == (16, None, 5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tasks": {}}, "tasks: {}; expected one task or more"),
        ({"longer": {"tasks": ["qqp"]}}, "longer.tasks[0]: 'qqp'; expected one of the tasks: mrpc"),
        ({"layers": {"tasks": "qqp"}}, "layers.tasks[0]: 'qqp'; expected one of the tasks: mrpc"),
        ({"rollback": {"tasks": ["rte", "x"]}}, "rollback.tasks[1]: 'x'; expected one of the"),
        ({"mrpc": {"toward": "qqp"}}, "tasks.mrpc.toward: 'qqp'; expected one of the tasks: mrpc,"),
        ({"mrpc": {"toward": "mrpc"}}, "tasks.mrpc.toward: 'mrpc'; expected another task than"),
        ({"mrpc": {"toward": 3}}, "tasks.mrpc.toward: 3; expected the name of a task, or {random"),
        ({"training": {"start": "scratch"}}, "training.start: 'scratch'; expected no start here"),
        ({"training": {"epoch": 3}}, "training.epoch: 3; expected no such key"),
        ({"longer": {"epochs": [5, 5]}}, "longer.epochs: [5, 5]; expected numbers of epochs"),
        (
            {"longer": {"epochs": [5, 20000]}},
            "longer.epochs: [5, 20000]; expected numbers of epochs, each from 1 to 10000, none",
        ),
        (
            {"layers": {"groups": ["low", "low"]}},
            "layers.groups: ['low', 'low']; expected no duplicates",
        ),
        ({"layers": {"groups": ["lower"]}}, "layers.groups.0: 'lower'; expected all, low"),
        ({"curve": [-4, 4]}, "curve: [-4, 4]; expected [low, high, count]"),
        ({"evaluate": {"train": 0}}, "evaluate.train: 0; expected greater than or equal to 1"),
        ({"tasks": ["mrpc"]}, "tasks: ['mrpc']; expected a mapping of keys"),
        (
            {"pretrained": {"job": "j1"}},
            "pretrained: {'job': 'j1'}; expected a folder, or {hub: id",
        ),
        ({"pretrained": ...}, "pretrained: None; expected this key to be given"),
    ],
)
def test_what_is_refused(study: Any, changes: dict[str, Any], message: str) -> None:
    values = {key: value for key, value in study(**changes).items() if value is not ...}
    with pytest.raises(InvalidInput) as caught:
        parse_study(values)
    assert caught.value.problem.detail.startswith(message)


@pytest.mark.parametrize("name", ["", "../up", "a b", "<script>", "x" * 80])
def test_a_task_is_named_as_a_file_can_be(study: Any, name: str) -> None:
    values = study()
    values["tasks"][name] = values["tasks"].pop("rte")
    with pytest.raises(InvalidInput, match="expected tasks named by"):
        parse_study(values)


def test_a_study_is_no_job_and_a_job_no_study(study: Any) -> None:
    with pytest.raises(
        InvalidInput, match=r"kind: 'study'; expected one of .*bertscape paper runs"
    ):
        parse_spec(study())
    with pytest.raises(InvalidInput, match="kind: 'surface'; expected study"):
        parse_study({"kind": "surface"})
    with pytest.raises(InvalidInput, match="expected a study: a mapping of keys"):
        parse_study(["study"])


# ------------------------------------------------------------------------------------ from a file


def written(folder: Path, values: dict[str, Any]) -> Path:
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump(values))
    return path


def test_paths_are_relative_to_the_file(study: Any, tmp_path: Path) -> None:
    spec = load_study(written(tmp_path, study(tokenizer={"hub": "bert-base-cased"})))
    assert spec.pretrained == str(tmp_path / "bert")
    assert spec.tasks["rte"].data.eval.path == str(tmp_path / "rte" / "dev.tsv")
    assert spec.tokenizer is not None
    assert not isinstance(spec.tokenizer, str)


def test_a_number_may_be_written_with_an_exponent_alone(study: Any, tmp_path: Path) -> None:
    path = written(tmp_path, study())
    path.write_text(path.read_text() + "training: {learning_rate: 1e-5, weight_decay: 1E+0}\n")
    training = load_study(path).training
    assert (training.learning_rate, training.weight_decay) == (1e-5, 1.0)


def test_a_path_takes_variables_of_the_environment(
    study: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = study(pretrained="${MODELS}/bert")
    values["tasks"]["rte"]["data"] |= {
        "train": {"path": "${GLUE}/${TASK}.tsv"},
        "eval": {"path": "glue/${TASK}.tsv"},
    }
    variables = {"MODELS": "/models", "GLUE": "glue", "TASK": "rte"}
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    spec = load_study(written(tmp_path, values), variables)
    data = spec.tasks["rte"].data
    assert spec.pretrained == "/models/bert"
    assert data.eval.path == str(tmp_path / "glue" / "rte.tsv")
    # Who sets a variable to a relative path means the folder that the shell is in.
    assert data.train.path == str(tmp_path / "here" / "glue" / "rte.tsv")


@pytest.mark.parametrize("variables", [{}, {"MODELS": ""}])
def test_a_variable_that_is_not_set_is_named(
    study: Any, tmp_path: Path, variables: dict[str, str]
) -> None:
    with pytest.raises(InvalidInput) as caught:
        load_study(written(tmp_path, study(pretrained="${MODELS}/bert")), variables)
    problem = caught.value.problem
    assert problem.type is ProblemType.INVALID_VALUE
    assert problem.detail == (
        "pretrained: '${MODELS}/bert'; expected the environment variable MODELS to be set"
    )


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: path.name)
def test_the_examples_are_accepted(path: Path) -> None:
    spec = load_study(path, {"MINILM": "/models/minilm", "BERTSCAPE_GLUE": "/data/glue"})
    assert isinstance(spec, StudySpec)


def test_the_largest_example_says_what_disk_it_takes() -> None:
    path = EXAMPLES / "bert-large-glue.yaml"
    specs = [step.spec for step in plan(load_study(path))]
    trainings = [spec.training for spec in specs if isinstance(spec, FinetuneSpec)]
    assert {training.keep for training in trainings} == {"epoch"}
    checkpoints = sum(1 + training.epochs for training in trainings)
    parameters = 333_581_314  # of BERT-large cased, pooler and a head of two classes included
    (said,) = re.findall(r"checkpoints take (\d+) GB", path.read_text())
    assert int(said) == round(checkpoints * 4 * parameters / 1e9)
