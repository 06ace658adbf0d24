"""The rule-based cloud and cirrus flags of EMIT's L2A mask, for comparison."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spectf_cloud.errors import InputError

#: Bright at all three: cloud. Bright at the last: cirrus. (nm, TOA reflectance), EMIT L2A mask algorithm.
CLOUD_RULE = ((450.0, 0.28), (1250.0, 0.46), (1650.0, 0.22))
CIRRUS_RULE = (1380.0, 0.1)
_FARTHEST_NM = 20.0


class L2aRule:
    """The flags as a backend: probability 1 where cloud or cirrus, else 0."""

    name = "l2a-rule"
    fidelity = "exact"

    def __init__(self, wavelength_nm: NDArray[np.float64]) -> None:
        self._cloud = [(_nearest(wavelength_nm, centre), least) for centre, least in CLOUD_RULE]
        self._cirrus = _nearest(wavelength_nm, CIRRUS_RULE[0])

    def __call__(self, toa: NDArray[np.float32]) -> NDArray[np.float32]:
        """toa (n, bands) → (n,) float32, 0 or 1."""
        cloud = np.logical_and.reduce([toa[:, band] > least for band, least in self._cloud])
        flag: NDArray[np.float32] = (cloud | (toa[:, self._cirrus] > CIRRUS_RULE[1])).astype(np.float32)
        return flag


def _nearest(wavelength_nm: NDArray[np.float64], centre_nm: float) -> int:
    band = int(np.abs(wavelength_nm - centre_nm).argmin())
    if abs(wavelength_nm[band] - centre_nm) > _FARTHEST_NM:
        raise InputError(f"no band within {_FARTHEST_NM:g} nm of {centre_nm:g} nm; the rule-based mask needs one")
    return band
