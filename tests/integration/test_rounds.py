"""A surface that sharpens on real Ray workers: equal bytes through kills, and as `run` has them."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from tests.integration.live_service import LiveService, SmallInputs, wait_for
from tests.integration.test_survival import api_which_starts_again, datasets, worker

from bertscape import Surface

SIDE, FIRST = 17, 12  # of 96 examples: rounds of 12, 12, 24 and 48


@pytest.mark.timeout(900)
def test_rounds_are_the_same_through_kills_and_without_a_service(
    serve: Callable[..., LiveService], small_inputs: SmallInputs, tmp_path: Path
) -> None:
    spec = small_inputs.spec(SIDE, until={"stderr": 1e-9})
    data: dict[str, dict[str, object]] = spec["data"]  # type: ignore[assignment]
    data["train"] = {**data["train"], "examples": FIRST, "seed": 1}
    path = tmp_path / "spec.yaml"
    path.write_text(yaml.safe_dump(spec))
    command = [sys.executable, "-m", "bertscape", "run", str(path), "-o", str(tmp_path / "run.h5")]
    subprocess.run(command, check=True, capture_output=True, timeout=300)

    service = serve()
    job = service.client().submit(spec)
    each = job.status.tiles_total
    for rounds, victim in enumerate((worker, api_which_starts_again), start=1):
        kill = victim(service)

        def begun(least: int = rounds * each + 4, of: LiveService = service) -> bool:
            return of.client().job(job.id).status.tiles_done >= least

        wait_for(begun, f"round {rounds + 1}")
        kill()
    job = service.client().job(job.id)
    job.wait(progress=False, timeout=400)
    assert (job.status.tiles_done, job.status.tiles_total) == (4 * each, 4 * each)
    job.fetch(tmp_path / "served.h5")
    assert datasets(tmp_path / "served.h5") == datasets(tmp_path / "run.h5")
    surface = Surface.load(tmp_path / "served.h5")
    assert (surface.rounds, surface.examples) == (4, {"train": 96, "eval": 64})
