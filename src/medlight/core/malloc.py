"""How freed memory is kept for what comes next."""

import ctypes
import sys

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of malloc.h
_MOST, _LARGEST = 2**31 - 1, (2**30, 2**25)  # older versions of glibc take 32 MiB at most


def tune_malloc() -> None:
    """Tell glibc to hold on to memory that is freed, rather than to give it back to the system.

    A training step frees as much as the next one takes. Given back and taken anew, every page of
    every batch costs a fault. Where there is no glibc nothing is done.
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_TRIM_THRESHOLD, _MOST)
        any(mallopt(_MMAP_THRESHOLD, size) for size in _LARGEST)
