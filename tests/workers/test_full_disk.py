"""A full disk while a checkpoint is written: nothing torn counts, and what is whole stays."""

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.workers.tiny_inputs import Inputs
from tests.workers.trainings import check, training_spec
from transformers import AutoModelForSequenceClassification

from bertscape.cli import main
from bertscape.spec import Data, FinetuneSpec, Split
from bertscape_workers.training import train
from bertscape_workers.training.kept_checkpoints import CheckpointNotWritten


@dataclass(frozen=True)
class SmallDisk:
    """A file system of its own."""

    path: Path

    def resize(self, kibibytes: int) -> None:
        """Make it larger, or smaller."""
        options = f"remount,size={kibibytes}k"
        subprocess.run(["mount", "-o", options, str(self.path)], check=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    path = tmp_path / "disk"
    path.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=100k", "tmpfs", str(path)]
    mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    if mounted.returncode != 0:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.strip()}")
    yield SmallDisk(path)
    # Lazily: models that were read from it may still be mapped.
    subprocess.run(["umount", "--lazy", str(path)], check=True)


@pytest.fixture
def settings(bert: Inputs) -> FinetuneSpec:
    data = Data(
        train=Split(path=str(bert.train)),
        eval=Split(path=str(bert.eval)),
        text=("first", "second"),
        max_length=32,
    )
    return training_spec(bert.pretrained, data, batch_size=8, seed=5)


# Room for nothing; for the start; for a model, but not its optimizer; for one whole checkpoint.
@pytest.mark.parametrize(
    ("kibibytes", "kept"),
    [
        (60, []),
        (100, []),
        (300, ["checkpoint-0"]),
        (450, ["checkpoint-0", "checkpoint-5"]),
        (600, ["checkpoint-0", "checkpoint-5"]),
    ],
)
def test_a_full_disk_tears_no_checkpoint(
    settings: FinetuneSpec, disk: SmallDisk, tmp_path: Path, kibibytes: int, kept: list[str]
) -> None:
    disk.resize(kibibytes)
    output = disk.path / "run"
    for _ in range(2):  # as the next attempt finds it
        with pytest.raises(CheckpointNotWritten) as caught:
            train(check(settings), output)
        assert str(output) in str(caught.value)
        assert "No space left on device" in str(caught.value)
        assert sorted(path.name for path in output.glob("*")) == kept
        for name in kept:
            _, found = AutoModelForSequenceClassification.from_pretrained(
                output / name, output_loading_info=True
            )
            assert not any(found.values())
    disk.resize(4000)
    run, elsewhere = train(check(settings), output), train(check(settings), tmp_path / "run")
    assert [path.name for path in run.checkpoints] == [path.name for path in elsewhere.checkpoints]
    for here, there in zip(run.checkpoints, elsewhere.checkpoints, strict=True):
        weights = "model.safetensors"
        assert (here / weights).read_bytes() == (there / weights).read_bytes()


def test_the_command_says_it_in_one_line(
    bert: Inputs, disk: SmallDisk, capsys: pytest.CaptureFixture[str]
) -> None:
    disk.resize(300)
    status = main(
        [
            *("finetune", "--pretrained", str(bert.pretrained), "--train", str(bert.train)),
            *("--eval", str(bert.eval), "--text", "first", "second", "--max-length", "32"),
            *("-o", str(disk.path)),
        ]
    )
    shown = capsys.readouterr()
    assert status == 1
    assert shown.out == ""
    assert shown.err.startswith(f"bertscape: a checkpoint cannot be written to {disk.path}: ")
    assert shown.err.count("\n") == 1
