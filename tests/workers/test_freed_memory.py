"""Freed memory stays with the process."""

import os
import platform
import subprocess
import sys

import pytest

from bertscape_workers.admission import ENVIRONMENT, keep_freed_memory

# Writes to every page of large allocations and frees them, ten times, after as many to settle.
# Together they take more than the 64 MiB of one heap of a thread's own arena.
LOOP = """
import resource, threading
from bertscape_workers.admission.freed_memory import keep_freed_memory
if {kept}:
    assert keep_freed_memory()
def faults():
    for _ in range(10):
        several = [bytearray(b"1") * (20 << 20) for _ in range(5)]
        del several
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
def measure():
    before = faults()
    print(faults() - before)
if {in_thread}:
    thread = threading.Thread(target=measure)
    thread.start()
    thread.join()
else:
    measure()
"""

glibc = pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc", reason="only glibc has these settings"
)


def new_pages(kept: bool, in_thread: bool = False, one_arena: bool = False) -> int:
    """Pages that the system cleared for ten allocations and frees of 100 MiB."""
    command = [sys.executable, "-c", LOOP.format(kept=kept, in_thread=in_thread)]
    environment = {name: value for name, value in os.environ.items() if name not in ENVIRONMENT}
    if one_arena:
        environment |= ENVIRONMENT
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    return int(done.stdout)


@glibc
def test_large_work_space_is_not_cleared_again() -> None:
    assert new_pages(kept=False) > 10_000
    assert new_pages(kept=True) < 1_000


@glibc
def test_neither_is_it_on_another_thread_where_all_share_one_arena() -> None:
    assert new_pages(kept=True, in_thread=True) > 10_000
    assert new_pages(kept=True, in_thread=True, one_arena=True) < 1_000


def test_other_libraries_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    assert not keep_freed_memory()
