"""A further kind of job needs its own module, and a line in each package's registry."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests import toy_kind
from tests.toy_kind import Toy
from tests.workers.tiny_inputs import Inputs

from bertscape.cli.main import main
from bertscape.results import read_result
from bertscape.spec import Limits, load_spec, parse_spec
from bertscape.values import InvalidInput
from bertscape_workers.admission import admit
from bertscape_workers.running.local_run import run_job


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    toy_kind.add_to_the_client(monkeypatch)
    toy_kind.add_to_the_workers(monkeypatch)


@pytest.fixture
def value(bert: Inputs) -> dict[str, Any]:
    named = bert.spec()
    model = {"pretrained": str(bert.pretrained), "finetuned": str(bert.finetuned)}
    return {"kind": "toy", "model": model, "data": named.data.model_dump(mode="json")}


def test_it_runs_into_a_file(value: dict[str, Any], bert: Inputs, tmp_path: Path) -> None:
    result = run_job(parse_spec(value))
    lines = bert.train.read_text().splitlines()[1:]
    words = np.array([len(line.split("\t")[0].split()) for line in lines])
    assert isinstance(result, Toy)
    assert result.share.tolist() == [np.mean(words <= longest) for longest in range(6)]
    assert result.complete
    result.save(tmp_path / "toy.h5")
    found = read_result(tmp_path / "toy.h5")
    assert isinstance(found, Toy)
    assert found.spec == result.spec
    assert found.share.tobytes() == result.share.tobytes()
    assert found.to_xarray()["share"].sel(words=5) == result.share[5]


def test_it_is_checked_as_all_kinds_are(value: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"longest: -1; expected"):
        parse_spec({**value, "longest": -1})
    with pytest.raises(InvalidInput, match=r"longest: 6 points; expected at most 5 points"):
        admit(parse_spec(value), Limits(points=5))
    missing = {**value["model"], "pretrained": str(tmp_path / "none")}
    with pytest.raises(InvalidInput, match=r"model\.pretrained: .*none'"):
        admit(parse_spec({**value, "model": missing}))
    (tmp_path / "spec.json").write_text('{"kind": "toy", "data": 1}')
    with pytest.raises(InvalidInput, match=r"data: 1; expected a mapping of keys \(and 1 more\)"):
        load_spec(tmp_path / "spec.json")


def test_the_command_runs_it(
    value: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec, output = tmp_path / "spec.json", tmp_path / "toy.h5"
    spec.write_text(json.dumps(value))
    assert main(["run", str(spec), "-o", str(output)]) == 0
    assert capsys.readouterr().out.startswith(f"{output}: 6 points, ")
    assert read_result(output).complete
