"""Plain numbers out of a file, read rather than mapped: a file cut short meanwhile is an error, not a crash."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spectf_cloud.errors import InputError


def read_numbers(path: Path, dtype: np.dtype[np.generic], offset: int, shape: tuple[int, ...]) -> NDArray[np.generic]:
    """``shape`` numbers from byte ``offset`` on. Raises `InputError` where the file is gone or ends before."""
    count = math.prod(shape)
    try:
        values: NDArray[np.generic] = np.fromfile(path, dtype, count, offset=offset)
    except OSError as error:
        raise InputError(f"{path}: cannot be read any more: {error.strerror or error}") from error
    if values.size < count:
        raise InputError(f"{path} ends before its last line: it became shorter while it was read; copy it again")
    return values.reshape(shape)
