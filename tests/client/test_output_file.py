"""A command replaces a file of its own kind alone, and says so before any work."""

import os
from pathlib import Path
from typing import Any

import pytest

from bertscape.cli import main
from bertscape.cli.output_file import PICTURE, RESULT, refuse_unwritable
from bertscape.results import write_surface
from bertscape.values import InvalidInput


def test_a_new_name_an_empty_file_and_an_earlier_result_are_taken(
    make_surface: Any, tmp_path: Path
) -> None:
    (tmp_path / "empty.h5").touch()
    write_surface(make_surface(), tmp_path / "earlier.h5")
    for name in ("new.h5", "empty.h5", "earlier.h5"):
        refuse_unwritable(tmp_path / name, RESULT)


@pytest.mark.parametrize("content", ["kind: surface\n", "sentence\tlabel\n", "\x89HDF"])
def test_a_file_of_another_kind_stays(tmp_path: Path, content: str) -> None:
    path = tmp_path / "spec.yaml"
    path.write_text(content)
    with pytest.raises(InvalidInput, match=r"-o: .*is a file of another kind; expected a new name"):
        refuse_unwritable(path, RESULT)
    assert path.read_text() == content


def test_what_is_no_regular_file_stays(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (Path(os.devnull), tmp_path / "pipe"):
        with pytest.raises(InvalidInput, match="is no regular file; expected the name of a file"):
            refuse_unwritable(path, RESULT)


def test_a_picture_does_not_replace_the_file_that_it_shows(
    make_surface: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    surface = tmp_path / "surface.png"  # whatever its name
    write_surface(make_surface(), surface)
    assert main(["plot", str(surface)]) == 2
    assert "expected a new name, or a picture to replace" in capsys.readouterr().err
    assert main(["plot", str(surface), "-o", str(tmp_path / "picture.png")]) == 0
    refuse_unwritable(tmp_path / "picture.png", PICTURE)
    assert main(["plot", str(surface), "-o", str(tmp_path / "picture.png")]) == 0


def test_a_folder_is_not_taken_to_be_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "runs").mkdir()
    assert main(["measure", str(tmp_path / "runs")]) == 2
    assert "runs: not a file; expected" in capsys.readouterr().err
