"""What can be written in a study is named in its documentation."""

import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from bertscape.spec import StudySpec, Training
from bertscape.spec.study import Evaluate, LayerSurfaces, Longer, RolledBack, Task

PAGE = Path(__file__).parents[3] / "docs" / "studies.md"
MODELS: list[type[BaseModel]] = [
    *(StudySpec, Task, Longer, LayerSurfaces, RolledBack, Evaluate, Training)
]
NO_KEY_OF_A_STUDY = {"start"}  # it trains from both


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_every_key_of_a_study_is_documented(model: type[BaseModel]) -> None:
    page = re.sub(r"^```.*?^```", "", PAGE.read_text(encoding="utf-8"), flags=re.M | re.S)
    code = " ".join(re.findall(r"`([^`]+)`", page))
    keys = set(model.model_fields) - NO_KEY_OF_A_STUDY
    assert {key for key in keys if not re.search(rf"\b{key}\b", code)} == set()
