"""A service of one's own: what it may read, and what is said where it does not start."""

from pathlib import Path
from typing import Any

import pytest

from bertscape import BertscapeError, InvalidInput, ProblemType
from bertscape.http import local_service
from bertscape.spec import StudySpec, load_study
from bertscape.study.own_service import readable_roots


@pytest.fixture
def spec(study: Any, tmp_path: Path) -> StudySpec:
    """Both tasks' data in folders of their own; the model is links, as a hub's cache has them."""
    import yaml

    for name in ("mrpc", "rte"):
        (tmp_path / name).mkdir()
        for split in ("train", "dev"):
            (tmp_path / name / f"{split}.tsv").touch()
    (tmp_path / "blobs").mkdir()
    (tmp_path / "blobs" / "0123").touch()
    (tmp_path / "bert").mkdir()
    (tmp_path / "bert" / "model.safetensors").symlink_to("../blobs/0123")
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(study()))
    return load_study(tmp_path / "study.yaml")


def test_it_reads_what_the_study_names_and_nothing_else(spec: StudySpec, tmp_path: Path) -> None:
    names = ("bert", "blobs", "mrpc", "rte")
    assert readable_roots(spec) == tuple(tmp_path.resolve() / name for name in names)


def test_a_path_that_is_not_there_is_named(spec: StudySpec, tmp_path: Path) -> None:
    (tmp_path / "rte" / "dev.tsv").unlink()
    with pytest.raises(
        InvalidInput, match=r"tasks\.rte\.data\.eval\.path: .*/rte/dev\.tsv"
    ) as caught:
        readable_roots(spec)
    assert caught.value.problem.type is ProblemType.PATH_NOT_FOUND


def test_why_it_did_not_start_is_said(tmp_path: Path) -> None:
    pytest.importorskip("fastapi", reason="starts a service")
    options = ("--workers", "0")
    reason = "the service did not start: bertscape: --workers: 0; expected at least 1"
    with (
        pytest.raises(BertscapeError, match=reason),
        local_service(tmp_path / "state", [tmp_path], tmp_path / "log", options),
    ):
        raise AssertionError
