"""What a config.json says that would change the numbers."""

import importlib.util
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.workers.tiny_inputs import Inputs
from transformers.models.auto.configuration_auto import model_type_to_module_name
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES as CLASSIFIERS,
)

from bertscape.spec import parse_spec
from bertscape.values import InvalidInput, ProblemType
from bertscape_workers.admission import admit
from bertscape_workers.admission.architecture import POSITION_TYPES, refuse_other_positions
from bertscape_workers.jobs.prepare import prepare
from bertscape_workers.jobs.training_job import prepare_training


@pytest.mark.parametrize("family", ["bert", "roberta", "electra", "xlm-roberta"])
@pytest.mark.parametrize("kind", ["relative_key", "relative_key_query", "rotary"])
def test_positions_that_transformers_would_not_compute_are_refused(family: str, kind: str) -> None:
    config = {"model_type": family, "position_embedding_type": kind}
    message = rf"x: '{kind}' is its position_embedding_type; expected absolute: .* a {family} model"
    with pytest.raises(InvalidInput, match=message):
        refuse_other_positions(config, "x")


@pytest.mark.parametrize(
    "config",
    [
        {"model_type": "bert"},
        {"model_type": "bert", "position_embedding_type": None},
        {"model_type": "bert", "position_embedding_type": "absolute"},
        {"model_type": "esm", "position_embedding_type": "rotary"},
    ],
)
def test_positions_that_it_computes_are_not(config: dict[str, Any]) -> None:
    refuse_other_positions(config, "x")


def test_the_families_that_read_the_setting_are_those_that_we_know_of() -> None:
    spec = importlib.util.find_spec("transformers")
    assert spec is not None
    assert spec.origin is not None
    models = Path(spec.origin).parent / "models"
    families = {family: models / model_type_to_module_name(family) for family in CLASSIFIERS}
    reading = {
        family
        for family, folder in families.items()
        for file in folder.glob("modeling_*.py")
        if "position_embedding_type" in file.read_text("utf-8")
    }
    assert reading == set(POSITION_TYPES)


@pytest.fixture
def relative(bert: Inputs, tmp_path: Path) -> Callable[[Path], str]:
    """A copy of a checkpoint that a transformers 4 has written with relative positions."""

    def copy(folder: Path) -> str:
        path = tmp_path / folder.name
        shutil.copytree(folder, path)
        config = json.loads((path / "config.json").read_text("utf-8"))
        config["position_embedding_type"] = "relative_key_query"
        (path / "config.json").write_text(json.dumps(config), "utf-8")
        return str(path)

    return copy


def refused(call: Callable[[], object], key: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        call()
    problem = caught.value.problem
    assert (problem.type, problem.key) == (ProblemType.INVALID_CHECKPOINT, key)
    assert problem.value == "'relative_key_query'"


def test_at_submission_and_while_preparing_each_checkpoint_is_looked_at(
    bert: Inputs, relative: Callable[[Path], str]
) -> None:
    model = {"pretrained": str(bert.pretrained), "finetuned": str(bert.finetuned)}
    first, last = relative(bert.pretrained), relative(bert.finetuned)
    specs = {
        "model.pretrained": bert.spec(model={**model, "pretrained": first}),
        "model.finetuned": bert.spec(model={**model, "finetuned": last}),
        "y.toward": bert.spec(y={"toward": relative(bert.toward)}),
        "trajectory[1]": bert.spec(trajectory=[str(bert.pretrained), last]),
    }
    for key, spec in specs.items():
        refused(lambda spec=spec: admit(spec), key)  # the loop's own
        refused(lambda spec=spec: prepare(spec), key)


@pytest.mark.parametrize("start", ["pretrained", "scratch"])
def test_a_fine_tuning_does_not_start_from_one(
    bert: Inputs, relative: Callable[[Path], str], start: str
) -> None:
    spec: Any = parse_spec(
        {
            "kind": "finetune",
            "model": {"pretrained": relative(bert.pretrained)},
            "data": bert.data(),
            "training": {"start": start},
        }
    )
    refused(lambda: admit(spec), "model.pretrained")
    refused(lambda: prepare_training(spec), "model.pretrained")
