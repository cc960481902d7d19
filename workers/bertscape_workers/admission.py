"""Admission: every check of a job that needs its files but not their rows.

The API calls this on each submission, so it imports neither torch, transformers nor Ray, and reads
headers only.
"""

from collections.abc import Sequence
from pathlib import Path

from bertscape.spec import JobSpec, Limits

__all__ = ["admit"]


def admit(
    spec: JobSpec, limits: Limits | None = None, roots: Sequence[Path] | None = None
) -> JobSpec:
    """Placeholder for the moment."""
    (limits or Limits()).check(spec)
    return spec
