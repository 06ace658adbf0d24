"""Inputs that open without an error and still cannot be right: other units, another scene's geometry, bands turned.

Everything is judged on a few lines spread over the scene, where the sun is well up. A doubt that leaves no other
explanation is refused; where an unusual scene could be the reason, it is only said. docs: evaluation/reliability.md.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from spectf_cloud.errors import InputError
from spectf_cloud.readers.acquisition import acquired
from spectf_cloud.readers.band_names import plain
from spectf_cloud.readers.contradictions import contradictions
from spectf_cloud.scene import NODATA, Cube, Scene, missing
from spectf_cloud.sensor import PUBLISHED_DROP_NM
from spectf_cloud.toa import reflectance_per_radiance, resample_irradiance, toa_reflectance

FloatArray = NDArray[np.float64]

logger = logging.getLogger(__name__)

_PLACES, _LINES_AT_EACH = 6, 3
# Lower suns light the sides of clouds, and reflectance of level ground says little about units.
_LOWEST_SUN_DEG = 65.0
_FEWEST_PIXELS, _MOST_PIXELS = 20, 4096

# Reflectance between 430 and 900 nm: thick cloud and snow reach 1.2, open ocean under a clear sky has 0.03 to 0.15
# in the blue from the air alone.
_VISIBLE_NM = (430.0, 900.0)
_BLUE_NM = (430.0, 500.0)
_RED_NM = (620.0, 700.0)
_IMPOSSIBLY_BRIGHT, _STRANGELY_BRIGHT = 2.0, 1.5
_IMPOSSIBLY_DARK, _STRANGELY_DARK = 0.005, 0.015
_BLUE_OF_CLOUD, _REDDER_THAN_AIR = 0.6, 0.5
# In the median pixel of one band, either way: no surface under the sun, nor an instrument's noise.
_ABSURD_REFLECTANCE = 20.0

# Sunlight's own lines: dividing by the solar spectrum smooths a radiance and roughens a reflectance. On real EMIT and
# AVIRIS-NG radiance the ratio of roughnesses is 1.8 and 3.6, on TOA reflectance 0.3; bands turned round make it
# rougher 5 to 13 times.
_LINES_NM = (430.0, 680.0)
_FEWEST_BANDS = 20
_SMOOTHER_UNDIVIDED, _SMOOTHER_TURNED = 0.5, 2.5

# Between these the least cirrus brightens what is otherwise almost black. Packed in steps of 2e-4 of reflectance the
# published network changes probabilities by 0.13, in steps of 1e-4 by 0.05 (the sample granule).
_CIRRUS_NM = (1340.0, 1450.0)
_MAX_STEP = 1.25e-4

_STRANGE_SUN_DEG, _IMPOSSIBLE_SUN_DEG = 2.0, 10.0
_STRANGE_HOURS = 1.0


@dataclass(frozen=True)
class Doubt:
    """One reason to think that the input is not what it is taken for; `impossible` where nothing else explains it."""

    text: str
    impossible: bool


def check_plausible(scene: Scene, irradiance: FloatArray, *, trust: bool = False) -> None:
    """Warn of what may be wrong with a scene, refuse what cannot be right unless told to ``trust`` it.

    ``irradiance`` is (n, 2) nm and uW cm-2 nm-1. Raises `InputError`.
    """
    found = list(doubts(scene, irradiance))
    for doubt in found:
        if doubt.impossible and not trust:
            raise InputError(f"{doubt.text}; if it is right after all, add --trust-input")
    for doubt in found:
        logger.warning("%s", doubt.text)


def doubts(scene: Scene, irradiance: FloatArray) -> Iterator[Doubt]:
    """Everything doubtful about a scene."""
    observation = scene.observation
    if scene.quantity != "radiance" or observation is None:
        yield from _scale(scene)
        return
    yield from (Doubt(text, True) for text in contradictions(scene.image, observation))
    yield from _packing(scene, irradiance)
    sample = _Sample.of(scene, observation)
    yield from _sun(scene, sample)
    yield from _light(scene, sample, irradiance)


@dataclass(frozen=True, eq=False)
class _Sample:
    """Some pixels of a few lines, all under the sun: radiance (n, bands), geometry (n, obs bands), NaN where missing.

    `line` and `column` (n,) say where they lie.
    """

    observation: Cube
    radiance: FloatArray
    geometry: FloatArray
    sun_zenith_deg: FloatArray
    line: NDArray[np.intp]
    column: NDArray[np.intp]

    @classmethod
    def of(cls, scene: Scene, observation: Cube) -> _Sample:
        blocks, columns = _places(scene)
        radiance, geometry = (_pixels(cube, blocks, columns) for cube in (scene.image, observation))
        lines = np.concatenate([np.arange(*block) for block in blocks])
        line, column = (axis.ravel() for axis in np.meshgrid(lines, columns, indexing="ij"))
        zenith = np.concatenate([scene.read_sun_zenith_deg(*block)[:, columns].ravel() for block in blocks])
        lit = np.isfinite(zenith) & np.isfinite(radiance).any(axis=1)
        return cls(observation, radiance[lit], geometry[lit], zenith[lit], line[lit], column[lit])


def _places(scene: Scene) -> tuple[list[tuple[int, int]], NDArray[np.intp]]:
    """Blocks of lines spread over a scene, and which of its columns to look at."""
    starts = np.unique(np.linspace(0, max(scene.lines - _LINES_AT_EACH, 0), _PLACES).astype(int))
    # One place in each row of chunks: every chunk touched is decompressed whole.
    chunk_lines = max(cube.lines_per_chunk for cube in scene.cubes)
    _, first = np.unique(starts // chunk_lines, return_index=True)
    blocks = [(int(start), min(int(start) + _LINES_AT_EACH, scene.lines)) for start in starts[first]]
    return blocks, np.arange(0, scene.samples, -(-scene.samples * _LINES_AT_EACH * len(blocks) // _MOST_PIXELS))


def _pixels(cube: Cube, blocks: list[tuple[int, int]], columns: NDArray[np.intp]) -> FloatArray:
    """Some pixels (n, bands) of some lines, NaN where missing."""
    values = np.concatenate([cube.read(*block)[:, columns].reshape(-1, cube.bands) for block in blocks])
    return np.where(missing(values, cube.nodata), np.nan, values).astype(np.float64)


def _time(name: str) -> datetime | None:
    """The time in a file name, to the second."""
    seen = acquired(name)
    return None if seen is None else seen.time


def _scale(scene: Scene) -> Iterator[Doubt]:
    """Whether reflectance in the visible is one that the Earth has: whole numbers without their scale are not."""
    centre_nm = scene.sensor.wavelength_nm
    visible = (centre_nm >= _VISIBLE_NM[0]) & (centre_nm <= _VISIBLE_NM[1])
    values = _pixels(scene.image, *_places(scene))[:, visible]
    values = values[np.isfinite(values).all(axis=1)]
    if not visible.any() or len(values) < _FEWEST_PIXELS:
        return
    brightest = float(np.percentile(values.max(axis=1), 75))
    if brightest > _STRANGELY_BRIGHT:
        text = f"{scene.image.path}: reflectance is {brightest:.2g} and more in a quarter; is its scale factor missing?"
        yield Doubt(text, brightest > _IMPOSSIBLY_BRIGHT)


def _packing(scene: Scene, irradiance: FloatArray) -> Iterator[Doubt]:
    """Whole numbers that a file was packed into against the dark of cirrus bands.

    What an instrument counts is as good as it gets, and what ENVI and TIFF hold may be that: so it is only said.
    """
    cirrus = _between(scene, _CIRRUS_NM, irradiance)
    if scene.image.step is None or not cirrus.any():
        return
    solar = resample_irradiance(irradiance, scene.sensor.wavelength_nm[cirrus], scene.sensor.fwhm_nm[cirrus])
    finest = _MAX_STEP * float(solar.min()) / np.pi
    if scene.image.step > finest:
        path, step, counted = scene.image.path, scene.image.step, scene.image.counted
        text = f"{path}: packed in steps of {step:g} ({'gain' if counted else 'scale_factor'}), too coarse where cirrus"
        advice = f"pack it in steps below {finest:.2g}"
        yield Doubt(f"{text} is seen: probabilities may be 0.1 off; {advice}", not counted)


def _sun(scene: Scene, sample: _Sample) -> Iterator[Doubt]:
    """The sun's height against the clock, and angles that look like radians."""
    path, zenith = sample.observation.path, sample.sun_zenith_deg
    if len(zenith) == 0:
        return
    seen, expected = float(np.median(zenith)), _expected_zenith_deg(scene, sample)
    off = None if expected is None else abs(seen - expected)
    if zenith.max() <= np.pi / 2:
        told = off is not None and off > _STRANGE_SUN_DEG and abs(np.rad2deg(seen) - expected) < _STRANGE_SUN_DEG
        if told or (off is None and _azimuths_in_radians(sample)):
            yield Doubt(f"{path}: the sun zenith (up to {zenith.max():.3g}) is in radians; degrees are needed", True)
            return
        if off is None or off > _STRANGE_SUN_DEG:
            yield Doubt(f"{path}: the sun zenith is at most {zenith.max():.3g}: straight overhead, or radians", False)
    if off is not None and off > _STRANGE_SUN_DEG:
        text = f"{path}: the sun zenith is {seen:.1f} degrees, but {expected:.1f} at the time and place of the radiance"
        yield Doubt(f"{text}; is this the OBS file of the scene?", off > _IMPOSSIBLE_SUN_DEG)
    hour, time = _band(sample, "utc time"), _time(scene.image.path.name)
    if hour is not None and time is not None and off is None:
        clock = time.hour + time.minute / 60
        apart = abs((float(np.nanmedian(hour)) - clock + 12) % 24 - 12)
        if apart > _STRANGE_HOURS:
            yield Doubt(f"{path} was seen {apart:.1f} hours from the time in the name {scene.image.path.name}", False)


