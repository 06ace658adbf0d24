"""The narrow bands that a sensor's bands are summed from.

A scene is computed in narrow bands, where surfaces, clouds and scattering hardly change. A broad band is a weighted sum
of them: a Gaussian is the convolution of two narrower ones, so the narrow response stands at nodes weighted by a
Gaussian of what remains of the width. Bands that are narrow themselves are computed as they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spectf_cloud.errors import UsageError
from spectf_cloud.sensor import Sensor
from spectf_cloud.sensors import find_sensor
from spectf_cloud.simulation import tables
from spectf_cloud.toa import resample_irradiance

FloatArray = NDArray[np.float64]
Float32Array = NDArray[np.float32]

#: Bands up to this wide are computed as they are, nm.
MAX_NARROW_NM = 15.0
#: Width of the narrow bands that broader ones are summed from, and their distance, nm.
NODE_FWHM_NM, NODE_STEP_NM = 10.0, 7.5
#: A broad band reaches this many of its widths to each side: 4e-4 of a Gaussian lie beyond.
REACH = 1.5


@dataclass(frozen=True, eq=False)
class BandNodes:
    """Narrow bands, those of each band side by side.

    Attributes
    ----------
    sensor
        The narrow bands.
    first
        (bands,) position of each band's first node.
    weight
        (nodes,) float32, adding to 1 over each band.
    """

    sensor: Sensor
    first: NDArray[np.intp]
    weight: Float32Array

    def integrate(self, spectra: Float32Array) -> Float32Array:
        """Sum reflectances (n, nodes) to those of the bands, (n, bands) float32."""
        if len(self.first) == len(self.weight):
            return spectra
        # In a fixed order, unlike a matrix product: the same bytes for any block.
        bands: Float32Array = np.add.reduceat(spectra * self.weight, self.first, axis=1)
        return bands


def place_nodes(sensor: Sensor, irradiance: FloatArray) -> BandNodes:
    """Place the nodes of every band of a sensor.

    A band's reflectance is the ratio of reflected to incoming light, both integrated over a Gaussian response: nodes
    weigh by the solar irradiance they see. ``irradiance`` is (n, 2) nm, uW cm-2 nm-1.
    """
    centres: list[FloatArray] = []
    widths: list[FloatArray] = []
    weights: list[FloatArray] = []
    for centre, fwhm in zip(sensor.wavelength_nm, sensor.fwhm_nm, strict=True):
        if fwhm <= MAX_NARROW_NM:
            nodes, width, weight = np.array([centre]), fwhm, np.ones(1)
        else:
            nodes, width = _nodes(centre, fwhm, irradiance), NODE_FWHM_NM
            rest = tables.sigma_of(np.sqrt(fwhm**2 - width**2))
            weight = np.exp(-0.5 * ((nodes - centre) / rest) ** 2)
            weight *= resample_irradiance(irradiance, nodes, np.full(len(nodes), width))
        centres.append(nodes)
        widths.append(np.full(len(nodes), width))
        weights.append(weight / weight.sum())
    first = np.cumsum([0, *(len(nodes) for nodes in centres[:-1])])
    narrow = Sensor(sensor.name, np.concatenate(centres), np.concatenate(widths))
    return BandNodes(narrow, first.astype(np.intp), np.concatenate(weights).astype(np.float32))


def _nodes(centre_nm: float, fwhm_nm: float, irradiance: FloatArray) -> FloatArray:
    """Return nodes around a centre, within the range of the tables and of the irradiance (nodes,), nm."""
    steps = int(np.ceil(REACH * fwhm_nm / NODE_STEP_NM))
    nodes: FloatArray = centre_nm + NODE_STEP_NM * np.arange(-steps, steps + 1, dtype=np.float64)
    low, high = tables.range_nm(irradiance)
    return nodes[(nodes >= low) & (nodes <= high)]


def choose_bands(spec: Any, irradiance: FloatArray) -> tuple[Sensor, tuple[str, ...]]:
    """Return the bands of a sensor that can be simulated, and the names of those left out.

    Half a band's width to either side must be within `tables.range_nm`. ``irradiance`` is (n, 2) nm, uW cm-2 nm-1;
    ``spec`` is what `find_sensor` takes; None is EMIT, all of it.
    Raises `UsageError` where there is no such sensor, or no band of it can be simulated.
    """
    if spec is None:
        return Sensor.emit(), ()
    sensor = find_sensor(spec)
    low, high = tables.range_nm(irradiance)
    half = sensor.fwhm_nm / 2
    within = (sensor.wavelength_nm - half >= low) & (sensor.wavelength_nm + half <= high)
    if within.all():
        return sensor, ()
    if not within.any():
        raise UsageError(f"{sensor.name}: none of its bands is within {low:g}–{high:g} nm, which can be simulated")
    names = np.array(names_of(sensor))
    kept = Sensor(sensor.name, sensor.wavelength_nm[within], sensor.fwhm_nm[within], tuple(names[within].tolist()))
    return kept, tuple(names[~within].tolist())


def names_of(sensor: Sensor) -> list[str]:
    """Return the names of a sensor's bands, or else their centres."""
    return list(sensor.band_names) or [f"{centre:g} nm" for centre in sensor.wavelength_nm]
