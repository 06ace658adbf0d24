"""Locks between processes: one holder at a time, released by the system when the holder dies."""

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

# Errors of file systems without locks.
_NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS)


@contextmanager
def claim(path: Path, *, wait: bool = True, keep: bool = False) -> Iterator[IO[str] | None]:
    """Lock the file ``path`` (created, opened for reading and appending) for this process.

    Yields the open file, or None where another process holds it and ``wait`` is false. The file is deleted at the end,
    unless ``keep``; a killed holder leaves it unlocked. On a file system without locks every claim is granted.
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
            # Another process may have removed the file between opening and locking.
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
    """Lock an open file or folder, exclusively or shared, or change the lock that it has.

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
