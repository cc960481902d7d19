"""What a job would cost, told without torch: examples, tokens, operations, memory, disk.

The API's process calls it. Reads configs, headers, tokenizers and rows. Knows `data`, `admission`.
"""

from bertscape_workers.costs.cost import Cost, cost_of
from bertscape_workers.costs.flops import Encoder
from bertscape_workers.costs.lengths import MOST_ROWS, Lengths, measure_lengths
from bertscape_workers.costs.stand_in import admitted_with
from bertscape_workers.costs.work import Work, work_of

__all__ = [
    "MOST_ROWS",
    "Cost",
    "Encoder",
    "Lengths",
    "Work",
    "admitted_with",
    "cost_of",
    "measure_lengths",
    "work_of",
]
