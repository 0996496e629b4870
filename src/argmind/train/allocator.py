"""Freed memory that stays with the process, so that the next tensor need not ask for it again."""

from __future__ import annotations

import ctypes
import sys

#: Names of glibc's ``mallopt``.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
#: The most that it takes for the second.
_LARGEST_BYTES = 32 * 2**20
_ALWAYS_BYTES = 2**31 - 1


def keep_freed_memory() -> bool:
    """Tell the C library to give nothing back to the system, and to keep large blocks in its heap.

    By default a tensor of more than 128 KiB may be fresh pages each time, which the system fills
    with zeros one by one: on a CPU several per cent of a thinking step, whose tensors live briefly.
    Returns whether it was told: only glibc knows how.
    """
    if sys.platform != "linux":
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):  # another C library
        return False
    told = [mallopt(_TRIM_THRESHOLD, _ALWAYS_BYTES), mallopt(_MMAP_THRESHOLD, _LARGEST_BYTES)]
    return all(told)
