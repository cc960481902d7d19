"""How much pre-training pays in the demo: dev accuracy from both starts, for five seeds.

Run `python benchmarks/demo_gap.py`; with `--json` it prints one object a seed. Everything is the
demo's own: the language, the sizes, the schedule; only the seed changes.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from bertscape_workers.generated_language import fine_tune_four, pretrain, write_demo_data

SEEDS = (0, 1, 2, 3, 4)
BAR = 0.10  # the gap that each seed owes


@dataclass(frozen=True, slots=True)
class Outcome:
    """One seed; accuracies and the gap are shares, in [0, 1]."""

    seed: int
    pretrained: float  # dev accuracy on the target task
    scratch: float
    gap: float
    other_pretrained: float  # the same on the other task
    other_scratch: float
    pretraining_seconds: float
    fine_tuning_seconds: float  # of all four runs


def measure(seed: int) -> Outcome:
    """Everything that the demo trains, from one seed."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data = write_demo_data(folder / "data", seed)
        started = time.perf_counter()
        model = pretrain(folder / "model", data, seed)
        pretrained = time.perf_counter()
        four = fine_tune_four(folder, model, data, seed)
        ended = time.perf_counter()
    good, bad = four.pretrained, four.scratch
    return Outcome(
        seed=seed,
        pretrained=good.target.eval_accuracy,
        scratch=bad.target.eval_accuracy,
        gap=good.target.eval_accuracy - bad.target.eval_accuracy,
        other_pretrained=good.other.eval_accuracy,
        other_scratch=bad.other.eval_accuracy,
        pretraining_seconds=pretrained - started,
        fine_tuning_seconds=ended - pretrained,
    )


def line(outcome: Outcome) -> str:
    """One row of the table."""
    return (
        f"{outcome.seed:4}  {outcome.pretrained:11.1%}  {outcome.scratch:12.1%}  "
        f"{100 * outcome.gap:10.1f}  {outcome.other_pretrained:11.1%}  "
        f"{outcome.other_scratch:12.1%}  {outcome.pretraining_seconds:11.1f}  "
        f"{outcome.fine_tuning_seconds:9.1f}"
    )


_COLUMNS = ("pre-trained", "from scratch")
HEADER = (
    f"{'':4}  {'target task':^37}  {'other task':^25}  {'seconds':>17}\n"
    f"seed  {'  '.join(_COLUMNS)}  gap/points  {'  '.join(_COLUMNS)}  pre-training     4 runs"
)


def main(arguments: Sequence[str]) -> int:
    """Print a row for each seed; 1 where a seed's gap is below the bar."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    parser.add_argument("--json", action="store_true", help="one JSON object a seed")
    options = parser.parse_args(arguments)
    if not options.json:
        print(HEADER)
    outcomes = []
    for seed in options.seeds:
        outcomes.append(measure(seed))
        print(json.dumps(asdict(outcomes[-1])) if options.json else line(outcomes[-1]), flush=True)
    return int(any(outcome.gap < BAR for outcome in outcomes))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
