"""`bertscape demo --paper`: a whole study on the generated language, nothing downloaded.

It makes the text and a pre-trained BERT, writes `study.yaml` beside them, and runs that as
`bertscape paper` would. Every number is computed in this run. Run it again to resume.
"""

from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from bertscape.cli import write_paper
from bertscape.http import StageProgress
from bertscape.spec import load_study
from bertscape.study import REPORT
from bertscape.values import publishing
from bertscape_service.running.demo import make_room

if TYPE_CHECKING:
    from bertscape.spec import Data

STUDY_FILE, STUDY = "study.yaml", "study"
_MARKER = ".bertscape-paper"
LAYERS = 3  # one for each third
_MODEL = "runs/language-model"

_TEMPLATE = """\
# Written by `bertscape demo --paper`. Run it again: bertscape paper {file}
kind: study
name: generated language
pretrained: {model}
tasks:
{tasks}
training: {{epochs: 6, batch_size: 16, learning_rate: 1e-3, seed: {seed}}}
scratch: {{epochs: 12}}
longer: {{tasks: mood, epochs: [5, 10, 20]}}
curve: [-4, 4, 41]
surface: {{x: [-4, 4, 17], y: [-4, 4, 17]}}
layers: {{grid: {{x: [-4, 4, 17], y: [-4, 4, 17]}}}}
rollback: {{groups: [embeddings, low, middle, high, pooler]}}
"""
_TASK = """\
  {name}:
    data:
      train: {{path: data/{train}}}
      eval: {{path: data/{evaluation}}}
      text: [{text}]
      label: {label}
      max_length: {max_length}"""


def run_demo_study(folder: Path, seed: int) -> Path:
    """Make everything in `folder`: data, model, study and its results; returns the report.

    A study of this seed that an earlier call began there is resumed; one of another seed is
    deleted.

    Raises:
        InvalidInput: the folder holds something that no earlier call made.
        BertscapeError: the service did not start, or a job failed.
    """
    file = folder / STUDY_FILE
    begun = file.exists() and (folder / _MARKER).exists()
    if not (begun and load_study(file).training.seed == seed):
        _begin(folder, file, seed)
    write_paper(load_study(file), folder / STUDY)
    return folder / STUDY / REPORT


def _begin(folder: Path, file: Path, seed: int) -> None:
    """Make what the study starts from, and last its file: if that exists, all of it does."""
    from bertscape_workers.generated_language import DEMO, pretrain, write_demo_data

    make_room(folder, _MARKER, (STUDY_FILE, "data", "runs", STUDY))
    size = replace(DEMO, layers=LAYERS)
    with closing(StageProgress()) as progress:
        data = write_demo_data(folder / "data", seed, size)
        pretrain(folder / _MODEL, data, seed, progress, size=size)
    with publishing(file) as opened:
        opened.write(study_text(file, {"mood": data.target, "topic": data.other}, seed).encode())


def study_text(file: Path, tasks: "dict[str, Data]", seed: int) -> str:
    """The study as YAML; its paths are relative to the folder of `file`."""
    described = [
        _TASK.format(
            name=name,
            train=Path(data.train.path or "").name,
            evaluation=Path(data.eval.path or "").name,
            text=", ".join(data.text),
            label=data.label,
            max_length=data.max_length,
        )
        for name, data in tasks.items()
    ]
    return _TEMPLATE.format(file=file, model=_MODEL, tasks="\n".join(described), seed=seed)
