"""Which examples meet the plain model together."""

import numpy as np
from tests.workers.architectures.tiny_models import END, tiny_config

from bertscape_workers.checkpoints import build_model
from bertscape_workers.data import TokenizedSplit
from bertscape_workers.evaluation.plain.batches import end_tokens, most_together, of_equal_shape

# Five examples; the second and the fourth end twice.
TEXTS = ([5, 6, END], [5, END, 6, END], [5, 6, 7, END], [5, END, END], [8, 9, END])


def split() -> TokenizedSplit:
    return TokenizedSplit(
        tokens=np.concatenate([np.array(text, dtype=np.int32) for text in TEXTS]),
        token_types=None,
        lengths=np.array([len(text) for text in TEXTS], dtype=np.int32),
        labels=np.zeros(len(TEXTS), dtype=np.int64),
    )


def together(ends: np.ndarray, most: int = 32) -> list[list[int]]:
    examples = split()
    batches = of_equal_shape(examples.lengths, ends, examples.by_length, most)
    return [batch.tolist() for batch in batches]


def test_a_batch_holds_examples_of_one_length_in_the_order_of_the_file() -> None:
    assert together(np.zeros(5, dtype=np.int64)) == [[0, 3, 4], [1, 2]]


def test_a_batch_is_full_at_its_most() -> None:
    assert together(np.zeros(5, dtype=np.int64), 2) == [[0, 3], [4], [1, 2]]
    assert together(np.zeros(5, dtype=np.int64), 1) == [[0], [3], [4], [1], [2]]


def test_a_text_that_spells_the_end_token_is_not_beside_one_that_does_not() -> None:
    model = build_model(tiny_config("bart").to_dict())
    ends = end_tokens(model, split())
    assert ends.tolist() == [1, 2, 1, 2, 1]
    assert together(ends) == [[0], [3], [4], [1], [2]]


def test_several_end_tokens_count_together_and_none_counts_nothing() -> None:
    llama = build_model(tiny_config("llama", eos_token_id=[END, 7]).to_dict())
    assert end_tokens(llama, split()).tolist() == [1, 2, 2, 2, 1]
    bert = build_model(tiny_config("bert", eos_token_id=None).to_dict())
    assert end_tokens(bert, split()).tolist() == [0, 0, 0, 0, 0]


def test_a_model_without_a_padding_token_takes_one_at_a_time() -> None:
    assert most_together(build_model(tiny_config("gpt2", pad_token_id=None).to_dict())) == 1
    assert most_together(build_model(tiny_config("gpt2").to_dict())) == 32
