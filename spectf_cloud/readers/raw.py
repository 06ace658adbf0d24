"""Numbers stored one after the other in a file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spectf_cloud.errors import InputError
from spectf_cloud.files.reading import reading


def read_raw(path: Path, dtype: np.dtype[np.generic], offset: int, shape: tuple[int, ...]) -> NDArray[np.generic]:
    """Read ``shape`` numbers from ``offset`` on into memory. Raises `InputError`.

    Not mapped: a mapped file that shrinks or cannot be read kills the process, and is read where it is used
    instead of ahead.
    """
    values = np.empty(shape, dtype)
    try:
        with reading(path), path.open("rb") as stream:
            stream.seek(offset)
            got = stream.readinto(values.reshape(-1).view(np.uint8).data)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error
    if got < values.nbytes:
        raise InputError(f"{path} ends at byte {offset + got:,}, {values.nbytes - got:,} are missing; copy it again")
    return values
