"""Held-out spectra for judging fidelity, each as radiance with its sun, on its own band set.

None was trained on: seeds differ from the training's and the golden files and the real cube are never trained on.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evaluation.distillation.data import MAX_REFLECTANCE, Sources, Spectra, bounded, emit_bands
from evaluation.distillation.simulate_bank import scene_spectra
from spectf_cloud.dataset import open_scene
from spectf_cloud.simulation.presets import PRESETS
from spectf_cloud.toa import reflectance_per_radiance, resample_irradiance

SEED = 90_210
SIMULATED_SEED = 91_000
AVIRIS_NG = "avirisng/ang20170323t202244_{}_7000-7010"


@dataclass
class Held:
    """Radiance (n, bands) uW cm-2 sr-1 nm-1 on kept bands, with sun zenith deg (n,) and distance AU.

    bar: the largest share of the mask that may differ, or None where there is no bar.
    """

    name: str
    radiance: NDArray[np.float64]
    wavelength_nm: NDArray[np.float64]
    fwhm_nm: NDArray[np.float64]
    sun_zenith_deg: NDArray[np.float64]
    earth_sun_au: float
    bar: float | None


def held_out(folder: Path, size: int) -> Iterator[Held]:
    """Every source in turn, of `size` spectra where it can be drawn."""
    sources = Sources(folder, SEED)
    drawn = (
        ("real EMIT statistics (drawn)", bounded(sources.real_statistics, size), 0.02),
        ("library surfaces, clear sky (drawn)", bounded(sources.clear, size), 0.033),
        ("simple clouds (drawn)", bounded(sources.cloudy, size // 2), None),
    )
    for name, toa, bar in drawn:
        yield _emit(folder, name, toa, bar)
    golden = np.load(folder / "golden/emit_spectra.npz")
    for number, (name, bar) in enumerate((("golden, real EMIT statistics", 0.02), ("golden, library surfaces", 0.033))):
        toa = golden["toa_reflectance"][golden["source"] == number]
        yield _emit(folder, name, toa[toa.max(1) <= MAX_REFLECTANCE], bar)
    for order, preset in enumerate(PRESETS):
        spectra = [scene_spectra(folder, preset, SIMULATED_SEED + 10 * order + i, i % 2 == 0) for i in range(2)]
        toa = np.concatenate(spectra)
        yield _emit(folder, f"simulated scenes: {preset}", toa[toa.max(1) <= MAX_REFLECTANCE], 0.005)
    yield _aviris_ng(folder)


def _emit(folder: Path, name: str, toa: Spectra, bar: float | None) -> Held:
    """Spectra in published reflectance, back to the radiance they stand for under suns of varied height."""
    wavelength_nm, fwhm_nm, kept = emit_bands(folder)
    zenith_deg = np.random.default_rng(SEED).uniform(15, 65, len(toa))
    au = 1.007
    published = resample_irradiance(np.load(folder / "official/irr.npy"), wavelength_nm, fwhm_nm)[kept]
    radiance = toa / reflectance_per_radiance(published, au) * np.cos(np.deg2rad(zenith_deg))[:, None]
    return Held(name, radiance, wavelength_nm[kept], fwhm_nm[kept], zenith_deg, au, bar)


def _aviris_ng(folder: Path) -> Held:
    scene = open_scene(folder / (AVIRIS_NG.format("rdn") + ".hdr"), folder / (AVIRIS_NG.format("obs") + ".hdr"))
    kept = scene.sensor.kept()
    radiance = scene.read_radiance(0, scene.lines).astype(np.float64)[..., kept].reshape(-1, int(kept.sum()))
    zenith_deg = scene.read_sun_zenith_deg(0, scene.lines).ravel()
    sensor = scene.sensor
    name = "real AVIRIS-NG cube (400 bands)"
    return Held(name, radiance, sensor.wavelength_nm[kept], sensor.fwhm_nm[kept], zenith_deg, scene.earth_sun_au, 0.0)
