"""Results in memory and as HDF5 files: surfaces, curves and rollbacks, with their self-checks.

Touches HDF5 files, and the rooms `spec` and `values`. Drawing is imported when it is asked for.
"""

from bertscape.results.result import (
    FORMS,
    Form,
    assemble_result,
    read_result,
    read_rollback,
    read_surface,
    result_bytes,
    write_result,
    write_rollback,
    write_surface,
)
from bertscape.results.rollback import Rollback
from bertscape.results.rounds import round_sizes, tiles_to_follow
from bertscape.results.run import Attempt, Result, Run
from bertscape.results.self_checks import (
    SelfCheckWarning,
    describe_failures,
    summarize,
    warn_of_failures,
)
from bertscape.results.surface import Surface

__all__ = [
    "FORMS",
    "Attempt",
    "Form",
    "Result",
    "Rollback",
    "Run",
    "SelfCheckWarning",
    "Surface",
    "assemble_result",
    "describe_failures",
    "read_result",
    "read_rollback",
    "read_surface",
    "result_bytes",
    "round_sizes",
    "summarize",
    "tiles_to_follow",
    "warn_of_failures",
    "write_result",
    "write_rollback",
    "write_surface",
]
