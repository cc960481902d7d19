"""Whether a tokenizer fits the data: is there room for text, and how much of it is unknown?"""

from collections.abc import Mapping, Sequence

import numpy as np
from transformers import PreTrainedTokenizerBase

from bertscape.values import InvalidInput, ProblemType
from bertscape_workers.data.rows import Row
from bertscape_workers.data.splits import TokenizedSplit, Vocabulary, build_split

WARNED, REFUSED = 0.05, 0.5  # shares of unknown tokens above which a job warns, or is refused


def fitted_split(
    key: str,
    rows: Sequence[Row],
    tokenizer: PreTrainedTokenizerBase,
    max_length: int,
    vocabulary: Vocabulary,
    labels: Mapping[str, int],
    classes: int,
) -> tuple[TokenizedSplit, tuple[str, ...]]:
    """A split of a job of any kind, and warnings; arguments are those of `build_split`.

    Raises:
        InvalidInput: as `build_split`; or the tokenizer does not fit the text.
    """
    _refuse_short_inputs(tokenizer, len(rows[0].texts), max_length)
    split = build_split(key, rows, tokenizer, max_length, vocabulary, labels, classes)
    warning = _unknown_warning(tokenizer, split, key)
    return split, (warning,) if warning else ()


def _refuse_short_inputs(tokenizer: PreTrainedTokenizerBase, texts: int, max_length: int) -> None:
    """Raise `InvalidInput` if special tokens fill a whole example.

    Such an example would lose its text, or not be truncated at all.

    Args:
        tokenizer: of the model.
        texts: of an example, one or two.
        max_length: in tokens, special tokens included.
    """
    special = tokenizer.num_special_tokens_to_add(pair=texts == 2)
    if max_length <= special:
        raise InvalidInput.of(
            ProblemType.INVALID_VALUE,
            "data.max_length",
            max_length,
            f"at least {special + 1}: {special} special tokens and one of text",
        )


def _unknown_tokens(tokenizer: PreTrainedTokenizerBase, split: TokenizedSplit) -> float:
    """The share of a split's tokens that the tokenizer does not know, without special tokens.

    0 if the tokenizer has no token of its own for unknown text.
    """
    unknown = tokenizer.unk_token_id
    others = [token for token in tokenizer.all_special_tokens if token != tokenizer.unk_token]
    special = tokenizer.convert_tokens_to_ids(others)
    if unknown is None or tokenizer.unk_token in _roles(tokenizer):
        return 0.0
    count = int((split.tokens == unknown).sum())
    text = len(split.tokens) - int(np.isin(split.tokens, special).sum())
    return count / text if text else 0.0


def _roles(tokenizer: PreTrainedTokenizerBase) -> set[str | None]:
    """The special tokens of every example; some tokenizers use one token for all roles."""
    return {tokenizer.bos_token, tokenizer.eos_token, tokenizer.cls_token, tokenizer.sep_token}


def _unknown_warning(tokenizer: PreTrainedTokenizerBase, split: TokenizedSplit, key: str) -> str:
    """A warning about a split's unknown tokens; empty if there are few.

    Raises:
        InvalidInput: more than half of the tokens are unknown.
    """
    share = _unknown_tokens(tokenizer, split)
    if share > REFUSED:
        raise InvalidInput.of(
            ProblemType.CHECKPOINT_MISMATCH,
            "model.tokenizer",
            tokenizer.name_or_path,
            f"the model's own tokenizer, with its vocabulary: {_ADVICE}",
            f"does not know {share:.0%} of the tokens of {key}",
        )
    if share <= WARNED:
        return ""
    return f"{share:.0%} of the tokens of {key} are unknown to the tokenizer: {_ADVICE}"


_ADVICE = "check its vocabulary file and do_lower_case"
