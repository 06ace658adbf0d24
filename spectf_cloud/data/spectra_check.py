"""Labelled spectra that open without an error and still cannot be right: other units, another scale, radiance.

This is for spectra what `plausibility` is for scenes. A sample is checked. Impossible data are refused unless the user
trusts the file; unusual data only give a warning.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spectf_cloud.errors import InputError
from spectf_cloud.files.resources import PUBLISHED, irradiance_file
from spectf_cloud.readers.irradiance import read_irradiance
from spectf_cloud.readers.plausibility import Doubt
from spectf_cloud.toa import resample_irradiance

FloatArray = NDArray[np.float64]

logger = logging.getLogger(__name__)

#: Number of spectra that are enough to determine units and scale.
MAX_SAMPLE = 4096
# A larger share of empty spectra is more than a few bad pixels.
_MAX_EMPTY = 0.05
# With fewer bands, a real spectrum may have the same value in all of them.
_MIN_CONSTANT_BANDS = 16
# Fewer spectra may be alike, or all dark, by chance.
_MIN_SPECTRA = 20
# No band outside these, nm, measures reflected sunlight; band numbers, wavenumbers and Ångström are outside.
_REFLECTIVE_NM = (200.0, 6000.0)

# Cloud reaches 1.2, seen sideways under a low sun about 2; the air alone gives 0.03 in the blue.
_VISIBLE_NM = (430.0, 900.0)
_MAX_BRIGHTNESS, _MAX_USUAL_BRIGHTNESS = 2.0, 1.5
_MIN_BRIGHTNESS = 0.02
_OTHER_SCALE, _FEW = 20.0, 0.01
# Values outside these occur in undeclared fill only.
_EXTREME = (-10.0, 1000.0)
_NEGATIVE, _MAX_NEGATIVE_SHARE = -0.1, 0.05
_SAME_SIZE = 1e-3

# Dividing by the solar spectrum smooths a radiance and roughens a reflectance: the ratio of roughnesses is 1.7 to 2.2
# on real EMIT and AVIRIS-NG radiance, 0.25 to 0.56 on reflectance.
_LINES_NM = (430.0, 680.0)
_MIN_BANDS = 20
_SMOOTHER_DIVIDED = 1.0


@dataclass(frozen=True)
class LeftOut:
    """Spectra of a file that are not used, because they hold no measurement or no label.

    Of ``total``, ``empty`` have no measurement in any band, ``partial`` have gaps; ``first_partial`` is the first of
    these. ``unlabelled`` have an invalid label; ``first_wrong`` is the first of these in words.
    """

    total: int
    unlabelled: int
    first_wrong: str
    empty: int = 0
    partial: int = 0
    first_partial: int = -1


def any_missing(spectra: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Return which (n,) of these spectra (n, bands) have a missing value."""
    missing: NDArray[np.bool_] = ~np.isfinite(spectra).all(axis=1)
    return missing


