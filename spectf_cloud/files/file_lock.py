"""Claims between processes: one at a time, given up by the system when its holder dies."""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

try:
    import fcntl
except ImportError:  # not a Unix
    fcntl = None  # type: ignore[assignment]

logger = logging.getLogger(__name__)

# What file systems without locks answer.
_NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS)


@contextmanager
def claim(path: Path, *, wait: bool = True, keep: bool = False) -> Iterator[IO[str] | None]:
    """Hold the file ``path`` (made here, opened for reading and appending) as this process's own.

    Yields the open file, or None where another holds it and ``wait`` is false. The file goes when the claim ends,
    unless ``keep``; a holder that was killed leaves it, unclaimed. On a file system without locks every claim is
    granted.
    """
    while True:
        file = path.open("a+", encoding="utf-8")
        try:
            locked = lock(file.fileno(), wait=wait)
            if locked is False:
                yield None
                return
            if locked is None:
                logger.warning("%s: no locks on this file system; do not start two runs at once", file.name)
            # Another may have finished, and removed the file, between its opening and its locking.
            if _is_still(file, path):
                try:
                    yield file
                finally:
                    if not keep:
                        path.unlink(missing_ok=True)
                return
        finally:
            file.close()


def lock(descriptor: int, *, alone: bool = True, wait: bool = False) -> bool | None:
    """Lock an open file or folder, alone or with others, or change over to that.

    Returns False while another process has it, and None where the file system has no locks. Raises `OSError`.
    """
    if fcntl is None:
        return None
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        return None
    return True


def _is_still(file: IO[str], path: Path) -> bool:
    try:
        return os.fstat(file.fileno()).st_ino == path.stat().st_ino
    except FileNotFoundError:
        return False
