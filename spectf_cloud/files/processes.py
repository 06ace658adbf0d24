"""Child processes that must not outlive their parent."""

from __future__ import annotations

import os
import signal
from contextlib import suppress

from spectf_cloud.errors import EXIT_INTERRUPTED

_PR_SET_PDEATHSIG = 1


def end_with(parent: int) -> None:
    """Make the system kill this process when its parent is killed, where it can (Linux)."""
    import ctypes  # only children need it

    with suppress(OSError, AttributeError):  # not Linux
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it was killed before the call
            os._exit(EXIT_INTERRUPTED)
