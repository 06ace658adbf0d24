"""A bound on how long one scene may hold a worker."""

from __future__ import annotations

import faulthandler
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def time_limit(seconds: float | None) -> Iterator[None]:
    """End this process, with its stack on standard error, where the body takes longer; None sets no limit.

    A damaged file can keep the HDF5 library in a loop that holds the interpreter's lock, where no exception and no
    Python thread can reach. faulthandler's watch is a thread in C; there is one in a process.
    """
    if seconds is None:
        yield
        return
    faulthandler.dump_traceback_later(seconds, exit=True, file=sys.__stderr__ or 2)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()
