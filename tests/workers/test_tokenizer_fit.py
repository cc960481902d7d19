"""A tokenizer that does not fit the data: seen before any point is computed."""

import logging
from pathlib import Path
from typing import Any

import h5py
import pytest
from matplotlib.text import Text
from tests.workers.tiny_inputs import VOCABULARY, Inputs, write_tsv
from transformers import BertTokenizer

from bertscape import Surface
from bertscape.values import Findings, InvalidInput, ProblemType
from bertscape_workers.jobs.prepare import prepare
from bertscape_workers.jobs.prepare_rollback import prepare_rollback
from bertscape_workers.running.local_run import run_job


def spec(bert: Inputs, folder: Path, unknown: int, **changes: Any) -> Any:
    """A job with a tokenizer that does not know so many of the words, each as frequent."""
    kept = {token: index for token, index in VOCABULARY.items() if index < 17 - unknown}
    BertTokenizer(vocab=kept).save_pretrained(folder)
    model = {
        "pretrained": str(bert.pretrained),
        "finetuned": str(bert.finetuned),
        "tokenizer": str(folder),
    }
    return bert.spec(model=model, grid={"x": [0, 1, 2], "y": [0, 1, 2]}, **changes)


def warned(findings: Findings) -> list[str]:
    return [warning for warning in findings.warnings if "unknown to the tokenizer" in warning]


def test_mostly_unknown_text_is_refused(bert: Inputs, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput) as caught:
        prepare(spec(bert, tmp_path / "tokenizer", unknown=11))
    problem = caught.value.problem
    assert (problem.type, problem.key) == (ProblemType.CHECKPOINT_MISMATCH, "model.tokenizer")
    assert "% of the tokens of data.train" in problem.detail
    assert "do_lower_case" in problem.detail


def test_a_folder_with_nothing_but_the_tokenizers_config(bert: Inputs, tmp_path: Path) -> None:
    folder = tmp_path / "tokenizer"
    job = spec(bert, folder, unknown=0)
    for file in folder.iterdir():
        if file.name != "tokenizer_config.json":
            file.unlink()
    with pytest.raises(InvalidInput) as caught:
        prepare(job)
    assert caught.value.problem.key == "model.tokenizer"


def test_some_unknown_text_is_said_in_log_file_and_picture(
    bert: Inputs, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        surface = run_job(spec(bert, tmp_path / "tokenizer", unknown=2))
    assert isinstance(surface, Surface)
    (train, evaluation) = warned(surface.findings)
    assert "of data.train are unknown" in train
    assert "of data.eval are unknown" in evaluation
    assert [record.getMessage() for record in caplog.records if "unknown" in record.message] == [
        train,
        evaluation,
    ]
    surface.save(tmp_path / "surface.h5")
    again = Surface.load(tmp_path / "surface.h5")
    assert again.findings.warnings == surface.findings.warnings
    with h5py.File(tmp_path / "surface.h5") as file:
        assert train in file.attrs["warnings"]
    shown = again.plot().findobj(Text)
    assert any(isinstance(text, Text) and train in text.get_text() for text in shown)


def test_a_rollback_says_it_too(bert: Inputs, tmp_path: Path) -> None:
    changes = {"kind": "rollback", "groups": ["pooler"], "grid": None, "y": None}
    job = bert.spec(**changes)
    assert prepare_rollback(job).findings.warnings == ()
    model = spec(bert, tmp_path / "tokenizer", unknown=2).to_json()["model"]
    assert len(warned(prepare_rollback(bert.spec(**changes, model=model)).findings)) == 2


def test_a_sound_job_says_nothing_and_its_file_has_no_more_than_before(bert: Inputs) -> None:
    found = prepare(bert.spec()).findings
    assert found.warnings == ()
    assert "warnings" not in found.to_json()


def test_a_warning_pins_nothing(bert: Inputs) -> None:
    found = prepare(bert.spec()).findings
    older = found.model_copy(update={"warnings": ("said by a later version",)})
    assert not list(found.differences(older))
    assert Findings.model_validate(older.to_json()) == older


@pytest.mark.parametrize(("texts", "short"), [(["first", "second"], 3), (["first"], 2)])
def test_no_room_for_text(bert: Inputs, texts: list[str], short: int) -> None:
    for length in range(2, short + 1):
        with pytest.raises(InvalidInput) as caught:
            prepare(bert.spec(data=bert.data(text=texts, max_length=length)))
        problem = caught.value.problem
        assert (problem.type, problem.key) == (ProblemType.INVALID_VALUE, "data.max_length")
        assert f"{length}; expected at least {short + 1}" in problem.detail
    prepare(bert.spec(data=bert.data(text=texts, max_length=short + 1)))


def test_a_tokenizer_with_a_length_of_its_own_does_not_decide(bert: Inputs, tmp_path: Path) -> None:
    folder = tmp_path / "tokenizer"
    job = spec(bert, folder, unknown=0, data=bert.data(train={"path": str(_long(tmp_path))}))
    expected = prepare(job).findings.splits
    tokenizer = BertTokenizer.from_pretrained(folder)
    tokenizer.backend_tokenizer.enable_truncation(5)
    tokenizer.backend_tokenizer.enable_padding(length=40)
    tokenizer.backend_tokenizer.save(str(folder / "tokenizer.json"))
    assert prepare(job).findings.splits == expected


def _long(folder: Path) -> Path:
    return write_tsv(folder / "long.tsv", 12, seed=3)
