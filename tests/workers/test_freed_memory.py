"""Freed memory stays with the process."""

import platform
import subprocess
import sys

import pytest

from bertscape_workers.freed_memory import keep_freed_memory

# Writes to every page of a large allocation and frees it, ten times, after as many to settle.
LOOP = """
import resource
from bertscape_workers.freed_memory import keep_freed_memory
if {kept}:
    assert keep_freed_memory()
def faults():
    for _ in range(10):
        one, other = (bytearray(b"1") * (20 << 20) for _ in range(2))
        del one, other
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
before = faults()
print(faults() - before)
"""


def new_pages(kept: bool) -> int:
    """Pages that the system cleared for ten allocations and frees of 40 MiB."""
    command = [sys.executable, "-c", LOOP.format(kept=kept)]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has these settings")
def test_large_work_space_is_not_cleared_again() -> None:
    assert new_pages(kept=False) > 10_000
    assert new_pages(kept=True) < 1_000


def test_other_libraries_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    assert not keep_freed_memory()
