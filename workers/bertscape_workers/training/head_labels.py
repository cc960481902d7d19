"""The classes of a head that is trained: what the data calls its numbers, else its labels."""

import math
from collections.abc import Sequence

from bertscape.values import InvalidInput, ProblemType
from bertscape_workers.data import (
    NO_LABELS,
    Row,
    no_label,
    say_numbers,
    whole_number,
    without_labels,
)

MOST_CLASSES = 1000
"""Of the labels in the data; with more of them it is probably another kind of column."""

_NAMED = "or the names of all classes, in order, as training.labels"
_UNDECIDED = "-"  # of SNLI's gold labels, where its annotators disagreed


def label_names(rows: Sequence[Row]) -> tuple[str, ...]:
    """The classes in the data, in the head's order.

    The data's own names of its numbers, if it has any, in the order of the numbers; else the
    labels: names in sorted order, or the whole numbers from 0 to K − 1. The label 1.0 is the
    whole number 1.

    Args:
        rows: of the training split, at least one.

    Raises:
        InvalidInput: a row has no label. There is one class alone, or more than `MOST_CLASSES`.
            The numbers have a gap, are negative or those of a regression, or stand beside names.
    """
    named = rows[0].class_names
    if not say_numbers(named):
        _refuse_unusable(named)
        return named
    found = {_text(row.label): row for row in reversed(rows)}  # with the first row of each
    _refuse_missing(rows, found)
    if fractions := sorted(filter(_is_fraction, found)):
        raise _wrong_labels(
            fractions, f"names or whole numbers of classes, not a regression's values ({_NAMED})"
        )
    if len(found) > MOST_CLASSES:
        raise _wrong_labels(
            len(found), f"at most {MOST_CLASSES} ({_NAMED})", "different labels are in the data"
        )
    words = [label for label in found if whole_number(label) is None]
    return _words(words, found) if words else _numbers(found)


def _text(label: object) -> str:
    """The same for the same class: 1, 1.0 and "1.0" are one number."""
    number = whole_number(label)
    return str(label).strip() if number is None else str(number)


def _refuse_missing(rows: Sequence[Row], found: dict[str, Row]) -> None:
    if without_labels(rows):
        raise _wrong_row(rows[0], NO_LABELS)
    for row in rows:
        if told := no_label(row.label):
            raise _wrong_row(row, told)
    if _UNDECIDED in found and "+" not in found:
        raise _wrong_row(found[_UNDECIDED], "means in SNLI that the row has no label")


def _wrong_row(row: Row, told: str) -> InvalidInput:
    key = f"data.train, {row.place}: label"
    expected = f"the label of a class in each row ({_NAMED})"
    return InvalidInput.of(ProblemType.INVALID_DATA, key, row.label, expected, told)


def _words(words: Sequence[str], found: dict[str, Row]) -> tuple[str, ...]:
    numbers = [label for label in found if label not in set(words)]
    if numbers:
        number, word = found[numbers[-1]], found[words[-1]]
        raise _wrong_labels(
            number.label,
            f"whole numbers alone or names alone ({_NAMED})",
            f"on {number.place} is a number, and {word.label!r} on {word.place} is none",
        )
    if all(map(_is_number, words)):
        raise _wrong_labels(
            sorted(words)[:3], f"whole numbers written as 0, 1, 2 or as 0.0, 1.0, 2.0 ({_NAMED})"
        )
    if len(words) < 2:
        raise _wrong_labels(tuple(words), "two or more different labels")
    return tuple(sorted(words))


def _numbers(found: dict[str, Row]) -> tuple[str, ...]:
    numbers = sorted(map(int, found))
    if numbers != list(range(len(numbers))) or len(numbers) < 2:
        raise _wrong_labels(numbers, f"whole numbers from 0 without a gap, two or more ({_NAMED})")
    return tuple(map(str, numbers))


def _refuse_unusable(names: Sequence[str]) -> None:
    """Raise `InvalidInput` if no head can have the names that the data has for its numbers."""
    if len(names) > MOST_CLASSES:
        raise _wrong_labels(
            len(names), f"at most {MOST_CLASSES} ({_NAMED})", "classes are named in the data"
        )
    if not len(set(names)) == len(names) >= 2:
        raise _wrong_labels(list(names), "two or more different names of classes")
    if not all(name.strip() for name in names):
        raise _wrong_labels(list(names), "text in the name of each class")


def _is_fraction(label: str) -> bool:
    return _is_number(label) and not float(label).is_integer()


def _is_number(label: str) -> bool:
    try:
        return "_" not in label and math.isfinite(float(label))
    except ValueError:
        return False


def _wrong_labels(value: object, expected: str, found: str = "") -> InvalidInput:
    return InvalidInput.of(ProblemType.INVALID_DATA, "data.label", value, expected, found)
