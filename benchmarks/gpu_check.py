"""Everything that a GPU has to show, by one command, in at most seven minutes.

    python benchmarks/gpu_check.py [--output FOLDER] [--device cuda] [--only STEP ...]
    python benchmarks/gpu_check.py --small --device cpu

Each step is a process of its own with its own deadline: one that fails or hangs costs only itself.
What the steps find is written as it comes: `results.jsonl` in the output folder has every line,
`table.txt` the same to be read, and `log.txt` what was said besides. The steps, in order of their
worth:

- host: what there is, and whether torch reaches the GPU;
- numerics: small models of every architecture of the packed evaluator, in fp32, tf32 and bf16, each
  point against float64 on the CPU; equal bytes in any order, anew, and in a second process;
- service: a job, then the same with `kill -9` of the GPU's worker between two tiles: equal bytes;
- speed: `evaluator_gpu.py` for the shapes of MiniLM, BERT-base and BERT-large, with random weights
  and examples as long as those of MRPC and SST-2 (`gpu_steps/lengths.json`; no text is needed);
- time-spent: which share of a point goes into products, attention and the rest, and how many
  kernels it starts;
- fine-tuning: in bf16; its loss falls;
- full-memory: the GPU is filled, a job is refused or computed, and its worker lives on;
- trials: CUDA graphs, `torch.compile` and sizes of blocks, with figures.

`--small --device cpu` runs the same code on small models, most of it in one process. What only a
GPU has says "needs cuda". Exit status 1: something failed, missed its bar, or did not run.
"""

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gpu_steps import STEPS, Step

LIMIT_S = 420.0  # of the whole run
LEAST_S = 8.0  # a step that has less left is not started
PATIENCE = 5  # times as long, for the small form on processors that others use too
END_S = 5.0  # that a killed step may take to be gone
THREADS = 1  # of the CPU, as a worker has

ROOT = Path(__file__).resolve().parents[1]


class Report:
    """The lines of all steps, on disk as they come.

    Args:
        folder: takes `results.jsonl` and `table.txt`.
    """

    def __init__(self, folder: Path) -> None:
        self._lines = (folder / "results.jsonl").open("w", encoding="utf-8")
        self._table = (folder / "table.txt").open("w", encoding="utf-8")
        self.bad = 0

    def add(self, line: dict[str, Any]) -> None:
        """One line of a step."""
        self.bad += line.get("passed") is False
        self._write(self._lines, json.dumps(line))
        self._write(self._table, row(line))
        print(row(line), flush=True)

    @staticmethod
    def _write(file: Any, text: str) -> None:
        file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())


def row(line: dict[str, Any]) -> str:
    """A line of the table."""
    outcome = {True: "ok", False: "FAILED", None: ""}[line.get("passed")]
    if "skipped" in line:
        outcome = "--"
    values = {key: one for key, one in line.items() if key not in ("step", "what", "passed")}
    figures = "  ".join(f"{key}={shown(one)}" for key, one in values.items())
    return f"{line.get('step', ''):14} {outcome:6} {line.get('what', '')}: {figures}"


def shown(value: Any) -> str:
    """A value in few characters."""
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} {shown(one)}" for key, one in value.items()) + "}"
    return str(value)


@dataclass(frozen=True, slots=True)
class Run:
    """What all steps share."""

    device: str
    small: bool
    output: Path
    work: Path  # for checkpoints and whatever else is not kept
    ends: float  # monotonic seconds

    def together(self, steps: Sequence[Step], report: Report) -> None:
        """Run some in one process, and say how it ended."""
        name = "+".join(step.name for step in steps)
        wanted = sum(step.seconds for step in steps) * (PATIENCE if self.small else 1)
        seconds = min(wanted, self.ends - time.monotonic())
        if seconds < LEAST_S:
            report.add(_ended(name, "no time was left"))
            return
        began = time.monotonic()
        with (self.output / "log.txt").open("ab") as file:
            file.write(f"--- {name}\n".encode())
            file.flush()
            process = subprocess.Popen(
                self._command(steps),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=file,
                env=environment(),
                start_new_session=True,
            )
            reader = threading.Thread(target=_read, args=(process, report), daemon=True)
            reader.start()
            status = _wait(process, seconds)
            reader.join(END_S)
        took = round(time.monotonic() - began, 1)
        error = None
        if status is None:
            error = f"ended after {seconds:.0f} s, its deadline"
        elif status != 0:
            error = f"exit status {status}; see log.txt"
        report.add(_ended(name, error, took))

    def _command(self, steps: Sequence[Step]) -> list[str]:
        return [
            *(sys.executable, str(Path(__file__).resolve()), "--device", self.device),
            *("--output", str(self.work), *(("--small",) if self.small else ())),
            *("--step", *(step.name for step in steps)),
        ]


