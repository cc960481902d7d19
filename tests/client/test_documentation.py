"""The documentation names all that can be written in a spec or typed, and its Python runs."""

import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel
from tests.client.study.played_service import PlayedService

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
    Until,
)

REPOSITORY = Path(__file__).parents[2]
SPEC_MODELS: list[type[BaseModel]] = [
    *(JobSpec, LandscapeSpec, RollbackSpec, FinetuneSpec, FinetuneModel, Training, Model),
    *(Direction, Random, GridRanges, Split, Data, Until, Hub, JobOutput),
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


def blocks(page: Path, language: str) -> list[str]:
    """The code of that language on a page, in its order."""
    text = page.read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.M | re.S)


@pytest.fixture
def described(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: Any) -> Path:
    """A folder with the files that the pages speak of, and a service at their address."""
    service = PlayedService(content)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("bertscape.Client", lambda _: service.client())
    monkeypatch.setattr("bertscape.http.job.POLL_S", (0.0, 0.0))
    monkeypatch.setattr("bertscape.study.running.PAUSE_S", 0.0)
    data = {name: {"path": f"/{name}.tsv"} for name in ("train", "eval")}
    job = {"model": {"pretrained": "/0", "finetuned": "/1"}, "data": {**data, "text": "sentence"}}
    (tmp_path / "mrpc.h5").write_bytes(content({"kind": "surface", "y": {"toward": "/2"}, **job}))
    (tmp_path / "rollback.h5").write_bytes(content({"kind": "rollback", **job}))
    return tmp_path


@pytest.mark.parametrize(
    "name", ["README.md", "docs/file-format.md", "docs/readings.md", "docs/studies.md"]
)
def test_the_python_of_a_page_runs(name: str, described: Path) -> None:
    page = REPOSITORY / name
    for text in blocks(page, "yaml"):
        if named := re.match(r"# (\w+\.yaml)", text):
            (described / named[1]).write_text(text)
    snippets = blocks(page, "python")
    assert snippets
    for snippet in snippets:
        exec(compile(snippet, name, "exec"), {})
