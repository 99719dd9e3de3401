"""What the C library keeps of memory that nobody uses any more."""

import contextlib
import ctypes


def give_back() -> None:
    """Return free memory to the system. Blocking, for some milliseconds; nothing happens where the C library is another."""
    with contextlib.suppress(AttributeError, OSError):  # musl has no such function
        ctypes.CDLL(None).malloc_trim(0)