def no_measurement(spectra: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Return which (n,) of these spectra (n, bands) hold no measurement: only NaN, or one value in 16 bands or more."""
    empty: NDArray[np.bool_] = np.isnan(spectra).all(axis=1)
    if spectra.shape[1] >= _MIN_CONSTANT_BANDS:
        empty |= (spectra == spectra[:, :1]).all(axis=1)
    return empty


def refuse(found: Iterable[Doubt]) -> None:
    """Raise `InputError` for the first doubt that is impossible to explain by unusual data."""
    for doubt in found:
        if doubt.impossible:
            raise InputError(f"{doubt.text}; to use the file anyway, add --trust-input")


def settle(found: Iterable[Doubt], *, trust: bool) -> None:
    """Refuse impossible data unless ``trust``; warn about all other doubts. Raises `InputError`."""
    doubts = list(found)
    if not trust:
        refuse(doubts)
    for doubt in doubts:
        logger.warning("%s", doubt.text)


def doubts_of_gaps(source: Path, left_out: LeftOut) -> Iterator[Doubt]:
    """Yield what may be wrong with a file that holds spectra without a measurement or a label."""
    if left_out.unlabelled:
        yield Doubt(
            f"{source}: {left_out.first_wrong} is not one of 0 clear, 1 cloud, 2 shadow ({left_out.unlabelled:,} such "
            "labels); these spectra are left out",
            True,
        )
    if left_out.partial:
        yield Doubt(
            f"{source}: spectrum {left_out.first_partial} holds NaN, infinite or fill values in some bands "
            f"({left_out.partial:,} of {left_out.total:,} spectra do); these spectra are left out",
            True,
        )
    if left_out.empty:
        yield Doubt(
            f"{source}: {left_out.empty:,} of {left_out.total:,} spectra hold no measurement (fill, or the same "
            "value in all bands); they are left out",
            left_out.empty > _MAX_EMPTY * left_out.total,
        )


def doubts_of_labels(where: str, labels: NDArray[np.uint8], impossible: bool = False) -> Iterator[Doubt]:
    """Yield what may be wrong with labels (n,), 0 clear, 1 cloud, 2 shadow, to train with or to score."""
    cloud = labels == 1
    if len(cloud) and cloud.min() == cloud.max():
        only, other = ("cloud", "clear") if cloud[0] else ("clear", "cloud")
        yield Doubt(f"{where} hold {len(cloud):,} spectra, all of them {only}; {other} ones are needed too", impossible)
    elif len(labels) and not (labels == 0).any():
        text = f"{where} hold no label 0, clear, but {cloud.sum():,} labels 1, which are taken as cloud, and "
        yield Doubt(f"{text}{(~cloud).sum():,} labels 2, as shadow; do they count from 1?", impossible)


def doubts(source: Path, toa: NDArray[np.float32], wavelength_nm: FloatArray) -> Iterator[Doubt]:
    """Yield what may be wrong with a sample (n, bands) of TOA reflectance at the band centres (bands,), nm."""
    bands = list(_bands(source, wavelength_nm))
    yield from bands
    if bands or not len(toa):  # without sound wavelengths nothing else can be checked
        return
    same = (toa == toa[0]).all(axis=0) if len(toa) >= _MIN_SPECTRA else (toa == 0).all(axis=0)
    if same.any():
        yield Doubt(
            f"{source}: {same.sum()} of {len(same)} bands hold the same value in all spectra, the first "
            f"{toa[0, same][0]:g} at {wavelength_nm[same][0]:.0f} nm",
            False,
        )
    sunlit = list(_sunlight(source, toa.mean(axis=0, dtype=np.float64), wavelength_nm))
    yield from sunlit
    if not sunlit:  # else brightness would repeat the same doubt
        yield from _scale(source, toa.astype(np.float64), wavelength_nm)


def _bands(source: Path, wavelength_nm: FloatArray) -> Iterator[Doubt]:
    low, high = wavelength_nm.min(), wavelength_nm.max()
    if low < _REFLECTIVE_NM[0] or high > _REFLECTIVE_NM[1]:
        text = f"{source}: bands from {low:g} to {high:g} nm do not measure reflected sunlight"
        yield Doubt(f"{text}; give 'bands' as band centres in nanometres", True)
    centres, count = np.unique(wavelength_nm, return_counts=True)
    if (count > 1).any():
        text = f"{source}: 'bands' repeats the band centre {centres[count > 1][0]:g} nm"
        yield Doubt(f"{text} ({(count > 1).sum()} such); each band needs its own", True)


def _sunlight(source: Path, mean: FloatArray, wavelength_nm: FloatArray) -> Iterator[Doubt]:
    """Yield a doubt if the mean spectrum (bands,) carries sunlight's lines, as radiance does."""
    usable = (wavelength_nm >= _LINES_NM[0]) & (wavelength_nm <= _LINES_NM[1]) & (mean > 0)
    if usable.sum() < _MIN_BANDS:
        return
    centres, values = wavelength_nm[usable], mean[usable]
    solar = resample_irradiance(read_irradiance(irradiance_file(PUBLISHED)), centres, np.gradient(centres))
    divided = _roughness(values / solar)
    if divided > 0 and _roughness(values) > _SMOOTHER_DIVIDED * divided:
        text = f"{source}: spectra up to {mean.max():.3g} carry sunlight's lines, as radiance does"
        yield Doubt(f"{text}; TOA reflectance is needed", True)


def _roughness(spectrum: FloatArray) -> float:
    """Return the median bend of the logarithm from band to band."""
    return float(np.median(np.abs(np.diff(np.log(spectrum), 2))))


def _scale(source: Path, toa: FloatArray, wavelength_nm: FloatArray) -> Iterator[Doubt]:
    visible = (wavelength_nm >= _VISIBLE_NM[0]) & (wavelength_nm <= _VISIBLE_NM[1])
    seen = toa[:, visible] if visible.any() else toa
    brightest = seen.max(axis=1)
    quarter = float(np.percentile(brightest, 75))
    wanted = "reflectance as a fraction is needed (cloud is 0.3 to 1), or scale_factor as an attribute of 'spectra'"
    if quarter > _MAX_USUAL_BRIGHTNESS:
        text = f"{source}: reflectance is {quarter:.3g} and more in a quarter of the spectra"
        scale = (
            "; is it in per cent, or multiplied by 10,000?" if quarter > _MAX_BRIGHTNESS else ", brighter than cloud;"
        )
        yield Doubt(f"{text}{scale} {wanted}", quarter > _MAX_BRIGHTNESS)
    elif (share := float((brightest > _OTHER_SCALE).mean())) > _FEW:
        yield Doubt(
            f"{source}: {share:.0%} of the spectra exceed {_OTHER_SCALE:g}, the rest do not: two scales; {wanted}", True
        )
    elif (extreme := (toa < _EXTREME[0]) | (toa > _EXTREME[1])).any():
        text = f"{source}: {extreme.any(axis=1).sum():,} spectra of a sample hold values such as {toa[extreme][0]:g}"
        yield Doubt(f"{text}; is that fill? name it in an attribute _FillValue of 'spectra'", True)
    elif (share := float((seen < _NEGATIVE).mean())) > _MAX_NEGATIVE_SHARE:
        yield Doubt(f"{source}: {share:.0%} of the reflectance is below {_NEGATIVE:g}: standardised? {wanted}", True)
    elif len(toa) >= _MIN_SPECTRA:
        if visible.any() and quarter < _MIN_BRIGHTNESS:
            text = f"{source}: reflectance is below {quarter:.2g} in three quarters of the spectra, darker than air"
            yield Doubt(f"{text}; {wanted}", True)
        elif any(
            np.ptp(size) < _SAME_SIZE * np.abs(size).max() for size in (np.linalg.norm(toa, axis=1), toa.max(axis=1))
        ):
            yield Doubt(f"{source}: all spectra are equally bright: normalised? {wanted}", True)
