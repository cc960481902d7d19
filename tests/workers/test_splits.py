"""Tokenizing rows and looking up labels."""

import numpy as np
import pytest
from tiny_inputs import VOCABULARY
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import BertTokenizerFast, PreTrainedTokenizerFast

from bertscape.errors import InvalidInput
from bertscape_workers.splits import TokenizedSplit, Vocabulary, build_split
from bertscape_workers.tables import Row

WHOLE = Vocabulary(tokens=len(VOCABULARY), token_types=2)
NAMES = {"no": 0, "yes": 1, "maybe": 2}


def build(rows: list[Row], vocabulary: Vocabulary = WHOLE, max_length: int = 32) -> TokenizedSplit:
    tokenizer = BertTokenizerFast(vocab=VOCABULARY)
    return build_split("data.train", rows, tokenizer, max_length, vocabulary, NAMES, 3)


def row(text: str, label: object = 0, number: int = 2) -> Row:
    return Row(f"line {number}", tuple(text.split("|")), label)


def test_examples_lie_one_after_the_other_in_the_files_order() -> None:
    split = build([row("a film|it"), row("book|a"), row("it was not very good|a")])
    first, second = VOCABULARY["[CLS]"], VOCABULARY["[SEP]"]
    words = [VOCABULARY[word] for word in ("a", "film", "it")]
    assert split.tokens[:6].tolist() == [first, words[0], words[1], second, words[2], second]
    assert split.token_types is not None
    assert split.token_types[:6].tolist() == [0, 0, 0, 0, 1, 1]
    assert split.lengths.tolist() == [6, 5, 9]
    assert split.starts.tolist() == [0, 6, 11]
    assert split.by_length.tolist() == [1, 0, 2]


def test_equal_lengths_keep_the_files_order() -> None:
    split = build([row("a film"), row("it"), row("a book"), row("was")])
    assert split.by_length.tolist() == [1, 3, 0, 2]


def test_long_examples_are_cut() -> None:
    assert build([row("a " * 50)], max_length=10).lengths.tolist() == [10]


def test_a_model_without_token_types_gets_none() -> None:
    vocabulary = Vocabulary(tokens=len(VOCABULARY), token_types=0)
    assert build([row("a|it")], vocabulary).token_types is None


def test_labels_are_numbers_or_names() -> None:
    labels = [0, 2, "1", "yes", "maybe", np.int64(1)]
    found = build([row("a", label) for label in labels]).labels
    assert found.tolist() == [0, 2, 1, 1, 2, 1]


def test_a_number_that_is_a_class_name_is_that_class() -> None:
    tokenizer = BertTokenizerFast(vocab=VOCABULARY)
    names = {"1": 0, "2": 1}
    split = build_split("data.train", [row("a", "1")], tokenizer, 8, WHOLE, names, 2)
    assert split.labels.tolist() == [0]


@pytest.mark.parametrize("label", [3, -1, "3", "-1", "never", None, True, 1.0, ""])
def test_any_other_label_is_refused_with_its_line(label: object) -> None:
    message = r"data\.train, line 7: label: .*expected a whole number from 0 to 2, or a name.*yes"
    with pytest.raises(InvalidInput, match=message):
        build([row("a"), row("a", label, number=7)])


def test_a_tokenizer_of_another_model_is_refused() -> None:
    with pytest.raises(InvalidInput, match=r"model\.tokenizer: .*which knows 6 token ids"):
        build([row("a film")], Vocabulary(tokens=6, token_types=2))
    with pytest.raises(InvalidInput, match=r"model\.tokenizer: .*which knows 1 token types"):
        build([row("a|film")], Vocabulary(tokens=19, token_types=1))


def test_a_text_without_any_token_is_refused() -> None:
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(WordLevel({"a": 0, "?": 1}, "?"))
    )
    with pytest.raises(InvalidInput, match=r"data\.train, line 2: text: ''; expected text that"):
        build_split("data.train", [row("")], tokenizer, 8, WHOLE, NAMES, 3)


def test_the_fingerprint_sees_every_array() -> None:
    split = build([row("a film|it", 0), row("book|a", 1)])
    digests = {split.sha256()}
    for changed in (
        build([row("a film|it", 0), row("book|a", 2)]),  # a label
        build([row("a book|it", 0), row("book|a", 1)]),  # a token
        build([row("a|film it", 0), row("book|a", 1)]),  # where the second text begins
        build([row("book|a", 1), row("a film|it", 0)]),  # the order
    ):
        digests.add(changed.sha256())
    assert len(digests) == 5
