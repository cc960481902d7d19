"""Some examples of a split as the tokenizer gives them one at a time, for an independent look.

Nothing of them comes from the split's arrays but which ones they are and their classes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase

from bertscape_workers.data.rows import Row

_EXAMPLES = 8  # of a split


@dataclass(frozen=True, slots=True)
class SampleExample:
    """One example, tokenized alone."""

    place: int  # in the file
    columns: dict[str, list[int]]  # all that the tokenizer gives, by the model's name for it
    label: int  # in [0, K)


def sample_of(
    rows: Sequence[Row],
    labels: NDArray[np.int64],
    by_length: NDArray[np.int64],
    tokenizer: PreTrainedTokenizerBase,
    max_length: int,
) -> tuple[SampleExample, ...]:
    """The shortest, the longest, and others evenly between them, the longest first.

    The evaluator begins with the shortest: a model that the first example changes is seen.

    Args:
        rows: of the split.
        labels: their classes, (n,).
        by_length: the examples by their length, (n,).
        tokenizer: of the model.
        max_length: in tokens; longer examples are cut.
    """
    count = min(_EXAMPLES, len(rows))
    places = by_length[np.linspace(len(rows) - 1, 0, count).astype(np.int64)]
    given = [_alone(rows[place], tokenizer, max_length) for place in places]
    return tuple(
        SampleExample(int(place), columns, int(labels[place]))
        for place, columns in zip(places, given, strict=True)
    )


def _alone(row: Row, tokenizer: PreTrainedTokenizerBase, max_length: int) -> dict[str, list[int]]:
    # In lists of one: of a pair of plain strings the tokenizer drops a second text that is empty.
    texts = ([text] for text in row.texts)
    given = tokenizer(*texts, truncation=True, max_length=max_length, verbose=False)
    return {name: values[0] for name, values in given.items()}
