"""Variables of the environment in a spec's paths: the client expands them, as it does `~`."""

from pathlib import Path

import pytest

from bertscape import load_spec, parse_spec
from bertscape.spec import sources

SPEC = """\
kind: curve
model: {pretrained: $HOME/runs/checkpoint-0, finetuned: "${HOME}/runs/checkpoint-8"}
data:
  train: {path: ~/train.tsv}
  eval: {path: $BERTSCAPE_TEST_DATA/dev.tsv}
  text: sentence
"""


def test_variables_are_expanded_in_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/someone")
    monkeypatch.setenv("BERTSCAPE_TEST_DATA", "data")
    path = tmp_path / "job.yaml"
    path.write_text(SPEC)
    spec = load_spec(path)
    checkpoints, files = sources(spec)
    assert checkpoints["model.pretrained"] == "/home/someone/runs/checkpoint-0"
    assert checkpoints["model.finetuned"] == "/home/someone/runs/checkpoint-8"
    assert files["data.train.path"] == "/home/someone/train.tsv"
    assert files["data.eval.path"] == str(tmp_path / "data/dev.tsv")


def test_one_that_is_not_set_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BERTSCAPE_TEST_DATA", raising=False)
    path = tmp_path / "job.yaml"
    path.write_text(SPEC)
    assert load_spec(path).data.eval.path == str(tmp_path / "$BERTSCAPE_TEST_DATA/dev.tsv")


def test_values_that_a_service_reads_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/someone")
    split = {"path": "$HOME/train.tsv"}
    value = {
        "kind": "finetune",
        "model": {"pretrained": "$HOME/a"},
        "data": {"train": split, "eval": split, "text": "sentence"},
    }
    assert sources(parse_spec(value))[0] == {"model.pretrained": "$HOME/a"}
