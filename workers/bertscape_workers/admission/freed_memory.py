"""Freed memory stays with the process, so that work space is not asked for again at every step.

A forward pass allocates and frees the same large tensors over and over. glibc hands such memory
back to the system at once, and the system clears each page again when it is next written to.

Its settings hold for the first of its arenas alone, the main thread's. Any other thread takes its
memory from an arena that is made of heaps of 64 MiB and gives each back as soon as it is empty; so
a process that evaluates on such a thread, as Ray's workers do, must be started with `ENVIRONMENT`.
"""

import ctypes
import platform

# Numbers from glibc's <malloc.h>.
_TRIM_THRESHOLD = -1
_MMAP_THRESHOLD = -3

# One arena for all threads; read by the C library when a process starts, and never again.
ENVIRONMENT = {"MALLOC_ARENA_MAX": "1"}

# Larger allocations are the system's own matter; glibc takes no more than this.
LARGEST = 32 << 20
# Free bytes at the end of the heap that are kept: more than a block's work space.
KEPT = 256 << 20


def keep_freed_memory() -> bool:
    """Keep it from now on in this process; whether the C library can do so."""
    if platform.libc_ver()[0] != "glibc":
        return False
    library = ctypes.CDLL(None)
    return bool(
        library.mallopt(_MMAP_THRESHOLD, LARGEST) and library.mallopt(_TRIM_THRESHOLD, KEPT)
    )