def _ended(name: str, error: str | None, seconds: float = 0.0) -> dict[str, Any]:
    line: dict[str, Any] = {"step": name, "what": "ended", "passed": error is None}
    return line | ({"error": error} if error else {}) | {"seconds": seconds}


def environment() -> dict[str, str]:
    """Of a step: nothing is fetched, nothing waits in a buffer, tests' inputs can be imported."""
    path = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(path),
        "PYTHONUNBUFFERED": "1",
        "HF_HUB_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "OMP_NUM_THREADS": str(THREADS),
    }


def _read(process: subprocess.Popen[bytes], report: Report) -> None:
    assert process.stdout is not None
    for text in process.stdout:
        with contextlib.suppress(ValueError):  # half a line of one that was ended
            report.add(json.loads(text))


def _wait(process: subprocess.Popen[bytes], seconds: float) -> int | None:
    """Its exit status; None if it was ended, with all that it started in its session."""
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        return None
    finally:
        try:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(END_S)  # one that the driver holds is left behind
        except (ProcessLookupError, subprocess.TimeoutExpired):
            pass


def be_a_process(options: argparse.Namespace) -> int:
    """Be the process of some steps."""
    import importlib

    from gpu_steps.telling import Setting, Told, own_stdout

    stream = own_stdout()
    for step in (step for step in STEPS if step.name in options.step):
        told = Told(stream, step.name)
        folder = options.output.resolve() / step.name
        folder.mkdir(parents=True, exist_ok=True)
        arguments = step.arguments_of(options.small)
        with told.guard("the whole step"):
            module = importlib.import_module(f"gpu_steps.{step.module}")
            module.run(told, Setting(options.device, options.small, folder, arguments))
    return 0


def main() -> int:
    """Run all steps; 1 where something is not as it must be."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--small", action="store_true", help="small models, for a CPU")
    parser.add_argument("--output", type=Path, default=Path("gpu-check"), metavar="FOLDER")
    parser.add_argument("--only", nargs="+", choices=[step.name for step in STEPS], metavar="STEP")
    parser.add_argument("--limit", type=float, default=LIMIT_S, help="seconds in all")
    parser.add_argument("--step", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step is not None:
        return be_a_process(options)
    options.output.mkdir(parents=True, exist_ok=True)
    report = Report(options.output)
    began = time.monotonic()
    (options.output / "log.txt").unlink(missing_ok=True)
    with tempfile.TemporaryDirectory(prefix="gpu-check-", ignore_cleanup_errors=True) as work:
        ends = began + options.limit
        run = Run(options.device, options.small, options.output, Path(work), ends)
        for steps in processes(options.small, options.only):
            run.together(steps, report)
    took = round(time.monotonic() - began, 1)
    line = {"step": "all", "what": "ended", "passed": not report.bad, "bad": report.bad}
    report.add(line | {"seconds": took})
    return int(bool(report.bad))


def processes(small: bool, only: Sequence[str] | None) -> list[list[Step]]:
    """Which steps share a process: none, but in the small form all that start no service."""
    steps = [step for step in STEPS if not only or step.name in only]
    if not small:
        return [[step] for step in steps]
    steps = [step for step in steps if step.small is not None]
    shared = [step for step in steps if step.module != "service"]
    apart = [[step] for step in steps if step.module == "service"]
    return [*([shared] if shared else []), *apart]


if __name__ == "__main__":
    raise SystemExit(main())
