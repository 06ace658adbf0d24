"""Do simulated spectra vary the way real EMIT spectra do? Real mean and covariance of normalised radiance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.io
from numpy.typing import NDArray

from evaluation.simulation.judged import REFERENCE

FloatArray = NDArray[np.float64]

LEADING = 8


@dataclass(frozen=True, eq=False)
class RealStatistics:
    """Real L2-normalised EMIT radiance: mean (285,), components (285, 285) by falling variance (285,)."""

    mean: FloatArray
    components: FloatArray
    variance: FloatArray


def real_statistics() -> RealStatistics:
    """The published statistics (emit-sds-l1b, 10 January 2024)."""
    file = scipy.io.loadmat(REFERENCE / "emit/EMIT_Normalized_Radiances_20240110.mat")
    variance, components = np.linalg.eigh(file["radiance_covariance"].astype(np.float64))
    return RealStatistics(file["radiance_mean"][0], components[:, ::-1], variance[::-1])


def normalised(radiance: NDArray[np.floating]) -> FloatArray:
    """Spectra (n, bands) over their Euclidean norm."""
    spectra = np.asarray(radiance, dtype=np.float64)
    unit: FloatArray = spectra / np.linalg.norm(spectra, axis=1, keepdims=True)
    return unit


def share_inside(radiance: NDArray[np.floating], real: RealStatistics, count: int = LEADING) -> float:
    """Share of the variance of simulated normalised radiance that the leading real components span."""
    spectra = normalised(radiance)
    away = spectra - spectra.mean(axis=0)
    return float(np.sum((away @ real.components[:, :count]) ** 2) / np.sum(away**2))