def _expected_zenith_deg(scene: Scene, sample: _Sample) -> float | None:
    """The sun's zenith angle where and when the radiance was measured; None where it does not say."""
    from spectf_cloud.readers.sun import position

    time, place = _time(scene.image.path.name), scene.image.location()
    if time is None or place is None:
        return None
    lon, lat = (values[sample.line, sample.column] for values in (place.lon_deg, place.lat_deg))
    known = (lon != NODATA) & (lat != NODATA) & np.isfinite(lon) & np.isfinite(lat)
    return float(np.median(position(time, lon[known], lat[known])[0])) if known.any() else None


def _azimuths_in_radians(sample: _Sample) -> bool:
    """Both azimuths within one turn of radians: for degrees that would be a rare double chance."""
    azimuths = [_band(sample, name) for name in ("to-sun azimuth", "to-sensor azimuth")]
    return all(values is not None and np.nanmax(np.abs(values)) <= 2 * np.pi for values in azimuths)


def _band(sample: _Sample, name: str) -> FloatArray | None:
    for band, title in enumerate(sample.observation.band_names[: sample.observation.bands]):
        if plain(name) in plain(title) and np.isfinite(sample.geometry[:, band]).any():
            values: FloatArray = sample.geometry[:, band]
            return values
    return None


def _light(scene: Scene, sample: _Sample, irradiance: FloatArray) -> Iterator[Doubt]:
    """Dead bands, units and order of bands, from radiance under a sun that is well up."""
    high = sample.sun_zenith_deg < _LOWEST_SUN_DEG
    if high.sum() < _FEWEST_PIXELS:
        return
    path = scene.image.path
    radiance = sample.radiance[high]
    dead = (np.nan_to_num(radiance) == 0).all(axis=0) & np.isfinite(radiance).any(axis=0)
    if dead.all():
        yield Doubt(f"{path}: all radiance is zero, though the sun is up", True)
        return
    dead &= _seen(scene)
    if dead.any() and scene.image.stored.kind in "iu":  # of other numbers they are left out, see `empty_bands`
        first_nm = scene.sensor.wavelength_nm[dead][0]
        yield Doubt(f"{path}: {dead.sum()} of {len(dead)} bands are all zero, the first at {first_nm:.0f} nm", False)
    measured = ~_filled(scene, radiance)
    if measured.sum() < _FEWEST_PIXELS:
        return
    radiance, zenith_deg = radiance[measured], sample.sun_zenith_deg[high][measured]
    yield from _absurd_bands(scene, radiance, irradiance)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # bands without any value
        mean = np.nanmean(radiance, axis=0)
    shape = list(_shape(scene, mean, irradiance))
    yield from shape
    if not shape:  # else brightness would say the same in other words
        yield from _brightness(scene, radiance, zenith_deg, irradiance)


