"""A study as a user runs it: one command, whatever ends it on the way, and the whole at the end."""

import json
import re
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
import yaml
from tests.integration.live_service import SmallInputs, wait_for

from bertscape import StudyResults

pytestmark = pytest.mark.timeout(1800)

PATIENCE_S = 600.0  # with a machine that has other things to do
REPORT_PAGE = Path(__file__).parents[2] / "docs" / "report.md"


@pytest.fixture
def study(tmp_path: Path, small_inputs: SmallInputs) -> Path:
    """Two tasks on one text, apart by their seeds."""
    data = {
        "train": {"path": str(small_inputs.folder / "train.tsv")},
        "eval": {"path": str(small_inputs.folder / "eval.tsv")},
        "text": "sentence",
        "max_length": 32,
    }
    axis = [-1, 2, 4]
    spec = {
        "kind": "study",
        "name": "a small one",
        "pretrained": str(small_inputs.folder / "start" / "checkpoint-0"),
        "tasks": {"first": {"data": data}, "second": {"data": data, "training": {"seed": 1}}},
        "training": {"epochs": 1, "batch_size": 16, "learning_rate": 1e-3},
        "longer": {"epochs": [2]},
        "curve": axis,
        "surface": {"x": axis, "y": axis},
        "layers": {"tasks": "first", "groups": [[0, 1], "pooler"]},
        "rollback": {"groups": ["embeddings", [1, 2]]},
    }
    path = tmp_path / "study.yaml"
    path.write_text(json.dumps(spec))  # which is YAML too, and has no aliases
    return path


def start(study: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "bertscape", "paper", str(study), "-o", str(folder(study))]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def folder(study: Path) -> Path:
    return study.parent / "out"


def completed(study: Path) -> int:
    path = folder(study) / "study.json"
    if not path.exists():
        return 0
    steps = json.loads(path.read_text())["steps"]
    return sum(step["state"] == "completed" for step in steps.values())


def service_of(process: subprocess.Popen[str]) -> psutil.Process:
    """The service of a study that was just started."""
    (child,) = wait_for(psutil.Process(process.pid).children, "the study's service", PATIENCE_S)
    return child


def empty_sections(report: str) -> set[str]:
    """Those of the documented sections that show nothing, or not all that they might."""
    documented = re.search(r"^\| section \|.*?\n\n", REPORT_PAGE.read_text(), re.M | re.S)
    assert documented is not None
    titles = re.findall(r"^\| ([A-Z][^|]+) \|", documented[0], re.M)
    assert len(titles) > 10
    found = {
        title: content
        for title, content in re.findall(r"<h2>(.*?)</h2>(.*?)</section>", report, re.S)
        if "<figure" in content and '<p class="missing"' not in content
    }
    return set(titles) - set(found)


def test_a_study_goes_on_after_every_end_and_does_nothing_twice(study: Path) -> None:
    interrupted = start(study)
    service = service_of(interrupted)
    wait_for(lambda: completed(study) >= 2, "two steps", PATIENCE_S)
    interrupted.send_signal(signal.SIGINT)
    _, said = interrupted.communicate(timeout=PATIENCE_S)
    assert (interrupted.returncode, said) == (130, "")
    wait_for(lambda: not service.is_running(), "the end of the interrupted study's service")

    killed = start(study)
    service = service_of(killed)
    wait_for(lambda: completed(study) >= 9, "nine steps", PATIENCE_S)
    killed.kill()
    killed.communicate(timeout=PATIENCE_S)
    assert StudyResults.load(folder(study)).spec.name == "a small one"  # whole enough to be read

    final = start(study)  # while the orphaned service may still hold the state directory
    out, said = final.communicate(timeout=PATIENCE_S)
    assert (final.returncode, said) == (0, "")
    assert not service.is_running()
    assert out.strip() == str(folder(study) / "report.html")
    report = (folder(study) / "report.html").read_text()
    assert "a small one" in report
    assert empty_sections(report) == set()

    results = StudyResults.load(folder(study))
    assert (results.missing, results.failed) == ((), {})
    assert set(results.layers) == {("first", "0-1"), ("first", "pooler")}
    assert all(surface.complete for surface in results.surfaces.values())
    shared = {
        run.findings.checkpoints["pretrained"].sha256
        for (_, start), run in results.surfaces.items()
        if start != "scratch"
    }
    assert len(shared) == 1  # one θ0 for all runs of a start
    with sqlite3.connect(folder(study) / "service" / "journal.sqlite3") as journal:
        ((jobs,),) = journal.execute("select count(*) from jobs").fetchall()
    journal.close()
    steps = json.loads((folder(study) / "study.json").read_text())["steps"]
    assert jobs == len(steps)


def test_a_task_that_fails_leaves_the_other_whole(study: Path) -> None:
    spec = json.loads(study.read_text())
    first, second = spec["tasks"].values()
    first["toward"] = {"random": {"seed": 0}}  # and not toward what fails
    lines = Path(second["data"]["eval"]["path"]).read_text().splitlines()
    (study.parent / "eval.tsv").write_text("\n".join([*lines, "words\t7"]) + "\n")
    second["data"]["eval"]["path"] = "eval.tsv"
    parts = {"longer": {"tasks": []}, "layers": {"tasks": []}, "surface": {"x": [0, 1, 2]}}
    study.write_text(json.dumps({**spec, **parts}))

    process = start(study)
    out, said = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, out) == (1, "")
    assert said.startswith("bertscape: finetune/second/pretrained: job ")
    results = StudyResults.load(folder(study))
    assert {key.split("/")[1] for key in results.missing} == {"second"}
    assert set(results.surfaces) == {("first", "pretrained"), ("first", "scratch")}
    assert (folder(study) / "report.html").exists()


def test_a_path_that_is_not_there_is_told_before_anything_starts(study: Path) -> None:
    spec = yaml.safe_load(study.read_text())
    spec["tasks"]["second"]["data"]["eval"]["path"] = "nowhere.tsv"
    study.write_text(json.dumps(spec))
    process = start(study)
    _, said = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 2
    assert said.startswith("bertscape: tasks.second.data.eval.path: ")
    assert said.endswith("nowhere.tsv'; expected a path that exists\n")
    assert not folder(study).exists()
