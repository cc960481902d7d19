"""Hub ids and `datasets` ids against a local cache that the test fills by hand: no network."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from datasets import Dataset, DatasetInfo, SplitDict, SplitInfo
from datasets.arrow_writer import ArrowWriter
from tests.workers.tiny_inputs import Inputs

from bertscape.results import Surface
from bertscape.spec import FinetuneSpec, parse_spec
from bertscape_workers.jobs import train_here
from bertscape_workers.running.local_run import run_job

COMMIT = "0123456789abcdef0123456789abcdef01234567"
MAIN = """
import sys
from bertscape.cli import main
print(*(main(["run", spec, "-o", sys.argv[1]]) for spec in sys.argv[2:]))
"""


def fill_model(home: Path, source: Path, name: str) -> None:
    """A model as the hub's client lays it out."""
    folder = home / "hub" / f"models--tiny--{name}"
    shutil.copytree(source, folder / "snapshots" / COMMIT)
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text(COMMIT)


def fill_dataset(home: Path, splits: dict[str, Path]) -> None:
    """A dataset of one config as `datasets` leaves it behind."""
    folder = home / "datasets" / "tiny___words" / "plain" / "0.0.0" / "abc"
    folder.mkdir(parents=True)
    infos, features = SplitDict(dataset_name="words"), None
    for name, path in splits.items():
        header, *rows = [line.split("\t") for line in path.read_text().splitlines()]
        table = Dataset.from_list(
            [{**dict(zip(header, row, strict=True)), "label": int(row[-1])} for row in rows]
        )
        features = table.features
        with ArrowWriter(path=str(folder / f"words-{name}.arrow"), features=features) as writer:
            writer.write_table(table.data.table)
            writer.finalize()
        infos.add(SplitInfo(name=name, num_examples=len(table), dataset_name="words"))
    info = DatasetInfo(
        features=features, splits=infos, dataset_name="words", config_name="plain", version="0.0.0"
    )
    info.write_to_directory(str(folder))


@pytest.fixture(scope="module")
def home(bert: Inputs, tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    fill_model(home, bert.pretrained, "start")
    fill_model(home, bert.finetuned, "tuned")
    fill_dataset(home, {"train": bert.train, "validation": bert.eval})
    return home


def run(home: Path, output: Path, *values: dict[str, Any]) -> tuple[list[str], str]:
    """(exit statuses, standard error) of `bertscape run` without network, one spec after the other.

    In a process of its own, for the hub's client reads its settings when it is imported.
    """
    paths = [home / f"spec-{place}.json" for place in range(len(values))]
    for path, value in zip(paths, values, strict=True):
        path.write_text(json.dumps(value))
    done = subprocess.run(
        [sys.executable, "-c", MAIN, str(output), *map(str, paths)],
        env={**os.environ, "HF_HOME": str(home), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=250,
        check=True,
        cwd=home,
    )
    return done.stdout.splitlines()[-1].split(), done.stderr


def spec(bert: Inputs, **changes: Any) -> dict[str, Any]:
    model = {
        "pretrained": {"hub": "tiny/start"},
        "finetuned": {"hub": "tiny/tuned", "revision": COMMIT},
    }
    source = {"dataset": "tiny/words", "config": "plain"}
    data = bert.data(train={**source, "split": "train"}, eval={**source, "split": "validation"})
    return {**bert.spec().to_json(), "model": model, "data": data, **changes}


def test_ids_give_what_the_files_give(bert: Inputs, home: Path, tmp_path: Path) -> None:
    statuses, shown = run(home, tmp_path / "surface.h5", spec(bert))
    assert (statuses, shown) == (["0"], "")
    surface, local = Surface.load(tmp_path / "surface.h5"), run_job(bert.spec())
    assert isinstance(local, Surface)
    np.testing.assert_array_equal(surface.numbers, local.numbers)
    found = surface.findings
    assert found.checkpoints["pretrained"].commit == COMMIT
    assert found.checkpoints["pretrained"].source == "tiny/start"
    assert found.checkpoints["toward"].commit is None
    assert found.splits["train"].source == "tiny/words plain train"
    for name in ("pretrained", "finetuned"):
        here, there = found.checkpoints[name], local.findings.checkpoints[name]
        assert here.sha256 == there.sha256
    assert found.splits["eval"].sha256 == local.findings.splits["eval"].sha256


def test_what_the_cache_lacks_is_named(bert: Inputs, home: Path, tmp_path: Path) -> None:
    model = {"pretrained": {"hub": "tiny/none"}, "finetuned": {"hub": "tiny/tuned"}}
    data = bert.data(train={"dataset": "tiny/none", "split": "train"})
    values = [spec(bert, model=model), spec(bert, data=data)]
    statuses, shown = run(home, tmp_path / "surface.h5", *values)
    assert statuses == ["2", "2"]
    first, second = shown.splitlines()
    assert first.startswith("bertscape: model.pretrained: 'tiny/none'")
    assert second.startswith("bertscape: data.train.dataset: 'tiny/none train'")
    assert not (tmp_path / "surface.h5").exists()


def test_a_training_starts_from_an_id(bert: Inputs, home: Path, tmp_path: Path) -> None:
    value = {
        "kind": "finetune",
        "model": {"pretrained": {"hub": "tiny/start"}},
        "data": bert.data(),
        "training": {"max_steps": 1},
    }
    statuses, shown = run(home, tmp_path / "out", value)
    assert (statuses, shown) == (["0"], "")
    local = parse_spec({**value, "model": {"pretrained": str(bert.pretrained)}})
    assert isinstance(local, FinetuneSpec)
    here = train_here(local, tmp_path / "local")
    for path in here.checkpoints:
        weights = Path(path.name) / "model.safetensors"
        assert (tmp_path / "out" / weights).read_bytes() == (
            path / "model.safetensors"
        ).read_bytes()