def _seen(scene: Scene) -> NDArray[np.bool_]:
    """Which bands (bands,) the model sees unless it is shown all."""
    seen, centre_nm = np.ones(scene.sensor.bands, bool), scene.sensor.wavelength_nm
    for low, high in PUBLISHED_DROP_NM:
        seen &= ~((centre_nm >= low) & (centre_nm <= high))
    return seen


def _absurd_bands(scene: Scene, radiance: FloatArray, irradiance: FloatArray) -> Iterator[Doubt]:
    """Bands that hold what no sunlight gives, such as a no-data value that nothing declares, beside others that do."""
    seen = _seen(scene) & _between(scene, (0.0, np.inf), irradiance) & np.isfinite(radiance).any(axis=0)
    seen[list(scene.image.marked_bad)] = False
    bands = np.flatnonzero(seen)
    if not len(bands):
        return
    solar = resample_irradiance(irradiance, scene.sensor.wavelength_nm[bands], scene.sensor.fwhm_nm[bands])
    absurd = bands[np.pi * np.nanmedian(np.abs(radiance[:, bands]), axis=0) > _ABSURD_REFLECTANCE * solar]
    if 0 < len(absurd) <= len(bands) // 2:  # of more, brightness speaks
        held = np.nanmedian(radiance[:, absurd[0]])
        yield Doubt(
            f"{scene.image.path}: {len(absurd)} bands hold what no sunlight gives, the first {held:g} at "
            f"{scene.sensor.wavelength_nm[absurd[0]]:.0f} nm; declare it where it stands for no data",
            False,
        )


