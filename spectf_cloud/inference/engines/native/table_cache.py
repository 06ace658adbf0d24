"""Arrays kept in the user's cache between runs: used if they are complete, unaltered and safe, else built again."""

from __future__ import annotations

import hashlib
import io
import logging
import os
import stat
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Arrays = dict[str, NDArray[np.generic]]

logger = logging.getLogger(__name__)

# A network's tables take 2 to 4 MB.
_MAX_BYTES = 2**26
_DIGEST_BYTES = hashlib.sha256().digest_size


def read_arrays(path: Path) -> Arrays | None:
    """Read the arrays that `keep_arrays` wrote to this path; None where there are none that can be trusted."""
    try:
        with path.open("rb") as stream:
            if reason := distrust(os.fstat(stream.fileno())):
                logger.warning("%s is not used: %s; it is built again", path, reason)
                return None
            content = stream.read()
        if content[:_DIGEST_BYTES] != _digest(path, content[_DIGEST_BYTES:]):
            logger.warning("%s is damaged; it is built again", path)
            return None
        with np.load(io.BytesIO(content[_DIGEST_BYTES:]), allow_pickle=False) as stored:
            return dict(stored)
    except (OSError, ValueError) as error:
        logger.debug("nothing kept at %s (%s)", path, error)
        return None


def keep_arrays(path: Path, arrays: Arrays) -> None:
    """Keep arrays for the next run, completely or not at all; failure is only logged."""
    content = io.BytesIO()
    np.savez(content, **arrays)  # type: ignore[arg-type]
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".part", delete=False) as stream:
            temporary = Path(stream.name)
            stream.write(_digest(path, content.getvalue()))
            stream.write(content.getvalue())
        temporary.replace(path)
    except OSError as error:
        logger.debug("nothing is kept at %s (%s)", path, error)
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def _digest(path: Path, content: bytes) -> bytes:
    """Return the checksum of content and name, so that tables are not used under another network's name."""
    return hashlib.sha256(path.name.encode() + b"\0" + content).digest()


def distrust(status: os.stat_result) -> str:
    """Return why another user may have altered this file; empty where none can."""
    if not stat.S_ISREG(status.st_mode) or status.st_size > _MAX_BYTES:
        return "it is not a plain file, or it is too large"
    if hasattr(os, "getuid"):
        if status.st_uid not in (0, os.getuid()):
            return "it belongs to another user"
        if status.st_mode & stat.S_IWOTH:
            return "anyone may write to it"
    return ""
