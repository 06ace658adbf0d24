"""Reading a solar irradiance file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spectf_cloud.errors import InputError

_MAX_BYTES = 64 * 2**20


def read_irradiance(path: Path) -> NDArray[np.float64]:
    """(n, 2) float64: wavelength nm ascending, irradiance uW cm-2 nm-1. Raises `InputError`."""
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise InputError(f"{path} is larger than 64 MiB, too large for a solar irradiance")
        # Not np.load, which would open archives and pickles too.
        with path.open("rb") as stream:
            values = np.lib.format.read_array(stream, allow_pickle=False)
    except InputError:
        raise
    except Exception as error:  # the header is parsed as Python: whatever its tokens may raise
        raise InputError(f"{path}: the solar irradiance cannot be read ({error}); an (n, 2) .npy is needed") from error
    if (
        not isinstance(values, np.ndarray)
        or values.dtype.kind not in "fiu"
        or values.ndim != 2
        or values.shape[1] != 2
        or len(values) < 2
    ):
        raise InputError(f"{path}: the solar irradiance must be an (n, 2) array of nm and uW cm-2 nm-1")
    values = values.astype(np.float64)
    if not np.isfinite(values).all() or (np.diff(values[:, 0]) <= 0).any() or (values[:, 1] <= 0).any():
        raise InputError(f"{path}: wavelengths must ascend and irradiances be positive, finite numbers")
    return values
