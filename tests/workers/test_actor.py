"""The Ray actor with the real numerics, on a real Ray."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.workers.tiny_inputs import Inputs

from bertscape.values import Findings, ProblemType
from bertscape_workers.admission import MemoryLimits
from bertscape_workers.evaluation import evaluator_for
from bertscape_workers.jobs import LIFETIME, PROGRESS, Description, Failure, TileNumbers, TileOrder
from bertscape_workers.jobs.actor import EvaluationWorker
from bertscape_workers.jobs.prepare import prepare

pytestmark = pytest.mark.ray


@pytest.fixture(scope="module")
def worker(local_ray: None) -> Iterator[Any]:
    import ray

    remote: Any = ray.remote  # its stub lacks the groups
    groups = {LIFETIME: 1, PROGRESS: 1}
    actor = remote(num_cpus=1, concurrency_groups=groups)(EvaluationWorker).remote(1)
    yield actor
    ray.kill(actor)


def get(*references: Any) -> Any:
    import ray

    found = ray.get(list(references), timeout=120)
    return found if len(references) > 1 else found[0]


def run(worker: Any, inputs: Any, coordinates: NDArray[np.float64]) -> Any:
    return worker.run_tile.remote([inputs], "surface", TileOrder(coordinates))


def test_it_says_what_it_is(worker: Any) -> None:
    from bertscape_workers.checkpoints import device_model

    description: Description = get(worker.describe.remote())
    assert (description.device, description.memory) == (device_model(), None)
    assert get(worker.progress.remote()) is None


def test_a_tile_has_the_bytes_that_this_process_computes(worker: Any, bert: Inputs) -> None:
    spec = bert.spec()
    here = prepare(spec)
    findings, inputs = worker.prepare.remote(spec, None)
    assert get(findings) == here.findings
    coordinates = spec.points.coordinates(range(spec.points.size))

    # The second comes from an evaluator that was used before.
    tiles = [get(run(worker, inputs, part)) for part in (coordinates,) * 2]

    evaluator = evaluator_for(here.inputs)
    expected = np.stack([evaluator.evaluate(*point) for point in coordinates])
    for tile in tiles:
        assert isinstance(tile, TileNumbers)
        assert tile.numbers.tobytes() == expected.tobytes()
        assert tile.seconds > 0


def test_the_arrays_are_mapped_and_not_copied(worker: Any, bert: Inputs) -> None:
    findings, reference = worker.prepare.remote(bert.spec(), None)
    assert isinstance(get(findings), Findings)
    one, other = get(reference), get(reference)
    for name in ("origin", "x", "y"):
        array = getattr(one, name)
        assert not array.flags.writeable
        assert array.ctypes.data == getattr(other, name).ctypes.data


def test_bad_input_comes_back_as_a_problem_and_the_rest_as_an_error(
    worker: Any, bert: Inputs
) -> None:
    findings, inputs = get(*worker.prepare.remote(bert.spec(), MemoryLimits(1 << 40, 1000)))
    assert isinstance(findings, Failure)
    assert findings.problem is not None
    assert findings.problem.type is ProblemType.DOES_NOT_FIT
    assert inputs is None

    failure, _ = get(*worker.prepare.remote("no spec", None))
    assert isinstance(failure, Failure)
    assert failure.problem is None
    assert failure.error.startswith("AttributeError: ")
    assert "Traceback" in failure.trace


def test_an_evaluator_that_raises_comes_back_as_an_error(worker: Any, bert: Inputs) -> None:
    _, inputs = worker.prepare.remote(bert.spec(), None)
    failure = get(run(worker, inputs, np.zeros((1, 3))))
    assert isinstance(failure, Failure)
    assert failure.error.startswith("ValueError: ")
    tile = get(run(worker, inputs, np.zeros((1, 2))))
    assert isinstance(tile, TileNumbers)


def test_what_is_forgotten_is_loaded_again(worker: Any, bert: Inputs) -> None:
    _, inputs = worker.prepare.remote(bert.spec(), None)
    before, _, _, after = get(
        run(worker, inputs, np.ones((1, 2))),
        worker.forget.remote("another"),
        worker.forget.remote(inputs.hex()),
        run(worker, inputs, np.ones((1, 2))),
    )
    assert before.numbers.tobytes() == after.numbers.tobytes()
