"""glibc's allocator, told to give large lists back."""

from __future__ import annotations

import ctypes

# From malloc.h. glibc raises the second by itself after the first large block is freed; then every worker thread keeps an
# arena of the size of the largest answer that it ever read.
_ARENA_MAX, _MMAP_THRESHOLD = -8, -3
_ARENAS, _THRESHOLD_BYTES = 2, 128 * 1024


def return_large_blocks() -> None:
    """Have blocks above 128 KiB go back to the system at once. Other C libraries do so by themselves, or cannot be told."""
    library = ctypes.CDLL(None)
    if hasattr(library, "gnu_get_libc_version"):
        library.mallopt(_ARENA_MAX, _ARENAS)
        library.mallopt(_MMAP_THRESHOLD, _THRESHOLD_BYTES)
