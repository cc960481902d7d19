"""What checking one submission does: how often the spec is validated and dumped, files opened.

    python benchmarks/submission.py [--repeat 200]

Three checkpoint folders and two data files are made in a temporary folder; their tensors are as
small as can be, so that the seconds are those of the checks alone.
"""

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel
from safetensors.numpy import save_file

from bertscape_service.configuration import Settings
from bertscape_service.coordination.submission import check_submission
from bertscape_service.ray_cluster import ClusterFound

TENSORS = {
    "bert.embeddings.word_embeddings.weight": (9, 4),
    "bert.encoder.layer.0.attention.self.query.weight": (4, 4),
    "bert.pooler.dense.weight": (4, 4),
    "classifier.weight": (2, 4),
    "classifier.bias": (2,),
}
CONFIG = {
    "architectures": ["BertForSequenceClassification"],
    "model_type": "bert",
    "vocab_size": 9,
    "hidden_size": 4,
    "num_hidden_layers": 1,
    "num_attention_heads": 1,
    "intermediate_size": 8,
    "max_position_embeddings": 16,
    "id2label": {"0": "no", "1": "yes"},
    "label2id": {"no": 0, "yes": 1},
}
COUNTED = ("model_validate", "model_dump")


def write_inputs(folder: Path) -> dict[str, Any]:
    """Three checkpoints, two splits, and a spec that names them."""
    for name in ("start", "end", "other"):
        (folder / name).mkdir()
        tensors = {key: np.zeros(shape, np.float32) for key, shape in TENSORS.items()}
        save_file(tensors, folder / name / "model.safetensors", metadata={"format": "pt"})
        (folder / name / "config.json").write_text(json.dumps(CONFIG))
    for split in ("train", "eval"):
        (folder / f"{split}.tsv").write_text("sentence\tlabel\nsome words\t1\n")
    return {
        "kind": "surface",
        "model": {"pretrained": str(folder / "start"), "finetuned": str(folder / "end")},
        "y": {"toward": str(folder / "other")},
        "grid": {"x": [-1, 2, 40], "y": [-1, 2, 40]},
        "data": {
            "train": {"path": str(folder / "train.tsv")},
            "eval": {"path": str(folder / "eval.tsv")},
            "text": ["sentence"],
            "max_length": 16,
        },
    }


@contextmanager
def counting() -> Iterator[Counter[str]]:
    """Count pydantic's calls, and the files that are opened, by their ends."""
    counts: Counter[str] = Counter()
    within = True

    def opened(event: str, arguments: Any) -> None:
        if within and event == "open" and isinstance(arguments[0], str | Path):
            counts[f"opened *{Path(arguments[0]).suffix}"] += 1

    sys.addaudithook(opened)  # it cannot be taken away
    kept = {name: BaseModel.__dict__[name] for name in COUNTED}
    BaseModel.model_validate = classmethod(  # type: ignore[method-assign, assignment]
        counted(kept["model_validate"].__func__, "validations", counts)
    )
    BaseModel.model_dump = counted(  # type: ignore[method-assign]
        kept["model_dump"], "dumps", counts
    )
    try:
        yield counts
    finally:
        within = False
        for name, method in kept.items():
            setattr(BaseModel, name, method)


def counted(method: Any, name: str, counts: Counter[str]) -> Any:
    """The same method, each call of it counted."""

    def call(*arguments: Any, **named: Any) -> Any:
        counts[name] += 1
        return method(*arguments, **named)

    return call


def main() -> None:
    """Count one submission, then time many."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, default=200)
    repeat = parser.parse_args().repeat
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made).resolve()
        value = write_inputs(folder)
        settings = Settings(folder / "state", (folder,))
        cluster = ClusterFound(2, 1 << 40, 1 << 40, 1, "any")

        def submit() -> None:
            check_submission(value, settings, cluster, lambda _: None, folder / "outputs")

        submit()
        with counting() as counts:
            submit()
        start = time.process_time()
        for _ in range(repeat):
            submit()
        each = (time.process_time() - start) / repeat
    for name, count in sorted(counts.items()):
        print(f"{name:24}{count:5}")
    print(f"{'milliseconds of CPU':24}{1000 * each:5.1f}")


if __name__ == "__main__":
    main()
