"""What can be written in a spec or typed on the command line is named in the documentation."""

import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from bertscape.cli import commands
from bertscape.spec import (
    Data,
    Direction,
    FinetuneModel,
    FinetuneSpec,
    GridRanges,
    Hub,
    JobOutput,
    JobSpec,
    LandscapeSpec,
    Model,
    Random,
    RollbackSpec,
    Split,
    Training,
)

REPOSITORY = Path(__file__).parents[2]
SPEC_MODELS: list[type[BaseModel]] = [
    *(JobSpec, LandscapeSpec, RollbackSpec, FinetuneSpec, FinetuneModel, Training, Model),
    *(Direction, Random, GridRanges, Split, Data, Hub, JobOutput),
]


def inline_code(page: Path) -> str:
    """All that a page sets between single backticks."""
    prose = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    return " ".join(re.findall(r"`([^`]+)`", prose))


@pytest.mark.parametrize("model", SPEC_MODELS, ids=lambda model: model.__name__)
def test_every_key_of_a_spec_is_documented(model: type[BaseModel]) -> None:
    code = inline_code(REPOSITORY / "docs" / "job-spec.md")
    missing = [key for key in model.model_fields if not re.search(rf"\b{key}\b", code)]
    assert missing == []


def test_every_command_is_in_the_readme() -> None:
    code = inline_code(REPOSITORY / "README.md")
    assert [name for name in commands() if not re.search(rf"\b{name}\b", code)] == []
