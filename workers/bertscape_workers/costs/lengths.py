"""How long the examples of a split are, in tokens, by the `tokenizers` library alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tokenizers import Tokenizer

from bertscape.spec import Data
from bertscape_workers.data import Row, drawn_rows

MOST_ROWS = 10_000  # of a split that are tokenized; of more examples these are a random sample
TOKENIZER_FILE = "tokenizer.json"
_AT_A_TIME = 256


@dataclass(frozen=True, slots=True)
class Lengths:
    """The lengths of some examples; sums are scaled to all of them if only some were measured."""

    examples: int
    measured: int  # of these were tokenized
    tokens: int
    squares: float  # the sum of each length's square
    longest: int

    def __add__(self, other: "Lengths") -> "Lengths":
        return Lengths(
            self.examples + other.examples,
            self.measured + other.measured,
            self.tokens + other.tokens,
            self.squares + other.squares,
            max(self.longest, other.longest),
        )

    @classmethod
    def of(cls, lengths: Sequence[int], examples: int) -> "Lengths":
        """Of `examples` examples, some of which have these lengths."""
        scale = examples / len(lengths)
        return cls(
            examples,
            len(lengths),
            round(scale * sum(lengths)),
            scale * sum(length * length for length in lengths),
            max(lengths),
        )


def measure_lengths(data: Data, name: str, folder: Path, most: int = MOST_ROWS) -> Lengths:
    """Tokenize a split, or a random part of it.

    Args:
        data: the job's data; the split is a file.
        name: "train" or "eval".
        folder: that holds `tokenizer.json`.
        most: rows to tokenize.

    Raises:
        InvalidInput: a row is wrong, as far as rows were read.
        ValueError: the file holds no tokenizer that the library knows.
    """
    rows, examples = drawn_rows(data, name, most)
    return Lengths.of(_token_counts(rows, _tokenizer(folder, data.max_length)), examples)


def _tokenizer(folder: Path, max_length: int) -> Tokenizer:
    try:
        tokenizer = Tokenizer.from_file(str(folder / TOKENIZER_FILE))
        tokenizer.no_padding()
        tokenizer.enable_truncation(max_length)
    except Exception as error:  # the library raises nothing more special
        raise ValueError(f"{folder / TOKENIZER_FILE} cannot be read ({error})") from error
    return tokenizer


def _token_counts(rows: Sequence[Row], tokenizer: Tokenizer) -> list[int]:
    counts: list[int] = []
    for first in range(0, len(rows), _AT_A_TIME):
        texts = [
            row.texts if len(row.texts) == 2 else row.texts[0]
            for row in rows[first : first + _AT_A_TIME]
        ]
        counts += (len(encoding.ids) for encoding in tokenizer.encode_batch_fast(texts))
    return counts