def _filled(scene: Scene, radiance: FloatArray) -> NDArray[np.bool_]:
    """Which pixels (n,) hold one fill value wherever they hold anything."""
    nothing = np.isnan(radiance)
    alike = [((radiance == spectrum) | nothing).all(axis=1) for spectrum in scene.image.fill_spectra()]
    filled: NDArray[np.bool_] = np.any(alike, axis=0)
    return filled


def _shape(scene: Scene, mean: FloatArray, irradiance: FloatArray) -> Iterator[Doubt]:
    """Whether the mean spectrum (bands,) carries sunlight's lines, as it stands or turned round."""
    path, turned = scene.image.path, mean[::-1]
    with np.errstate(invalid="ignore"):
        usable = _between(scene, _LINES_NM, irradiance) & (mean > 0) & (turned > 0)
    if usable.sum() < _FEWEST_BANDS:
        return
    order = np.argsort(scene.sensor.wavelength_nm[usable], kind="stable")
    solar = resample_irradiance(irradiance, scene.sensor.wavelength_nm[usable], scene.sensor.fwhm_nm[usable])[order]
    as_read, as_turned = mean[usable][order], turned[usable][order]
    divided = _roughness(as_read / solar)
    if divided > _SMOOTHER_TURNED * _roughness(as_turned / solar):
        yield Doubt(f"{path}: the bands run against their wavelengths; turn one of the two round", True)
    elif _roughness(as_read) < _SMOOTHER_UNDIVIDED * divided:
        yield Doubt(
            f"{path}: spectra up to {np.nanmax(mean):.3g} without a trace of sunlight's lines, as reflectance has; "
            "radiance in uW cm-2 sr-1 nm-1 is needed",
            True,
        )


def _roughness(spectrum: FloatArray) -> float:
    """Median bend of the logarithm from band to band."""
    return float(np.median(np.abs(np.diff(np.log(spectrum), 2))))


def _brightness(
    scene: Scene, radiance: FloatArray, sun_zenith_deg: FloatArray, irradiance: FloatArray
) -> Iterator[Doubt]:
    """Whether the reflectance that follows is one that the Earth has."""
    visible = _between(scene, _VISIBLE_NM, irradiance)
    if not visible.any():
        return
    centre_nm = scene.sensor.wavelength_nm[visible]
    solar = resample_irradiance(irradiance, centre_nm, scene.sensor.fwhm_nm[visible])
    factors = reflectance_per_radiance(solar, scene.earth_sun_au)
    toa = toa_reflectance(radiance[:, visible], factors, sun_zenith_deg).astype(np.float64)
    toa = toa[np.isfinite(toa).all(axis=1)]
    if len(toa) < _FEWEST_PIXELS:
        return
    path, brightest = scene.image.path, float(np.percentile(toa.max(axis=1), 75))
    blue, red = (
        float(np.median(toa[:, band].mean(axis=1))) if band.any() else float("nan")
        for band in ((centre_nm >= low) & (centre_nm <= high) for low, high in (_BLUE_NM, _RED_NM))
    )
    units = "uW cm-2 sr-1 nm-1 are needed"
    if brightest > _STRANGELY_BRIGHT:
        text = (
            f"{path}: reflectance would be {brightest:.2g} and more in a quarter; W m-2 sr-1 um-1 are 10 times larger"
        )
        yield Doubt(f"{text}, {units}", brightest > _IMPOSSIBLY_BRIGHT)
    elif blue > _BLUE_OF_CLOUD and red < _REDDER_THAN_AIR * blue:
        text = f"{path}: bright ({blue:.2g}) in the blue yet {red:.2g} in the red, as sea in units 10 times too large"
        yield Doubt(f"{text}; {units}", False)
    elif blue < _STRANGELY_DARK:
        text = f"{path}: reflectance would be {blue:.2g} in the blue, less than the air alone gives"
        yield Doubt(f"{text}; {units}", blue < _IMPOSSIBLY_DARK)


def _between(scene: Scene, range_nm: tuple[float, float], irradiance: FloatArray) -> NDArray[np.bool_]:
    """Which bands (bands,) lie in a range and within the irradiance."""
    low, high = max(range_nm[0], irradiance[0, 0]), min(range_nm[1], irradiance[-1, 0])
    centre_nm = scene.sensor.wavelength_nm
    inside: NDArray[np.bool_] = (centre_nm >= low) & (centre_nm <= high)
    return inside
