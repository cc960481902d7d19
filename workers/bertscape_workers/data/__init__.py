"""Splits: rows as tokenized examples, and the statistics of their losses.

Touches data files and the `datasets` cache. Knows `admission` and `checkpoints`.
"""

from bertscape_workers.data.class_names import say_numbers
from bertscape_workers.data.rows import Row, read_rows
from bertscape_workers.data.samples import SampleExample
from bertscape_workers.data.splits import TokenizedSplit, Vocabulary, build_split, load_tokenizer
from bertscape_workers.data.statistics import (
    Outcomes,
    error_rate,
    mean_loss,
    outcomes_of,
    point_changes,
    point_numbers,
)
from bertscape_workers.data.tokenizer_fit import fitted_split

__all__ = [
    "Outcomes",
    "Row",
    "SampleExample",
    "TokenizedSplit",
    "Vocabulary",
    "build_split",
    "error_rate",
    "fitted_split",
    "load_tokenizer",
    "mean_loss",
    "outcomes_of",
    "point_changes",
    "point_numbers",
    "read_rows",
    "say_numbers",
]
