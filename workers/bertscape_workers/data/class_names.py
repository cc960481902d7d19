"""From what stands in a row's label column to a class of the head."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bertscape.values import InvalidInput, ProblemType
from bertscape_workers.data.rows import Row

ClassByName = dict[str, int | None]  # None: the head has no such class

_WHOLE = re.compile(r"-?[0-9]+(\.0+)?")  # pandas writes 1.0 in a column that has missing values
_GENERIC = re.compile(r"LABEL_[0-9]+")  # what transformers calls a class that was given no name
_NAMES_TOLD = 10  # of a head's label2id, in a message


@dataclass(frozen=True, slots=True)
class ClassNames:
    """What a label may be: a class name of the head, else a class's index.

    A number is looked up among the names before it is taken for an index: where it stands as text
    and where it stands as a number, it is the same class. Where all names are numbers there are no
    indices beside them, because they would be confused; the name "1.0" is then the number 1.

    If the data names its numbers and the head names its classes, a number means its name.
    """

    names: Mapping[str, int]  # of the head
    classes: int  # K

    def index(self, row: Row, key: str, by_name: ClassByName | None = None) -> int:
        """The class of a row, in [0, K).

        Args:
            row: of the data.
            key: the split's key in the job spec, for messages.
            by_name: what `of_data` gives for the data's own names.
        """
        if by_name is not None and (name := row.class_name) is not None:
            return self._of_name(row, key, name, by_name)
        index = self._of_value(row.label)
        if index is None or not 0 <= index < self.classes:
            raise self._refusal(row, key, no_label(row.label))
        return index

    def _of_value(self, value: object) -> int | None:
        match value:
            case str() if value in self.names:
                return self.names[value]
            case bool() | float() if str(value) in self.names:
                return self.names[str(value)]
            case bool():
                return self.names.get(str(value).lower())
        number = whole_number(value)
        return None if number is None else self._of_number(number)

    def _refusal(self, row: Row, key: str, found: str) -> InvalidInput:
        return InvalidInput.of(
            ProblemType.INVALID_DATA,
            f"{key}, {row.place}: label",
            row.label,
            self.expected(),
            found,
        )

    def of_data(self, names: Sequence[str]) -> ClassByName | None:
        """The class of each number of the data, by the data's own name of it.

        Capitals, blanks and punctuation make no difference between two names.

        Args:
            names: of the numbers 0, 1, … in the data; may be empty.

        Returns:
            None if the data has no names: none are given, or each says its own number only.
        """
        if not names or say_numbers(names):
            return None
        by_number: ClassByName = {
            name: self._in_head(self._of_number(number)) for number, name in enumerate(names)
        }
        if say_numbers(self._in_order()):
            return by_number
        by_name = self._matched(names)
        if None in by_name.values() and self._no_words():
            return by_number
        return by_name

    def _of_name(self, row: Row, key: str, name: str, by_name: ClassByName) -> int:
        index = by_name[name]
        if index is None:
            raise InvalidInput.of(
                ProblemType.INVALID_DATA,
                f"{key}, {row.place}: label",
                row.label,
                self._expected_name(),
                f"means {name!r} in the data",
            )
        return index

    def _matched(self, names: Sequence[str]) -> ClassByName:
        """By exact name; else, if that stays unique on both sides, by folded name."""
        exact: ClassByName = {name: self._in_head(self.names.get(name)) for name in names}
        folded = {_folded(name): index for name, index in self.names.items()}
        unique = len(folded) == len(self.names) and len(set(map(_folded, names))) == len(names)
        if None not in exact.values() or not unique:
            return exact
        return {name: self._in_head(folded.get(_folded(name))) for name in names}

    def _in_head(self, index: int | None) -> int | None:
        return index if index is not None and 0 <= index < self.classes else None

    def _in_order(self) -> list[str]:
        return sorted(self.names, key=self.names.__getitem__)

    def _no_words(self) -> bool:
        return self._all_numbers() or all(map(_GENERIC.fullmatch, self.names))

    def _of_number(self, number: int) -> int | None:
        named = self.names.get(str(number))
        if named is not None or not self._all_numbers():
            return number if named is None else named
        same = [index for name, index in self.names.items() if whole_number(name) == number]
        return same[0] if len(same) == 1 else None

    def _all_numbers(self) -> bool:
        return bool(self.names) and all(_WHOLE.fullmatch(name) for name in self.names)

    def _expected_name(self) -> str:
        some = list(self.names)[:_NAMES_TOLD]
        if len(some) < len(self.names):
            some.append(f"… {len(self.names)} in all")
        return f"a name in the head's label2id ({', '.join(some) or 'none'})"

    def expected(self) -> str:
        """What a label may be, for messages."""
        name = self._expected_name()
        if self._all_numbers():
            return name
        return f"a whole number from 0 to {self.classes - 1}, or {name}"


def whole_number(label: object) -> int | None:
    """The whole number that a label is, as 1, 1.0 or "1.0"; None if it is none."""
    match label:
        case bool():
            return None
        case int() | np.integer():
            return int(label)
        case float() | np.floating() if float(label).is_integer():
            return int(label)
        case str() if _WHOLE.fullmatch(label.strip()):
            return int(label.strip().partition(".")[0])
    return None


def no_label(label: object) -> str:
    """What says that a row has no label; empty if it has one.

    GLUE's test splits have -1 throughout, SNLI has it where its annotators disagreed. A missing
    value is None in JSON and Parquet, or NaN among floats.
    """
    if isinstance(label, str) and not label.strip():
        return "is empty"
    if label is None or (isinstance(label, float) and math.isnan(label)) or _is_unlabelled(label):
        return "means that the row has no label"
    return ""


def _is_unlabelled(label: object) -> bool:
    return str(label).strip() in ("-1", "-1.0")


NO_LABELS = "stands in every row: this split has no labels, like the test splits of GLUE"


def without_labels(rows: Sequence[Row]) -> bool:
    """Whether no row at all has a label, as in the test splits of GLUE."""
    return bool(rows) and all(_is_unlabelled(row.label) for row in rows)


def say_numbers(names: Sequence[str]) -> bool:
    """Whether each of some class names says its own place only; true if there are none."""
    return all(name in (str(at), f"LABEL_{at}") for at, name in enumerate(names))


def _folded(name: str) -> str:
    return re.sub(r"[\W_]+", " ", name.casefold()).strip()


def classes_of(
    rows: Sequence[Row], key: str, names: ClassNames
) -> tuple[list[int], ClassByName | None]:
    """The class of each row, and that of each of the data's own names, if it has any.

    Raises:
        InvalidInput: a label that is no class of the head.
    """
    if "-1" not in names.names and without_labels(rows):
        raise InvalidInput.of(
            ProblemType.INVALID_DATA,
            f"{key}, {rows[0].place}: label",
            rows[0].label,
            f"a split with labels: {names.expected()}",
            NO_LABELS,
        )
    by_name = names.of_data(rows[0].class_names if rows else ())
    return [names.index(row, key, by_name) for row in rows], by_name
