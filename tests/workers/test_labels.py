"""Labels as other tools write them: whole floats, booleans, the -1 of a split without labels."""

import math
from collections.abc import Sequence

import pytest
from tests.workers.tiny_inputs import VOCABULARY
from transformers import BertTokenizer

from bertscape.values import InvalidInput
from bertscape_workers.data import Row, Vocabulary, build_split


def classes(labels: Sequence[object], names: Sequence[str] = ("no", "yes", "maybe")) -> list[int]:
    rows = [Row(f"line {line}", ("a film",), label) for line, label in enumerate(labels, 2)]
    index = {name: number for number, name in enumerate(names)}
    vocabulary = Vocabulary(len(VOCABULARY), 2)
    tokenizer = BertTokenizer(vocab=VOCABULARY)
    split = build_split("data.train", rows, tokenizer, 8, vocabulary, index, len(names))
    found: list[int] = split.labels.tolist()
    return found


def test_whole_floats_are_numbers() -> None:
    assert classes([1.0, "2.0", " 0.00", 0.0]) == [1, 2, 0, 0]
    assert classes([1.0, "2.0"], ["2", "1"]) == [1, 0]  # a number that is a name means that class
    assert classes([1.0, "1.0"], ["1.0", "0.0"]) == [0, 0]


def test_float_names_of_a_head_are_numbers() -> None:
    """As transformers leaves them that sorts the labels as text."""
    names = sorted(f"{number}.0" for number in range(11))
    numbers = [names.index(f"{number}.0") for number in range(11)]
    assert classes(list(range(11)), names) == numbers
    assert classes([str(number) for number in range(11)], names) == numbers
    with pytest.raises(InvalidInput, match=r"line 2: label: 1; expected a name in the head's"):
        classes([1], ["1.0", "1.00"])


def test_booleans_are_taken_by_name_alone() -> None:
    assert classes([True, False], ["True", "False"]) == [0, 1]
    assert classes([True, False, "true"], ["true", "false"]) == [0, 1, 0]
    with pytest.raises(InvalidInput, match=r"line 2: label: True; expected a whole number from 0"):
        classes([True])


@pytest.mark.parametrize("label", [1.5, "1.5", 3.0, "3.0", math.nan, math.inf, "1.", ".0", "1e0"])
def test_other_floats_are_refused(label: object) -> None:
    with pytest.raises(InvalidInput, match=r"line 3: label: .*expected a whole number from 0 to 2"):
        classes([0, label])


@pytest.mark.parametrize("label", [-1, "-1", -1.0])
def test_a_split_without_labels_is_named(label: object) -> None:
    message = r"data\.train, line 2: label: .* stands in every row: this split has no labels"
    with pytest.raises(InvalidInput, match=message):
        classes([label, label])
    with pytest.raises(InvalidInput, match=r"line 3: label: .* means that the row has no label"):
        classes([0, label])


def test_minus_one_may_be_a_class() -> None:
    assert classes([-1, "-1", "-1.0", -1.0], ["1", "-1"]) == [1, 1, 1, 1]


def test_an_empty_label_is_called_so() -> None:
    with pytest.raises(InvalidInput, match=r"line 3: label: ' ' is empty; expected a whole"):
        classes([0, " "])
    with pytest.raises(InvalidInput, match=r"line 2: label: None means that the row has no label"):
        classes([None])
