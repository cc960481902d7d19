"""Tokenizing rows and looking up labels."""

import tracemalloc

import numpy as np
import pytest
from tests.workers.tiny_inputs import VOCABULARY
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import BertTokenizer, PreTrainedTokenizerFast

from bertscape.values import InvalidInput
from bertscape_workers.data import Row, TokenizedSplit, Vocabulary, build_split, splits
from bertscape_workers.training.starting_model import examples_of

WHOLE = Vocabulary(tokens=len(VOCABULARY), token_types=2)
NAMES = {"no": 0, "yes": 1, "maybe": 2}


def build(rows: list[Row], vocabulary: Vocabulary = WHOLE, max_length: int = 32) -> TokenizedSplit:
    tokenizer = BertTokenizer(vocab=VOCABULARY)
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


@pytest.mark.parametrize("text", ["|", "|a film", "a film|", "a|it", "a " * 50 + "|it"])
def test_an_example_alone_has_the_tokens_that_it_has_among_others(text: str) -> None:
    split = build([row(text)], max_length=10)
    (alone,) = split.sample
    assert alone.columns["input_ids"] == split.tokens.tolist()
    assert split.token_types is not None
    assert alone.columns["token_type_ids"] == split.token_types.tolist()


def test_a_model_without_token_types_gets_none() -> None:
    vocabulary = Vocabulary(tokens=len(VOCABULARY), token_types=0)
    assert build([row("a|it")], vocabulary).token_types is None


@pytest.mark.parametrize("types", [0, 2])
@pytest.mark.parametrize("text", ["a film|it was not", "a film and it was not"])
def test_a_few_rows_at_a_time_give_the_bytes_of_all_at_once(
    types: int, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    vocabulary = Vocabulary(tokens=len(VOCABULARY), token_types=types)
    rows = [row(text.replace("not", " ".join(["very"] * (n % 5 + 1)))) for n in range(11)]
    whole = build(rows, vocabulary)
    for count in (1, 4, 11):
        monkeypatch.setattr(splits, "ROWS_AT_A_TIME", count)
        parts = build(rows, vocabulary)
        assert parts.sha256() == whole.sha256()
        assert [parts.tokens.dtype, parts.lengths.dtype] == [np.dtype(np.int32)] * 2
        assert (parts.token_types is None) == (types == 0)


def test_tokenizing_never_holds_all_of_a_split_as_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(splits, "ROWS_AT_A_TIME", 64)
    rows = [row("a " * 60 + "film", n % 3) for n in range(4096)]
    build(rows[:64])  # what is set up once
    tracemalloc.start()
    split = build(rows)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(split.tokens) == 4096 * 32
    # The parts and what they are joined to; lists take twice as much again.
    assert peak < 2.5 * split.bytes


def test_training_sees_each_example_as_it_is_asked_for() -> None:
    split = build([row("a film|it", 2), row("book|a", 1)])
    examples = examples_of(split)
    assert len(examples) == 2  # torch's Dataset declares no length
    assert split.token_types is not None
    assert examples[1] == {
        "input_ids": split.tokens[6:].tolist(),
        "token_type_ids": split.token_types[6:].tolist(),
        "labels": 1,
    }


def test_labels_are_numbers_or_names() -> None:
    labels = [0, 2, "1", "yes", "maybe", np.int64(1)]
    found = build([row("a", label) for label in labels]).labels
    assert found.tolist() == [0, 2, 1, 1, 2, 1]


def classes(labels: list[object], names: list[str]) -> list[int]:
    tokenizer = BertTokenizer(vocab=VOCABULARY)
    index = {name: number for number, name in enumerate(names)}
    rows = [row("a", label) for label in labels]
    split = build_split("data.train", rows, tokenizer, 8, WHOLE, index, len(names))
    found: list[int] = split.labels.tolist()
    return found


@pytest.mark.parametrize(
    ("names", "numbers", "expected"),
    [
        (["1", "2", "3", "4", "5"], [1, 2, 3, 4, 5], [0, 1, 2, 3, 4]),
        (["1", "0"], [0, 1], [1, 0]),
        (["-1", "1"], [-1, 1], [0, 1]),
        (["0", "1", "2"], [0, 1, 2], [0, 1, 2]),
        (["LABEL_0", "LABEL_1"], [0, 1], [0, 1]),
        (["1", "more"], [1], [0]),
    ],
)
def test_a_number_is_the_same_class_as_text_and_as_a_number(
    names: list[str], numbers: list[int], expected: list[int]
) -> None:
    forms: list[list[object]] = [
        list(numbers),
        [np.int64(number) for number in numbers],
        [str(number) for number in numbers],
    ]
    for labels in forms:
        assert classes(labels, names) == expected
    written = [f" {number}" for number in numbers if number >= 0]
    assert classes([*written], names) == [
        index for number, index in zip(numbers, expected, strict=True) if number >= 0
    ]


@pytest.mark.parametrize("label", [0, "0", 6, "6"])
def test_where_all_names_are_numbers_none_is_an_index(label: object) -> None:
    message = r"expected a name in the head's label2id \(1, 2, 3, 4, 5\)$"
    with pytest.raises(InvalidInput, match=message):
        classes([label], ["1", "2", "3", "4", "5"])


def test_only_some_of_many_names_are_told() -> None:
    with pytest.raises(InvalidInput, match=r"\(intent 0, intent 1, .*, intent 9, … 150 in all\)"):
        classes(["intent 150"], [f"intent {number}" for number in range(150)])


@pytest.mark.parametrize("label", [3, -1, "3", "-1", "never", None, True, 1.5, ""])
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
