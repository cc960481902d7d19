"""A surface that sharpens: rounds of further examples, put together, are one larger sample."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.workers.test_paired import MPNET
from tests.workers.tiny_inputs import Inputs, make_inputs

from bertscape.results import Surface, round_sizes
from bertscape.values import InvalidInput
from bertscape_workers.admission import MemoryLimits
from bertscape_workers.data import further_rows, read_rows
from bertscape_workers.evaluation import RoundInputs
from bertscape_workers.jobs import TileOrder, TileWatch, prepare_job, runner_of
from bertscape_workers.running.local_run import run_job

FIRST = 5  # of 37: rounds of 5, 5, 10, 17


def sharpening(inputs: Inputs, stderr: float, first: int = FIRST, **changes: Any) -> Any:
    return inputs.spec(data=sampled(inputs, first), until={"stderr": stderr}, **changes)


def sampled(inputs: Inputs, examples: int) -> dict[str, Any]:
    return inputs.data(train={"path": str(inputs.train), "examples": examples, "seed": 3})


def run(spec: Any) -> Surface:
    found = run_job(spec)
    assert isinstance(found, Surface)
    return found


def test_rounds_are_nested_and_together_all_rows(bert: Inputs) -> None:
    data = sharpening(bert, 0.1).data
    further = [{row.place for row in rows} for rows in further_rows(data)]
    assert [len(rows) for rows in further] == [5, 10, 17]
    reached = {row.place for row in read_rows(data, "train")}
    for rows, size in zip(further, (10, 20, 37), strict=True):
        assert not rows & reached
        reached |= rows
        larger = bert.spec(data=sampled(bert, size)).data
        assert reached == {row.place for row in read_rows(larger, "train")}


@pytest.mark.parametrize("config", [None, MPNET], ids=["packed", "plain"])
def test_all_rounds_are_the_whole_split(tmp_path: Path, config: Any) -> None:
    inputs = make_inputs(tmp_path, config)
    found = run(sharpening(inputs, 1e-9))
    assert found.rounds == 4
    assert found.examples == {"train": 37, "eval": 21}
    whole = run(inputs.spec(paired=True))
    np.testing.assert_allclose(found.numbers, whole.numbers, rtol=1e-6, atol=1e-7)
    for name in ("train_error", "train_error_stderr", "eval_loss", "eval_error_change_stderr"):
        np.testing.assert_array_equal(found[name], whole[name])


def test_one_round_is_a_paired_job_bit_for_bit(bert: Inputs) -> None:
    found, plain = (
        run(sharpening(bert, 9.0)),
        run(bert.spec(data=sampled(bert, FIRST), paired=True)),
    )
    assert (found.rounds, found.examples["train"]) == (1, FIRST)
    assert found.numbers.tobytes() == plain.numbers.tobytes()


def test_it_ends_with_the_first_round_that_is_sharp_enough(bert: Inputs) -> None:
    relative = [
        float((one["train_loss_stderr"] / one.train_loss).max())
        for one in (run(bert.spec(data=sampled(bert, size))) for size in (5, 10, 20))
    ]
    assert relative[1] < relative[0]
    found = run(sharpening(bert, relative[1] * 1.0001))
    assert found.rounds == 2
    assert run(sharpening(bert, relative[1] * 0.9999)).rounds > 2
    assert (found["train_loss_stderr"] <= relative[1] * 1.0001 * found.train_loss).all()


def test_the_end_point_has_the_examples_of_all_rounds(bert: Inputs) -> None:
    from bertscape.readings import end_point

    found, whole = run(sharpening(bert, 1e-9)), run(bert.spec(paired=True))
    here, there = end_point(found), end_point(whole)
    assert here is not None
    assert there is not None
    assert here.place == there.place
    assert here.train_loss == pytest.approx(there.train_loss, rel=1e-6)
    assert here.train_loss_stderr == pytest.approx(there.train_loss_stderr, rel=0.5)
    assert (found.numbers[8:12, 1, 2] == 0).all()


def test_a_point_depends_on_its_round_and_not_on_the_order(bert: Inputs) -> None:
    inputs = prepare_job(sharpening(bert, 0.1)).inputs
    assert isinstance(inputs, RoundInputs)
    points = np.array([[0.5, -0.25]])
    runner, other = runner_of("surface", inputs), runner_of("surface", inputs)
    orders = [TileOrder(points, round=number) for number in range(4)]
    forward = [runner.run(order, TileWatch())[0] for order in orders]
    backward = [other.run(order, TileWatch())[0] for order in reversed(orders)][::-1]
    for here, there in zip(forward, backward, strict=True):
        assert here.tobytes() == there.tobytes()
    assert not np.isnan(forward[0]).any()
    assert np.isnan(forward[1]).sum() == 8  # the evaluation split belongs to the first round


def test_all_examples_are_pinned_before_the_first_tile(bert: Inputs) -> None:
    findings = prepare_job(sharpening(bert, 0.1)).findings
    assert round_sizes(findings) == (5, 5, 10, 17)
    assert list(findings.splits) == ["train", "eval", "train[1]", "train[2]", "train[3]"]
    assert findings.splits["train[2]"].source == str(bert.train)


def test_what_does_not_fit_or_is_wrong_in_a_later_round_is_refused(tmp_path: Path) -> None:
    inputs = make_inputs(tmp_path)
    with pytest.raises(InvalidInput, match=r"data.train.examples: 38; expected at most 37"):
        prepare_job(sharpening(inputs, 0.1, first=38))
    text = inputs.train.read_text().rstrip("\n").splitlines()
    last = read_rows(sharpening(inputs, 0.1, first=36).data, "train")
    left = ({f"line {number}" for number in range(2, 39)} - {row.place for row in last}).pop()
    line = int(left.removeprefix("line ")) - 1
    text[line] = text[line].rsplit("\t", 1)[0] + "\t7"
    inputs.train.write_text("\n".join(text) + "\n")
    prepare_job(inputs.spec(data=sampled(inputs, 36)))
    with pytest.raises(InvalidInput, match=left):
        prepare_job(sharpening(inputs, 0.1, first=36))


def test_the_memory_of_all_rounds_counts(bert: Inputs) -> None:
    few = replace(MemoryLimits(1 << 40, 1 << 40), object_store=1)
    with pytest.raises(InvalidInput):
        prepare_job(sharpening(bert, 0.1), limits=few)
