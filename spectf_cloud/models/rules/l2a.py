"""The rule-based cloud and cirrus flags of EMIT's L2A mask, for comparison."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spectf_cloud.errors import InputError

#: (nm, TOA reflectance) of EMIT's L2A mask algorithm. Brighter at all three: cloud; at the single one: cirrus.
CLOUD_RULE = ((450.0, 0.28), (1250.0, 0.46), (1650.0, 0.22))
CIRRUS_RULE = (1380.0, 0.1)
_MAX_DISTANCE_NM = 20.0


class L2aRule:
    """The flags as a backend: probability 1 where cloud or cirrus, else 0."""

    name = "l2a-rule"
    fidelity = "exact"

    def __init__(self, wavelength_nm: NDArray[np.float64]) -> None:
        self._cloud = [(_nearest(wavelength_nm, centre), least) for centre, least in CLOUD_RULE]
        self._cirrus = _nearest(wavelength_nm, CIRRUS_RULE[0])

    def __call__(self, toa: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return (n,) float32, 0 or 1, of toa (n, bands)."""
        cloud = np.logical_and.reduce([toa[:, band] > least for band, least in self._cloud])
        flag: NDArray[np.float32] = (cloud | (toa[:, self._cirrus] > CIRRUS_RULE[1])).astype(np.float32)
        return flag


def _nearest(wavelength_nm: NDArray[np.float64], centre_nm: float) -> int:
    band = int(np.abs(wavelength_nm - centre_nm).argmin())
    if abs(wavelength_nm[band] - centre_nm) > _MAX_DISTANCE_NM:
        raise InputError(f"no band within {_MAX_DISTANCE_NM:g} nm of {centre_nm:g} nm; the rule-based mask needs one")
    return band
