"""Claims between processes: one at a time, given up by the system when its holder dies."""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

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
            if not _locked(file, wait):
                yield None
                return
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


def _locked(file: IO[str], wait: bool) -> bool:
    import fcntl

    try:
        fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        logger.warning("%s: no locks on this file system; do not start two runs at once", file.name)
    return True


def _is_still(file: IO[str], path: Path) -> bool:
    try:
        return os.fstat(file.fileno()).st_ino == path.stat().st_ino
    except FileNotFoundError:
        return False
