"""The study that the demo writes: read as any other, fit for its model, and gone on with."""

from pathlib import Path
from typing import Any

import pytest

from bertscape import InvalidInput
from bertscape.spec import load_study
from bertscape.study import plan
from bertscape.values import LayerGroup
from bertscape_service.running.demo import run_demo
from bertscape_service.running.demo_study import (
    LAYERS,
    STUDY,
    STUDY_FILE,
    run_demo_study,
    study_text,
)
from bertscape_workers.generated_language import SMALL, write_demo_data


def test_its_study_is_one_of_all_parts(tmp_path: Path) -> None:
    data = write_demo_data(tmp_path / "data", 0, SMALL)
    file = tmp_path / STUDY_FILE
    file.write_text(study_text(file, {"mood": data.target, "topic": data.other}, 7))
    study = load_study(file)
    parts = {step.part for step in plan(study)}
    assert parts == {"start", "finetune", "curve", "surface", "layers", "rollback"}
    assert study.tasks["mood"].data == data.target
    assert study.tasks["topic"].data == data.other
    assert study.training.seed == 7


def test_its_model_has_a_layer_for_each_third() -> None:
    assert all(len(LayerGroup(third).layers(LAYERS)) == 1 for third in ("low", "middle", "high"))


class Played:
    """What takes minutes, in no time: it notes what was called, and may end it there."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.ends_at = ""

    def pretrain(self, folder: Path, *_: object, **__: object) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._note("pretrain")

    def write_paper(self, _: object, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        (folder / "study.json").touch()
        self._note("study")

    def _note(self, name: str) -> None:
        self.calls.append(name)
        if name == self.ends_at:
            raise KeyboardInterrupt


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> Played:
    played = Played()
    monkeypatch.setattr("bertscape_workers.generated_language.DEMO", SMALL)
    monkeypatch.setattr("bertscape_workers.generated_language.pretrain", played.pretrain)
    monkeypatch.setattr("bertscape_service.running.demo_study.write_paper", played.write_paper)
    return played


def interrupted(played: Played, at: str, folder: Path, seed: int = 0) -> None:
    played.ends_at = at
    with pytest.raises(KeyboardInterrupt):
        run_demo_study(folder, seed)
    played.ends_at = ""


def test_an_interrupted_study_goes_on(played: Played, tmp_path: Path) -> None:
    interrupted(played, "study", tmp_path / "demo")
    run_demo_study(tmp_path / "demo", 0)
    assert played.calls == ["pretrain", "study", "study"]
    assert (tmp_path / "demo" / STUDY / "study.json").exists()


def test_what_was_not_begun_whole_or_with_another_seed_is_made_anew(
    played: Played, tmp_path: Path
) -> None:
    interrupted(played, "pretrain", tmp_path / "demo")
    interrupted(played, "study", tmp_path / "demo")
    left = tmp_path / "demo" / STUDY / "results"
    left.mkdir()
    run_demo_study(tmp_path / "demo", 1)
    assert played.calls == ["pretrain", "pretrain", "study", "pretrain", "study"]
    assert not left.exists()
    assert load_study(tmp_path / "demo" / STUDY_FILE).training.seed == 1


def test_neither_demo_touches_the_folder_of_the_other_or_of_anybody(
    played: Played, tmp_path: Path
) -> None:
    run_demo_study(tmp_path / "paper", 0)

    def refused(make: Any, folder: str) -> None:
        before = sorted(tmp_path.rglob("*"))
        with pytest.raises(
            InvalidInput, match="expected an empty folder or the folder of an earlier"
        ):
            make(tmp_path / folder, 0)
        assert sorted(tmp_path.rglob("*")) == before

    refused(run_demo, "paper")
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / STUDY_FILE).write_bytes((tmp_path / "paper" / STUDY_FILE).read_bytes())
    refused(run_demo_study, "own")
    refused(run_demo, "own")
