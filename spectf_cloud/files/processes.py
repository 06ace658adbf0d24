"""Child processes that must not outlive their parent."""

from __future__ import annotations

import os
import signal
from contextlib import suppress

from spectf_cloud.errors import EXIT_INTERRUPTED

_PR_SET_PDEATHSIG = 1


def end_with(parent: int) -> None:
    """Have the kernel kill this process when its parent is killed, where it can."""
    import ctypes  # here, as the supervisor has no need of it

    with suppress(OSError, AttributeError):  # not Linux
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # that was before
            os._exit(EXIT_INTERRUPTED)
