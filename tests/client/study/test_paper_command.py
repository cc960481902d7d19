"""`bertscape paper`: exit status, output, report; against a played service."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.client.study.played_service import PlayedService

from bertscape.cli import main

NO_OTHER_PART: dict[str, Any] = {
    "longer": {"tasks": []},
    "layers": {"tasks": []},
    "rollback": {"tasks": []},
}


@pytest.fixture
def service(make_surface: Any, monkeypatch: pytest.MonkeyPatch) -> PlayedService:
    from bertscape.results import result_bytes

    played = PlayedService(lambda spec: result_bytes(make_surface(spec["kind"])))
    monkeypatch.setattr("bertscape.http.Client", lambda *_, **__: played.client())
    monkeypatch.setattr("bertscape.study.running.PAUSE_S", 0.0)
    return played


@pytest.fixture
def paper(study: Any, tmp_path: Path) -> Callable[..., int]:
    """Run the command on a study of curves and surfaces."""
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(study(**NO_OTHER_PART)))
    return lambda *options: main(["paper", str(path), *options])


def test_it_writes_the_report_beside_the_results(
    service: PlayedService, paper: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert paper("--url", "http://service") == 0
    out, said = capsys.readouterr()
    assert (out, said) == (f"{tmp_path / 'study' / 'report.html'}\n", "")
    assert (tmp_path / "study" / "report.html").stat().st_size > 10_000


def test_a_script_gets_json(
    service: PlayedService,
    paper: Any,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("BERTSCAPE_URL", "http://service")
    monkeypatch.setattr("bertscape.report.write_report", lambda results, path: path.touch())
    folder = tmp_path / "elsewhere"
    assert paper("-o", str(folder), "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told == {"output": str(folder), "report": str(folder / "report.html")}


@pytest.mark.parametrize(("trouble", "status"), [("fails", 1), ("refuses", 2)])
def test_what_is_there_is_reported_where_a_step_fails(
    service: PlayedService,
    paper: Any,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    trouble: str,
    status: int,
) -> None:
    setattr(service, trouble, {"rte, from scratch"})
    assert paper("--url", "http://service") == status
    out, said = capsys.readouterr()
    assert out == ""
    assert said.startswith("bertscape: ")
    assert said.count("\n") == 1
    assert "finetune/rte/scratch" in (tmp_path / "study" / "report.html").read_text()


def test_a_folder_is_asked_for(
    service: PlayedService, paper: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    assert paper("-o", str(tmp_path / "file"), "--url", "http://service") == 2
    assert "file'; expected a folder, or a new name" in capsys.readouterr().err


def test_without_the_service_it_prints_the_install_command(
    paper: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("BERTSCAPE_URL", raising=False)
    monkeypatch.setattr("bertscape.http.serving.REQUIRED_MODULES", ("no_such_module",))
    assert paper() == 2
    assert "bertscape paper needs no_such_module: pip install 'bertscape[service]'" in (
        capsys.readouterr().err
    )
