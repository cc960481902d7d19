"""What it costs that the plain path never pads: a point in batches of equal length, and in padded.

Run `python benchmarks/equal_lengths.py GLUE`. An ALBERT of MiniLM's width and depth with random
weights evaluates 512 rows of MRPC's train split and all of dev: by the reference evaluator, and by
the same model in batches of 32 in the order of their lengths, padded to the longest of the batch,
as the reference evaluator did before. Seconds are processor time of one thread, so that work beside
it counts little; the two take turns.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from transformers import AlbertConfig

from bertscape_workers.checkpoints import attach, build_model, layout_of, set_threads
from bertscape_workers.data import TokenizedSplit
from bertscape_workers.evaluation import EvaluatorInputs
from bertscape_workers.evaluation.plain.evaluator import ReferenceEvaluator
from evaluator import make_inputs

BATCH = 32


def albert_inputs(glue: Path) -> EvaluatorInputs:
    """Random weights; the splits are those of the benchmark of the evaluators."""
    splits = make_inputs("minilm", "mrpc", glue)
    config = AlbertConfig(
        vocab_size=30522,
        hidden_size=384,
        num_hidden_layers=6,
        num_attention_heads=12,
        intermediate_size=1536,
    ).to_dict()
    torch.manual_seed(0)
    model = build_model(config)
    layout, state = layout_of(model), model.state_dict()
    origin = layout.empty()
    for tensor in layout.tensors:
        tensor.view(origin)[...] = state.pop(tensor.names[0]).numpy()
    head = {name: values.numpy() for name, values in state.items()}
    return EvaluatorInputs(
        config=config,
        layout=layout,
        origin=origin,
        x=None,
        y=None,
        head=head,
        train=splits.train,
        eval=splits.eval,
    )


class PaddedLoop:
    """Batches of 32 in the order of their lengths, padded to the longest."""

    def __init__(self, inputs: EvaluatorInputs) -> None:
        self.model = build_model(inputs.config)
        attach(self.model, inputs.layout, torch.from_numpy(inputs.origin.copy()), inputs.head)
        self.splits = (inputs.train, inputs.eval)

    @torch.inference_mode()
    def evaluate(self) -> None:
        """Run both splits."""
        for split in self.splits:
            for batch in _padded(split):
                self.model(**batch)


def _padded(split: TokenizedSplit) -> Iterator[dict[str, torch.Tensor]]:
    for first in range(0, len(split), BATCH):
        some = split.by_length[first : first + BATCH]
        place = np.arange(split.lengths[some].max())[None, :]
        inside = place < split.lengths[some][:, None]  # (batch, longest)
        index = np.where(inside, split.starts[some][:, None] + place, 0)
        arrays = {"input_ids": np.where(inside, split.tokens[index], 0), "attention_mask": inside}
        if split.token_types is not None:
            arrays["token_type_ids"] = np.where(inside, split.token_types[index], 0)
        yield {name: torch.from_numpy(one.astype(np.int64)) for name, one in arrays.items()}


def _seconds(call: Callable[[], object]) -> float:
    began = time.process_time()
    call()
    return time.process_time() - began


def main() -> None:
    """Measure, and print one object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("glue", type=Path, help="a folder with mrpc/train.tsv and mrpc/dev.tsv")
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    set_threads(1)
    inputs = albert_inputs(given.glue)
    equal, padded = ReferenceEvaluator(inputs, "cpu"), PaddedLoop(inputs)
    taken: dict[str, list[float]] = {"equal lengths": [], "padded": []}
    for _ in range(given.repeats):
        taken["padded"].append(_seconds(padded.evaluate))
        taken["equal lengths"].append(_seconds(lambda: equal.evaluate(0, 0)))
    medians = {name: round(statistics.median(seconds), 2) for name, seconds in taken.items()}
    counts = {
        split: [len(rows), len(rows.tokens), len(np.unique(rows.lengths))]
        for split, rows in (("train", inputs.train), ("eval", inputs.eval))
    }
    print(json.dumps({"seconds": medians, "all": taken, "examples, tokens, lengths": counts}))


if __name__ == "__main__":
    main()
