"""Labelled spectra of simulated scenes in the schema of the published training data (Zenodo 14607937)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from spectf_cloud.files.atomic import atomic_output, check_suffix
from spectf_cloud.files.resources import PUBLISHED
from spectf_cloud.readers.irradiance import NAME_ATTRIBUTE, SHA256_ATTRIBUTE, named_irradiance
from spectf_cloud.simulation.config import DatasetConfig
from spectf_cloud.simulation.geometry import SUN_DISTANCE, SUN_ZENITH
from spectf_cloud.simulation.granule import simulate_scene
from spectf_cloud.simulation.scene import CLEAR, CLOUD_ICE, CLOUD_LIQUID, SimulatedScene
from spectf_cloud.toa import reflectance_per_radiance, toa_reflectance
from spectf_cloud.tokens import shown_bands

CLEAR_LABEL, CLOUD_LABEL, SHADOW_LABEL = 0, 1, 2
#: Share of direct sunlight that a cloud must take for the label shadow, and may take for the label clear.
SHADOW, LIT = 0.5, 0.2


@dataclass(frozen=True)
class DatasetReport:
    """What was written: the file, and how many spectra of each label."""

    path: Path
    spectra: int
    clear: int
    cloud: int
    shadow: int


@dataclass(frozen=True, eq=False)
class LabelledPixels:
    """Pixels of one scene.

    Attributes
    ----------
    toa
        (n, bands) float64 TOA reflectance of the bands that the model sees.
    labels
        (n,) int64: 0 clear, 1 cloud, 2 cloud shadow.
    indices
        (n, 2) int64 line and sample.
    """

    toa: NDArray[np.float64]
    labels: NDArray[np.int64]
    indices: NDArray[np.int64]


def simulate_dataset(
    path: Path, config: DatasetConfig, *, overwrite: bool = False, progress: Callable[[int, int], None] | None = None
) -> DatasetReport:
    """Simulate labelled spectra and write them as one HDF5 file, scene by scene.

    ``spectra`` float64 (n, bands), ``labels`` int64 (n,), ``fids`` bytes (n,), ``indices`` int64 (n, 2),
    attributes ``bands`` float64 (bands,) nm, ``irradiance`` and ``irradiance_sha256``.
    Raises `OutputError`, and `InputError` for unusable inputs.
    """
    check_suffix(path, "HDF5")
    counts = np.zeros(3, dtype=np.int64)
    with atomic_output(path, overwrite=overwrite) as temporary, h5py.File(temporary, "w") as file:
        for number in range(config.scenes):
            scene = simulate_scene(config.scene(number))
            pixels = draw_pixels(scene, config.spectra_per_scene)
            if number == 0:
                _create(file, scene.sensor.wavelength_nm[shown_bands(scene.sensor)])
                irradiance = named_irradiance(str(config.irradiance or PUBLISHED))
                file.attrs[NAME_ATTRIBUTE], file.attrs[SHA256_ATTRIBUTE] = irradiance.name, irradiance.sha256
            fid = f"simulated{scene.seed:08d}"
            for name, values in (
                ("spectra", pixels.toa),
                ("labels", pixels.labels),
                ("fids", np.full(len(pixels.labels), fid.encode(), dtype="S18")),
                ("indices", pixels.indices),
            ):
                _append(file[name], values)
            counts += np.bincount(pixels.labels, minlength=3)
            if progress:
                progress(number + 1, config.scenes)
    return DatasetReport(path, int(counts.sum()), *(int(count) for count in counts))


def draw_pixels(scene: SimulatedScene, count: int) -> LabelledPixels:
    """Up to ``count`` random pixels of a scene whose label is beyond doubt."""
    rng = np.random.default_rng([scene.seed, 3])
    labels = label(scene).ravel()
    sure = np.flatnonzero(labels >= 0)
    pixels = np.sort(rng.choice(sure, min(count, len(sure)), replace=False))
    radiance = scene.noisy_radiance(pixels, rng)
    obs = scene.geometry.obs.reshape(-1, scene.geometry.obs.shape[2])[pixels].astype(np.float64)
    kept = shown_bands(scene.sensor)
    distance = float(obs[:, SUN_DISTANCE].mean()) if len(obs) else 1.0
    factors = reflectance_per_radiance(scene.irradiance[kept], distance)
    toa = toa_reflectance(radiance[:, kept], factors, obs[:, SUN_ZENITH])
    line, sample = np.divmod(pixels, scene.shape[1])
    return LabelledPixels(toa.astype(np.float64), labels[pixels], np.column_stack([line, sample]).astype(np.int64))


def label(scene: SimulatedScene) -> NDArray[np.int64]:
    """(lines, samples) label of each pixel; -1 for thin cloud, half shadow and outside the swath."""
    truth = scene.truth()
    cloud = (truth["liquid_optical_thickness"] >= CLOUD_LIQUID) | (truth["ice_optical_thickness"] >= CLOUD_ICE)
    clear = (truth["optical_thickness"] < CLEAR) & scene.geometry.valid
    labels = np.full(scene.shape, -1, dtype=np.int64)
    labels[clear & (truth["shadow"] <= LIT)] = CLEAR_LABEL
    labels[clear & (truth["shadow"] >= SHADOW)] = SHADOW_LABEL
    labels[cloud & scene.geometry.valid] = CLOUD_LABEL
    return labels


def _create(file: h5py.File, bands_nm: NDArray[np.float64]) -> None:
    for name, shape, dtype in (
        ("spectra", (len(bands_nm),), np.float64),
        ("labels", (), np.int64),
        ("fids", (), "S18"),
        ("indices", (2,), np.int64),
    ):
        file.create_dataset(name, (0, *shape), dtype, maxshape=(None, *shape), chunks=(1024, *shape))
    file.attrs["bands"] = bands_nm
    file.attrs["simulated"] = "SIMULATED by spectf-cloud"


def _append(dataset: h5py.Dataset, values: NDArray[np.generic]) -> None:
    start = dataset.shape[0]
    dataset.resize(start + len(values), axis=0)
    dataset[start:] = values
