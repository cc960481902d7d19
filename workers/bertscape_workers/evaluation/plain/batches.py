"""How examples meet the plain model: without padding, and without what an example left behind.

Padding is not innocent: FNet mixes it with the text, convolutions reach over it, XLNet takes its
summary from it.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedModel

from bertscape_workers.data import TokenizedSplit

# Examples in one batch. Fixed, and cut from the whole split, so that a point's value depends on
# nothing but the point.
BATCH = 32

Examples = NDArray[np.int64]  # (batch,): places in the file


def most_together(model: PreTrainedModel) -> int:
    """How many examples a batch may hold.

    A model without a padding token takes one alone: it could not tell where a text ends.
    """
    padding = getattr(model.config.get_text_config(), "pad_token_id", None)
    return 1 if padding is None else BATCH


def of_equal_shape(
    lengths: NDArray[np.int32], ends: NDArray[np.int64], order: Examples, most: int
) -> list[Examples]:
    """Cut an order of examples, (n,), where a batch is full or the next example is of another sort.

    Args:
        lengths: in tokens, of each example.
        ends: how many end tokens each example has.
        order: of the examples.
        most: examples in a batch.
    """
    changes = np.diff(lengths[order]) | np.diff(ends[order])
    cuts = np.flatnonzero(changes) + 1
    return [
        some[first : first + most]
        for some in np.split(order, cuts)
        for first in range(0, len(some), most)
    ]


def end_tokens(model: PreTrainedModel, split: TokenizedSplit) -> NDArray[np.int64]:
    """How many end tokens each example has, (n,); a text that spells one has more than others.

    BART classifies by the state of the last, and takes no batch of unlike numbers.
    """
    ends: Any = getattr(model.config, "eos_token_id", None)  # a list of some families
    found = np.isin(split.tokens, [] if ends is None else ends)
    return np.add.reduceat(found, split.starts, dtype=np.int64)


def restore_attention(model: PreTrainedModel) -> None:
    """Give a model the attention that its config asks for.

    BigBird turns to full attention at a short example, and keeps it for all after that.
    """
    attention = getattr(model.config, "attention_type", None)
    for module in model.modules() if attention else ():
        change = getattr(module, "set_attention_type", None)
        if change is not None:
            change(attention)
            return
