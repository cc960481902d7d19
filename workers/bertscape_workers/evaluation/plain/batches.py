"""How examples reach the plain model: unpadded, and without traces of earlier examples.

Padding can change a result: FNet mixes it with the text, convolutions reach over it, and XLNet
takes its summary from it.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedModel

from bertscape_workers.data import TokenizedSplit

# Examples in one batch. It is fixed, and batches are cut from the whole split: so a point's value
# depends only on the point.
BATCH = 32

Examples = NDArray[np.int64]  # (batch,): places in the file


def most_together(model: PreTrainedModel) -> int:
    """How many examples a batch may hold.

    Without a padding token it is one: the model could not tell where a text ends.
    """
    padding = getattr(model.config.get_text_config(), "pad_token_id", None)
    return 1 if padding is None else BATCH


def of_equal_shape(
    lengths: NDArray[np.int32], ends: NDArray[np.int64], order: Examples, most: int
) -> list[Examples]:
    """Cut an order of examples, (n,), into batches of one length and one number of end tokens.

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
    """How many end tokens each example has, (n,). A text that spells one has more.

    BART classifies by the last one's state, and needs the same number in a whole batch.
    """
    ends: Any = getattr(model.config, "eos_token_id", None)  # some families have a list
    found = np.isin(split.tokens, [] if ends is None else ends)
    return np.add.reduceat(found, split.starts, dtype=np.int64)


def restore_attention(model: PreTrainedModel) -> None:
    """Give a model the attention that its config asks for.

    BigBird switches to full attention at a short example, and never switches back.
    """
    attention = getattr(model.config, "attention_type", None)
    for module in model.modules() if attention else ():
        change = getattr(module, "set_attention_type", None)
        if change is not None:
            change(attention)
            return
