"""The public reference data, the spectra that follow real EMIT's statistics, and the distance from exact answers."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import scipy.io
from numpy.typing import NDArray

from spectf_cloud.sensor import Sensor
from spectf_cloud.toa import resample_irradiance
from spectf_cloud.tokens import shown_bands

FloatArray = NDArray[np.float64]
Spectra = NDArray[np.float32]

MAX_REFLECTANCE = 1.5
_NEAR_INFRARED_NM = 865.0


def reference_folder() -> Path:
    """Return the folder of the public reference data."""
    return Path(os.environ.get("SPECTF_REFERENCE", "../shared/reference"))


@dataclass(frozen=True, eq=False)
class RealStatistics:
    """Real EMIT radiance scaled to length 1: mean (285,), components (285, 285) by falling variance (285,)."""

    mean: FloatArray
    components: FloatArray
    variance: FloatArray

    def share_inside(self, radiance: NDArray[np.floating], count: int = 8) -> float:
        """Return the share of the variance of radiance (n, 285) that the leading components span."""
        spectra = scaled(radiance)
        away = spectra - spectra.mean(axis=0)
        return float(np.sum((away @ self.components[:, :count]) ** 2) / np.sum(away**2))


@cache
def real_statistics() -> RealStatistics:
    """Read the published statistics (emit-sds-l1b, 10 January 2024)."""
    file = scipy.io.loadmat(reference_folder() / "emit/EMIT_Normalized_Radiances_20240110.mat")
    variance, components = np.linalg.eigh(file["radiance_covariance"])
    return RealStatistics(file["radiance_mean"][0], components[:, ::-1], variance[::-1])


def scaled(radiance: NDArray[np.floating]) -> FloatArray:
    """Return spectra (n, bands) over their Euclidean norm."""
    spectra = np.asarray(radiance, dtype=np.float64)
    unit: FloatArray = spectra / np.linalg.norm(spectra, axis=1, keepdims=True)
    return unit


def draw_real(count: int, seed: int) -> Spectra:
    """Draw (count, 268) TOA reflectance from the real mean and covariance, 0 to 1 at 865 nm, at most 1.5 anywhere."""
    random, sensor, real = np.random.default_rng(seed), Sensor.emit(), real_statistics()
    kept = shown_bands(sensor)
    published = np.load(reference_folder() / "official/irr.npy")
    per_radiance = np.pi / resample_irradiance(published, sensor.wavelength_nm, sensor.fwhm_nm)[kept]
    root = (real.components * np.sqrt(np.clip(real.variance, 0, None)))[kept, ::-1] * per_radiance[:, None]
    root = np.ascontiguousarray(root, np.float32)
    mean = (real.mean[kept] * per_radiance).astype(np.float32)
    near_infrared = int(np.argmin(np.abs(sensor.wavelength_nm[kept] - _NEAR_INFRARED_NM)))
    parts: list[Spectra] = []
    while (missing := count - sum(map(len, parts))) > 0:
        noise = random.standard_normal((missing + missing // 3 + 8, len(real.mean)), dtype=np.float32)
        shape = mean + noise @ root.T
        scale = random.beta(1.1, 1.7, (len(noise), 1)) / np.maximum(shape[:, [near_infrared]], 1e-6)
        spectra = np.clip(shape * scale, 0, None).astype(np.float32)
        parts.append(spectra[spectra.max(1) <= MAX_REFLECTANCE][:missing])
    return np.concatenate(parts)[random.permutation(count)]


def distance(made: NDArray[np.floating], exact: NDArray[np.floating], threshold: float) -> dict[str, tuple[float, str]]:
    """Return how far probabilities (n,) are from exact ones: measures by name, each with its unit."""
    error = np.abs(made.astype(np.float64) - exact)
    return {
        "spectra": (len(made), ""),
        "mask differs": (float(((made > threshold) != (exact > threshold)).mean()), "share"),
        "largest error": (float(error.max()), "p"),
        "99.9 % of errors": (float(np.quantile(error, 0.999)), "p"),
        "mean error": (float(error.mean()), "p"),
    }
